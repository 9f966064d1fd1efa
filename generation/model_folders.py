"""Looking at a diffusers folder without loading it: is it safe, what is in it, how large is it. No torch."""

import hashlib
import json
import math
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from django.conf import settings

from generation.errors import GenerationError
from generation.families import COMPONENT_LIBRARIES, FAMILIES, unloaded_components

# An allow-list: a suffix that nobody thought of is refused, not loaded.
DECIDING_SUFFIXES: Final = frozenset({".json", ".safetensors", ".txt", ".model"})
ALLOWED_SUFFIXES: Final = DECIDING_SUFFIXES | {".md", ".png", ".jpg", ".webp", ".svg"}
ALLOWED_NAMES: Final = frozenset({"LICENSE", "LICENCE", "NOTICE", ".gitattributes", ".gitignore"})
CHANGED = "is not what it was when the checkpoint was checked; put it back, or register the folder under a new name."
LARGEST_JSON = 50_000_000
_PLAIN = re.compile(r"[\w][\w .+@=,/-]*")
_HUB_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,95}/[A-Za-z0-9][A-Za-z0-9._-]{0,95}")
_COMMIT = re.compile(r"[0-9a-f]{40}")
_CLASS_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_VARIANT = re.compile(r"^(model|diffusion_pytorch_model)\.(?!safetensors$|safetensors\.index\.json$)")


@dataclass(frozen=True)
class FolderFacts:
    """What a safe folder holds."""

    pipeline_class: str
    file_hashes: dict[str, str]
    size_bytes: int
    parameters: int


@dataclass(frozen=True)
class AdapterFile:
    """A checked adapter, ready to load. `name` follows from its content."""

    name: str
    path: Path
    weight: float


def models_root() -> Path:
    """Where this machine keeps its models."""
    return Path(settings.MODELS_ROOT).resolve()


def check_source(source: str) -> None:
    """Refuse what cannot be a place below any models root; looks at the text alone."""
    asked = Path(source)
    if not source or asked.is_absolute() or ".." in asked.parts or "\\" in source or "\0" in source:
        raise GenerationError(f"{source!r} is no folder below the models root; give a relative path such as my-model.")


def check_new_source(source: str, revision: str = "") -> None:
    """Refuse, by the text alone, what is neither a folder below a models root nor, with a revision, a repository."""
    if revision:
        if not _HUB_NAME.fullmatch(source) or ".." in source:
            raise GenerationError(f"{source[:100]!r} is no hub repository; give owner/name, without an address.")
        return
    check_source(source)
    if not _PLAIN.fullmatch(source) or "//" in source:
        raise GenerationError(
            f"{source[:100]!r} is no folder below the models root; use letters, digits, spaces and ._-+@=,/ only."
        )


def check_revision(revision: str) -> None:
    """Refuse a revision that can move: weights must not change under a name."""
    if revision and not _COMMIT.fullmatch(revision):
        raise GenerationError(
            f"{revision[:100]!r} is no commit; branches and tags move, so give all 40 hexadecimal digits of one."
        )


def hub_folder(source: str, revision: str) -> str:
    """Where a hub's own tools put this commit of a repository when they are told to use the models root as cache."""
    return f"models--{source.replace('/', '--')}/snapshots/{revision}"


def roots() -> tuple[Path, ...]:
    """Folders below which weights lie on this machine: its own models, and those that it fetched."""
    return models_root(), Path(settings.FETCHED_ROOT).resolve()


def place_of(source: str) -> Path:
    """The folder or file of a source below the models root or the fetched weights; what leads out is refused."""
    check_source(source)
    for root in roots():
        place = (root / source).resolve()
        if place == root or not place.is_relative_to(root):
            raise GenerationError(f"{source!r} leads out of the models root {root}; copy the model into it.")
        if place.exists():
            return place
    repository, _, commit = source.rpartition("@")
    if _COMMIT.fullmatch(commit) and (cached := models_root() / hub_folder(repository, commit)).is_dir():
        return cached
    raise GenerationError(f"There is no folder {source!r} below the models root {models_root()} on this machine.")


