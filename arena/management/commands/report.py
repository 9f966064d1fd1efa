"""`manage.py report STUDY --out DIR`: results as a self-contained page with figures for papers."""

import json
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from arena.models import Study


class Command(BaseCommand):
    help = "Write a study's results to a folder: one HTML page, every chart as SVG, PDF, PNG and CSV, a LaTeX table."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("study", help="Short name of the study, as in its address.")
        parser.add_argument("--out", type=Path, required=True, help="Folder to write to; it is made where missing.")
        parser.add_argument(
            "--json", action="store_true", help="Print the numbers as JSON instead of what was written."
        )

    def handle(self, *args: Any, **options: Any) -> None:
        from arena import study_report  # brings in what draws charts, which other commands need not load

        study = Study.objects.filter(slug=options["study"]).select_related("run").first()
        if study is None:
            known = ", ".join(Study.objects.values_list("slug", flat=True)) or "none yet"
            raise CommandError(f"There is no study {options['study']!r}. Known: {known}.")
        try:
            written = study_report.write_report(study, options["out"])
        except OSError as error:
            raise CommandError(f"The report cannot be written to {options['out']}: {error.strerror}.") from error
        if options["json"]:
            self.stdout.write(json.dumps({**written.summary, "files": written.files}, ensure_ascii=False, indent=2))
            return
        figures = sum(name.startswith("figures/") for name in written.files)
        self.stdout.write(
            f"{written.folder / study_report.PAGE}: the results as one page, with {figures} figure files."
        )
        for one in written.summary["criteria"]:
            if not one["is_current"]:
                self.stdout.write(f"Note: {one['criterion']} has votes that no estimate counts yet: run `fit` first.")
