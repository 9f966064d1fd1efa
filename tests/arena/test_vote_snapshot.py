"""Votes as columns in a file: the same numbers as from the database, whatever happened to the file or the votes."""

from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Any

import numpy as np
import pytest
from django.conf import settings
from django.core.management import call_command
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from arena import fitting, raters, vote_snapshot
from arena.counted_votes import CountedVotes, counted_tallies, counted_votes, read_votes, row_tallies
from arena.models import Ballot, Criterion, Fit, Rater, RuleTie, Study, Vote
from arena.ranking.tallies import Tallies, Votes, tally
from arena.vote_snapshot import path_of, rebuild, study_votes
from tests.arena.bulk_votes import bulk_votes
from tests.arena.factories import make_rater, make_study
from tests.arena.fit_cases import add_vote, columns

pytestmark = pytest.mark.django_db

Queries = Callable[..., Any]


@pytest.fixture(autouse=True)
def _small_and_old(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Votes come of age at once, and a few are enough for a file."""
    monkeypatch.setattr(vote_snapshot, "WINDOW", timedelta(seconds=-60))
    monkeypatch.setattr(vote_snapshot, "FEWEST_NEW", 10)
    yield
    for path in (settings.DATA_DIR / "votes").glob("*"):
        path.unlink()


def voted_study(**options: Any) -> Study:
    study = make_study(contenders=4, prompts=5, images=False, copies=False)
    bulk_votes(study, **{"raters": 5, "ballots_per_rater": 24, "strengths": [0, 0.3, 0.8, 1.5], **options})
    return study


def first_criterion(study: Study) -> Criterion:
    return study.criteria.get(position=0)


def contenders_of(study: Study) -> list[int]:
    return list(study.contenders.values_list("pk", flat=True))


def by_query(study: Study) -> Tallies:
    return counted_tallies(first_criterion(study), study=study, contenders=contenders_of(study))


def by_rows(study: Study) -> Tallies:
    """Counted vote by vote, from the database."""
    order = contenders_of(study)
    votes = counted_votes(study).filter(criterion=first_criterion(study)).order_by("pk")
    cells = [
        (order.index(vote.left_contender_id), order.index(vote.right_contender_id), OUTCOMES[vote.choice])
        for vote in votes
    ]
    left, right, outcome = np.array(cells, dtype=np.int64).reshape(-1, 3).T
    return tally(Votes(left, right, outcome, len(order)))


OUTCOMES = {"left": 0, "tie": 1, "right": 2, "both_bad": 3}


QUERIES = 60  # for three criteria


def by_file(study: Study) -> Tallies:
    study_votes(study)
    assert path_of(study).exists()
    return row_tallies(read_votes(first_criterion(study)).rows, contenders_of(study))


def assert_equal_everywhere(study: Study, incremental: Tallies) -> None:
    for found in (by_query(study), by_file(study), incremental):
        np.testing.assert_array_equal(found.counts, by_rows(study).counts)


def votes_of(study: Study, **chosen: Any) -> Votes:
    """Some votes of the study as `ranking` wants them, for taking tallies forward."""
    order = contenders_of(study)
    votes = list(Vote.objects.filter(study=study, **chosen))
    return Votes(
        np.array([order.index(vote.left_contender_id) for vote in votes]),
        np.array([order.index(vote.right_contender_id) for vote in votes]),
        np.array([OUTCOMES[vote.choice] for vote in votes]),
        len(order),
    )


def test_tallies_are_equal_by_query_by_rows_from_the_file_and_taken_forward() -> None:
    study = voted_study()
    rater, *_ = study.raters.all()
    study_votes(study)
    kept = by_query(study)
    assert kept.n_votes == 120
    assert_equal_everywhere(study, kept)

    added = [add_vote(study, make_rater(study), left=0, right=1, choice=choice) for choice in ("tie", "both_bad")]
    add_vote(study, make_rater(study), left=0, right=1, choice="skip")
    add_vote(study, make_rater(study), left=0, right=1, choice="left", purpose="gold")
    kept = kept.add(votes_of(study, pk__in=[vote.pk for vote in added]))
    assert_equal_everywhere(study, kept)

    exclusion = raters.exclude(study=study, scope="rater", target=rater, reason="always left", author=None)
    assert_equal_everywhere(study, kept.remove(votes_of(study, rater=rater)))
    raters.exclude(study=study, scope="vote", target=added[0], reason="a slip", author=None)
    without = kept.remove(votes_of(study, rater=rater)).remove(votes_of(study, pk=added[0].pk))
    assert_equal_everywhere(study, without)

    raters.readmit(exclusion=exclusion, reason="a mistake", author=None)
    without = without.add(votes_of(study, rater=rater))
    assert_equal_everywhere(study, without)

    Ballot.objects.filter(pk=added[1].ballot_id).update(state=Ballot.State.SUPERSEDED)
    assert_equal_everywhere(study, without.remove(votes_of(study, pk=added[1].pk)))


def test_strata_that_do_not_count_stay_out_of_query_rows_and_file() -> None:
    study = voted_study()
    bulk_votes(study, raters=3, kind=Rater.Kind.SIMULATED, seed=2)
    bulk_votes(study, raters=2, kind=Rater.Kind.ANONYMOUS, seed=3)
    assert_equal_everywhere(study, by_rows(study))
    assert by_query(study).n_votes == 120 + 90

    Study.objects.filter(pk=study.pk).update(counts_simulated=False, design={**study.design, "counts_anonymous": True})
    study.refresh_from_db()
    assert_equal_everywhere(study, by_rows(study))
    assert by_query(study).n_votes == 120 + 60


def test_ties_by_rule_enter_what_is_fitted_and_not_what_was_said() -> None:
    study = voted_study()
    low, high, *_ = study.contenders.all()
    place = study.study_prompts.get(position=1)
    RuleTie.objects.create(study=study, study_prompt=place, low_contender=low, high_contender=high, weight=0.3)
    counted = read_votes(first_criterion(study))

    np.testing.assert_array_equal(counted.said.counts, by_rows(study).counts)
    more = np.zeros((4, 4))
    more[0, 1] = more[1, 0] = 0.15
    np.testing.assert_allclose(counted.tallies.half_wins() - counted.said.half_wins(), more)
    fitted = tally(counted.to_ranking())
    np.testing.assert_array_equal(fitted.counts, counted.tallies.counts)
    np.testing.assert_allclose(fitted.outcomes(), counted.tallies.outcomes(), rtol=1e-12)


def same_results(study: Study) -> dict[str, Any]:
    """Of a fit made now, whatever was fitted before."""
    Fit.objects.filter(study=study).delete()
    fit, *_ = fitting.refit(study)
    return {"results": fit.results, "digest": fit.votes_digest, "votes": fit.vote_count, "raters": fit.rater_count}


def test_fits_are_equal_to_the_last_bit_with_a_file_without_one_and_with_a_part_of_the_votes_in_it() -> None:
    study = voted_study()
    study_votes(study)
    assert path_of(study).exists()
    bulk_votes(study, raters=1, ballots_per_rater=7, seed=9)  # too few for a new file: they come from the database
    partly = same_results(study)
    assert len(np.load(path_of(study))["pk"]) == 120

    wholly = rebuild(study) and same_results(study)
    assert len(np.load(path_of(study))["pk"]) == 127
    path_of(study).unlink()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(vote_snapshot, "FEWEST_NEW", 1_000_000)
        without = same_results(study)
        assert not path_of(study).exists()
    assert partly == wholly == without
    assert partly["votes"] == 127


def test_the_columns_of_the_file_are_those_of_the_votes() -> None:
    study = voted_study()
    study_votes(study)
    counted, direct = read_votes(first_criterion(study)), columns(study)
    found = counted.to_ranking()
    for name in ("left", "right", "outcome"):
        np.testing.assert_array_equal(getattr(found, name), getattr(direct, name))
    assert counted.rows["rater"].tolist() == direct.rater.tolist()  # type: ignore[union-attr]
    assert counted.rows["prompt"].tolist() == direct.prompt.tolist()  # type: ignore[union-attr]


def damaged(study: Study, how: str) -> None:
    path = path_of(study)
    data = bytearray(path.read_bytes())
    if how == "cut":
        path.write_bytes(data[: len(data) // 2])
    elif how == "empty":
        path.write_bytes(b"")
    elif how == "other":
        path.write_bytes(b"not an archive at all")
    elif how == "one bit":
        data[data.index(b"NUMPY") + 200] ^= 4
        path.write_bytes(data)
    else:
        path.unlink()


@pytest.mark.once
@pytest.mark.parametrize("how", ["cut", "empty", "other", "one bit", "gone"])
def test_a_damaged_file_only_costs_a_new_one(how: str) -> None:
    study = voted_study()
    before = same_results(study)
    whole = path_of(study).read_bytes()
    damaged(study, how)

    assert same_results(study) == before
    assert len(path_of(study).read_bytes()) == len(whole)
    assert study_votes(study).rows.tolist() == rebuild(study).rows.tolist()


def test_a_file_of_another_database_is_not_believed() -> None:
    """Numbers begin anew in a new database, and its first study has the name of the old one's file."""
    study = voted_study()
    study_votes(study)
    Study.objects.filter(pk=study.pk).update(created_at=study.created_at + timedelta(seconds=1))
    study.refresh_from_db()
    rows: dict[str, Any] = dict(np.load(path_of(study)))
    np.savez(path_of(study), **{**rows, "rater": rows["rater"] + 1})

    assert study_votes(study).rows["rater"].tolist() == [vote.rater_id for vote in Vote.objects.order_by("pk")]


def test_a_vote_that_landed_late_is_missed_once_and_found() -> None:
    study = voted_study()
    votes = list(Vote.objects.order_by("pk"))
    study_votes(study)
    rows = dict(np.load(path_of(study)))
    without: dict[str, Any] = {name: np.delete(column, 40) for name, column in rows.items() if name != "mark"}
    mark = vote_snapshot._mark(study, votes[-1].pk, len(votes) - 1)
    np.savez(path_of(study), mark=np.array(mark), **without)
    assert len(study_votes(study).rows) == len(votes) - 1

    counted = read_votes(first_criterion(study))

    assert len(counted) == len(votes)
    assert len(study_votes(study).rows) == len(votes)


def test_young_votes_are_not_kept_and_none_after_them(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(vote_snapshot, "WINDOW", timedelta(minutes=10))
    study = voted_study()
    study_votes(study)
    assert not path_of(study).exists()

    # The clock of the one that is old enough decides nothing for those before it.
    monkeypatch.setattr(timezone, "now", lambda: Vote.objects.order_by("pk")[59].cast_at + timedelta(minutes=10))
    found = study_votes(study)
    assert len(found.rows) == 120
    assert len(np.load(path_of(study))["pk"]) == 60


def test_a_folder_that_cannot_be_written_only_costs_time(monkeypatch: pytest.MonkeyPatch) -> None:
    study = voted_study()

    def refuse(*_: object, **__: object) -> None:
        raise PermissionError("read-only")

    monkeypatch.setattr("tempfile.mkstemp", refuse)
    assert len(study_votes(study).rows) == 120
    assert not path_of(study).exists()


def test_the_file_is_for_its_owner_alone_and_leaves_no_drafts() -> None:
    study = voted_study()
    study_votes(study)
    assert path_of(study).stat().st_mode & 0o077 == 0
    assert [path.name for path in path_of(study).parent.iterdir() if path.name.startswith(".")] == []


def test_the_command_rebuilds_the_file(capsys: pytest.CaptureFixture[str]) -> None:
    study = voted_study()
    study_votes(study)
    path_of(study).write_bytes(b"nonsense")
    call_command("fit", study.slug, "--rebuild", no_color=True)
    assert "120 votes read from the database." in capsys.readouterr().out
    assert len(np.load(path_of(study))["pk"]) == 120


@pytest.mark.parametrize("ballots", [20, 80])
def test_a_refit_costs_the_same_number_of_queries_for_any_number_of_votes(
    ballots: int, django_assert_num_queries: Queries
) -> None:
    study = voted_study(ballots_per_rater=ballots)
    study_votes(study)
    with django_assert_num_queries(QUERIES):
        fitting.refit(study)


def test_a_refit_with_a_file_fetches_no_old_votes() -> None:
    study = voted_study()
    study_votes(study)
    with CaptureQueriesContext(connection) as queries:
        counted: CountedVotes = read_votes(first_criterion(study))
    assert len(counted) == 120
    fetched = [each["sql"] for each in queries if '"page_milliseconds"' in each["sql"] or '"cast_at"' in each["sql"]]
    newest = Vote.objects.latest("pk").pk
    assert len(fetched) == 2  # is the last vote of the file still the same, and what came after it
    assert all(f" {newest}" in sql for sql in fetched)
