"""manage.py fit STUDY: estimate now and print what was found."""

from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from arena import fitting, leaderboard
from arena.counted_votes import ReadingError
from arena.leaderboard import CriterionResults
from arena.models import Study

_COLUMNS = ("contender", "against baseline", "rank", "strength", "votes")


class Command(BaseCommand):
    help = "Fit a study to the votes counted now and print its tables."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("study", help="Short name of the study, as in its address.")

    def handle(self, *args: Any, **options: Any) -> None:
        study = Study.objects.filter(slug=options["study"]).first()
        if study is None:
            known = ", ".join(Study.objects.values_list("slug", flat=True)) or "none yet"
            raise CommandError(f"There is no study {options['study']!r}. Known are: {known}.")
        try:
            fitting.refit(study)
        except ReadingError as error:
            raise CommandError(str(error)) from error
        for results in leaderboard.results_of(study):
            self.stdout.write(self.style.MIGRATE_HEADING(results.criterion.name))
            self.stdout.write("\n".join([*_lines(results), ""]))


def _lines(results: CriterionResults) -> list[str]:
    if results.fit is None or not results.votes:
        return ["No votes are counted yet."]
    counted = f"{results.votes:,} votes, {results.raters:,} raters, {results.prompts:,} prompts"
    if results.simulated_votes:
        counted += f"; {results.simulated_votes:,} of the votes by simulated raters"
    cells = [
        (
            row.label + (" (withdrawn)" if row.is_withdrawn else ""),
            "baseline" if row.is_baseline else row.against_baseline.percent,
            row.ranks,
            row.strength.number,
            f"{row.votes:,}",
        )
        for row in results.rows
    ]
    widths = [max(map(len, column)) for column in zip(_COLUMNS, *cells, strict=True)]
    table = ["  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip() for line in cells]
    head = "  ".join(name.ljust(width) for name, width in zip(_COLUMNS, widths, strict=True)).rstrip()
    notes = [f"Note: {note}" for note in (*results.not_comparable, *results.warnings)]
    return [counted, "", head, "-" * len(head), *table, *notes]
