"""`manage.py board create/list/show/refit`: standing leaderboards from a terminal."""

import json
from argparse import ArgumentParser
from collections.abc import Callable
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from arena import board_exports, board_fitting, boards
from arena.board_filters import Filters
from arena.board_page import board_page
from arena.counted_votes import ReadingError
from arena.management.naming import user_named
from arena.models import Board, Study
from arena.refusals import Refusal

Answer = tuple[dict[str, Any], list[str]]
FORMAT_VERSION = 1


class Command(BaseCommand):
    help = "Make a standing leaderboard over several studies, fit it, and say how it stands."

    def add_arguments(self, parser: ArgumentParser) -> None:
        acts = parser.add_subparsers(dest="act", required=True, metavar="ACT")
        create = self._act(acts, "create", "make a board of studies that share questions and contenders")
        create.add_argument("name", help="what the board is called")
        create.add_argument("--study", action="append", required=True, help="short name of a study; give several")
        create.add_argument("--criterion", action="append", required=True, help="key of a shared question")
        create.add_argument("--slug", default="", help="short name of the board; made of its name if left out")
        create.add_argument("--reference", default="", help="id of the contender that others are compared with")
        create.add_argument("--owner", default="", help="user name of the owner; without it, the site's")
        self._act(acts, "list", "list the boards")
        for name, words in (("show", "say how a board stands"), ("refit", "fit what has changed, and show it")):
            self._act(acts, name, words).add_argument("board", help="short name of the board, as in its address")
        export = self._act(acts, "export", "fit what has changed, and write tables, fits and the votes behind them")
        export.add_argument("board", help="short name of the board, as in its address")
        export.add_argument("file", type=Path, help="the zip to write")
        check = self._act(acts, "check", "fit an exported board from its votes, and compare with the fit in it")
        check.add_argument("file", type=Path, help="a zip that `board export` wrote")

    def handle(self, *args: Any, act: str, **options: Any) -> None:
        acts: dict[str, Callable[[dict[str, Any]], Answer]] = {
            "create": _create,
            "list": _list,
            "show": lambda said: _told(_board(said["board"])),
            "refit": _refit,
            "export": _export,
            "check": _check,
        }
        try:
            data, lines = acts[act](options)
        except (Refusal, ReadingError) as error:
            raise CommandError(str(error)) from error
        if options["json"]:
            self.stdout.write(json.dumps({"version": FORMAT_VERSION, **data}, ensure_ascii=False))
        else:
            self.stdout.write("\n".join(lines))

    def _act(self, acts: Any, name: str, words: str) -> ArgumentParser:
        parser: ArgumentParser = acts.add_parser(name, help=words, description=f"{words[0].upper()}{words[1:]}.")
        parser.add_argument("--json", action="store_true", help="print JSON instead of sentences")
        return parser


def _create(said: dict[str, Any]) -> Answer:
    owner = user_named(said["owner"])
    visible = Study.objects.all() if owner is None else Study.objects.visible_to(owner)
    found = {study.slug: study for study in visible.filter(slug__in=said["study"])}
    if missing := [slug for slug in said["study"] if slug not in found]:
        raise CommandError(f"There is no study {missing[0]!r}" + (f" that {owner} may see." if owner else "."))
    made = boards.create_board(
        owner=owner,
        name=said["name"],
        slug=said["slug"],
        studies=[found[slug] for slug in dict.fromkeys(said["study"])],
        criteria=said["criterion"],
        reference=said["reference"],
    )
    return _told(made)


def _list(said: dict[str, Any]) -> Answer:
    data, lines = [], []
    for board in Board.objects.order_by("pk"):
        studies = list(board.studies.order_by("slug").values_list("slug", flat=True))
        newest = max((fit.created_at for fit in board_fitting.current_fits(board).values()), default=None)
        data.append(
            {
                "board": board.slug,
                "name": board.name,
                "studies": studies,
                "criteria": [question["key"] for question in board.criteria],
                "is_public": board.is_public,
                "fitted_at": newest.isoformat() if newest else None,
            }
        )
        fitted = f"fitted {newest:%Y-%m-%d %H:%M} UTC" if newest else "not fitted yet"
        public = ", public" if board.is_public else ""
        lines.append(f"{board.slug}: {board.name} ({', '.join(studies)}), {fitted}{public}")
    return {"boards": data}, lines or ["There is no board yet."]


def _refit(said: dict[str, Any]) -> Answer:
    board = _board(said["board"])
    board_fitting.refit_board(board)
    return _told(board)


def _export(said: dict[str, Any]) -> Answer:
    board, file = _board(said["board"]), said["file"]
    board_fitting.refit_board(board)
    done = board_exports.export_board(board, file)
    line = f"{done.votes:,} votes on {done.questions} question{'s' if done.questions > 1 else ''} written to {file}."
    return {"board": board.slug, "votes": done.votes, "changed_since_fit": list(done.stale)}, [line]


def _check(said: dict[str, Any]) -> Answer:
    from arena.board_refits import refit_file  # brings in SciPy

    found = refit_file(said["file"])
    if wrong := [each for each in found if each.is_other]:
        raise CommandError(" ".join(each.sentence for each in wrong))
    criteria = [
        {
            "criterion": each.question,
            "votes": each.votes,
            "largest_difference": each.largest,
            "strengths": each.strengths,
        }
        for each in found
    ]
    return {"criteria": criteria}, [each.sentence for each in found]


def _told(board: Board) -> Answer:
    data: dict[str, Any] = {
        "board": board.slug,
        "name": board.name,
        "studies": list(board.studies.order_by("slug").values_list("slug", flat=True)),
        "is_public": board.is_public,
        "criteria": [],
    }
    lines = [f"{board.name} ({board.slug}) over {', '.join(data['studies'])}."]
    for question in board.criteria:
        page = board_page(board, question, Filters())
        fit = page.fit
        entry = {"criterion": question["key"], "votes": 0, "fitted_at": None, "results": None}
        if fit is None:
            lines.append(f"{question['name']}: no votes fitted yet.")
        else:
            entry |= {"votes": fit.vote_count, "fitted_at": fit.created_at.isoformat(), "results": fit.results}
            lines.append(f"{question['name']}: {fit.vote_count:,} votes, fit {fit.number}.")
            lines += [
                f"  {row.place}. {row.label}: log strength {row.strength.number}, rank {row.ranks}" for row in page.rows
            ]
            lines += [f"  {sentence}" for sentence in (*page.warnings, page.agreement) if sentence]
        data["criteria"].append(entry)
    return data, lines


def _board(slug: str) -> Board:
    found = Board.objects.filter(slug=slug).first()
    if found is None:
        known = ", ".join(Board.objects.values_list("slug", flat=True)[:20]) or "none yet"
        raise CommandError(f"There is no board {slug!r}. Known: {known}.")
    return found
