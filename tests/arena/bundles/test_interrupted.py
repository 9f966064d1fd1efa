"""Large bundles come in by batches: nobody sees a part of a study, a killed import goes on, others write meanwhile."""

import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from django.contrib.admin import site
from django.core.management import CommandError, call_command
from django.db import connection
from django.test import RequestFactory
from django.urls import reverse

from arena import fitting, judging, studies, vote_roots
from arena.admin import ContenderInline, CriterionInline, StudyAdmin
from arena.bundles import batches
from arena.bundles.layout import BundleError
from arena.bundles.reading import import_study
from arena.bundles.writing import export_study
from arena.models import AuditEvent, Study
from arena.refusals import Refusal
from arena.vote_chain import check_chain
from tests.arena.bundles.test_round_trip import numbers_of, votes_of
from tests.arena.bundles.worlds import busy_study
from tests.arena.factories import make_study, make_user

pytestmark = pytest.mark.django_db(transaction=True)


class Killed(KeyboardInterrupt):
    """What ends a process, past everything that handles errors."""


@pytest.fixture
def small_batches(monkeypatch: pytest.MonkeyPatch) -> None:
    for module in ("batches", "taking", "findings", "founding"):
        monkeypatch.setattr(f"arena.bundles.{module}.ROWS_AT_ONCE", 7)
    monkeypatch.setattr(batches, "BREATH", 0)


def killed_after(writes: int) -> Callable[[list[Any]], list[int]]:
    """`insert` for so many batches; the next one ends the process in the midst of its transaction."""
    insert, left = batches.insert, iter(range(writes))

    def inserted(rows: list[Any]) -> list[int]:
        made = insert(rows)
        if next(left, None) is None:
            raise Killed
        return made

    return inserted


def test_a_killed_import_shows_nothing_and_goes_on_where_it_ended(
    tmp_path: Path, small_batches: None, monkeypatch: pytest.MonkeyPatch, client: Any
) -> None:
    study = busy_study()
    path = tmp_path / "busy.zip"
    export_study(study, path, with_images=True)
    admin = make_user("root", is_superuser=True)
    client.force_login(admin)
    votes = 0
    for writes in (0, 4, 6, 9, 1):  # each goes on from the one before: raters, images, ballots, votes
        with monkeypatch.context() as patch:
            inserted = killed_after(writes)
            for module in ("batches", "taking", "findings"):
                patch.setattr(f"arena.bundles.{module}.insert", inserted)
            with pytest.raises(CommandError, match="Stopped. Nobody sees what came in so far"):
                call_command("import_study", str(path), "--slug", "again")
        begun = Study.objects.get(slug="again")
        assert begun.votes.count() >= votes
        votes = begun.votes.count()
        assert begun not in Study.objects.visible_to(admin)
        assert client.get(reverse("arena:study", args=["again"])).status_code == 404
    assert 0 < votes < study.votes.count()
    fitting.refit_changed_studies()
    assert judging.judge_changed_studies() + vote_roots.publish_roots() >= 0
    assert not begun.fits.exists() and not begun.rater_tables.exists() and not begun.vote_roots.exists()
    with pytest.raises(Refusal, match="'again' is not whole yet"):
        studies.open_study(begun, actor=admin)
    with pytest.raises(CommandError, match="There is a study 'busy' already"):
        call_command("import_study", str(path), "--slug", "busy")

    done = import_study(path)

    assert (done.study.pk, done.study.slug, done.study.state) == (begun.pk, "again", "closed")
    assert votes_of(done.study) == votes_of(study) and numbers_of(done.study) == numbers_of(study)
    assert [problem for rater in done.study.raters.all() for problem in check_chain(rater)] == []
    for own in ("raters", "ballots", "exclusions", "rule_ties"):
        assert getattr(done.study, own).count() >= getattr(study, own).count() > 0
    assert done.study.raters.count() == study.raters.count() and done.study.rule_ties.count() == 1
    assert AuditEvent.objects.filter(act="study imported").count() == 1
    assert done.study in Study.objects.visible_to(admin)
    with pytest.raises(BundleError, match="imported already"):
        import_study(path, slug="third")


