"""Fronts of a study: known strengths end in their fronts, made beside the fits and never by a page."""

import html
import re
from typing import Any

import pytest
from django.core.management import call_command
from django.test import Client
from django.urls import reverse

from arena import fitting, front_sorting
from arena.charts import fronts_chart
from arena.front_sorting import Fronts, fronts_of
from arena.models import Criterion, Fit, FrontSorting, Rater, Study, Vote
from arena.tasks import refit_changed
from tests.arena.bulk_votes import bulk_votes
from tests.arena.factories import make_rater, make_study, make_user
from tests.arena.fit_cases import add_vote

pytestmark = pytest.mark.django_db

# On prompt following, aesthetics and typography: the first two beat one another somewhere, the third loses to the
# first everywhere, the last to everybody.
STRENGTHS = ([3.0, 0.0, 1.5, -1.5], [2.8, 0.0, 1.4, -1.5], [1.2, 3.0, -0.2, -1.7])
FRONTS = [1, 1, 2, 3]


def known_study(strengths: tuple[list[float], ...] = STRENGTHS, *, raters: int = 8) -> Study:
    """Four contenders under three questions, answered by simulated raters of these strengths."""
    study = make_study(contenders=4, prompts=12, with_text=12, images=False, copies=False)
    for position, (criterion, own) in enumerate(zip(study.criteria.all(), strengths, strict=False)):
        kind = Rater.Kind.SIMULATED
        bulk_votes(
            study, criterion=criterion, raters=raters, ballots_per_rater=30, strengths=own, kind=kind, seed=position
        )
    return study


def shown(study: Study) -> Fronts:
    fronts = fronts_of(study, fitting.current_fits(study))
    assert fronts is not None
    return fronts


def by_position(fronts: Fronts) -> list[int | None]:
    return [row.front for row in sorted(fronts.rows, key=lambda row: row.contender.position)]


def page_of(study: Study) -> str:
    client = Client()
    client.force_login(make_user())
    return html.unescape(client.get(reverse("arena:study", args=[study.slug])).content.decode())


@pytest.mark.once
def test_four_simulated_contenders_of_known_strengths_end_in_their_fronts() -> None:
    study = known_study()
    refit_changed()
    fronts = shown(study)
    assert by_position(fronts) == FRONTS
    assert fronts.is_current
    assert all((row.held or 0) > 0.8 for row in fronts.rows)
    assert [criterion.key for criterion in fronts.criteria] == ["prompt-following", "aesthetics", "typography"]
    assert all(sum(row.shares) == pytest.approx(1, abs=1e-3) for row in fronts.rows)


@pytest.mark.once
def test_the_page_shows_the_sorting_in_a_table_and_a_chart_and_makes_none() -> None:
    study = known_study()
    fitting.refit(study)
    page = page_of(study)
    for row in shown(study).rows:
        assert (
            re.search(
                rf'<th scope="row">{row.label}</th>\s*<td>{row.front}</td>\s*<td>{100 * (row.held or 0):.0f} %</td>',
                page,
            )
            or f"{row.label}" in page
            and ">99 %" in page
        )
    assert f"/studies/{study.slug}/charts/fronts" in page or "fronts.svg" in page
    FrontSorting.objects.all().delete()
    assert 'id="fronts"' not in page_of(study)
    assert not FrontSorting.objects.exists()


def test_new_votes_leave_the_old_order_on_the_page_until_they_are_fitted() -> None:
    study = known_study()
    fitting.refit(study)
    (first,) = FrontSorting.objects.all()
    add_vote(study, make_rater(study), left=0, right=1, choice="left")
    assert shown(study).is_current, "the fits that are shown are still the old ones"
    refit_changed()
    assert FrontSorting.objects.count() == 2
    assert fitting.refit_changed_studies() == []
    assert FrontSorting.objects.count() == 2
    assert front_sorting.sort_fronts(study, fitting.current_fits(study)) != first


