"""manage.py fit STUDY: estimate now and print what was found."""

from collections.abc import Sequence
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from arena import exposure, fitting, front_sorting, leaderboard, vote_snapshot
from arena.counted_votes import ReadingError
from arena.front_sorting import Fronts
from arena.leaderboard import NOTHING, CriterionResults, Estimate, Row
from arena.models import Study

_COLUMNS = ("contender", "against baseline", "win / tie / loss", "rank", "tier", "strength", "votes")


class Command(BaseCommand):
    help = "Fit a study to the votes counted now and print its tables."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("study", help="Short name of the study, as in its address.")
        parser.add_argument(
            "--rebuild",
            action="store_true",
            help="First read all votes from the database again, replace the file that keeps them for fits, and count "
            "anew how often each pair was shown.",
        )

    def handle(self, *args: Any, **options: Any) -> None:
        study = Study.objects.filter(slug=options["study"]).first()
        if study is None:
            known = ", ".join(Study.objects.values_list("slug", flat=True)) or "none yet"
            raise CommandError(f"There is no study {options['study']!r}. Known are: {known}.")
        if options["rebuild"]:
            exposure.rebuild(study)
            votes = vote_snapshot.rebuild(study)
            self.stdout.write(f"{len(votes.rows):,} votes read from the database.")
        try:
            fitting.refit(study)
        except ReadingError as error:
            raise CommandError(str(error)) from error
        for results in leaderboard.results_of(study):
            self.stdout.write(self.style.MIGRATE_HEADING(results.criterion.name))
            self.stdout.write("\n".join([*_lines(results), ""]))
        if fronts := front_sorting.fronts_of(study, fitting.current_fits(study)):
            self.stdout.write(self.style.MIGRATE_HEADING("Fronts"))
            self.stdout.write("\n".join([*_front_lines(fronts), ""]))


def _lines(results: CriterionResults) -> list[str]:
    if results.fit is None or not results.votes:
        return ["No votes are counted yet."]
    counted = f"{results.votes:,} votes, {results.raters:,} raters, {results.prompts:,} prompts"
    if results.simulated_votes:
        counted += f"; {results.simulated_votes:,} of the votes by simulated raters"
    lines = [counted]
    if results.left_share.value is not None:
        lines.append(f"Of two equals, the one on the left is preferred {results.left_share.percent} of the time")
    if results.tie_models:
        lines.append(results.tie_models.sentence)
    notes = [f"Note: {note}" for note in (*results.not_comparable, *results.unbounded, *results.warnings)]
    return [*lines, "", *_table(results), *notes]


def _table(results: CriterionResults) -> list[str]:
    cells = {board.title: [_cells(row) for row in board.rows] for board in results.boards}
    head, *lines = _aligned([_COLUMNS, *(line for own in cells.values() for line in own)])
    table, rest = [head, "-" * len(head)], iter(lines)
    for title, own in cells.items():
        table += [f"{title}:"] * bool(title) + [next(rest) for _ in own]
    return table


def _front_lines(fronts: Fronts) -> list[str]:
    columns = ("contender", "front", "held", "in front 1", *(criterion.name.lower() for criterion in fronts.criteria))
    lines = [
        (
            row.label,
            str(row.front or NOTHING),
            Estimate(row.held).whole_percent,
            Estimate(row.first).whole_percent,
            *(NOTHING if strength is None else f"{strength:.2f}" for strength in row.strengths),
        )
        for row in fronts.rows
    ]
    head, *rest = _aligned([columns, *lines])
    return [head, "-" * len(head), *rest, *(f"Note: {note}" for note in fronts.notes)]


def _aligned(lines: Sequence[Sequence[str]]) -> list[str]:
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    return ["  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip() for line in lines]


def _cells(row: Row) -> tuple[str, ...]:
    tags = ["withdrawn"] * row.is_withdrawn + ["penalised"] * row.is_penalised
    return (
        row.label + (f" ({', '.join(tags)})" if tags else ""),
        "baseline" if row.is_baseline else row.against_baseline.percent,
        row.outcomes.percents if row.outcomes else NOTHING,
        row.ranks,
        NOTHING if row.tier is None else str(row.tier),
        row.strength.number,
        f"{row.votes:,}",
    )
