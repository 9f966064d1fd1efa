"""A board's fits: the votes of its studies pooled, as rows that follow what counts."""

from datetime import timedelta
from typing import Any

import numpy as np
import pytest
from django.utils import timezone

from arena import board_fitting, board_page, board_sources, boards, fitting
from arena.board_filters import Filters
from arena.board_sources import BoardSources, VoteCounts
from arena.counted_votes import counts_by_criterion
from arena.models import Board, BoardFit, Exclusion, Study, Vote
from arena.ranking.pooled import Stratum, pool
from arena.ranking.tallies import LEFT, RIGHT, TIE, Votes
from tests.arena.board_cases import add_votes, linked_study, make_board, recipes_of, two_studies
from tests.arena.factories import make_user

pytestmark = pytest.mark.django_db
OUTCOMES = {"left": LEFT, "right": RIGHT, "tie": TIE}


def only_fit(board: Board) -> BoardFit:
    (fit,) = board_fitting.refit_board(board)
    return fit


def strengths(fit: BoardFit) -> dict[str, float]:
    return strengths_of(fit.results)


def strengths_of(results: dict[str, Any]) -> dict[str, float]:
    return {entry["label"]: entry["log_strength"] for entry in results["contenders"]}


def label_of(identity: str, results: dict[str, Any]) -> str:
    return str(next(entry["label"] for entry in results["contenders"] if entry["id"] == identity))


def by_hand(*members: Study) -> dict[str, float]:
    """The pooled strengths from rows of the database, contenders numbered by name."""
    names = sorted({name for study in members for name in study.contenders.values_list("recipe__name", flat=True)})

    def columns(study: Study) -> Votes:
        votes = list(Vote.objects.counted().filter(study=study).select_related("left_contender", "right_contender"))
        return Votes(
            left=np.array([names.index(vote.left_contender.label) for vote in votes]),
            right=np.array([names.index(vote.right_contender.label) for vote in votes]),
            outcome=np.array([OUTCOMES[vote.choice] for vote in votes]),
            contenders=len(names),
            rater=np.array([vote.rater_id for vote in votes]),
            prompt=np.array([vote.study_prompt.prompt_id for vote in votes]),
        )

    found = pool([Stratum(columns(study)) for study in members])
    return dict(zip(names, found.fit.strengths.tolist(), strict=True))


def test_the_pooled_fit_is_that_of_the_rows_by_hand() -> None:
    first, second = two_studies()
    fit = only_fit(make_board(first, second))
    wanted = by_hand(first, second)
    assert strengths(fit) == pytest.approx(wanted, abs=1e-9) and len(wanted) == 5
    assert fit.vote_count == Vote.objects.count() == 480
    assert {source["slug"]: source["votes"] for source in fit.sources} == {"first": 240, "second": 240}
    assert by_hand(second, first) == pytest.approx(wanted, abs=1e-9)  # nor does the order of studies matter


def test_a_board_of_one_study_says_what_the_study_says() -> None:
    study = linked_study("alone", "abc")
    (own,) = fitting.refit(study)
    shown = {entry["label"]: entry for entry in only_fit(make_board(study)).results["contenders"]}
    for entry in own.results["contenders"]:
        for name in ("log_strength", "low", "high", "rank_low", "rank_high", "tier", "votes", "wins", "ties"):
            assert shown[entry["label"]][name] == pytest.approx(entry[name], abs=1e-9), name
    chances = {entry["id"]: entry["outcomes"] for entry in own.results["against_baseline"]}
    for entry in own.results["contenders"]:
        if (wanted := chances[entry["id"]]) is not None:
            found = shown[entry["label"]]["against"]["outcomes"]
            assert {name: found[name] == pytest.approx(ends, abs=1e-9) for name, ends in wanted.items()} == {
                **dict.fromkeys(("win", "tie", "loss"), True)
            }
    assert sum(ends is not None for ends in chances.values()) == 2


