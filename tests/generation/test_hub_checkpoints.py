"""Checkpoints of a hub: pinned to a commit; floating revisions, addresses and worse end at the form."""

import shutil
import socket
import subprocess
import threading
from pathlib import Path
from typing import Any, Final

import pytest
from django.core.management import CommandError, call_command
from django.test import Client
from django.urls import reverse

from generation import worker
from generation.adapters import parts_of
from generation.checkpoints import register_checkpoint, resolve_checkpoint
from generation.errors import GenerationError
from generation.models import Checkpoint, Image
from generation.planning import start_run
from generation.recipes import get_recipe, resolve_recipe
from generation.regeneration import regenerate
from generation.schedules import few_step_sigmas, get_schedule

pytestmark = pytest.mark.django_db
COMMIT: Final = "0123456789abcdef0123456789abcdef01234567"


def put_in_cache(model: Path, root: Path) -> Path:
    """A snapshot as hub tools lay it down: links into a folder of blobs beside it."""
    repository = root / "models--lab--tiny"
    snapshot = repository / "snapshots" / COMMIT
    (repository / "blobs").mkdir(parents=True)
    for number, file in enumerate(sorted(path for path in model.rglob("*") if path.is_file())):
        blob = repository / "blobs" / f"{number:040x}"
        shutil.copy(file, blob)
        link = snapshot / file.relative_to(model)
        link.parent.mkdir(parents=True, exist_ok=True)
        link.symlink_to(blob)
    return snapshot


def test_a_commit_that_lies_in_the_models_root_becomes_ready_and_draws(
    tiny_model: Path, own_models_root: Path, image_folder: Path
) -> None:
    put_in_cache(tiny_model, own_models_root)
    checkpoint = resolve_checkpoint(register_checkpoint(name="hub", source="lab/tiny", revision=COMMIT))
    assert (checkpoint.state, checkpoint.refusal) == ("ready", "")
    assert parts_of(checkpoint).base == f"lab/tiny@{COMMIT}"
    recipe = get_recipe(
        name="1 step",
        checkpoint=checkpoint,
        schedule=get_schedule(steps=1, sigmas=few_step_sigmas(1), shift=1.0),
        guidance=1.0,
        width=64,
        height=64,
        call_options={"max_sequence_length": 1},
    )
    start_run(name="run", owner=None, recipes=[resolve_recipe(recipe)], prompt_texts=["a red circle"])
    worker.work_one_batch("w")
    made = Image.objects.get().provenance["made"]
    assert (made["source"], made["revision"]) == ("lab/tiny", COMMIT)
    assert [comparison.verdict for comparison in regenerate(Image.objects.all())] == ["byte-equal"]


