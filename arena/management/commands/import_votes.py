"""`manage.py import_votes FILE STUDY`: votes or ratings from elsewhere as a study without images."""

import json
from pathlib import Path
from typing import Any

from django.contrib.auth.models import User
from django.core.management.base import BaseCommand, CommandError, CommandParser

from arena.management.import_bar import import_bar
from arena.refusals import Refusal


class Command(BaseCommand):
    help = (
        "Make a closed study of votes (left,right,choice), scores (prompt,model,rater,criterion,score), an arena's log"
        " (model_a,model_b,winner) or Pick-a-Pic, from CSV, JSON lines or Parquet. A file with a bad row makes nothing."
        " Others can vote meanwhile, nobody sees a part, and an import that was ended goes on when asked again."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("file", type=Path)
        parser.add_argument("study", help="Short name of the new study.")
        parser.add_argument("--name", default="", help="Its name (default: the short name).")
        parser.add_argument("--owner", metavar="USER", help="Whose study it is (default: superusers' only).")
        parser.add_argument(
            "--baseline", default="", metavar="NAME", help="The contender that others are held against."
        )
        parser.add_argument("--source", default="", help="Where the votes come from, for the audit log.")
        parser.add_argument("--json", action="store_true", help="Print JSON instead of sentences.")

    def handle(self, *args: Any, **options: Any) -> None:
        from arena.vote_imports import import_votes  # Arrow takes longer to load than most commands to run

        owner = User.objects.filter(username=options["owner"]).first() if options["owner"] else None
        if options["owner"] and owner is None:
            raise CommandError(f"There is no user {options['owner']!r}.")
        if len(options["source"]) > 300 or len(options["name"]) > 200:
            raise CommandError("--source takes up to 300 characters, --name up to 200; say it shorter.")
        try:
            with import_bar() as progress:
                done = import_votes(
                    options["file"],
                    slug=options["study"],
                    name=options["name"],
                    owner=owner,
                    baseline=options["baseline"],
                    source=options["source"],
                    progress=progress,
                )
        except Refusal as refusal:
            raise CommandError(refusal.sentence) from refusal
        except KeyboardInterrupt as stop:
            sentence = "Stopped. Nobody sees what came in so far; the same command goes on from there."
            raise CommandError(sentence) from stop
        if options["json"]:
            told = {"study": done.study.slug, "shape": done.shape, "votes": done.votes, "skips": done.skips}
            self.stdout.write(json.dumps(told | {"ballots": done.ballots, "notes": done.notes}))
            return
        skips = f" and {done.skips:,} skips" if done.skips else ""
        self.stdout.write(
            f"{done.votes:,} votes{skips} imported as the study {done.study.slug} (read as {done.shape})."
        )
        for sentence in done.notes:
            self.stdout.write(f"Note: {sentence}")
        self.stdout.write(f"`manage.py fit {done.study.slug}` shows its tables; so does its page.")
