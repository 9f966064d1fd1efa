"""Votes and ratings as others publish them, one judgement after the other with its labels. No database."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from arena.ranking.tallies import BOTH_BAD, LEFT, RIGHT, TIE
from arena.vote_files.shapes import OVERALL, SKIP, by_criterion, contenders_of, score_pairs, without_blanks
from arena.vote_files.sheets import Codes, Flags, Sheet, VoteFileError, read_sheet

Places = NDArray[np.int64]

_CHOICES: Final = {"left": LEFT, "tie": TIE, "right": RIGHT, "both_bad": BOTH_BAD, "skip": SKIP}
# What arenas write for who won, without regard to capitals, blanks and underscores.
_WINNERS: Final = {
    **dict.fromkeys(("modela", "a", "leftvote", "left"), LEFT),
    **dict.fromkeys(("modelb", "b", "rightvote", "right"), RIGHT),
    **dict.fromkeys(("tie", "tievote"), TIE),
    **dict.fromkeys(("tie(bothbad)", "bothbad", "bothbadvote"), BOTH_BAD),
}
_RATERS: Final = ("rater", "judge", "user_id")
_PROMPTS: Final = ("prompt", "caption", "question_id")
_FLAGS: Final = ("has_label",)
_MOST_TEXT: Final = 20_000
_MOST_NAME: Final = 200


@dataclass(frozen=True, eq=False)
class Judgements:
    """n judgements in the order in which they are to be kept. Numbers are places in the names.

    outcome:   LEFT, TIE, RIGHT, BOTH_BAD or SKIP
    rater:     0 .. raters - 1; names of people are not kept
    category:  of each prompt, "" where the file has none
    unknown:   which of sides, raters and prompts the file does not tell
    left_out:  rows that are no judgement, by reason
    """

    shape: str
    contenders: tuple[str, ...]
    criteria: tuple[str, ...]
    prompts: tuple[str, ...]
    category: tuple[str, ...]
    raters: int
    left: Places
    right: Places
    outcome: NDArray[np.uint8]
    criterion: Places
    rater: Places
    prompt: Places
    unknown: tuple[str, ...]
    left_out: dict[str, int]

    def __len__(self) -> int:
        return len(self.outcome)


@dataclass(frozen=True)
class _Shape:
    """Columns that tell a kind of file, and how its rows are read."""

    name: str
    needs: tuple[str, ...]
    build: Callable[[Sheet, Path], Judgements]


def read_judgements(path: Path, *, most_rows: int | None = None) -> Judgements:
    """Read single votes, scores, an arena's log or Pick-a-Pic. Raises VoteFileError with file, line and reason."""
    extra = (*_RATERS, *_PROMPTS, *_FLAGS, "category", "criterion", "weight")
    wanted = {*extra, *(name for shape in _SHAPES for name in shape.needs)}
    sheet = read_sheet(path, wanted=wanted, flags=_FLAGS, most_rows=most_rows)
    for shape in _SHAPES:
        if set(shape.needs) <= set(sheet.columns):
            if "weight" in sheet.columns:
                raise sheet.fault_of_columns("a study keeps whole votes, so a weight cannot be imported; use `rank`.")
            return shape.build(sheet, path)
    if {"wins_left", "wins_right"} <= {name.lower() for name in sheet.found}:
        raise sheet.fault_of_columns("holds counts, not single votes; `rank` reads such a file.")
    known = "; ".join(f"{shape.name}: {','.join(shape.needs)}" for shape in _SHAPES)
    raise sheet.fault_of_columns(f"has none of the known sets of columns ({known}); it has {_listed(sheet)}.")


def _listed(sheet: Sheet) -> str:
    return ",".join(sheet.found)[:200]