def test_votes_between_fit_and_sorting_wait_for_the_next_fit() -> None:
    study = known_study()
    fits = {fit.criterion_id: fit for fit in fitting.refit(study)}
    FrontSorting.objects.all().delete()
    add_vote(study, make_rater(study), left=0, right=1, choice="left")
    assert front_sorting.sort_fronts(study, fits) is None
    assert not FrontSorting.objects.exists()


def test_votes_that_come_in_while_a_study_is_fitted_do_not_keep_it_from_being_sorted(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    study = known_study()
    late = make_rater(study)
    fitted = fitting._fits_of

    def fitted_while_somebody_votes(*given: Any) -> list[Fit]:
        fits = fitted(*given)
        add_vote(study, late, left=0, right=1, choice="left")
        return fits

    monkeypatch.setattr(fitting, "_fits_of", fitted_while_somebody_votes)
    refit_changed()
    assert by_position(shown(study)) == FRONTS
    assert FrontSorting.objects.count() == 1


def test_a_study_that_was_fitted_before_there_were_fronts_gets_them() -> None:
    study = known_study()
    fitting.refit(study)
    FrontSorting.objects.all().delete()
    assert fitting.refit_changed_studies() == []
    assert by_position(shown(study)) == FRONTS


@pytest.mark.once
def test_one_question_alone_is_not_sorted() -> None:
    study = known_study(STRENGTHS[:1])
    fitting.refit(study)
    assert not FrontSorting.objects.exists()
    assert 'id="fronts"' not in page_of(study)


@pytest.mark.once
def test_a_contender_that_nobody_compared_on_one_question_has_no_front() -> None:
    study = known_study(STRENGTHS[:1])
    second = study.criteria.get(position=1)
    for rater in [make_rater(study) for _ in range(4)]:
        for left, right in ((0, 1), (1, 2), (2, 0)):
            for prompt in range(3):
                vote = add_vote(study, rater, left=left, right=right, choice="left", prompt=prompt)
                Vote.objects.bulk_create([_same(vote, second)])
    fitting.refit(study)
    fronts = shown(study)
    assert by_position(fronts)[3] is None
    assert None not in by_position(fronts)[:3]
    assert any("cannot be compared" in note for note in fronts.notes)
    assert fronts.rows[-1].contender.position == 3


@pytest.mark.once
def test_one_rater_gives_an_order_and_says_that_nobody_knows_how_firm_it_is() -> None:
    study = known_study(raters=1)
    fitting.refit(study)
    fronts = shown(study)
    assert fronts.front_count >= 1
    assert [row.held for row in fronts.rows] == [None] * 4
    assert "Intervals need more raters" in page_of(study)
    assert fronts_chart(fronts) is None


def test_raters_keep_their_identity_across_questions() -> None:
    """The same answers to two questions leave no two contenders in one front, whoever is resampled."""
    study = make_study(contenders=4, prompts=12, images=False, copies=False)
    only_the_first = make_rater(study)
    bulk_votes(study, raters=12, ballots_per_rater=25, strengths=[0.3, 0.2, 0.1, 0.0])
    second = study.criteria.get(position=1)
    Vote.objects.bulk_create([_same(vote, second) for vote in Vote.objects.filter(study=study)])
    # With this rater the others have other numbers in the first question than in the second.
    add_vote(study, only_the_first, left=0, right=1, choice="left")
    fitting.refit(study)
    totals = [sum(row.shares[front] for row in shown(study).rows) for front in range(4)]
    assert totals == pytest.approx([1, 1, 1, 1], abs=0.2)


@pytest.mark.once
def test_the_command_prints_the_fronts(capsys: pytest.CaptureFixture[str]) -> None:
    study = known_study()
    call_command("fit", study.slug)
    printed = capsys.readouterr().out
    lines = printed[printed.index("Fronts\n") :].splitlines()
    assert lines[1].split("  ")[0] == "contender"
    assert [re.split(r"\s{2,}", line)[1] for line in lines[3:7]] == ["1", "1", "2", "3"]


def _same(vote: Vote, criterion: Criterion) -> Vote:
    """The same answer to another question of the same ballot."""
    vote.pk, vote.criterion, vote.sequence = None, criterion, vote.sequence + 100_000
    vote._state.adding = True
    return vote
