"""How often pairs are shown: the rows that triggers write always say what ballots and votes say."""

import io
import threading
from collections import Counter
from collections.abc import Callable, Iterator

import pytest
from django.core.management import call_command
from django.db import connection
from django.utils import timezone
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from arena import exposure, voting
from arena.models import Ballot, PairExposure, Rater, Study
from tests.arena import factories
from tests.arena.bulk_votes import bulk_votes

pytestmark = pytest.mark.django_db

ACTS = ("ask", "answer", "skip", "lapse", "undo", "fold")


Sums = dict[tuple[object, ...], tuple[int, int, int]]


def sums_of(study: Study) -> Sums:
    """What the rows add up to, pairs at zero left out."""
    sums: dict[tuple[object, ...], Counter[str]] = {}
    for row in PairExposure.objects.filter(study=study):
        key = (row.study_prompt_id, row.stratum, row.low_image, row.high_image, row.low_contender, row.high_contender)
        sums.setdefault(key, Counter()).update(standing=row.standing, low_left=row.low_left, towards=row.towards)
    found = {key: (count["standing"], count["low_left"], count["towards"]) for key, count in sums.items()}
    return {key: count for key, count in found.items() if any(count)}


def recounted(study: Study) -> Sums:
    return {
        (
            *(row.study_prompt_id, row.stratum, row.low_image, row.high_image),
            *(row.low_contender, row.high_contender),
        ): (row.standing, row.low_left, row.towards)
        for row in exposure.recount(study)
    }


def answer(rater: Rater, *, skip: bool = False) -> None:
    for ballot in voting.open_ballots(rater=rater, wanted=1):
        keys = ballot.study_prompt.criteria.values_list("key", flat=True)
        voting.cast_votes(
            rater=rater,
            ballot_token=ballot.token,
            answers={} if skip else dict.fromkeys(keys, "left"),
            skip_reason="cannot_tell" if skip else "",
        )


def act(what: str, rater: Rater) -> None:
    """One thing that can happen to ballots."""
    own = Ballot.objects.filter(rater=rater)
    if what == "ask":
        voting.open_ballots(rater=rater)
    elif what in ("answer", "skip"):
        answer(rater, skip=what == "skip")
    elif what == "lapse":
        own.filter(state=Ballot.State.OPEN).update(lease_until=timezone.now())
        voting.expire_abandoned()
    elif what == "undo":
        last = own.filter(state=Ballot.State.ANSWERED).order_by("-position").values("pk")[:1]
        Ballot.objects.filter(pk__in=list(last.values_list("pk", flat=True))).update(state=Ballot.State.SUPERSEDED)
    else:
        exposure.fold()


@settings(max_examples=8, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(acts=st.lists(st.tuples(st.sampled_from(ACTS), st.integers(0, 1)), min_size=4, max_size=12))
def test_whatever_happens_to_ballots_the_rows_add_up_to_them(
    study_and_raters: tuple[Study, list[Rater]], acts: list[tuple[str, int]]
) -> None:
    study, raters = study_and_raters
    for what, index in acts:
        act(what, raters[index])
    assert sums_of(study) == recounted(study)


@pytest.fixture
def study_and_raters() -> tuple[Study, list[Rater]]:
    study = factories.make_study(contenders=3, prompts=3, ballots_per_rater=None)
    return study, [factories.make_rater(study) for _ in range(2)]


def test_every_kind_of_change_is_written_down(study_and_raters: tuple[Study, list[Rater]]) -> None:
    study, (rater, _) = study_and_raters
    said = []
    for what in ("ask", "answer", "skip", "undo", "undo", "lapse"):
        act(what, rater)
        assert sums_of(study) == recounted(study)
        counts = list(sums_of(study).values())
        said.append((sum(count[0] for count in counts), sum(count[2] for count in counts)))
    # `answer` and `skip` take one ballot each out of those that stand open; undoing takes the skipped one back first.
    assert said == [(3, 3), (3, 3), (3, 2), (2, 2), (1, 1), (0, 0)]


@pytest.mark.parametrize("break_it", [lambda: PairExposure.objects.all().delete(), exposure.fold, lambda: None])
def test_a_rebuild_gives_the_same_rows_whatever_was_there(
    study_and_raters: tuple[Study, list[Rater]], break_it: Callable[[], object]
) -> None:
    study, raters = study_and_raters
    for rater in raters:
        factories.cast(rater, "left", ballots=3)
    before = sums_of(study)
    break_it()
    exposure.rebuild(study)
    assert sums_of(study) == before == recounted(study) and all(row.is_sum for row in PairExposure.objects.all())


@pytest.mark.postgres
@pytest.mark.django_db(transaction=True)
def test_what_lapses_during_a_rebuild_is_counted_once(monkeypatch: pytest.MonkeyPatch) -> None:
    study = factories.make_study()
    voting.open_ballots(rater=factories.make_rater(study))
    Ballot.objects.update(lease_until=timezone.now())

    def lapse() -> None:
        try:
            voting.expire_abandoned()
        finally:
            connection.close()

    recount, others = exposure.recount, threading.Thread(target=lapse)

    def recount_amid_others(study: Study) -> Iterator[PairExposure]:
        others.start()
        others.join(0.5)
        return recount(study)

    monkeypatch.setattr(exposure, "recount", recount_amid_others)
    exposure.rebuild(study)
    others.join()
    monkeypatch.undo()
    assert sums_of(study) == recounted(study) == {}


def test_one_command_counts_anew(study_and_raters: tuple[Study, list[Rater]]) -> None:
    study, (rater, _) = study_and_raters
    factories.cast(rater, "left", ballots=3)
    PairExposure.objects.all().delete()
    call_command("fit", study.slug, "--rebuild", stdout=io.StringIO())
    assert sums_of(study) == recounted(study) and PairExposure.objects.count() == 3


def test_folding_leaves_one_row_a_pair_and_the_same_sums(
    study_and_raters: tuple[Study, list[Rater]], monkeypatch: pytest.MonkeyPatch
) -> None:
    study, raters = study_and_raters
    for rater in raters:
        factories.cast(rater, "left", ballots=6)
    before = sums_of(study)
    monkeypatch.setattr(exposure, "FEWEST_TO_FOLD", 1)
    touched = PairExposure.objects.order_by().values("study_prompt").distinct().count()  # prompts are drawn by chance
    assert exposure.fold() == touched > 0
    assert sums_of(study) == before and PairExposure.objects.count() == len(before)
    assert exposure.fold() == 0


def test_imported_ballots_are_not_counted_as_shown() -> None:
    study = factories.make_study()
    bulk_votes(study, raters=2, ballots_per_rater=5)
    assert not PairExposure.objects.exists() and list(exposure.recount(study)) == []