def _votes(sheet: Sheet, path: Path) -> Judgements:
    choice = sheet.columns["choice"]
    outcome = np.array([_CHOICES.get(text, 255) for text in choice.values], dtype=np.uint8)[choice.codes]
    names = ", ".join(_CHOICES)
    faults = {f"choice must be one of {names}, not {{choice}}.": outcome == 255}
    return _of_pairs(sheet, path, "votes", ("left", "right"), outcome, faults, has_sides=True)


def _arena(sheet: Sheet, path: Path) -> Judgements:
    return _of_winners(sheet, path, "arena", ("model_a", "model_b"), "winner")


def _genai(sheet: Sheet, path: Path) -> Judgements:
    return _of_winners(sheet, path, "GenAI-Arena", ("left_model", "right_model"), "vote_type")


def _of_winners(sheet: Sheet, path: Path, shape: str, sides: tuple[str, str], name: str) -> Judgements:
    winner = sheet.columns[name]
    plain = ["".join(text.lower().replace("_", "").split()) for text in winner.values]
    outcome = np.array([_WINNERS.get(text, 255) for text in plain], dtype=np.uint8)[winner.codes]
    faults = {f"{name} must be model_a, model_b, tie or tie (bothbad), not {{{name}}}.": outcome == 255}
    return _of_pairs(sheet, path, shape, sides, outcome, faults, has_sides=True)


def _one_hot(sheet: Sheet, path: Path) -> Judgements:
    """The contest on Kaggle: 1 in one of three columns."""
    columns = [sheet.numbers(name) for name in ("winner_model_a", "winner_tie", "winner_model_b")]
    one, tie, other = columns
    wrong = (one + tie + other != 1) | (np.abs(np.stack(columns) - 0.5) != 0.5).any(axis=0)
    outcome = np.where(one == 1, LEFT, np.where(other == 1, RIGHT, TIE)).astype(np.uint8)
    faults = {"exactly one of winner_model_a, winner_model_b and winner_tie must be 1, the others 0.": wrong}
    return _of_pairs(sheet, path, "arena", ("model_a", "model_b"), outcome, faults, has_sides=True)


def _pick_a_pic(sheet: Sheet, path: Path) -> Judgements:
    """A tie is stored as a half for either; rows without a label are skips. Which picture was left is not told."""
    first, second = sheet.numbers("label_0"), sheet.numbers("label_1")
    unlabelled = np.zeros(sheet.rows, dtype=bool)
    if "has_label" in sheet.columns:
        flag = sheet.columns["has_label"]
        unlabelled = np.array([text.lower() in ("false", "0", "0.0") for text in flag.values])[flag.codes]
    sums = np.abs(first + second - 1) > 1e-6
    faults = {"label_0 and label_1 must be 1 and 0, 0 and 1, or 0.5 and 0.5.": sums & ~unlabelled}
    outcome = np.where(first > second, LEFT, np.where(first < second, RIGHT, TIE)).astype(np.uint8)
    outcome[unlabelled] = SKIP
    return _of_pairs(sheet, path, "Pick-a-Pic", ("model_0", "model_1"), outcome, faults, has_sides=False)


def _of_pairs(
    sheet: Sheet,
    path: Path,
    shape: str,
    sides: tuple[str, str],
    outcome: NDArray[np.uint8],
    faults: Mapping[str, Flags],
    *,
    has_sides: bool,
) -> Judgements:
    left, right, names = contenders_of(sheet, *sides)
    blanks: dict[str, Flags | None] = {f"{name} is empty.": sheet.columns[name].blank for name in sides}
    sheet.refuse(blanks | dict(faults))
    _refuse_long(sheet, sides, _MOST_NAME)
    same = left == right
    if shape == "votes":
        sheet.refuse({"{left} is compared with itself.": same})
    kept = np.flatnonzero(~same)
    if not len(kept):
        raise sheet.fault("every row compares a contender with itself: there is nothing to compare.")
    left_out = {"compare a contender with itself": int(same.sum())} if same.any() else {}
    keep = {"left": left[kept], "right": right[kept], "outcome": outcome[kept]}
    return _built(sheet, path, shape, names, _criteria(sheet)[kept], kept, keep, has_sides, left_out)


