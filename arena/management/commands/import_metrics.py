"""`manage.py import_metrics FILE`: metrics computed elsewhere, whole or not at all."""

from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from arena.models import Study
from arena.refusals import Refusal


class Command(BaseCommand):
    help = (
        "Import metrics from CSV, JSON lines or Parquet: contender,metric,value (needs --study), image,metric,value, or"
        " prompt,contender,sample,metric,value (needs --study). A file with a bad row changes nothing."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("file", type=Path)
        parser.add_argument("--study", help="short name of the study whose contenders and prompts the file names")
        parser.add_argument("--source", default="", help="who measured it; by default the file's name")
        parser.add_argument("--replace", action="store_true", help="take new values for numbers that are there already")

    def handle(self, *args: Any, **options: Any) -> None:
        # Imported here because Arrow takes longer to load than most commands to run.
        from arena.metric_imports import import_metrics

        study = Study.objects.filter(slug=options["study"]).first() if options["study"] else None
        if options["study"] and study is None:
            known = ", ".join(Study.objects.values_list("slug", flat=True)) or "none yet"
            raise CommandError(f"There is no study {options['study']!r}. Known: {known}.")
        if len(options["source"]) > 300:
            raise CommandError("--source is longer than 300 characters; say it shorter.")
        try:
            found = import_metrics(
                options["file"], study=study, source=options["source"], is_replacing=options["replace"]
            )
        except Refusal as error:
            raise CommandError(str(error)) from error
        self.stdout.write(f"{found.added} numbers added, {found.unchanged} there already, {found.replaced} replaced.")