def name_of(place: Path) -> str:
    """The source by which a place is found."""
    return next(place.relative_to(root).as_posix() for root in roots() if place.is_relative_to(root))


def folder_of(source: str) -> Path:
    """The folder of a source below the models root; anything that leads out of the root is refused."""
    folder = place_of(source)
    if not folder.is_dir():
        raise GenerationError(f"{source!r} below the models root is a file; give the folder of the model.")
    return folder


def check_files(source: str) -> None:
    """Refuse a folder, or a file, with anything in it that is not plainly safe."""
    place = place_of(source)
    files = dict(_files(place)) if place.is_dir() else {place.name: place}
    for relative, path in files.items():
        _check_file(relative, path)
    if place.is_file() and place.suffix.lower() != ".safetensors":
        raise GenerationError(f"{place.name} is refused: an adapter is a safetensors file; convert it.")


def inspect(source: str) -> FolderFacts:
    """Refuse what is not plainly safe, hash every file, count parameters.

    Raises GenerationError with one sentence. Reading only: nothing of the folder is imported or unpickled.
    """
    folder = folder_of(source)
    check_files(source)
    files = dict(_files(folder))
    pipeline_class = _check_index(folder, files)
    parameters = sum(
        count_parameters(path)
        for relative, path in files.items()
        if path.suffix == ".safetensors" and not _VARIANT.match(Path(relative).name)
    )
    return FolderFacts(
        pipeline_class=pipeline_class,
        file_hashes={relative: hash_file(path) for relative, path in files.items()},
        size_bytes=sum(path.stat().st_size for path in files.values()),
        parameters=parameters,
    )


def verify(source: str, file_hashes: dict[str, str]) -> None:
    """Refuse a folder whose weights or configuration are no longer exactly those that were checked."""
    folder = folder_of(source)
    files = {relative: path for relative, path in _files(folder) if _decides_pixels(relative)}
    if changed := sorted(set(files) ^ {relative for relative in file_hashes if _decides_pixels(relative)}):
        raise GenerationError(f"{changed[0]} in {source!r} {CHANGED}")
    for relative, path in files.items():
        if hash_file(path) != file_hashes[relative]:
            raise GenerationError(f"{relative} in {source!r} {CHANGED}")


def read_json(path: Path) -> dict[str, Any]:
    """A JSON object from a file of a model folder."""
    if path.stat().st_size > LARGEST_JSON:
        raise GenerationError(f"{path.name} is larger than {LARGEST_JSON // 1_000_000} MB, which no configuration is.")
    try:
        value = json.loads(path.read_bytes())
    except (ValueError, RecursionError) as error:
        raise GenerationError(f"{path.name} in {path.parent.name!r} is not valid JSON.") from error
    if not isinstance(value, dict):
        raise GenerationError(f"{path.name} in {path.parent.name!r} is not a JSON object.")
    return value


def scheduler_config(folder: Path, pipeline_class: str) -> dict[str, Any]:
    """The scheduler configuration that came with the weights, as the pipeline class corrects it.

    Read from the file and not from a loaded scheduler, which adds the defaults of its own class to it: another class
    built from those would take them for decisions of the checkpoint.
    """
    path = folder / "scheduler" / "scheduler_config.json"
    if not path.is_file():
        raise GenerationError(f"{folder.name} has no scheduler/scheduler_config.json; copy the whole model.")
    return read_json(path) | dict(FAMILIES[pipeline_class].scheduler_corrections)


