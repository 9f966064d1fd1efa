"""Numbers about all images of a recipe together: how far they lie from a reference, in CLIP's features."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import numpy as np
from django.db.models import QuerySet
from numpy.typing import NDArray
from PIL import Image as PillowImage
from PIL import UnidentifiedImageError

from generation.errors import GenerationError
from generation.measuring import distances
from generation.measuring.clip import BATCH, LoadedClip
from generation.measuring.rows import Measured, Watch, measurable, picture_of
from generation.model_folders import hash_file
from generation.models import Image, Metric, Recipe
from generation.provenance import digest_of

Floats = NDArray[np.float64]

FRECHET: Final = "clip_fd"
PRECISION: Final = "clip_precision"
RECALL: Final = "clip_recall"
CMMD: Final = "cmmd"
NAMES: Final = (FRECHET, PRECISION, RECALL, CMMD)

_PICTURES: Final = frozenset({".png", ".jpg", ".jpeg", ".webp"})


@dataclass(frozen=True)
class ImageSet:
    """Pictures to be compared as a whole: `open_each` are in the order of `digests`, the hashes of the files.

    `label` says in rows what they are.
    """

    label: str
    digests: tuple[str, ...]
    open_each: tuple[Callable[[], PillowImage.Image], ...] = field(repr=False)

    @property
    def digest(self) -> str:
        return digest_of(sorted(self.digests))


def set_of_folder(folder: Path) -> ImageSet:
    """All pictures below a folder. Named by the folder and the hash of its content."""
    if not folder.is_dir():
        raise GenerationError(f"{folder} is no folder; give one with the reference images.")
    files = sorted(path for path in folder.rglob("*") if path.suffix.lower() in _PICTURES)
    if not files:
        raise GenerationError(f"There is no PNG, JPEG or WebP image in {folder}.")
    digests = tuple(hash_file(path) for path in files)
    label = f"folder {folder.resolve().name} ({digest_of(sorted(digests))[:12]})"
    return ImageSet(label, digests, tuple(_opener(path) for path in files))


def set_of_images(images: QuerySet[Image], *, label: str) -> ImageSet:
    """Stored images, those in quarantine left out."""
    found = list(measurable(images).order_by("pk"))
    return ImageSet(label, tuple(image.file_sha256 for image in found), tuple(_reader(image) for image in found))


def set_of_recipe(recipe: Recipe, *, prompt_digests: Iterable[str] | None = None) -> ImageSet:
    """A recipe's images, or those of some prompts."""
    images = Image.objects.filter(recipe=recipe)
    if prompt_digests is not None:
        images = images.filter(prompt_digest__in=list(prompt_digests))
    return set_of_images(images, label=f"recipe {recipe.name} ({recipe.digest[:12]})")


def features_of(pictures: ImageSet, loaded: LoadedClip, *, watch: Watch) -> Floats:
    """(n, d) CLIP image features, not normalised."""
    blocks: list[Floats] = []
    total = len(pictures.digests)
    watch(Measured(0, total))
    for start in range(0, total, BATCH):
        opened = [each() for each in pictures.open_each[start : start + BATCH]]
        blocks.append(loaded.clip.image_features(opened))
        watch(Measured(min(total, start + BATCH), total))
    return np.concatenate(blocks) if blocks else np.empty((0, 0))


def compare(made: Floats, real: Floats, *, names: Sequence[str]) -> dict[str, float]:
    """The asked ones of NAMES. Raises GenerationError where there are too few images."""
    values: dict[str, float] = {}
    try:
        if FRECHET in names:
            values[FRECHET] = distances.frechet_distance(made, real)
        if CMMD in names:
            values[CMMD] = distances.cmmd(made, real)
        if {PRECISION, RECALL} & set(names):
            found = distances.precision_recall(made, real)
            values |= {PRECISION: found.precision, RECALL: found.recall}
    except ValueError as error:
        raise GenerationError(f"These sets cannot be compared: {error}.") from error
    return {name: values[name] for name in names}


@dataclass(frozen=True)
class SetMeasuring:
    """What is measured: the names, the CLIP, and the reference. Its features are computed once, at first need."""

    names: tuple[str, ...]
    loaded: LoadedClip
    reference: ImageSet
    _kept: list[Floats] = field(default_factory=list, repr=False)

    @property
    def source(self) -> str:
        return f"{self.loaded.source}, against {self.reference.label}"[:300]

    def reference_features(self, watch: Watch) -> Floats:
        if not self._kept:
            self._kept.append(features_of(self.reference, self.loaded, watch=watch))
        return self._kept[0]


def measure_recipe(
    recipe: Recipe, pictures: ImageSet, measuring: SetMeasuring, *, prompts_digest: str = "", watch: Watch
) -> bool:
    """Store what is asked of a recipe's images; False where it is there already, of exactly these images.

    Numbers of fewer or other images, as while a study was still being drawn, are replaced.
    """
    basis = digest_of([pictures.digest, measuring.reference.digest])
    target: dict[str, Any] = {"recipe": recipe, "source": measuring.source, "prompts_digest": prompts_digest}
    there = Metric.objects.filter(**target, name__in=measuring.names, basis=basis).values_list("name", flat=True)
    names = [name for name in measuring.names if name not in set(there)]
    if not names:
        return False
    if not pictures.digests:
        raise GenerationError(f"{recipe.name} has no images yet; make them first.")
    made = features_of(pictures, measuring.loaded, watch=watch)
    for name, value in compare(made, measuring.reference_features(watch), names=names).items():
        Metric.objects.update_or_create(**target, name=name, defaults={"value": value, "basis": basis})
    return True


def _opener(path: Path) -> Callable[[], PillowImage.Image]:
    def open_it() -> PillowImage.Image:
        try:
            with PillowImage.open(path) as picture:
                return picture.convert("RGB")
        except (UnidentifiedImageError, OSError) as error:
            raise GenerationError(f"{path} is no picture; remove it from the folder or mend it.") from error

    return open_it


def _reader(image: Image) -> Callable[[], PillowImage.Image]:
    return lambda: picture_of(image)
