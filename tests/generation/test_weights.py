"""Weights that a machine lacks come from a store or from a pinned repository, whole and checked or not at all."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from django.core.files.base import ContentFile
from django.core.files.storage import storages
from django.core.management import CommandError, call_command
from django.db.models.functions import Now
from pytest_django.fixtures import Settings

from evalsite.services import storage_of
from generation import choosing, weights, worker
from generation.checkpoints import pinned_source, register_checkpoint, resolve_checkpoint
from generation.errors import GenerationError
from generation.heartbeats import beat_heart, living_workers
from generation.hub_download import is_wanted
from generation.model_folders import hash_file
from generation.models import Checkpoint, Image, ImageJob, Recipe
from generation.recipes import get_recipe
from generation.runnable import unrunnable_reason, waiting_in_vain
from generation.schedules import few_step_sigmas, get_schedule
from tests.generation.test_worker import ready_recipe, run_of
from tests.servers.hub_server import HubServer
from tests.servers.s3_server import S3Server

pytestmark = pytest.mark.django_db
COMMIT = "0123456789abcdef0123456789abcdef01234567"


@pytest.fixture(autouse=True)
def fetched_root(tmp_path: Path, settings: Settings) -> Path:
    """An empty folder for what is fetched, and a models root without models."""
    weights._seen.clear()
    weights._failed_at.clear()
    settings.FETCHED_ROOT = tmp_path / "fetched"
    settings.MODELS_ROOT = tmp_path / "models"
    settings.MODELS_ROOT.mkdir()
    return tmp_path / "fetched"


@pytest.fixture
def store(s3_server: S3Server, settings: Settings, tiny_model: Path, request: pytest.FixtureRequest) -> None:
    """An S3 bucket whose folder `ours` holds the tiny model."""
    bucket = f"weights-{abs(hash(request.node.name)) % 10**9}"
    address, question, options = s3_server.storage_url(bucket).partition("?")
    settings.WEIGHTS_URL = f"{address}/ours{question}{options}"
    settings.STORAGES = settings.STORAGES | {"weights": storage_of(settings.WEIGHTS_URL)}
    for path in tiny_model.rglob("*"):
        if path.is_file():
            name = f"tiny/{path.relative_to(tiny_model).as_posix()}"
            storages["weights"].save(name, ContentFile(path.read_bytes()))


def files_below(folder: Path) -> dict[str, str]:
    return {path.relative_to(folder).as_posix(): hash_file(path) for path in folder.rglob("*") if path.is_file()}


def test_a_draft_is_fetched_from_the_store_and_becomes_ready(store: None, tiny_model: Path, fetched_root: Path) -> None:
    checkpoint = resolve_checkpoint(register_checkpoint(name="tiny", source="tiny"))
    assert (checkpoint.state, checkpoint.refusal) == ("ready", "")
    assert files_below(fetched_root / "tiny") == files_below(tiny_model) == checkpoint.file_hashes
    assert not list(fetched_root.glob(".draft-*"))


def test_a_worker_fetches_what_due_jobs_wait_for_and_makes_them(
    store: None, image_folder: Path, fetched_root: Path
) -> None:
    checkpoint = resolve_checkpoint(register_checkpoint(name="tiny", source="tiny"))
    run_of(ready_recipe(checkpoint))
    shutil.rmtree(fetched_root)  # another machine
    worker.beat("w", queue="gen.cpu")
    row = living_workers().get()
    assert (row.weights, row.fetchable) == ([], ["tiny"])
    assert unrunnable_reason(checkpoint) == ""
    assert worker.work_one_batch("w") == 0
    assert worker.work_for(60, worker="w") is False
    assert Image.objects.count() == 3
    worker.beat("w", queue="gen.cpu")
    row = living_workers().get()
    assert (row.weights, row.fetchable, row.images_made > 0) == (["tiny"], [], True)


def test_weights_are_fetched_beside_other_work_once_a_job_has_waited_too_long_for_them(
    store: None, image_folder: Path, fetched_root: Path, tiny_model: Path, settings: Settings
) -> None:
    shutil.copytree(tiny_model, Path(settings.MODELS_ROOT) / "held")
    here, away = (resolve_checkpoint(register_checkpoint(name=name, source=name)) for name in ("held", "tiny"))
    shutil.rmtree(fetched_root)  # another machine
    run_of(ready_recipe(here), prompts=[f"prompt {k}" for k in range(20)])
    recipe = get_recipe(
        name="away",
        checkpoint=away,
        schedule=get_schedule(steps=2, shift=1.0, sigmas=few_step_sigmas(2)),
        guidance=3,
        width=64,
        height=64,
    )
    Recipe.objects.filter(pk=recipe.pk).update(state="ready")
    run_of(recipe, prompts=["far away"])
    worker._looks = worker.Looks()
    assert worker.work_for(0, worker="w")
    assert not weights.fetch_overdue() and not (fetched_root / "tiny").exists()
    ImageJob.objects.filter(recipe=recipe).update(created_at=Now() - choosing.LONGEST_WAIT)
    beat_heart(worker="other", queues=["gen.cpu"], weights=["tiny"])  # whoever holds them gets there by itself
    assert not weights.fetch_overdue()
    beat_heart(worker="other", queues=["gen.cpu"])
    assert not worker._looks.is_time()  # it has looked just now
    worker._looks = worker.Looks()
    assert worker.work_for(0, worker="w") and (fetched_root / "tiny").exists()
    assert ImageJob.objects.filter(recipe__checkpoint=here, state="pending").exists()


def test_weights_that_cannot_be_had_are_left_alone_for_a_while(store: None, fetched_root: Path) -> None:
    checkpoint = resolve_checkpoint(register_checkpoint(name="tiny", source="tiny"))
    run_of(ready_recipe(checkpoint))
    shutil.rmtree(fetched_root)
    ImageJob.objects.update(created_at=Now() - choosing.LONGEST_WAIT)
    Checkpoint.objects.update(file_hashes={"vae/config.json": "other"})
    assert not weights.fetch_overdue()
    Checkpoint.objects.update(file_hashes=checkpoint.file_hashes)
    assert not weights.fetch_overdue()
    weights._failed_at.clear()
    assert weights.fetch_overdue()


@pytest.mark.once
def test_the_base_that_an_adapter_names_is_fetched_along(store: None, family_folders: Path, fetched_root: Path) -> None:
    for folder in ("sd3-eps", "style-1"):
        for path in (family_folders / folder).rglob("*"):
            if path.is_file():
                name = path.relative_to(family_folders).as_posix()
                storages["weights"].save(name, ContentFile(path.read_bytes()))
    storages["weights"].save("style-1/checkpoint.json", ContentFile(b'{"adapter_of": "sd3-eps"}'))
    checkpoint = resolve_checkpoint(register_checkpoint(name="styled", source="style-1"))
    assert (checkpoint.state, checkpoint.refusal, checkpoint.base) == ("ready", "", "sd3-eps")
    assert files_below(fetched_root / "sd3-eps") == files_below(family_folders / "sd3-eps")
    shutil.rmtree(fetched_root)  # another machine
    assert weights.fetchable() == [checkpoint]
    weights.ensure(checkpoint)
    assert weights.held() == {checkpoint: fetched_root / "sd3-eps"}


@pytest.mark.once
def test_other_weights_than_those_that_were_checked_are_not_taken(store: None, fetched_root: Path) -> None:
    checkpoint = resolve_checkpoint(register_checkpoint(name="tiny", source="tiny"))
    shutil.rmtree(fetched_root)
    storages["weights"].save("tiny/vae/config.json", ContentFile(b"{}"))
    with pytest.raises(
        GenerationError, match="What was fetched as 'tiny' is refused: vae/config.json in .* is not what"
    ):
        weights.ensure(checkpoint)
    assert files_below(fetched_root).keys() <= {path.name for path in fetched_root.glob(".lock-*")}
    assert not weights.fetch_most_urgent()


@pytest.mark.once
def test_code_and_pickles_in_the_store_are_not_taken(store: None, fetched_root: Path) -> None:
    storages["weights"].save("tiny/unet.bin", ContentFile(b"pickle"))
    checkpoint = resolve_checkpoint(register_checkpoint(name="tiny", source="tiny"))
    assert checkpoint.state == "refused"
    assert "unet.bin is refused: only safetensors weights" in checkpoint.refusal
    assert not (fetched_root / "tiny").exists()


def test_what_nobody_has_is_refused_as_before(store: None) -> None:
    checkpoint = resolve_checkpoint(register_checkpoint(name="gone", source="gone"))
    assert "There is no folder 'gone' below the models root" in checkpoint.refusal
    assert not weights.can_fetch(checkpoint)


def test_a_store_that_is_away_stops_nothing_else_and_decides_nothing(
    store: None, s3_server: S3Server, settings: Settings, tiny_model: Path, fetched_root: Path
) -> None:
    there, away = settings.WEIGHTS_URL, f"s3://no-such-bucket?endpoint_url={s3_server.endpoint_url}"
    settings.WEIGHTS_URL, settings.STORAGES = away, settings.STORAGES | {"weights": storage_of(away)}
    shutil.copytree(tiny_model, Path(settings.MODELS_ROOT) / "near")
    Checkpoint.objects.create(name="elsewhere", source="elsewhere", state=Checkpoint.State.READY)
    far, near = (register_checkpoint(name=name, source=name) for name in ("tiny", "near"))
    worker.beat("w", queue="gen.cpu")
    assert living_workers().get().fetchable == []
    assert worker.work_for(1, worker="w") is False
    assert worker.resolve_drafts("w") == 1
    assert list(Checkpoint.objects.filter(pk__in=[far.pk, near.pk]).order_by("pk").values_list("state", "refusal")) == [
        ("checking", ""),
        ("ready", ""),
    ]
    with pytest.raises(CommandError, match="The store of weights does not answer, it is asked again in a minute"):
        call_command("add_checkpoint", "tiny", "tiny")
    settings.WEIGHTS_URL, settings.STORAGES = there, settings.STORAGES | {"weights": storage_of(there)}
    assert worker.resolve_drafts("w") == 1
    far.refresh_from_db()
    assert far.state == "ready"


@pytest.fixture
def hub(tiny_model: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[HubServer]:
    """A hub with the tiny model, weights at the top, a variant and a pickle beside it."""
    files = {path.relative_to(tiny_model).as_posix(): path for path in tiny_model.rglob("*") if path.is_file()}
    content = {name: path.read_bytes() for name, path in files.items()}
    content |= {"all.safetensors": b"x", "vae/diffusion_pytorch_model.fp16.safetensors": b"x", "vae/pytorch.bin": b"x"}
    content |= {"pipeline.py": b"raise SystemExit", "README.md": b"# card"}
    with HubServer({("lab/tiny", COMMIT): content}) as server:
        monkeypatch.setenv("HF_ENDPOINT", server.address)
        monkeypatch.setenv("HF_HOME", str(tmp_path / "hub"))
        yield server


@pytest.mark.once
def test_a_pinned_repository_is_fetched_without_code_or_pickles(
    hub: HubServer, tiny_model: Path, fetched_root: Path, image_folder: Path
) -> None:
    checkpoint = resolve_checkpoint(register_checkpoint(name="tiny", source=f"lab/tiny@{COMMIT}"))
    assert (checkpoint.state, checkpoint.refusal) == ("ready", "")
    assert (checkpoint.source, checkpoint.revision) == ("lab/tiny", COMMIT)
    assert files_below(fetched_root / f"lab/tiny@{COMMIT}") == files_below(tiny_model)
    assert sorted(set(hub.asked)) == sorted(files_below(tiny_model))
    run_of(ready_recipe(checkpoint))
    assert worker.work_one_batch("w") == 3
    made = Image.objects.all()[0].provenance["made"]
    assert (made["source"], made["revision"], made["base"]) == ("lab/tiny", COMMIT, f"lab/tiny@{COMMIT}")


@pytest.mark.once
def test_weights_that_differ_from_the_hubs_own_sha256_are_refused(hub: HubServer, fetched_root: Path) -> None:
    hub.lies_about.add("vae/diffusion_pytorch_model.safetensors")
    checkpoint = resolve_checkpoint(register_checkpoint(name="tiny", source=f"lab/tiny@{COMMIT}"))
    assert checkpoint.state == "refused"
    assert "vae/diffusion_pytorch_model.safetensors is not what the hub says it is (sha256)" in checkpoint.refusal
    assert not (fetched_root / "lab").exists()


def test_a_commit_that_the_hub_lacks_is_one_sentence(hub: HubServer) -> None:
    other = "f" * 40
    checkpoint = resolve_checkpoint(register_checkpoint(name="tiny", source=f"lab/tiny@{other}"))
    assert checkpoint.refusal.startswith(f"lab/tiny@{other} cannot be had from the hub: ")
    assert "\n" not in checkpoint.refusal


@pytest.mark.parametrize(
    ("source", "what"),
    [
        ("lab/tiny@main", "'main' is no commit"),
        ("lab/tiny@v1.0", "'v1.0' is no commit"),
        ("lab/tiny@0123abc", "'0123abc' is no commit"),
        ("lab/tiny@" + COMMIT.upper(), "is no commit"),
        ("lab/tiny@", "is no commit of a repository"),
        ("tiny@" + COMMIT, "'tiny' is no hub repository"),
        ("../tiny@" + COMMIT, "is no hub repository"),
        ("https://hub/lab/tiny@" + COMMIT, "is no hub repository"),
    ],
)
def test_a_revision_that_can_move_is_refused(source: str, what: str) -> None:
    with pytest.raises(GenerationError, match=what):
        register_checkpoint(name="tiny", source=source)
    with pytest.raises(CommandError, match=what):
        call_command("add_checkpoint", "tiny", source)
    assert not Checkpoint.objects.exists()


def test_a_folder_has_no_revision() -> None:
    assert pinned_source("my-model") == ("my-model", "")
    assert pinned_source(f"lab/tiny@{COMMIT}") == ("lab/tiny", COMMIT)


@pytest.mark.parametrize(
    ("name", "wanted"),
    [
        ("model_index.json", True),
        ("vae/diffusion_pytorch_model.safetensors", True),
        ("tokenizer/merges.txt", True),
        ("tokenizer_2/spiece.model", True),
        ("sd3_medium.safetensors", False),
        ("pytorch_lora_weights.safetensors", True),
        ("vae/diffusion_pytorch_model.fp16.safetensors", False),
        ("text_encoder_3/model.fp16-00001-of-00002.safetensors", False),
        ("text_encoder_3/model-00001-of-00002.safetensors", True),
        ("vae/diffusion_pytorch_model.bin", False),
        ("pipeline.py", False),
        ("README.md", False),
    ],
)
def test_only_what_a_pipeline_loads_is_asked_for(name: str, wanted: bool) -> None:
    assert is_wanted(name) == wanted


def test_jobs_that_no_living_worker_can_run_say_why(tiny_model: Path, settings: Settings, image_folder: Path) -> None:
    settings.MODELS_ROOT = tiny_model.parent
    checkpoint = resolve_checkpoint(register_checkpoint(name="tiny", source="tiny", needs="gen.gpu24"))
    assert waiting_in_vain() == []
    run_of(ready_recipe(checkpoint))
    assert waiting_in_vain() == ["No image worker is alive; start one."]
    worker.beat("small", queue="gen.cpu")
    assert worker.work_one_batch("small") == 0
    assert waiting_in_vain() == ["tiny needs a worker of gen.gpu24 or larger; those alive serve gen.cpu."]
    beat_heart(worker="large", queues=["gen.gpu80"])
    assert unrunnable_reason(checkpoint).startswith("No living worker holds the weights of tiny: copy 'tiny' below")
    beat_heart(worker="large", queues=["gen.gpu80"], weights=["tiny"])
    assert waiting_in_vain() == []
    settings.IMAGE_QUEUE = "gen.gpu80"
    assert worker.work_one_batch("large") == 3
    assert not ImageJob.objects.unfinished().exists()


def test_an_unknown_need_is_refused() -> None:
    with pytest.raises(GenerationError, match="'gpu' is nothing that a checkpoint can need; give gen.cpu, or gen.gpu"):
        register_checkpoint(name="tiny", source="tiny", needs="gpu")
