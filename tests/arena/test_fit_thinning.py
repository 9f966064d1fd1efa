"""Fits that later ones took the place of go, but for one an hour, then one a day; what pages show stays."""

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.core.cache import caches
from django.utils import timezone

from arena import board_fitting, fit_thinning, fitting, site_numbers, tasks
from arena.models import BoardFit, Fit, FrontSorting, Study
from generation.running_totals import SETTLED_AFTER
from tests.arena.board_cases import make_board
from tests.arena.factories import cast, make_rater, make_study

pytestmark = pytest.mark.django_db
NOW = datetime(2026, 3, 10, 12, 30, tzinfo=UTC)


def fits_made(*ages: timedelta, **given: Any) -> list[int]:
    """Fits of one question so long before NOW, the oldest first; their ids."""
    study = given.pop("study", None) or make_study()
    made = []
    for age in ages:
        digest = f"{Fit.objects.count():064x}"
        said = {"selection": {}, "selection_digest": "s", "options": {}, "options_digest": "o", "results": {}} | given
        counts = {"vote_count": 1, "rater_count": 1, "prompt_count": 1, "code_version": "", "seconds": 1.0}
        fit = Fit.objects.create(study=study, criterion=study.criteria.all()[0], votes_digest=digest, **said, **counts)
        Fit.objects.filter(pk=fit.pk).update(created_at=NOW - age)
        made.append(fit.pk)
    return made


def kept(pks: Iterable[int]) -> list[bool]:
    there = set(Fit.objects.values_list("pk", flat=True))
    return [pk in there for pk in pks]


def minutes(number: float) -> timedelta:
    return timedelta(minutes=number)


def test_the_last_of_each_hour_stays_for_a_day_then_of_each_day() -> None:
    days = [timedelta(days=3, minutes=90), timedelta(days=3), timedelta(days=2)]
    hours = [minutes(200), minutes(155), minutes(151), minutes(95), minutes(91)]  # 9:10, 9:55, 9:59, 10:55, 10:59
    young = [minutes(59), minutes(58)]
    made = fits_made(*days, *hours, *young)
    assert fit_thinning.thin_out(NOW) == 4
    assert kept(made) == [False, True, True, False, False, True, False, True, True, True]
    assert fit_thinning.thin_out(NOW) == 0


def test_a_change_of_selection_or_method_is_not_thinned_away() -> None:
    study = make_study()
    before = fits_made(minutes(100), study=study)
    other = fits_made(minutes(99), study=study, selection_digest="without one rater")
    method = fits_made(minutes(98), study=study, options_digest="another method")
    back = fits_made(minutes(97), study=study)
    fit_thinning.thin_out(NOW)
    assert kept([*before, *other, *method, *back]) == [False, True, True, True]


def test_another_study_is_another_matter() -> None:
    study = make_study(contenders=3)
    other = Study.objects.create(name="Other", slug="other")
    for criterion in study.criteria.all()[:1]:
        criterion.pk, criterion.study = None, other
        criterion.save(force_insert=True)
    made = fits_made(minutes(100), study=study) + fits_made(minutes(99), study=other)
    assert fit_thinning.thin_out(NOW) == 0
    assert kept(made) == [True, True]


def test_what_pages_show_is_the_same_before_and_after() -> None:
    study = make_study(contenders=3, prompts=4)
    rater = make_rater(study)
    for _ in range(3):
        cast(rater, ballots=2)
        fitting.refit(study)
    for model in (Fit, FrontSorting):
        model.objects.update(created_at=timezone.now() - timedelta(days=2))
    fits, fronts = fitting.newest_fits(study), FrontSorting.objects.latest("pk")
    numbers = (Fit.objects.count(), FrontSorting.objects.count())
    tasks.thin_out_fits()
    assert (Fit.objects.count(), FrontSorting.objects.count()) == (len(fits), 1) < numbers
    assert fitting.newest_fits(study) == fits and FrontSorting.objects.get() == fronts
    assert fitting.refit_changed_studies() == []


def test_the_count_of_fits_made_does_not_fall(monkeypatch: pytest.MonkeyPatch) -> None:
    caches["sums"].clear()
    fits_made(minutes(100), minutes(99), minutes(98))
    monkeypatch.setattr("time.time", lambda: 1000.0)
    assert site_numbers.fits().count == 3
    monkeypatch.setattr("time.time", lambda: 1000.0 + SETTLED_AFTER)
    assert site_numbers.fits().count == 3
    assert fit_thinning.thin_out(NOW) == 2
    monkeypatch.setattr("time.time", lambda: 1000.0 + 30 * 24 * 3600)
    assert (site_numbers.fits().count, site_numbers.fits().seconds) == (3, 3.0)


def test_a_boards_history_keeps_a_day_each_and_its_numbers_go_on() -> None:
    study = make_study(contenders=3, prompts=4)
    cast(make_rater(study), ballots=4)
    board = make_board(study)
    [first] = board_fitting.refit_board(board)
    for hours in (50, 49, 26, 2):
        first.pk, first.number = None, first.number + 1
        first.save(force_insert=True)
        BoardFit.objects.filter(pk=first.pk).update(created_at=NOW - timedelta(hours=hours))
    BoardFit.objects.filter(number=1).update(created_at=NOW - timedelta(hours=51))
    assert fit_thinning.thin_out(NOW) == 2
    assert list(board.fits.order_by("number").values_list("number", flat=True)) == [3, 4, 5]
    cast(make_rater(study), ballots=2)
    [newest] = board_fitting.refit_board(board)
    assert newest.number == 6
