"""`manage.py export_votes STUDY FILE`: the counted votes of a study as a file that `rank` reads."""

from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from arena.models import Study


class Command(BaseCommand):
    help = "Write the votes that fits count now to a CSV, JSON-lines or Parquet file, whole or not at all."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("study", help="Short name of the study, as in its address.")
        parser.add_argument("file", type=Path, help="Ends in .csv, .jsonl or .parquet.")
        parser.add_argument(
            "--public",
            action="store_true",
            help="For outsiders: raters under numbers of this file alone, times to the hour, no reasons for skips.",
        )

        parser.add_argument(
            "--as",
            dest="shape",
            choices=("votes", "pickapic", "dpo"),
            default="votes",
            help="votes for `rank` (default), the columns of Pick-a-Pic, or prompt, chosen, rejected for DPO.",
        )

    def handle(self, *args: Any, **options: Any) -> None:
        from arena import vote_exports  # NumPy and what reads votes take longer to load than most commands to run

        study = Study.objects.filter(slug=options["study"]).first()
        if study is None:
            known = ", ".join(Study.objects.values_list("slug", flat=True)) or "none yet"
            raise CommandError(f"There is no study {options['study']!r}. Known: {known}.")
        try:
            export = vote_exports.export_votes(
                study, options["file"], is_public=options["public"], shape=options["shape"]
            )
        except vote_exports.VoteExportError as refusal:
            raise CommandError(refusal.sentence) from refusal
        self.stdout.write(f"{export.votes:,} votes and {export.skips:,} skips written to {options['file']}.")
        if export.left_out:
            self.stdout.write(f"Left out: {export.left_out:,} ties, skips and votes without images.")
        if export.rule_ties:
            self.stdout.write(
                f"Not in it: {export.rule_ties:,} ties by rule (identical images). They are no votes, but fits of "
                "the study count them."
            )