def test_a_commit_that_can_be_had_from_nowhere_is_refused(
    own_models_root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")
    with pytest.raises(CommandError) as refused:
        call_command("add_checkpoint", "hub", "lab/tiny", revision=COMMIT)
    assert str(refused.value).startswith(f"hub is refused: lab/tiny@{COMMIT} cannot be had from the hub: ")


def test_a_link_out_of_the_models_root_is_refused(tiny_model: Path, own_models_root: Path, tmp_path: Path) -> None:
    snapshot = put_in_cache(tiny_model, own_models_root)
    index = snapshot / "model_index.json"
    shutil.copy(index, tmp_path / "elsewhere.json")
    index.unlink()
    index.symlink_to(tmp_path / "elsewhere.json")
    checkpoint = resolve_checkpoint(register_checkpoint(name="hub", source="lab/tiny", revision=COMMIT))
    assert checkpoint.refusal.startswith("model_index.json is a link out of the models root")


NO_FOLDER, NO_REPOSITORY, NO_COMMIT = "is no folder below the models root", "is no hub repository", "is no commit"
BAD: list[tuple[str, str, str, str]] = [
    ("https://hub.example/lab/tiny", "", "source", NO_FOLDER),
    ("http://169.254.169.254/latest/meta-data", "", "source", NO_FOLDER),
    ("file:///etc/passwd", "", "source", NO_FOLDER),
    ("../secrets", "", "source", NO_FOLDER),
    ("a/../../b", "", "source", NO_FOLDER),
    ("/etc", "", "source", NO_FOLDER),
    ("a;rm -rf x", "", "source", NO_FOLDER),
    ("$(touch x)", "", "source", NO_FOLDER),
    ("a`id`", "", "source", NO_FOLDER),
    ("a|b", "", "source", NO_FOLDER),
    ("~root", "", "source", NO_FOLDER),
    ("lab/tiny", "main", "revision", NO_COMMIT),
    ("lab/tiny", "v1.0", "revision", NO_COMMIT),
    ("lab/tiny", COMMIT[:12], "revision", NO_COMMIT),
    ("lab/tiny", COMMIT.upper(), "revision", NO_COMMIT),
    ("lab/tiny", "refs/pr/1", "revision", NO_COMMIT),
    ("https://hub.example/lab/tiny", COMMIT, "source", NO_REPOSITORY),
    ("lab/../tiny", COMMIT, "source", NO_REPOSITORY),
    ("lab/..", COMMIT, "source", NO_REPOSITORY),
    ("tiny", COMMIT, "source", NO_REPOSITORY),
    ("lab/tiny/deep", COMMIT, "source", NO_REPOSITORY),
    ("-lab/tiny", COMMIT, "source", NO_REPOSITORY),
]


@pytest.mark.once
@pytest.mark.parametrize(("source", "revision", "field", "sentence"), BAD)
def test_addresses_ways_out_and_moving_revisions_are_refused_at_their_field(
    admin_client: Client, monkeypatch: pytest.MonkeyPatch, source: str, revision: str, field: str, sentence: str
) -> None:
    def none(*arguments: Any, **_: Any) -> None:
        raise AssertionError(f"a process was started: {arguments}")

    monkeypatch.setattr(subprocess.Popen, "__init__", none)
    form = {"name": "bad", "source": source, "revision": revision, "licence": ""}
    answer = admin_client.post(reverse("admin:generation_checkpoint_add"), form)
    errors = answer.context["adminform"].form.errors
    assert list(errors) == [field] and sentence in errors[field][0]
    assert not Checkpoint.objects.exists()
    with pytest.raises(GenerationError, match=sentence):
        register_checkpoint(name="bad", source=source, revision=revision)


def test_no_field_makes_the_site_ask_an_address(
    admin_client: Client, own_models_root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")  # the hub is the only place that a worker asks
    asked: list[object] = []
    with socket.create_server(("127.0.0.1", 0)) as listener:
        address = f"127.0.0.1:{listener.getsockname()[1]}"
        thread = threading.Thread(target=_count, args=(listener, asked))
        thread.start()
        add = reverse("admin:generation_checkpoint_add")
        for source, revision in ((f"http://{address}/x", ""), (address, ""), (f"{address}/x", COMMIT), ("l/x", COMMIT)):
            admin_client.post(
                add, {"name": "x", "source": source, "revision": revision, "licence": f"http://{address}"}
            )
        worker.resolve_drafts("w")
        socket.create_connection(listener.getsockname()[:2]).close()
        thread.join(timeout=10)
    assert asked == ["the test"], "somebody else than the test connected"
    assert list(Checkpoint.objects.values_list("source", "state")) == [("l/x", "refused")]


def _count(listener: socket.socket, asked: list[object]) -> None:
    """Every connection until one that says nothing, which is the test's own."""
    while True:
        connection, _ = listener.accept()
        with connection:
            said = connection.recv(1000)
        if not said:
            asked.append("the test")
            return
        asked.append(said)


def test_a_hub_draft_is_entered_in_the_admin(admin_client: Client) -> None:
    form = {"name": "hub", "source": "lab/tiny", "revision": COMMIT, "licence": "MIT"}
    page = admin_client.post(reverse("admin:generation_checkpoint_add"), form, follow=True)
    checkpoint = Checkpoint.objects.get()
    assert (checkpoint.source, checkpoint.revision, checkpoint.state) == ("lab/tiny", COMMIT, "draft")
    detail = admin_client.get(reverse("admin:generation_checkpoint_change", args=[checkpoint.pk])).content.decode()
    assert page.status_code == 200 and "Waits to be checked: no image worker is alive." in detail
    Checkpoint.objects.update(state="refused", refusal="It is <no> model.")
    detail = admin_client.get(reverse("admin:generation_checkpoint_change", args=[checkpoint.pk])).content.decode()
    assert "It is &lt;no&gt; model." in detail
