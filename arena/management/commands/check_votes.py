"""manage.py check_votes [STUDY]: whether every stored vote is as it was cast, and every published root still fits."""

from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from arena import vote_roots
from arena.models import Study


class Command(BaseCommand):
    help = (
        "Check the hash chains of all votes and compare them with the published roots; names every row that is wrong."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("study", nargs="?", help="Short name of one study; all studies if left out.")

    def handle(self, *args: Any, **options: Any) -> None:
        studies = Study.objects.order_by("pk")
        if options["study"]:
            studies = studies.filter(slug=options["study"])
            if not studies:
                known = ", ".join(Study.objects.values_list("slug", flat=True)) or "none yet"
                raise CommandError(f"There is no study {options['study']!r}. Known are: {known}.")
        wrong = 0
        for study in studies:
            found = vote_roots.check_votes(study)
            wrong += len(found.problems)
            looked = f"{study.slug}: {found.votes:,} votes of {found.raters:,} raters, {found.roots:,} published roots"
            self.stdout.write(f"{looked}: " + (f"{len(found.problems)} wrong" if found.problems else "all as cast"))
            for problem in found.problems:
                self.stdout.write(f"  {problem}")
            if newest := vote_roots.newest_root(study):
                self.stdout.write(f"  newest root {newest.root} of {newest.created_at:%Y-%m-%d %H:%M} UTC")
        if wrong:
            raise CommandError(f"{wrong} votes or roots are not as they were: see the lines above.")
