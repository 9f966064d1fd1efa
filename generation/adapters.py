"""Adapters: LoRA files below the models root on top of a pipeline's folder, each with a weight. No torch.

A checkpoint names them in `adapters`, or its folder is one: then `checkpoint.json` beside the file says
`{"adapter_of": "folder-of-the-base"}`. The base stays what it is and is shared in memory.
"""

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from generation import model_folders
from generation.errors import GenerationError
from generation.model_folders import CHANGED, AdapterFile, FolderFacts
from generation.models import Checkpoint

PREFIX: Final = "adapter:"
"""Begins the names of adapter files among the hashes of a checkpoint; no file of a folder has a colon there."""
LARGEST_WEIGHT: Final = 10.0
MOST_ADAPTERS: Final = 8


@dataclass(frozen=True)
class Adapter:
    """A file, or the folder that holds it, relative to the models root, and how strongly it applies."""

    path: str
    weight: float

    @property
    def file(self) -> Path:
        """The one safetensors file that is meant."""
        place = model_folders.place_of(self.path)
        if place.is_file():
            return place
        found = sorted(place.glob("*.safetensors"))
        if len(found) != 1:
            raise GenerationError(
                f"The folder {self.path!r} holds {len(found)} safetensors files, and an adapter is one; name the file."
            )
        return found[0]

    @property
    def hash_name(self) -> str:
        """What the file is called among the hashes of a checkpoint."""
        return PREFIX + model_folders.name_of(self.file)


@dataclass(frozen=True)
class Parts:
    """What a checkpoint is made of: the folder of a whole pipeline, and the adapters on it in their order."""

    base: str
    adapters: tuple[Adapter, ...]


def checked_adapters(adapters: Any) -> list[dict[str, Any]]:
    """Adapters as they are stored, `[{"path": ..., "weight": ...}]`; refused where they are anything else."""
    if not isinstance(adapters, list) or len(adapters) > MOST_ADAPTERS:
        raise GenerationError(f'Adapters are a list of at most {MOST_ADAPTERS}: [{{"path": "my-style", "weight": 1}}].')
    checked: list[dict[str, Any]] = []
    for entry in adapters:
        if (
            not isinstance(entry, dict)
            or not set(entry) <= {"path", "weight"}
            or not isinstance(entry.get("path"), str)
        ):
            raise GenerationError(f'An adapter is {{"path": "my-style", "weight": 1}}, not {entry!r}.')
        weight = entry.get("weight", 1.0)
        is_number = isinstance(weight, int | float) and not isinstance(weight, bool) and math.isfinite(weight)
        if not (is_number and 0 < abs(weight) <= LARGEST_WEIGHT):
            raise GenerationError(
                f"The weight of the adapter {entry['path']!r} must lie between -{LARGEST_WEIGHT:g} and"
                f" {LARGEST_WEIGHT:g} and not be 0, not {weight!r}."
            )
        model_folders.check_source(entry["path"])
        checked.append({"path": entry["path"], "weight": float(weight)})
    if len({entry["path"] for entry in checked}) < len(checked):
        raise GenerationError("An adapter is listed twice; add its weights together.")
    return checked


def told_base(source: str, *, get: Callable[[str], None]) -> str:
    """The base that an adapter's folder names in its `checkpoint.json`; "" for the folder of a whole pipeline.

    get: called with the base before it is looked at, to bring it here
    """
    folder = model_folders.folder_of(source)
    told = folder / "checkpoint.json"
    if (folder / "model_index.json").exists() or not told.exists():
        return ""
    base = model_folders.read_json(told).get("adapter_of", "")
    if not isinstance(base, str):
        raise GenerationError(f"checkpoint.json gives adapter_of as {base!r}; it must be the folder of the base.")
    if base:
        model_folders.check_source(base)
        get(base)
    if base and not (model_folders.folder_of(base) / "model_index.json").exists():
        raise GenerationError(f"{source!r} is an adapter of {base!r}, which is no whole pipeline; name one that is.")
    return base


def parts_of(checkpoint: Checkpoint) -> Parts:
    """The parts of a checkpoint, as they were when it was checked."""
    listed = [Adapter(path=entry["path"], weight=float(entry["weight"])) for entry in checkpoint.adapters]
    if checkpoint.base:
        return Parts(base=checkpoint.base, adapters=(Adapter(path=checkpoint.folder, weight=1.0), *listed))
    return Parts(base=checkpoint.folder, adapters=tuple(listed))


def inspect_parts(parts: Parts) -> FolderFacts:
    """The facts of the base with those of the adapters added; every file is checked as `model_folders` says."""
    facts = model_folders.inspect(parts.base)
    hashes, parameters, size = dict(facts.file_hashes), facts.parameters, facts.size_bytes
    for adapter in parts.adapters:
        model_folders.check_files(adapter.path)
        file = adapter.file
        if adapter.hash_name in hashes:
            raise GenerationError(f"The adapter {adapter.path!r} is listed twice; add its weights together.")
        parameters += model_folders.count_parameters(file)
        size += file.stat().st_size
        hashes[adapter.hash_name] = model_folders.hash_file(file)
    return FolderFacts(pipeline_class=facts.pipeline_class, file_hashes=hashes, size_bytes=size, parameters=parameters)


def verify_parts(parts: Parts, file_hashes: dict[str, str]) -> None:
    """Refuse parts that are no longer exactly those that were checked."""
    of_base = {name: sha256 for name, sha256 in file_hashes.items() if not name.startswith(PREFIX)}
    model_folders.verify(parts.base, of_base)
    for adapter in parts.adapters:
        if model_folders.hash_file(adapter.file) != file_hashes.get(adapter.hash_name):
            raise GenerationError(f"{adapter.file.name} in {adapter.path!r} {CHANGED}")


def files_of(adapters: Iterable[Adapter], file_hashes: dict[str, str]) -> tuple[AdapterFile, ...]:
    """The adapters under names that follow from their content, so that equal files are loaded once."""
    return tuple(
        AdapterFile(name=f"a{file_hashes[adapter.hash_name][:24]}", path=adapter.file, weight=adapter.weight)
        for adapter in adapters
    )