def _scores(sheet: Sheet, path: Path) -> Judgements:
    """Every two models that one rater scored on one prompt are a pair; sides there were none."""
    model, _, names = contenders_of(sheet, "model", "model")
    sheet.refuse({f"{name} is empty.": sheet.columns[name].blank for name in ("prompt", "model", "rater")})
    _refuse_long(sheet, ("model",), _MOST_NAME)
    missing = sheet.columns["score"].blank
    value = (sheet if missing is None else without_blanks(sheet, "score")).numbers("score")
    given = np.ones(sheet.rows, dtype=bool) if missing is None else ~missing
    rater, prompt = sheet.columns["rater"].codes, sheet.columns["prompt"].codes
    parts: list[tuple[NDArray[np.intp], NDArray[np.intp], NDArray[np.uint8]]] = []
    for criterion, chosen in by_criterion(sheet):
        rows = np.arange(sheet.rows)[chosen]
        one, other, outcome = score_pairs(
            sheet,
            criterion,
            model=model[rows],
            rater=rater[rows],
            prompt=prompt[rows],
            score=value[rows],
            given=given[rows],
        )
        parts.append((rows[one], rows[other], outcome))
    one, other = (np.concatenate([part[side] for part in parts]) for side in (0, 1))
    outcome = np.concatenate([part[2] for part in parts])
    left_out = {"have no score": int((~given).sum())} if not given.all() else {}
    keep = {"left": model[one], "right": model[other], "outcome": outcome}
    return _built(sheet, path, "scores", names, _criteria(sheet)[one], one, keep, False, left_out)


def _built(
    sheet: Sheet,
    path: Path,
    shape: str,
    names: tuple[str, ...],
    criterion: Places,
    kept: NDArray[np.intp],
    keep: dict[str, Any],
    has_sides: bool,
    left_out: dict[str, int],
) -> Judgements:
    prompt, prompts, category = _prompts(sheet, path, kept)
    rater, raters = _raters(sheet, kept)
    unknown = [] if has_sides else ["sides"]
    if rater is None:
        unknown.append("raters")
    if prompt is None:
        unknown.append("prompts")
    # Somebody and something must stand in each row. Fits are told what is unknown and do not cluster by it.
    rater_of, raters = (np.zeros(len(kept), dtype=np.int64), 1) if rater is None else (rater, raters)
    prompt_of = np.zeros(len(kept), dtype=np.int64) if prompt is None else prompt
    if prompt is None:
        prompts, category = ("(the votes name no prompts)",), ("",)
    used = np.unique(np.concatenate([keep["left"], keep["right"]]))
    contenders = tuple(names[place] for place in used)
    left, right = (np.searchsorted(used, keep[side]).astype(np.int64) for side in ("left", "right"))
    column = sheet.columns.get("criterion")
    criteria = (OVERALL,) if column is None or column.values == ("",) else column.values
    found = Judgements(
        shape=shape,
        contenders=contenders,
        criteria=criteria,
        prompts=prompts,
        category=category,
        raters=raters,
        left=left,
        right=right,
        outcome=keep["outcome"],
        criterion=criterion,
        rater=rater_of,
        prompt=prompt_of,
        unknown=tuple(unknown),
        left_out=left_out,
    )
    if len(contenders) < 2:
        raise sheet.fault(f"only one contender is compared, {contenders[0]!r}: there is nothing to rank.")
    return found


def _criteria(sheet: Sheet) -> Places:
    column = sheet.columns.get("criterion")
    if column is None or column.values == ("",):
        return np.zeros(sheet.rows, dtype=np.int64)
    sheet.refuse({"criterion is empty.": column.blank})
    _refuse_long(sheet, ("criterion",), 100)
    return column.codes.astype(np.int64)


