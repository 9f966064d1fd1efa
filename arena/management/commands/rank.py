"""manage.py rank VOTES: win probabilities from a file of votes, counts or scores. Needs no database."""

from __future__ import annotations

import json
from argparse import ArgumentTypeError, BooleanOptionalAction
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

_CLUSTERS: dict[str, tuple[str, ...]] = {
    "rater,prompt": ("rater", "prompt"),
    "prompt,rater": ("rater", "prompt"),
    "rater": ("rater",),
    "prompt": ("prompt",),
    "none": (),
}


class Command(BaseCommand):
    help = (
        "Rank contenders from a CSV, JSON-lines or Parquet file: votes (left,right,choice), counts "
        "(left,right,wins_left,ties,wins_right) or scores (prompt,model,rater,score). No database is needed."
    )
    requires_system_checks = []

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("votes", type=Path, help="The file.")
        parser.add_argument("--criterion", metavar="NAME", help="Only this criterion (default: each of the file).")
        parser.add_argument(
            "--ties",
            choices=("half", "davidson", "rao-kupper", "drop"),
            default="half",
            help="Ties are half wins, an outcome of their own by one of two models, or left out (default: half).",
        )
        parser.add_argument(
            "--side-bias",
            action=BooleanOptionalAction,
            help="Estimate an advantage of the left side (default: for votes, not for counts and scores).",
        )
        parser.add_argument(
            "--cluster",
            type=_clusters,
            metavar="rater,prompt|rater|prompt|none",
            help="Votes taken for alike: of one rater, on one prompt (default: by what the file names).",
        )
        parser.add_argument("--baseline", metavar="NAME", help="Show win probabilities against this contender.")
        parser.add_argument(
            "--bootstrap", type=_replicates, default=0, metavar="N", help="Check errors by N Bayesian replicates."
        )
        parser.add_argument(
            "--both-bad", choices=("tie", "drop"), default="tie", help='"Both bad" is a tie or left out (default: tie).'
        )
        parser.add_argument("--json", action="store_true", help="Print JSON instead of a table.")

    def handle(self, *args: Any, **options: Any) -> None:
        # Imported here because SciPy and Arrow take longer to load than most commands to run.
        from arena import rank_report, rank_table
        from arena.vote_files.shapes import VoteFileError, read_votes

        asked = rank_report.RankOptions(
            criterion=options["criterion"],
            ties=options["ties"],
            side_bias=options["side_bias"],
            by=options["cluster"],
            both_bad=options["both_bad"],
            baseline=options["baseline"],
            bootstrap=options["bootstrap"],
        )
        try:
            rankings = rank_report.rank_file(read_votes(options["votes"]), asked)
        except (VoteFileError, rank_report.RankError) as error:
            raise CommandError(rank_table.printable(str(error))) from error
        if options["json"]:
            self.stdout.write(json.dumps(rank_report.document(rankings), allow_nan=False))
        else:
            self.stdout.write(rank_table.table(rankings))


def _clusters(text: str) -> tuple[str, ...]:
    if text not in _CLUSTERS:
        raise ArgumentTypeError(f"must be one of {', '.join(_CLUSTERS)}, not {text!r}")
    return _CLUSTERS[text]


def _replicates(text: str) -> int:
    number = int(text) if text.isascii() and text.isdigit() and len(text) < 8 else 0
    if number < 2:
        raise ArgumentTypeError(f"must be a whole number from 2 on, not {text!r}")
    return number
