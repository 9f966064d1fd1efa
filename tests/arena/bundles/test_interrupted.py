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

from arena import batches, bulk_rows, fitting, judging, studies, vote_roots
from arena.admin import ContenderInline, CriterionInline, StudyAdmin
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
    for module in ("batches", "bundles.taking", "bundles.findings"):
        monkeypatch.setattr(f"arena.{module}.ROWS_AT_ONCE", 7)
    monkeypatch.setattr(batches, "BREATH", 0)


def killed_after(patch: pytest.MonkeyPatch, writes: int) -> None:
    """So many batches are stored; the next one ends the process in the midst of its transaction."""
    left = iter(range(writes))

    def stopping(store: Callable[[], list[int]]) -> Callable[[], list[int]]:
        def stored() -> list[int]:
            made = store()
            if next(left, None) is None:
                raise Killed
            return made

        return stored

    for module in ("batches", "bundles.taking"):
        patch.setattr(f"arena.{module}.insertion", lambda *told: stopping(bulk_rows.insertion(*told)))
    for module in ("bundles.taking", "bundles.findings"):
        patch.setattr(f"arena.{module}.insertion_of", lambda rows: stopping(bulk_rows.insertion_of(rows)))


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
            killed_after(patch, writes)
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
        """Another import claims the study once something is stored."""

        def fill(self, *args: Any, **told: Any) -> Any:
            made = super().fill(*args, **told)
            batches.Claim(self.study, self.study.taking_in)
            return made

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("arena.bundles.reading.Claim", Overtaken)
        with pytest.raises(batches.OvertakenError, match="Another import of this file has begun"):
            import_study(path, slug="again")
    done = import_study(path)
    assert done.study.slug == "again" and numbers_of(done.study) == numbers_of(study)
    bundle = AuditEvent.objects.get(act="study imported").detail["bundle"]
    with pytest.raises(batches.OvertakenError, match="has ended meanwhile: it is the study again"):
        batches.Claim(done.study, bundle)
    assert Study.objects.get(slug="again").taking_in == ""


def test_an_unfinished_import_stays_with_who_began_it(
    tmp_path: Path, small_batches: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    study, bob, eve = busy_study(), make_user("bob"), make_user("eve", is_superuser=True)
    path = tmp_path / "busy.zip"
    export_study(study, path)
    with monkeypatch.context() as patch:
        killed_after(patch, 0)
        with pytest.raises(Killed):
            import_study(path, owner=bob, slug="bobs")
    own = import_study(path, owner=eve, slug="eves").study  # what bob has not ended is none of her business
    assert (own.owner, own.slug) == (eve, "eves") and numbers_of(own) == numbers_of(study)
    with pytest.raises(Refusal, match="'bobs' is kept for an import that is not whole yet: import that file again"):
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

        def __init__(self, study: Study, bundle: str, **told: Any) -> None:
            Study.objects.filter(pk=study.pk).update(taking_in="")
            super().__init__(study, bundle, **told)

    with monkeypatch.context() as patch:
        patch.setattr("arena.bundles.reading.Claim", Late)
        with pytest.raises(batches.OvertakenError, match="Another import of this file has ended meanwhile"):
            import_study(path, owner=bob, slug="renamed")
    assert Study.objects.get(pk=begun.pk).slug == "bobs"
    Study.objects.filter(pk=begun.pk).update(taking_in=begun.taking_in)
    with pytest.raises(BundleError, match="imported already, as the study eves"):
        import_study(path, slug="mine")  # whoever sees hers needs no other
    import_study(path, slug="bobs")
    done = Study.objects.get(slug="bobs")
    assert (done.pk, done.slug, done.owner) == (begun.pk, "bobs", bob)
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

    monkeypatch.setattr("arena.batches.time.sleep", others)
    done = import_study(path, slug="again")
    assert len(pauses) >= (done.study.ballots.count() + done.study.votes.count()) / 7