def hash_file(path: Path) -> str:
    """sha256 of a file, without reading it into memory."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def count_parameters(path: Path) -> int:
    """Numbers in a safetensors file, from its header alone."""
    refusal = GenerationError(f"{path.name} in {path.parent.name!r} is not a whole safetensors file; copy it again.")
    size = path.stat().st_size
    with path.open("rb") as file:
        length = int.from_bytes(file.read(8), "little")
        if not 2 <= length <= min(size - 8, LARGEST_JSON):
            raise refusal
        try:
            header = json.loads(file.read(length))
            tensors = {name: entry for name, entry in header.items() if name != "__metadata__"}
            end = max((entry["data_offsets"][1] for entry in tensors.values()), default=0)
            count = sum(int(math.prod(entry["shape"])) for entry in tensors.values())
        except (ValueError, TypeError, KeyError, IndexError, AttributeError, RecursionError) as error:
            raise refusal from error
    if 8 + length + end != size:
        raise refusal
    return count


def _decides_pixels(relative: str) -> bool:
    # Model cards and training facts may be mended at any time.
    return relative != "checkpoint.json" and Path(relative).suffix.lower() in DECIDING_SUFFIXES


def _files(folder: Path) -> Iterator[tuple[str, Path]]:
    """(relative name, path) of every file, sorted; links may stay inside the models root only (hub caches use them)."""
    for path in sorted(folder.rglob("*")):
        if not any(path.resolve().is_relative_to(root) for root in roots()):
            raise GenerationError(f"{path.relative_to(folder)} is a link out of the models root; copy the file itself.")
        if path.is_symlink() and path.is_dir():
            raise GenerationError(f"{path.relative_to(folder)} is a link to a folder; copy the folder itself.")
        if not path.is_dir():
            yield path.relative_to(folder).as_posix(), path


def _check_file(relative: str, path: Path) -> None:
    if not path.is_file():
        raise GenerationError(f"{relative} is not a plain file; remove it.")
    if path.suffix.lower() not in ALLOWED_SUFFIXES and path.name not in ALLOWED_NAMES:
        raise GenerationError(
            f"{relative} is refused: only safetensors weights and their configuration are loaded, no pickles, no code."
            " Convert the weights to safetensors and remove the file."
        )
    if path.suffix == ".json" and path.name != "checkpoint.json" and "auto_map" in read_json(path):
        raise GenerationError(f"{relative} asks for code of its own (auto_map), which is never run.")


def _check_index(folder: Path, files: dict[str, Path]) -> str:
    if "model_index.json" not in files:
        raise GenerationError("There is no model_index.json; give a folder that a pipeline's save_pretrained() wrote.")
    index = read_json(files["model_index.json"])
    pipeline_class = index.get("_class_name")
    if not isinstance(pipeline_class, str) or pipeline_class not in FAMILIES:
        raise GenerationError(f"The pipeline class {pipeline_class!r} is not supported; choose {', '.join(FAMILIES)}.")
    unloaded = unloaded_components(pipeline_class)
    for name, entry in index.items():
        if isinstance(entry, list) and not name.startswith("_") and entry != [None, None] and name not in unloaded:
            _check_component(folder, files, name, entry)
    return pipeline_class


def _check_component(folder: Path, files: dict[str, Path], name: str, entry: list[Any]) -> None:
    if len(entry) != 2 or not all(isinstance(part, str) for part in entry):
        raise GenerationError(f"model_index.json gives {name} as {entry!r}; it must be a library and a class.")
    library, class_name = entry
    if library not in COMPONENT_LIBRARIES or not _CLASS_NAME.fullmatch(class_name):
        raise GenerationError(
            f"model_index.json takes {name} from {library!r}; only classes of"
            f" {' and '.join(sorted(COMPONENT_LIBRARIES))} are loaded."
        )
    inside = [relative for relative in files if relative.startswith(f"{name}/")]
    if not inside:
        raise GenerationError(f"model_index.json names {name}, but the folder has no {name}/; copy the whole model.")
    if f"{name}/config.json" in inside and not any(relative.endswith(".safetensors") for relative in inside):
        raise GenerationError(f"{name}/ has no safetensors weights; convert them to safetensors.")
