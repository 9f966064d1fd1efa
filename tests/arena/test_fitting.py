"""Fits are kept once and made again when votes change."""

from dataclasses import replace

import pytest
from django.core.management import call_command
from django.core.management.base import CommandError
from django.db import connection
from django.test.utils import CaptureQueriesContext

from arena import fitting
from arena.counted_votes import read_votes
from arena.fit_results import results_of
from arena.models import Fit, Study
from arena.tasks import refit_changed
from tests.arena.bulk_votes import bulk_votes
from tests.arena.factories import make_rater
from tests.arena.fit_cases import add_vote, bare_study, first_criterion, fit_of

pytestmark = pytest.mark.django_db


def test_the_same_votes_give_the_same_row() -> None:
    study = bare_study()
    bulk_votes(study)
    first = fit_of(study)
    again = fit_of(study)
    assert again.pk == first.pk
    assert Fit.objects.count() == 1


def test_a_new_vote_gives_a_new_row() -> None:
    study = bare_study()
    rater, *_ = bulk_votes(study)
    first = fit_of(study)
    add_vote(study, rater, left=0, right=1, choice="left")
    second = fit_of(study)
    assert second.pk != first.pk
    assert second.vote_count == first.vote_count + 1
    assert second.votes_digest != first.votes_digest
    assert [second.selection_digest, second.options_digest] == [first.selection_digest, first.options_digest]


def test_two_fits_of_the_same_votes_are_equal_to_the_last_bit() -> None:
    study = bare_study()
    bulk_votes(study)
    counted = read_votes(first_criterion(study))
    labels = ["a", "b", "c"]
    assert results_of(counted, labels=labels, options=fitting.OPTIONS) == results_of(
        counted, labels=labels, options=fitting.OPTIONS
    )


def test_without_a_baseline_the_first_contender_serves() -> None:
    study = bare_study()
    study.contenders.update(is_baseline=False)
    bulk_votes(study)
    results = fit_of(study).results
    assert results["baseline"] == study.contenders.get(position=0).pk
    assert results["warnings"] == ["No contender is marked as the baseline, so the first one serves as it."]


def test_the_digest_of_votes_does_not_depend_on_their_order() -> None:
    study = bare_study()
    bulk_votes(study)
    counted = read_votes(first_criterion(study))
    turned, fewer = replace(counted, rows=counted.rows[::-1]), replace(counted, rows=counted.rows[1:])
    assert turned.digest == counted.digest
    assert fewer.digest != counted.digest


def test_refitting_what_changed_fits_each_change_once() -> None:
    study, quiet = bare_study(slug="moving"), bare_study(slug="quiet")
    bulk_votes(study)
    bulk_votes(quiet)
    assert {fit.study for fit in fitting.refit_changed_studies()} == {study, quiet}
    assert fitting.refit_changed_studies() == []

    add_vote(study, make_rater(study), left=0, right=1, choice="left")
    assert [fit.study for fit in fitting.refit_changed_studies()] == [study]
    assert fitting.refit_changed_studies() == []


def test_looking_for_changes_reads_no_votes_where_there_are_none() -> None:
    study = bare_study()
    bulk_votes(study)
    fitting.refit_changed_studies()
    with CaptureQueriesContext(connection) as queries:
        fitting.refit_changed_studies()
    assert not [query["sql"] for query in queries if "page_milliseconds" in query["sql"] or "sequence" in query["sql"]]
    assert len(queries) <= 12


def test_a_draft_is_not_fitted() -> None:
    study = bare_study()
    bulk_votes(study)
    Study.objects.filter(pk=study.pk).update(state=Study.State.DRAFT)
    assert fitting.refit_changed_studies() == []


def test_the_periodic_task_refits_what_changed() -> None:
    study = bare_study()
    bulk_votes(study)
    refit_changed()
    assert Fit.objects.get().vote_count == 180


def test_the_command_prints_a_table(capsys: pytest.CaptureFixture[str]) -> None:
    study = bare_study()
    bulk_votes(study)
    call_command("fit", study.slug, no_color=True)
    printed = capsys.readouterr().out
    results = Fit.objects.get().results
    assert "180 votes, 6 raters, 4 prompts" in printed
    for entry in results["contenders"]:
        assert entry["label"] in printed
    share = results["against_baseline"][1]
    assert f"{100 * share['estimate']:.0f} % ({100 * share['low']:.0f}-{100 * share['high']:.0f})" in printed


def test_the_command_names_the_studies_there_are_when_it_knows_no_such_study() -> None:
    bare_study(slug="colours")
    with pytest.raises(CommandError, match=r"There is no study 'nothing'\. Known are: colours\."):
        call_command("fit", "nothing")