def test_of_two_imports_of_a_bundle_the_later_one_goes_on(tmp_path: Path, small_batches: None) -> None:
    study = busy_study()
    path = tmp_path / "busy.zip"
    export_study(study, path)

    class Overtaken(batches.Claim):
        """Another import claims the study once its raters are stored."""

        def fill(self, *args: Any) -> Any:
            made = super().fill(*args)
            batches.Claim(self.study, self.study.taking_in)
            return made

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("arena.bundles.reading.Claim", Overtaken)
        with pytest.raises(BundleError, match="Another import of this bundle has begun"):
            import_study(path, slug="again")
    done = import_study(path)
    assert done.study.slug == "again" and numbers_of(done.study) == numbers_of(study)
    bundle = AuditEvent.objects.get(act="study imported").detail["bundle"]
    with pytest.raises(BundleError, match="has ended meanwhile: it is the study again"):
        batches.Claim(done.study, bundle)
    assert Study.objects.get(slug="again").taking_in == ""


def test_an_unfinished_import_stays_with_who_began_it(
    tmp_path: Path, small_batches: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    study, bob, eve = busy_study(), make_user("bob"), make_user("eve", is_superuser=True)
    path = tmp_path / "busy.zip"
    export_study(study, path)
    with monkeypatch.context() as patch:
        patch.setattr("arena.bundles.batches.insert", killed_after(0))
        patch.setattr("arena.bundles.taking.insert", killed_after(0))
        with pytest.raises(Killed):
            import_study(path, owner=bob, slug="bobs")
    with pytest.raises(BundleError, match="busy.zip is being imported for somebody else") as refused:
        import_study(path, owner=eve, slug="eves")
    assert "bobs" not in refused.value.sentence
    with pytest.raises(Refusal, match="'bobs' is kept for a bundle that is not taken in whole yet: import that bundle"):
        make_study(slug="bobs", images=False)
    begun = Study.objects.get(slug="bobs")
    assert begun.owner == bob and not Study.objects.managed_by(eve).filter(pk=begun.pk).exists()
    inlines = CriterionInline(Study, site), ContenderInline(Study, site)
    request = RequestFactory().get("/")
    request.user = eve
    assert not any(inline.has_change_permission(request, begun) for inline in inlines)
    assert "slug" in StudyAdmin(Study, site).get_readonly_fields(request, begun)

    class Late(batches.Claim):
        """Another import of the bundle ends just before this one claims it."""

        def __init__(self, study: Study, bundle: str) -> None:
            Study.objects.filter(pk=study.pk).update(taking_in="")
            super().__init__(study, bundle)

    with monkeypatch.context() as patch:
        patch.setattr("arena.bundles.reading.Claim", Late)
        with pytest.raises(BundleError, match="Another import of this bundle has ended meanwhile"):
            import_study(path, owner=bob, slug="renamed")
    assert Study.objects.get(pk=begun.pk).slug == "bobs"
    Study.objects.filter(pk=begun.pk).update(taking_in=begun.taking_in)
    done = import_study(path, slug="renamed").study
    assert (done.pk, done.slug, done.owner) == (begun.pk, "renamed", bob)
    assert Study.objects.managed_by(eve).filter(pk=begun.pk).exists()


@pytest.mark.once
def test_others_can_write_between_any_two_batches(
    tmp_path: Path, small_batches: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    study = busy_study()
    path = tmp_path / "busy.zip"
    export_study(study, path)
    file, pauses = connection.settings_dict["NAME"], []

    def others(seconds: float) -> None:
        with closing(sqlite3.connect(file, timeout=0)) as other:
            other.execute("BEGIN IMMEDIATE")  # fails at once where the import holds the lock
            other.execute("ROLLBACK")
        pauses.append(seconds)

    monkeypatch.setattr("arena.bundles.batches.time.sleep", others)
    done = import_study(path, slug="again")
    assert len(pauses) >= (done.study.ballots.count() + done.study.votes.count()) / 7
