"""`manage.py export_study STUDY FILE.zip`: everything that a study's numbers rest on, as one file."""

import json
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from arena.models import Study
from arena.refusals import Refusal


class Command(BaseCommand):
    help = (
        "Write a study's bundle: votes, ballots, design, fits, images or their hashes. It re-fits to the same numbers."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("study", help="Short name of the study, as in its address.")
        parser.add_argument("file", type=Path, help="The zip to write.")
        pictures = parser.add_mutually_exclusive_group()
        pictures.add_argument("--images", action="store_true", help="With the image files.")
        pictures.add_argument("--hashes", action="store_true", help="With the hashes of the images only (default).")
        parser.add_argument(
            "--public",
            action="store_true",
            help="For anybody: times to the hour, and no row numbers, so that the vote chains cannot be checked.",
        )
        parser.add_argument("--json", action="store_true", help="Print JSON instead of a sentence.")

    def handle(self, *args: Any, **options: Any) -> None:
        from arena.bundles.writing import export_study  # NumPy and SciPy take longer to load than most commands to run

        study = Study.objects.filter(slug=options["study"]).first()
        if study is None:
            known = ", ".join(Study.objects.values_list("slug", flat=True)) or "none yet"
            raise CommandError(f"There is no study {options['study']!r}. Known: {known}.")
        try:
            done = export_study(study, options["file"], with_images=options["images"], is_public=options["public"])
        except Refusal as refusal:
            raise CommandError(refusal.sentence) from refusal
        if options["json"]:
            told = {"bundle": done.name, "rows": done.rows, "pictures": done.pictures, "bytes": done.size_bytes}
            self.stdout.write(json.dumps(told))
            return
        votes, ballots = done.rows["votes.jsonl"], done.rows["ballots.jsonl"]
        self.stdout.write(
            f"{votes:,} votes on {ballots:,} ballots and {done.pictures:,} images written to {options['file']} "
            f"({done.size_bytes / 1e6:.1f} MB). Bundle {done.name}."
        )