def _raters(sheet: Sheet, kept: NDArray[np.intp]) -> tuple[Places | None, int]:
    """Numbers of raters by first appearance; a blank one is somebody of their own."""
    name = next((name for name in _RATERS if name in sheet.columns), None)
    if name is None or sheet.columns[name].values == ("",):
        return None, 0
    column = sheet.columns[name]
    codes = column.codes[kept].astype(np.int64)
    if column.blank is not None:
        blank = column.blank[kept]
        codes[blank] = len(column.values) + np.arange(int(blank.sum()))
    return _numbered(codes)


def _numbered(codes: Places) -> tuple[Places, int]:
    """Codes by the order of their values, without gaps."""
    values, numbers = np.unique(codes, return_inverse=True)
    return numbers.astype(np.int64), len(values)


def _prompts(
    sheet: Sheet, path: Path, kept: NDArray[np.intp]
) -> tuple[Places | None, tuple[str, ...], tuple[str, ...]]:
    name = next((name for name in _PROMPTS if name in sheet.columns), None)
    if name is None or sheet.columns[name].values == ("",):
        return None, (), ()
    column = sheet.columns[name]
    texts = list(column.values)
    if name == "question_id":
        texts = _first_words(path, texts) or texts
    _refuse_long(sheet, (name,), _MOST_TEXT)
    codes = column.codes[kept].astype(np.int64)
    if column.blank is not None:
        blank = column.blank[kept]
        codes[blank] = len(texts) + np.arange(int(blank.sum()))
        texts += [f"(prompt not named, {number})" for number in range(1, int(blank.sum()) + 1)]
    values = np.unique(codes)
    numbers = np.searchsorted(values, codes)
    category = [""] * len(values)
    if "category" in sheet.columns:
        own = sheet.columns["category"]
        _refuse_long(sheet, ("category",), _MOST_NAME)
        seen, first = np.unique(numbers, return_index=True)
        for place, row in zip(seen.tolist(), kept[first].tolist(), strict=True):
            category[place] = own.values[own.codes[row]]
    return numbers, tuple(texts[value] for value in values.tolist()), tuple(category)


def _first_words(path: Path, ids: list[str]) -> list[str] | None:
    """What people asked first, by question id, where an arena's log has whole conversations."""
    words: dict[str, str] = {}
    data = path.read_bytes()
    if not data.removeprefix(b"\xef\xbb\xbf").lstrip().startswith(b"{"):
        return None
    for line in data.removeprefix(b"\xef\xbb\xbf").splitlines():
        if not line.strip():
            continue
        record = json.loads(line)  # it was read once already, so it is JSON
        talk = record.get("conversation_a")
        if isinstance(talk, list) and talk and isinstance(talk[0], dict) and isinstance(talk[0].get("content"), str):
            text = talk[0]["content"].replace("\0", " ").encode(errors="replace").decode().strip()
            words[str(record.get("question_id")).strip()] = text[:_MOST_TEXT]
    return [words.get(name) or name for name in ids] if words else None


def _refuse_long(sheet: Sheet, names: tuple[str, ...], most: int) -> None:
    for name in names:
        column = sheet.columns[name]
        long = np.array([len(text) > most for text in column.values])
        if long.any():
            sheet.refuse({f"{name} is longer than {most:,} characters.": long[column.codes]})


_SHAPES: Final = (
    _Shape("votes", ("left", "right", "choice"), _votes),
    _Shape("scores", ("prompt", "model", "rater", "score"), _scores),
    _Shape("an arena's log", ("model_a", "model_b", "winner"), _arena),
    _Shape("an arena's log", ("model_a", "model_b", "winner_model_a", "winner_model_b", "winner_tie"), _one_hot),
    _Shape("GenAI-Arena", ("left_model", "right_model", "vote_type"), _genai),
    _Shape("Pick-a-Pic", ("model_0", "model_1", "label_0", "label_1"), _pick_a_pic),
)


__all__ = ["Codes", "Judgements", "VoteFileError", "read_judgements"]
