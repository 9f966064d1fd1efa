"""Boards follow their studies: fit again what counted votes have changed, each time as a row that says what it saw."""

import logging
from collections.abc import Container, Mapping, Sequence
from datetime import timedelta
from importlib.metadata import version
from time import perf_counter
from typing import TYPE_CHECKING, Any, Final

from django.core.cache import cache
from django.db import IntegrityError, transaction
from django.db.models import Max
from django.utils import timezone

from arena.board_sources import BoardSources, Standing, VoteCounts
from arena.counted_votes import ReadingError
from arena.models import Board, BoardFit
from generation.provenance import digest_of

if TYPE_CHECKING:
    from arena.board_votes import BoardReader, PooledVotes

# Everything that changes the numbers for equal votes; a change of method raises "method".
OPTIONS: Final[dict[str, Any]] = {
    "method": 2,
    "model": "Bradley-Terry",
    "ties": "half a win",
    "outcomes": "the likelier of Davidson's and Rao and Kupper's model, one tie parameter",
    "both_bad": "tie",
    "side_bias": "of each study",
    "without_maximum": "Firth's penalty",
    "clusters": ["rater", "prompt"],
    "covariance": "cr3",
    "level": 0.95,
}
REST: Final = timedelta(hours=1)
"""While votes only come in, a question is fitted no more often: the history would be one of minutes."""

LATE_SECONDS: Final = 600
"""A worker that has not looked for so long knows no more what waits."""

_log = logging.getLogger(__name__)


def refit_changed_boards() -> list[BoardFit]:
    """Refit the boards whose studies have votes that no fit has seen. Where nothing changed it does not even count."""
    fits: list[BoardFit] = []
    counts = VoteCounts(reuses=True)
    for board in Board.objects.order_by("pk"):
        try:
            fits += refit_board(board, waits=True, counts=counts)
        except ReadingError as error:
            # Its study is busy: the next round comes, and the other boards need not wait for it.
            _log.warning("The board %s was not fitted: %s", board.slug, error)
        except Exception:
            # One board that cannot be fitted must not keep the others from it, round after round.
            _log.exception("The board %s was not fitted", board.slug)
    return fits


def ask_for_refit(board: Board) -> None:
    """Let the next round fit what it would leave to rest."""
    board.refit_asked_at = timezone.now()
    board.save(update_fields=["refit_asked_at"])


def refit_board(board: Board, *, waits: bool = False, counts: VoteCounts | None = None) -> list[BoardFit]:
    """The current fit of each question, made anew where votes, exclusions, studies or the method have changed.

    waits:  leave a question for later whose fit is young and that has nothing but more votes
    counts: of votes by study, where several boards share them
    """
    sources = BoardSources.of(board, counts)
    newest = current_fits(board)
    due, fits = [], []
    late: dict[str, int] = {}
    for question in board.criteria:
        fit, standings = newest.get(question["key"]), sources.standings(question)
        frame, state = _digests(board, question, standings)
        if fit is None and not standings:
            continue
        if fit is None or (fit.state_digest != state and not (waits and _is_resting(board, fit, frame))):
            due.append(question)
            continue
        fits.append(fit)
        if fit.state_digest != state:
            late[question["key"]] = fit.number
    cache.set(_late_key(board), late, LATE_SECONDS)
    return fits + (_fits_of(board, due, sources, newest) if due else [])


def current_fits(board: Board) -> dict[str, BoardFit]:
    """The newest fit of each question of the board, by key; one query for their numbers and one for the rows."""
    keys = [question["key"] for question in board.criteria]
    rows = board.fits.filter(criterion_key__in=keys).order_by().values("criterion_key").annotate(newest=Max("number"))
    wanted = {row["criterion_key"]: row["newest"] for row in rows}
    found = board.fits.filter(criterion_key__in=keys, number__in=wanted.values())
    return {fit.criterion_key: fit for fit in found if wanted[fit.criterion_key] == fit.number}


def shown_fits(board: Board) -> dict[str, BoardFit]:
    """Of the current fits those that may be shown: no study is in them that is not on the board any more.

    A board shows to who may see its studies, so what a study said that has left it may be none of their business.
    """
    here = set(board.studies.values_list("pk", flat=True))
    return {key: fit for key, fit in current_fits(board).items() if saw_only(fit.sources, here)}


def saw_only(sources: Sequence[Mapping[str, Any]], studies: Container[int]) -> bool:
    """Whether a fit of these sources saw no study but these."""
    return all(source["study"] in studies for source in sources)


def is_late(board: Board, fit: BoardFit) -> bool:
    """Whether the worker, when it last looked, left votes for later that this fit has not seen. Counts nothing."""
    late: Mapping[str, int] = cache.get(_late_key(board), {})
    return late.get(fit.criterion_key) == fit.number


def _late_key(board: Board) -> str:
    return f"board-late-{board.pk}-{board.created_at.timestamp()}"


def _digests(board: Board, question: Mapping[str, Any], standings: Sequence[Standing]) -> tuple[str, str]:
    """Of the frame, under which votes are only ever added, and of that with how many there are."""
    words = [question["key"], " ".join(question["question"].split()), question["shows_prompt"], board.reference]
    frame = digest_of([OPTIONS, words, sorted([each.study, each.selection] for each in standings)])
    return frame, digest_of([frame, sorted([each.study, each.votes] for each in standings)])


def _is_resting(board: Board, fit: BoardFit, frame: str) -> bool:
    if board.refit_asked_at is not None and board.refit_asked_at > fit.created_at:
        return False
    return fit.frame_digest == frame and fit.created_at > timezone.now() - REST


def _fits_of(
    board: Board, due: Sequence[Mapping[str, Any]], sources: BoardSources, newest: Mapping[str, BoardFit]
) -> list[BoardFit]:
    # Brings in SciPy: only a process that fits should pay for it.
    from arena.board_votes import BoardReader

    reader = BoardReader(sources)
    return [_fit(board, question, reader, before=newest.get(question["key"])) for question in due]


def _fit(board: Board, question: Mapping[str, Any], reader: "BoardReader", *, before: BoardFit | None) -> BoardFit:
    from arena.board_results import results_of, standing_of

    started, now = perf_counter(), timezone.now()
    votes = reader.read(question)
    known = {entry["id"]: entry["since"] for entry in before.results["contenders"]} if before else {}
    results = results_of(votes, reference=board.reference, since=known, now=now.isoformat())
    frame, state = _digests(board, question, _seen(votes))
    number = before.number + 1 if before else 1
    fit = BoardFit(
        board=board,
        criterion_key=question["key"],
        number=number,
        sources=[part.source for part in votes.parts],
        frame_digest=frame,
        state_digest=state,
        options=OPTIONS,
        vote_count=len(votes),
        rater_count=votes.raters,
        prompt_count=votes.prompts,
        code_version=f"board {OPTIONS['method']} numpy {version('numpy')} scipy {version('scipy')}",
        standing=standing_of(results),
        results=results,
        seconds=perf_counter() - started,
    )
    try:
        with transaction.atomic():
            fit.save()
    except IntegrityError:
        # Another worker was first; its votes are as new as these.
        return board.fits.get(criterion_key=question["key"], number=number)
    return fit


def _seen(votes: "PooledVotes") -> list[Standing]:
    sources = (part.source for part in votes.parts)
    return [Standing(source["study"], source["selection"], source["votes"]) for source in sources]
