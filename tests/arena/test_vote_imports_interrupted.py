"""Large votes files come in by batches: nobody sees a part, a killed import goes on, others vote meanwhile."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from django.conf import settings
from django.core.management import CommandError, call_command
from django.db import connection
from django.urls import reverse

from arena import batches, bulk_rows, fitting, judging, vote_roots, vote_taking
from arena.models import AuditEvent, Rater, Study, Vote
from arena.refusals import Refusal
from arena.vote_chain import check_chain
from arena.vote_imports import VoteImportError, import_votes
from generation.models import PromptSet
from tests.arena.bundles.test_round_trip import numbers_of
from tests.arena.factories import cast, make_rater, make_study, make_user
from tests.arena.test_vote_imports import written
from tests.servers import celery_worker

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture(autouse=True)
def small_batches(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(batches, "ROWS_AT_ONCE", 7)
    monkeypatch.setattr(batches, "BREATH", 0)


def some_votes(path: Path, *, rows: int = 60) -> Path:
    """Three contenders, two questions, six raters, nine prompts."""
    choices = ("left", "right", "tie", "left", "skip")
    told = [
        {
            "criterion": ("looks", "fit")[number % 2],
            "left": f"m{number % 3}",
            "right": f"m{(number + 1 + number % 2) % 3}",
            "choice": choices[number * 7 % 5],
            "rater": f"r{number % 6}",
            "prompt": f"p{number // 2 % 9}",
        }
        for number in range(rows)
    ]
    return written(path, told)


def stopped_after(patch: pytest.MonkeyPatch, writes: int) -> None:
    """So many batches are stored; the next one is interrupted from the keyboard before its transaction ends."""
    left = iter(range(writes))

    def prepared(kind: Any, rows: list[Any]) -> Any:
        store = bulk_rows.insertion(kind, rows)

        def stored() -> list[int]:
            made = store()
            if next(left, None) is None:
                raise KeyboardInterrupt
            return made

        return stored

    patch.setattr("arena.batches.insertion", prepared)


def told_by(study: Study) -> list[tuple[Any, ...]]:
    """Everything of the votes that does not hang on row numbers, in their order."""
    return list(
        study.votes.order_by("pk").values_list(
            *("criterion__key", "choice", "sequence", "stratum", "study_prompt__prompt__text", "rater__kind"),
            *("left_contender__label", "right_contender__label", "ballot__position", "ballot__state", "ballot__rule"),
        )
    )


def test_a_process_killed_in_a_batch_leaves_a_study_that_nobody_sees_and_that_goes_on(
    tmp_path: Path, client: Any
) -> None:
    path = some_votes(tmp_path / "votes.csv")
    whole = import_votes(path, slug="whole").study
    environment = os.environ | {
        "DJANGO_SETTINGS_MODULE": "evalsite.settings",
        "DATABASE_URL": celery_worker.test_database_url(),
        "WINRATE_DATA_DIR": str(settings.DATA_DIR),
    }
    killed = subprocess.run(  # noqa: S603 - our own module
        [sys.executable, "-m", "tests.arena.vote_importer", str(path), "again", "20"],
        cwd=settings.BASE_DIR,
        env=environment,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    begun = Study.objects.get(slug="again")
    assert begun.taking_in and 0 < begun.votes.count() < 60
    admin = make_user("root", is_superuser=True)
    client.force_login(admin)
    assert begun not in Study.objects.visible_to(admin)
    assert client.get(reverse("arena:study", args=["again"])).status_code == 404
    fitting.refit_changed_studies()
    judging.judge_changed_studies()
    vote_roots.publish_roots()
    assert not begun.fits.exists() and not begun.rater_tables.exists() and not begun.vote_roots.exists()

    done = import_votes(path, slug="again").study

    assert (done.pk, done.state, done.taking_in) == (begun.pk, "closed", "")
    assert told_by(done) == told_by(whole) and numbers_of(done) == numbers_of(whole)
    assert [problem for rater in done.raters.all() for problem in check_chain(rater)] == []
    assert set(done.votes.values_list("cast_at", flat=True)) == {done.created_at}
    assert AuditEvent.objects.filter(act="votes imported", study=done).count() == 1


def test_an_import_stopped_anywhere_shows_nothing_and_goes_on_as_it_is_asked_then(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    path = some_votes(tmp_path / "votes.csv")
    whole = import_votes(path, slug="whole", baseline="m2").study
    bob = make_user("bob")
    for writes in (0, 3, 4, 7, 5):  # each goes on from the one before: prompts, links, raters, ballots, votes
        with monkeypatch.context() as patch:
            stopped_after(patch, writes)
            with pytest.raises(CommandError, match="Stopped. Nobody sees what came in so far; the same command goes"):
                call_command("import_votes", str(path), "first", "--owner", "bob", "--baseline", "m0")
        assert not Study.objects.visible_to(bob).exists() and not PromptSet.objects.visible_to(bob).filter(owner=bob)
    begun = Study.objects.get(slug="first")
    assert 0 < begun.votes.count() < 60
    with pytest.raises(VoteImportError, match="'first' is kept for an import that is not whole yet: import that file"):
        import_votes(some_votes(tmp_path / "other.csv", rows=59), slug="first", owner=bob)

    call_command("import_votes", str(path), "second", "--owner", "bob", "--baseline", "m2", "--name", "Renamed")

    done = Study.objects.get(slug="second")
    assert (done.pk, done.name, done.owner) == (begun.pk, "Renamed", bob)
    assert done.contenders.get(is_baseline=True).label == "m2"
    assert told_by(done) == told_by(whole) and numbers_of(done) == numbers_of(whole)
    assert [row.prompt.text for row in done.study_prompts.select_related("prompt")] == [f"p{k}" for k in range(9)]
    assert done.study_prompts.values("prompt__prompt_set").distinct().count() == 1
    assert Study.objects.visible_to(bob).get() == done and PromptSet.objects.visible_to(bob).get(owner=bob).digest


def test_what_is_read_is_what_counts_and_each_owner_has_their_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, bob = some_votes(tmp_path / "votes.csv"), make_user("bob")
    with monkeypatch.context() as patch:
        stopped_after(patch, 6)
        with pytest.raises(KeyboardInterrupt):
            import_votes(path, slug="bobs", owner=bob)
    begun = Study.objects.get(slug="bobs")
    with pytest.raises(VoteImportError, match="'bobs' is kept for an import"):
        import_votes(path, slug="bobs", owner=make_user("eve"))
    assert import_votes(path, slug="sites").study.pk != begun.pk
    lines = written(tmp_path / "votes.jsonl", list(rows_of(path)))
    done = import_votes(lines, slug="bobs").study  # another format, the same votes; nobody in particular may go on
    assert (done.pk, done.owner) == (begun.pk, bob)


def rows_of(path: Path) -> Iterator[dict[str, str]]:
    names, *lines = (line.split(",") for line in path.read_text().splitlines())
    yield from (dict(zip(names, line, strict=True)) for line in lines)


def test_others_vote_between_any_two_batches_of_an_import(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = some_votes(tmp_path / "votes.csv")
    whole = import_votes(path, slug="whole").study
    live = make_study(slug="live", contenders=2, prompts=12)
    rater, stored = make_rater(live), [0]

    class Between(batches.Claim):
        """A rater answers after each of the first batches."""

        @contextmanager
        def batch(self, rows: int = 0) -> Iterator[None]:
            with super().batch(rows):
                yield
            assert not connection.in_atomic_block
            if len(stored) < 12:
                cast(rater, "left", ballots=1)
                stored.append(rater.votes.count())

    monkeypatch.setattr("arena.vote_imports.Claim", Between)
    done = import_votes(path, slug="again").study
    assert len(set(stored)) == 12 and stored[-1] == live.votes.count()
    assert told_by(done) == told_by(whole) and numbers_of(done) == numbers_of(whole)
    assert [problem for each in Rater.objects.all() for problem in check_chain(each)] == []


@pytest.mark.once
def test_batches_shrink_where_rows_take_long_so_that_nobody_waits_longer(monkeypatch: pytest.MonkeyPatch) -> None:
    """By a clock on which each of the first rows takes 1 ms, and later ones take nothing."""
    monkeypatch.setattr(batches, "ROWS_AT_ONCE", 1_000)
    now, sizes = [0.0], []

    def timed(kind: Any, rows: list[Any]) -> Any:
        store = bulk_rows.insertion(kind, rows)

        def stored() -> list[int]:
            sizes.append(len(rows))
            now[0] += len(rows) / 1_000 if len(sizes) < 6 else 1e-6
            return store()

        return stored

    monkeypatch.setattr(batches, "insertion", timed)
    monkeypatch.setattr(batches, "time", SimpleNamespace(perf_counter=lambda: now[0], sleep=lambda _: None))
    claim = batches.Claim(study := Study.objects.get(pk=make_taken().pk), "file")
    claim.fill(study.raters.all(), range(2_500), lambda _: {"study_id": study.pk, "kind": "panel"})
    assert sizes == [1_000, 100, 100, 100, 100, 100, 1_000] and study.raters.count() == 2_500


def make_taken() -> Study:
    study = make_study(images=False, copies=False, opened=False)
    Study.objects.filter(pk=study.pk).update(taking_in="file")
    return study


def test_a_row_that_the_database_refuses_late_leaves_a_study_that_nobody_sees(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, turn_of = some_votes(tmp_path / "votes.csv"), vote_taking.turn_of
    with monkeypatch.context() as patch:
        patch.setattr(vote_taking, "turn_of", lambda values: turn_of(values) // 2)
        with pytest.raises(Refusal, match="votes.csv: "):
            import_votes(path, slug="late")
    begun = Study.objects.get(slug="late")
    assert begun.taking_in and begun.state == Study.State.DRAFT
    assert import_votes(path, slug="late").study.pk == begun.pk
    assert Vote.objects.filter(study=begun).count() == 60
