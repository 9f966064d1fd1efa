"""Making an image again from its record, beside the stored one: equal or not, by how much, and what differs here."""

import io
import math
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Final, Literal

import numpy as np
from numpy.typing import NDArray
from PIL import Image as Pictures

from generation import adapters, image_store, model_folders
from generation.errors import GenerationError
from generation.families import FAMILIES
from generation.models import Checkpoint, Image
from generation.provenance import bytes_digest, canonical_json, digest_of, pixels_digest

if TYPE_CHECKING:
    from generation.pipelines.cache import PipelineCache
    from generation.pipelines.loading import Source
    from generation.pipelines.sampling import BatchRequest, Sampled

CACHE_BYTES: Final = 4 * 2**30
_SEEDS: Final = 2**63

_NEEDED: Final = {
    "asked": {
        *("prompt", "scheduler_class", "scheduler_options", "steps", "shift", "sigmas"),
        *("guidance", "width", "height", "dtype", "negative_prompt", "call_options"),
    },
    "made": {
        *("seed", "weights_sha256", "pipeline_class", "scheduler_config", "sigmas", "timesteps"),
        *("batch_size", "device", "versions"),
    },
}
"""What every record says; what later ones say besides is optional here."""

Verdict = Literal["byte-equal", "pixel-equal", "different", "not made"]


@dataclass(frozen=True)
class Difference:
    """One thing that was so when the image was made and is otherwise here."""

    what: str
    recorded: str
    here: str

    def __str__(self) -> str:
        return f"{self.what}: {self.recorded or 'not recorded'} then, {self.here or 'absent'} now"


@dataclass(frozen=True)
class Comparison:
    """How an image that was made again compares with the stored one.

    psnr: decibels between the 8-bit pixels, where they differ and the stored file can be read
    largest_step: the largest difference of a value, of 255
    values_off: the share of values that differ, 0 to 1
    refusal: why the image could not be made, or the stored one not be read; one sentence
    """

    image_id: int
    verdict: Verdict
    batch_size: int = 0
    psnr: float | None = None
    largest_step: int | None = None
    values_off: float | None = None
    differences: tuple[Difference, ...] = ()
    refusal: str = ""
    png: bytes = b""

    @property
    def is_equal(self) -> bool:
        """Whether every pixel is the same."""
        return self.verdict in ("byte-equal", "pixel-equal")

    def to_json(self) -> dict[str, Any]:
        """Everything but the picture."""
        told = {name: value for name, value in asdict(self).items() if name != "png"}
        return told | {"differences": [asdict(difference) for difference in self.differences]}


def regenerate(images: Iterable[Image]) -> Iterator[Comparison]:
    """Make each image again on this machine as its record says, in the order given. Nothing is stored.

    The batch has the recorded size, and the image its recorded row (the first where the record is older), filled with
    the same prompt under other seeds: on one machine size and, on a graphics card, row decide about bits, the
    neighbours do not. torch uses as many threads as then.
    """
    from generation.pipelines.cache import PipelineCache  # torch, so only where a command runs this

    cache = PipelineCache(budget_bytes=CACHE_BYTES)
    verified: set[int] = set()
    for image in images:
        try:
            yield _again(image, cache=cache, verified=verified)
        except GenerationError as error:
            yield Comparison(image_id=image.pk, verdict="not made", refusal=str(error))


def psnr(one: NDArray[np.uint8], other: NDArray[np.uint8]) -> float:
    """Peak signal to noise in decibels between 8-bit pictures of one shape; infinite where they are the same."""
    error = float(np.mean((one.astype(np.float64) - other.astype(np.float64)) ** 2))
    return math.inf if error == 0 else 10 * math.log10(255**2 / error)


def _again(image: Image, *, cache: "PipelineCache", verified: set[int]) -> Comparison:
    from generation.pipelines import environment, sampling

    checkpoint = image.recipe.checkpoint
    if checkpoint is None:
        raise GenerationError(f"Image {image.pk} was made elsewhere, so there is nothing here to make it again with.")
    record = _record_of(image)
    made = record["made"]
    _check_weights(made, checkpoint)
    if checkpoint.pk not in verified:
        adapters.verify_parts(adapters.parts_of(checkpoint), checkpoint.file_hashes)
        verified.add(checkpoint.pk)
    parts = _parts_of(record, checkpoint)
    device = environment.device_like(made["device"])
    request = _request_of(record, adapters.files_of(parts.adapters, checkpoint.file_hashes))
    loaded = cache.get(_source_of(record, base=parts.base, device=device))
    with environment.calculating_with(made.get("threads")):  # after loading, which chooses a number of its own
        sampled = sampling.sample(loaded, request)
        differences = _differences(image, record, sampled, device=environment.device_name(device))
    picture = sampled.pictures[_row_of(record)]
    return _compared(image, picture, batch_size=len(request.seeds), differences=differences)


def _row_of(record: dict[str, Any]) -> int:
    return int(record["made"].get("row", 0))


def _record_of(image: Image) -> dict[str, Any]:
    record: dict[str, Any] = image.provenance
    for part, needed in _NEEDED.items():
        told = record.get(part)
        if lacking := needed - set(told if isinstance(told, dict) else ()):
            raise GenerationError(
                f"The record of image {image.pk} does not say {sorted(lacking)[0]!r} of what was {part}, so the image"
                " cannot be made again from it."
            )
    return record


