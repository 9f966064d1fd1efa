"""What was asked and how it was made, as canonical JSON, with the digests that name requests, recipes and images."""

import hashlib
import json
import math
from dataclasses import dataclass, field
from typing import Any, Final

from generation.adapters import parts_of
from generation.families import unloaded_components
from generation.models import Recipe

FORMAT: Final = 3
"""Of the record. 1 did not tell the number of threads, 2 not the row; theirs stay as they are and can be read too."""
_LARGEST_EXACT_FLOAT: Final = 2**53


def canonical_json(value: Any) -> str:
    """One text for one value: sorted keys, no spaces, whole floats written as integers, no NaN, no infinity.

    Whole floats lose their ".0" so that a value keeps its digest on a round trip through any JSON column or form.
    Texts stand as they were given: two ways to write "é" in Unicode are two prompts, as they are to tokenizers.
    """
    return json.dumps(_canonical(value), sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)


def _canonical(value: Any) -> Any:
    if value is None or isinstance(value, bool | int | str):
        return value
    if isinstance(value, float):
        if not math.isfinite(value):
            raise ValueError(f"{value} has no place in canonical JSON; give a finite number.")
        return int(value) if value.is_integer() and abs(value) <= _LARGEST_EXACT_FLOAT else value
    if isinstance(value, list | tuple):
        return [_canonical(item) for item in value]
    if isinstance(value, dict):
        if wrong := [key for key in value if not isinstance(key, str)]:
            raise TypeError(f"Keys of canonical JSON are texts, not {wrong[0]!r}.")
        return {key: _canonical(item) for key, item in value.items()}
    raise TypeError(f"{type(value).__name__} has no canonical JSON form.")


def digest_of(value: Any) -> str:
    """sha256 of the canonical JSON of a value, as 64 hex digits."""
    return hashlib.sha256(canonical_json(value).encode()).hexdigest()


def text_digest(text: str) -> str:
    """sha256 of a text in UTF-8, as 64 hex digits."""
    return hashlib.sha256(text.encode()).hexdigest()


def bytes_digest(data: bytes) -> str:
    """sha256 of bytes, as 64 hex digits: the name of a stored file."""
    return hashlib.sha256(data).hexdigest()


def pixels_digest(rgb: bytes, *, width: int, height: int) -> str:
    """sha256 of 8-bit RGB pixels in reading order with their shape: the same for a picture in any file format."""
    if len(rgb) != 3 * width * height:
        raise ValueError(f"{width} x {height} RGB pixels are {3 * width * height} bytes, not {len(rgb)}.")
    return hashlib.sha256(f"RGB {width}x{height}\n".encode() + rgb).hexdigest()


def request_digest(*, recipe_digest: str, prompt_text: str, sample: int) -> str:
    """The name of one wanted image. Versions and devices are not in it: an upgrade makes nothing "missing"."""
    return digest_of({"recipe": recipe_digest, "prompt": prompt_text, "sample": sample})


def seed_for(*, prompt_text: str, sample: int) -> int:
    """0 .. 2**63 - 1, the same for every contender, study and version of a prompt set that asks for this text."""
    digest = hashlib.sha256(canonical_json({"prompt": prompt_text, "sample": sample}).encode()).digest()
    return int.from_bytes(digest[:8]) >> 1


@dataclass(frozen=True)
class Making:
    """How a worker really made the images of one micro-batch; everything in it is plain JSON."""

    pipeline_class: str
    scheduler_class: str
    scheduler_config: dict[str, Any]
    sigmas: list[float]
    timesteps: list[float]
    batch_size: int
    device: str
    versions: dict[str, str]
    threads: int
    """Processor threads that torch calculated with."""
    fixed_arguments: dict[str, Any] = field(default_factory=dict)
    """What our code sets in every call of this pipeline class."""


def record_of(*, recipe: Recipe, prompt_text: str, sample: int, making: Making, row: int = 0) -> dict[str, Any]:
    """The provenance of one image: `asked` is the request, `made` is what it takes to make the image again.

    `row` is its place in the batch: a graphics card may add up one row's numbers in another order than the next one's.
    """
    checkpoint, schedule = recipe.checkpoint, recipe.schedule
    if checkpoint is None or schedule is None:
        raise ValueError(f"{recipe} stands for a service; only generated recipes have this provenance.")
    parts = parts_of(checkpoint)
    unloaded = unloaded_components(checkpoint.pipeline_class, tuple(recipe.without))
    weights = {
        path: digest
        for path, digest in checkpoint.file_hashes.items()
        if path.endswith(".safetensors") and path.partition("/")[0] not in unloaded
    }
    return {
        "format": FORMAT,
        "asked": {
            "request_digest": request_digest(recipe_digest=recipe.digest, prompt_text=prompt_text, sample=sample),
            "recipe_digest": recipe.digest,
            "prompt": prompt_text,
            "sample": sample,
            "checkpoint": checkpoint.name,
            "scheduler_class": schedule.scheduler_class,
            "scheduler_options": schedule.options,
            "steps": schedule.steps,
            "shift": schedule.shift,
            "sigmas": schedule.sigmas,
            "guidance": recipe.guidance,
            "width": recipe.width,
            "height": recipe.height,
            "dtype": recipe.dtype,
            "negative_prompt": recipe.negative_prompt,
            "call_options": recipe.call_options,
            "without": recipe.without,
            "batch_mode": recipe.batch_mode,
        },
        "made": {
            "seed": seed_for(prompt_text=prompt_text, sample=sample),
            "generator": "torch.Generator on cpu, one for each image",
            "source": checkpoint.source,
            "revision": checkpoint.revision,
            "weights_sha256": weights,
            "base": parts.base,
            "adapters": [{"path": adapter.path, "weight": adapter.weight} for adapter in parts.adapters],
            "pipeline_class": making.pipeline_class,
            "scheduler_class": making.scheduler_class,
            "scheduler_config": making.scheduler_config,
            "sigmas": making.sigmas,
            "timesteps": making.timesteps,
            "evaluations": len(making.timesteps),
            "batch_size": making.batch_size,
            "row": row,
            "device": making.device,
            "versions": making.versions,
            "threads": making.threads,
            "fixed_arguments": making.fixed_arguments,
        },
    }