def test_ties_are_told_by_the_studies_in_which_one_can_be_called() -> None:
    first, second = two_studies()
    board = make_board(first, second)
    both = only_fit(board).results
    assert both["ties"]["studies"] == [first.pk, second.pk]
    chances = {entry["label"]: entry["against"]["outcomes"] for entry in both["contenders"]}
    assert [label for label, own in chances.items() if own is None] == [label_of(both["reference"], both)]
    win, tie, loss = (chances["model e"][name] for name in ("win", "tie", "loss"))
    assert win[0] + tie[0] + loss[0] == pytest.approx(1) and tie[1] < tie[0] < tie[2]

    second.criteria.update(allows_tie=False)
    BoardFit.objects.all().delete()
    one = only_fit(board).results
    assert one["ties"]["studies"] == [first.pk]
    known = {entry["label"] for entry in one["contenders"] if entry["against"]["outcomes"]}
    assert known == set(first.contenders.values_list("label", flat=True)) - {label_of(one["reference"], one)}
    assert strengths_of(one) == strengths_of(both)  # half wins are those of all votes


@pytest.mark.once
def test_names_decide_nothing() -> None:
    first, second = two_studies()
    board = make_board(first, second)
    before = only_fit(board)
    for place, contender in enumerate(second.contenders.all()):
        contender.label = f"{9 - place} renamed"
        contender.save(update_fields=["label"])
    Study.objects.filter(pk=first.pk).update(name="zzz")
    BoardFit.objects.all().delete()
    after = only_fit(board)
    known = {entry["id"]: entry["log_strength"] for entry in before.results["contenders"]}
    assert {entry["id"]: entry["log_strength"] for entry in after.results["contenders"]} == known


def test_nothing_new_is_not_fitted_again_and_a_vote_more_is() -> None:
    first, second = two_studies()
    board = make_board(first, second)
    fit = only_fit(board)
    assert only_fit(board) == fit
    add_votes(first, "abc", votes=5, seed=9)
    later = only_fit(board)
    assert (later.number, later.vote_count) == (2, fit.vote_count + 20)
    assert BoardFit.objects.get(pk=fit.pk).vote_count == 480  # what it saw then stays as it was


def test_the_worker_leaves_a_young_fit_alone_unless_the_frame_changes() -> None:
    first, second = two_studies()
    board = make_board(first, second)
    assert len(board_fitting.refit_changed_boards()) == 1
    fit = board.fits.get()
    assert not board_fitting.is_late(board, fit)
    add_votes(first, "abc", votes=5, seed=9)
    board_fitting.refit_changed_boards()
    assert board.fits.count() == 1 and board_fitting.is_late(board, fit)
    BoardFit.objects.update(created_at=timezone.now() - timedelta(hours=2))
    board_fitting.refit_changed_boards()
    assert board.fits.count() == 2 and not board_fitting.is_late(board, board.fits.get(number=2))
    Exclusion.objects.create(
        study=first, scope="vote", vote=first.votes.first(), reason="a slip", author=make_user("ada")
    )
    board_fitting.refit_changed_boards()
    newest = board_fitting.current_fits(board)["prompt-following"]
    assert (newest.number, newest.vote_count) == (3, 499)


def test_a_study_that_leaves_changes_the_fit_and_history_keeps_what_was() -> None:
    first, second = two_studies()
    board = make_board(first, second)
    before = only_fit(board)
    boards.edit_board(board, actor=make_user("ada"), name=board.name, studies=[second], criteria=["prompt-following"])
    board = Board.objects.get(pk=board.pk)
    after = only_fit(board)
    assert strengths(after) == pytest.approx(by_hand(second), abs=1e-9)
    assert set(strengths(before)) - set(strengths(after)) == {"model a"}
    assert [fit.number for fit in board.fits.order_by("number")] == [1, 2]


@pytest.mark.once
def test_a_newcomer_is_marked_since_its_first_fit() -> None:
    first, second = two_studies()
    board = make_board(first)
    since = {entry["label"]: entry["since"] for entry in only_fit(board).results["contenders"]}
    boards.edit_board(board, actor=make_user("ada"), name="x", studies=[first, second], criteria=["prompt-following"])
    later = {entry["label"]: entry["since"] for entry in only_fit(Board.objects.get(pk=board.pk)).results["contenders"]}
    assert {name: later[name] for name in since} == since
    assert all(later[name] > max(since.values()) for name in ("model d", "model e"))


