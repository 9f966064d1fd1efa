"""An image made again from its record: equal here, and what is said where something is not as it was."""

import shutil
from pathlib import Path
from typing import Any, Final

import numpy as np
import pytest
from pytest_django.fixtures import Settings

from generation import image_store, worker
from generation.checkpoints import register_checkpoint, resolve_checkpoint
from generation.models import Checkpoint, Image, Recipe
from generation.pipelines import sampling
from generation.planning import start_run
from generation.provenance import bytes_digest, digest_of
from generation.recipes import get_recipe, resolve_recipe
from generation.regeneration import Comparison, Difference, psnr, regenerate
from generation.schedules import few_step_sigmas, get_schedule

pytestmark = pytest.mark.django_db
BASE: Final = "sd3-eps"
PROMPTS: Final = ["a red circle", 'a sign that says "CAT"', "a green star"]


@pytest.fixture
def root(family_folders: Path, tmp_path: Path, settings: Settings, image_folder: Path) -> Path:
    """A models root with an SD3 and an adapter, which the test may spoil."""
    root = tmp_path / "models"
    for name in (BASE, "sd3-t5", "style-1"):
        shutil.copytree(family_folders / name, root / name)
    settings.MODELS_ROOT = root
    return root


def drawn(source: str = BASE, *, adapters: list[dict[str, Any]] | None = None, **changes: Any) -> list[Image]:
    """Three images of one batch by a ready checkpoint."""
    checkpoint = resolve_checkpoint(register_checkpoint(name="model", source=source, adapters=adapters))
    assert checkpoint.refusal == ""
    is_flow = source == "sd3-t5"
    schedule = (
        get_schedule(steps=2, shift=1.0, sigmas=few_step_sigmas(2))
        if is_flow
        else get_schedule(scheduler_class="DPMSolverMultistepScheduler", steps=2)
    )
    settings: dict[str, Any] = {"guidance": 3.0, "width": 32, "height": 32, "negative_prompt": "blur"} | changes
    recipe = resolve_recipe(get_recipe(name="2 steps", checkpoint=checkpoint, schedule=schedule, **settings))
    assert (recipe.state, recipe.refusal) == ("ready", "")
    start_run(name="run", owner=None, recipes=[recipe], prompt_texts=PROMPTS)
    assert worker.work_one_batch("w") == 3
    return list(Image.objects.order_by("pk"))


def again(*images: Image) -> list[Comparison]:
    return list(regenerate(Image.objects.filter(pk__in=[image.pk for image in images]).order_by("pk")))


def change_record(image: Image, part: str, **changes: Any) -> None:
    image.provenance = {**image.provenance, part: {**image.provenance[part], **changes}}
    image.provenance_digest = digest_of(image.provenance)
    image.save(update_fields=["provenance", "provenance_digest"])


@pytest.mark.once
@pytest.mark.parametrize(
    ("source", "changes"),
    [
        (BASE, {}),
        (BASE, {"adapters": [{"path": "style-1", "weight": 0.5}]}),
        ("sd3-t5", {"without": ["text_encoder_3"], "dtype": "bfloat16"}),
    ],
    ids=["plain", "adapter", "without T5"],
)
def test_every_image_of_a_batch_comes_out_byte_for_byte(root: Path, source: str, changes: dict[str, Any]) -> None:
    images = drawn(source, **changes)
    stored = [image_store.read(image.file_sha256, suffix=".png") for image in images]
    before = Image.objects.count(), sorted(root.parent.joinpath("images").rglob("*"))
    found = again(*images)
    assert [(one.verdict, one.batch_size, one.differences) for one in found] == [("byte-equal", 3, ())] * 3
    assert [one.png for one in found] == stored
    assert (Image.objects.count(), sorted(root.parent.joinpath("images").rglob("*"))) == before