def _parts_of(record: dict[str, Any], checkpoint: Checkpoint) -> adapters.Parts:
    # The weight of an adapter as it was then; where its file lies is the checkpoint's business.
    made = record["made"]
    listed = [adapters.Adapter(path=entry["path"], weight=entry["weight"]) for entry in made.get("adapters", [])]
    for adapter in listed:
        if adapter.hash_name not in made["weights_sha256"]:
            raise GenerationError(f"The record names the adapter {adapter.path!r} without its hash; it was changed.")
    return adapters.Parts(base=adapters.parts_of(checkpoint).base, adapters=tuple(listed))


def _check_weights(made: dict[str, Any], checkpoint: Checkpoint) -> None:
    recorded: dict[str, str] = made["weights_sha256"]
    changed = [path for path, sha256 in sorted(recorded.items()) if checkpoint.file_hashes.get(path) != sha256]
    if changed:
        now = checkpoint.file_hashes.get(changed[0])
        raise GenerationError(
            f"The checkpoint {checkpoint.name} has other weights than the image was made with: {changed[0]} was"
            f" {recorded[changed[0]][:12]} then and is {now[:12] if now else 'gone'} now; put the recorded file back."
        )


def _source_of(record: dict[str, Any], *, base: str, device: str) -> "Source":
    from generation.pipelines.loading import Source

    return Source(
        folder=model_folders.folder_of(base),
        pipeline_class=record["made"]["pipeline_class"],
        dtype=record["asked"]["dtype"],
        device=device,
        without=tuple(record["asked"].get("without", [])),
    )


def _request_of(record: dict[str, Any], files: tuple[model_folders.AdapterFile, ...]) -> "BatchRequest":
    from generation.pipelines.sampling import BatchRequest
    from generation.pipelines.schedules import ScheduleSpec

    asked, made = record["asked"], record["made"]
    size, row = max(1, int(made["batch_size"])), _row_of(record)
    return BatchRequest(
        prompts=(asked["prompt"],) * size,
        seeds=tuple((made["seed"] + k - row) % _SEEDS for k in range(size)),
        spec=ScheduleSpec(
            scheduler_class=asked["scheduler_class"],
            steps=asked["steps"],
            shift=asked["shift"],
            sigmas=None if asked["sigmas"] is None else tuple(asked["sigmas"]),
            options=tuple(sorted(asked["scheduler_options"].items())),
        ),
        guidance=asked["guidance"],
        width=asked["width"],
        height=asked["height"],
        negative_prompt=asked["negative_prompt"],
        call_options=asked["call_options"],
        adapters=files,
    )


def _differences(image: Image, record: dict[str, Any], sampled: "Sampled", *, device: str) -> tuple[Difference, ...]:
    from generation.pipelines import environment

    made, versions = record["made"], environment.versions()
    pairs: list[tuple[str, Any, Any]] = [
        (name, made["versions"].get(name), versions.get(name)) for name in sorted({*made["versions"], *versions})
    ]
    family = FAMILIES[made["pipeline_class"]]
    pairs += [
        ("device", made["device"], device),
        ("threads", made.get("threads"), environment.threads()),
        ("fixed arguments", made.get("fixed_arguments", {}), dict(family.call_arguments)),
        ("scheduler configuration", made["scheduler_config"], sampled.scheduler_config),
        ("sigmas", made["sigmas"], sampled.schedule.sigmas),
        ("timesteps", made["timesteps"], sampled.schedule.timesteps),
        ("the record's own digest", image.provenance_digest, digest_of(record)),
    ]
    return tuple(
        Difference(what, _told(recorded), _told(here))
        for what, recorded, here in pairs
        if canonical_json(recorded) != canonical_json(here)
    )


def _told(value: Any) -> str:
    if value is None:
        return ""
    return value if isinstance(value, str) else canonical_json(value)


def _compared(
    image: Image, picture: NDArray[np.uint8], *, batch_size: int, differences: tuple[Difference, ...]
) -> Comparison:
    from generation.pipelines.sampling import encode_png

    png = encode_png(picture)
    found: dict[str, Any] = {
        "image_id": image.pk,
        "batch_size": batch_size,
        "differences": differences,
        "png": png,
    }
    if bytes_digest(png) == image.file_sha256:
        return Comparison(verdict="byte-equal", **found)
    height, width, _ = picture.shape
    if pixels_digest(picture.tobytes(), width=width, height=height) == image.pixels_sha256:
        return Comparison(verdict="pixel-equal", **found)
    try:
        stored = _stored_pixels(image)
    except GenerationError as error:
        return Comparison(verdict="different", refusal=f"How much it differs is not known: {error}", **found)
    step = np.abs(stored.astype(np.int16) - picture.astype(np.int16))
    return Comparison(
        verdict="different",
        psnr=psnr(stored, picture),
        largest_step=int(step.max()),
        values_off=float((step > 0).mean()),
        **found,
    )


def _stored_pixels(image: Image) -> NDArray[np.uint8]:
    data = image_store.read(image.file_sha256, suffix=".png", verify=True)
    with Pictures.open(io.BytesIO(data)) as picture:
        return np.asarray(picture.convert("RGB"))