def test_categories_are_fitted_apart() -> None:
    board = make_board(linked_study("first", "abc", with_text=2, votes=80), linked_study("second", "bcde", with_text=2))
    categories = {entry["name"]: entry for entry in only_fit(board).results["categories"]}
    assert set(categories) == {"signs", "surfaces"}
    assert sum(entry["votes"] for entry in categories.values()) == 560
    assert all(one["log_strength"] is not None for entry in categories.values() for one in entry["contenders"])


@pytest.mark.once
def test_a_study_that_turns_the_order_round_is_named() -> None:
    first, second = two_studies()
    third = linked_study("third", "abcde", votes=0)
    add_votes(third, "abcde", votes=300, seed=5, strengths=[1.5, 0, -1.5, 1, -1])
    results = only_fit(make_board(first, second, third)).results
    assert [entry["slug"] for entry in results["studies"] if entry["differs"]] == ["third"]
    assert results["heterogeneity"]["share"] > 0.5
    agreeing = only_fit(make_board(first, second, slug="agreeing")).results
    assert not any(entry["differs"] for entry in agreeing["studies"])


def test_votes_of_nobody_make_no_fit() -> None:
    board = make_board(linked_study("first", "abc", votes=0))
    assert board_fitting.refit_board(board) == [] and not BoardFit.objects.exists()
    assert recipes_of("a")


def test_a_study_in_which_two_have_become_one_is_left_out_and_stops_no_board() -> None:
    """A contender can join an open study, so what was checked when the study came need not hold any more."""
    first, second = two_studies()
    board, other = make_board(first, second), make_board(first, slug="other")
    before = only_fit(board)
    recipes = [contender.recipe for contender in second.contenders.filter(label__in=("model d", "model e"))]
    for recipe in recipes:
        recipe.kind, recipe.checkpoint, recipe.schedule, recipe.name = "external", None, None, "Dream"
        recipe.save()
    fits = {fit.board_id: fit for fit in board_fitting.refit_changed_boards()}
    assert (fits[board.pk].number, fits[board.pk].vote_count) == (before.number + 1, 240)
    assert strengths(fits[board.pk]) == strengths(fits[other.pk])
    assert board_fitting.refit_changed_boards() == list(fits.values())  # and it is not fitted anew each minute
    shown, public = (
        board_page.board_page(board, board.criteria[0], Filters(), names_studies=named).warnings
        for named in (True, False)
    )
    assert any("Second is left out" in sentence for sentence in shown)
    assert any("A study is left out" in sentence for sentence in public) and "Second" not in str(public)


def test_a_board_that_fails_keeps_no_other_from_its_fit(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    study = linked_study("first", "ab", votes=10)
    broken, sound = make_board(study, slug="broken"), make_board(study, slug="sound")
    of = BoardSources.of

    def fails(board: Board, counts: VoteCounts | None = None) -> BoardSources:
        if board == broken:
            raise ValueError("vote 7 compares contender 2 with itself")
        return of(board, counts)

    monkeypatch.setattr(BoardSources, "of", fails)
    assert [fit.board for fit in board_fitting.refit_changed_boards()] == [sound]
    assert "The board broken was not fitted" in caplog.text and "contender 2 with itself" in caplog.text


def test_a_round_counts_the_votes_of_a_study_once_and_not_again_while_none_came(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    study, asked = linked_study("first", "ab", votes=10), []

    def counts(of: Study) -> dict[int, int]:
        asked.append(of)
        return counts_by_criterion(of)

    def counted() -> int:
        asked.clear()
        board_fitting.refit_changed_boards()
        return len(asked)

    for number in range(3):
        make_board(study, slug=f"board-{number}")
    monkeypatch.setattr(board_sources, "counts_by_criterion", counts)
    assert (counted(), counted()) == (1, 0)
    add_votes(study, "ab", votes=2, seed=3)
    assert (counted(), counted()) == (1, 0)
    Exclusion.objects.create(study=study, scope="vote", vote=study.votes.first(), reason="slip", author=study.owner)
    assert (counted(), counted()) == (1, 0)
    assert {fit.vote_count for fit in BoardFit.objects.filter(number=2)} == {47}