def test_an_image_is_made_again_in_its_row_of_the_batch(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    images = drawn()
    rows = [image.provenance["made"]["row"] for image in images]
    assert sorted(rows) == [0, 1, 2]
    asked: list[tuple[int, ...]] = []
    sample = sampling.sample

    def watched(loaded: Any, request: sampling.BatchRequest) -> sampling.Sampled:
        asked.append(request.seeds)
        return sample(loaded, request)

    monkeypatch.setattr(sampling, "sample", watched)
    assert [one.verdict for one in again(*images)] == ["byte-equal"] * 3
    assert [seeds[row] for seeds, row in zip(asked, rows, strict=True)] == [image.seed for image in images]
    assert all(len(set(seeds)) == 3 for seeds in asked)


@pytest.mark.once
def test_the_weight_of_an_adapter_is_that_of_the_record(root: Path) -> None:
    [image, *_] = drawn(adapters=[{"path": "style-1", "weight": 0.5}])
    Checkpoint.objects.update(adapters=[{"path": "style-1", "weight": 2.0}])
    [found] = again(image)
    assert found.verdict == "byte-equal"


@pytest.mark.once
def test_what_differs_in_the_environment_is_named(root: Path) -> None:
    [image, *_] = drawn()
    versions = image.provenance["made"]["versions"]
    now = versions["torch"]
    change_record(image, "made", versions=versions | {"torch": "1.0"}, device="cpu: an abacus")
    [found] = again(image)
    here = image.provenance["made"]["device"]
    assert found.verdict == "byte-equal"
    told = {difference.what: difference for difference in found.differences}
    assert set(told) == {"torch", "device"}
    assert told["torch"] == Difference("torch", "1.0", now)
    assert str(told["torch"]) == f"torch: 1.0 then, {now} now" and here == "cpu: an abacus"


def test_a_record_of_the_first_format_can_be_repeated(root: Path) -> None:
    [image, *_] = drawn()
    made = {name: value for name, value in image.provenance["made"].items() if name != "threads"}
    asked = {name: value for name, value in image.provenance["asked"].items() if name != "without"}
    image.provenance = {"format": 1, "asked": asked, "made": made}
    image.provenance_digest = digest_of(image.provenance)
    image.save()
    [found] = again(image)
    assert found.verdict == "byte-equal"
    assert [difference.what for difference in found.differences] == ["threads"]


def test_a_record_that_was_changed_by_hand_says_so(root: Path) -> None:
    [image, *_] = drawn()
    digest = image.provenance_digest
    change_record(image, "made", versions=image.provenance["made"]["versions"] | {"peft": "0"})
    Image.objects.filter(pk=image.pk).update(provenance_digest=digest)
    [found] = again(image)
    assert {difference.what for difference in found.differences} == {"peft", "the record's own digest"}


@pytest.mark.once
def test_another_seed_gives_another_picture_and_says_how_far_off(root: Path) -> None:
    [image, *_] = drawn()
    change_record(image, "made", seed=1)
    [found] = again(image)
    assert (found.verdict, found.is_equal, found.refusal) == ("different", False, "")
    assert found.psnr is not None and 0 < found.psnr < 40
    assert found.largest_step and found.values_off and found.values_off > 0.1
    assert bytes_digest(found.png) != image.file_sha256


@pytest.mark.once
def test_the_same_pixels_in_another_file_are_pixel_equal(root: Path) -> None:
    [image, *_] = drawn()
    Image.objects.filter(pk=image.pk).update(file_sha256="0" * 64)
    assert again(image)[0].verdict == "pixel-equal"


def test_a_stored_file_that_is_gone_leaves_the_distance_unknown(root: Path) -> None:
    [image, *_] = drawn()
    Image.objects.filter(pk=image.pk).update(file_sha256="0" * 64, pixels_sha256="0" * 64)
    [found] = again(image)
    assert (found.verdict, found.psnr) == ("different", None)
    assert found.refusal.startswith("How much it differs is not known: 00/000") and "restore it" in found.refusal


def test_what_cannot_be_made_again_is_one_sentence_and_the_others_go_on(root: Path) -> None:
    one, two, three = drawn()
    outside = Recipe.objects.create(name="service", kind="external", width=32, height=32, digest="x", state="ready")
    Image.objects.filter(pk=one.pk).update(recipe=outside)
    Image.objects.filter(pk=two.pk).update(provenance={"made_by": "hand"})
    found = again(one, two, three)
    assert [comparison.verdict for comparison in found] == ["not made", "not made", "byte-equal"]
    assert found[0].refusal == f"Image {one.pk} was made elsewhere, so there is nothing here to make it again with."
    assert found[1].refusal.startswith(f"The record of image {two.pk} does not say 'call_options' of what was asked")


def _other_bytes(root: Path) -> None:
    weights = root / BASE / "vae" / "diffusion_pytorch_model.safetensors"
    data = bytearray(weights.read_bytes())
    data[-1] ^= 1
    weights.write_bytes(bytes(data))


def _no_folder(root: Path) -> None:
    shutil.rmtree(root / BASE)


def _no_adapter(root: Path) -> None:
    shutil.rmtree(root / "style-1")


@pytest.mark.once
@pytest.mark.parametrize(
    ("spoil", "sentence"),
    [
        (_other_bytes, "vae/diffusion_pytorch_model.safetensors in 'sd3-eps' is not what it was"),
        (_no_folder, "There is no folder 'sd3-eps' below the models root"),
        (_no_adapter, "There is no folder 'style-1' below the models root"),
    ],
)
def test_changed_or_missing_weights_are_named(root: Path, spoil: Any, sentence: str) -> None:
    [image, *_] = drawn(adapters=[{"path": "style-1", "weight": 1.0}])
    spoil(root)
    [found] = again(image)
    assert found.verdict == "not made" and found.refusal.startswith(sentence)


def test_weights_other_than_the_recorded_ones_are_not_used(root: Path) -> None:
    [image, *_] = drawn()
    name = "vae/diffusion_pytorch_model.safetensors"
    change_record(image, "made", weights_sha256=image.provenance["made"]["weights_sha256"] | {name: "f" * 64})
    [found] = again(image)
    now = Checkpoint.objects.get().file_hashes[name][:12]
    assert found.refusal == (
        f"The checkpoint model has other weights than the image was made with: {name} was ffffffffffff then and is"
        f" {now} now; put the recorded file back."
    )


def test_psnr_is_the_textbook_one() -> None:
    black, grey = np.zeros((4, 4, 3), np.uint8), np.full((4, 4, 3), 10, np.uint8)
    assert psnr(black, grey) == pytest.approx(20 * np.log10(25.5))
    assert psnr(grey, grey) == float("inf")
