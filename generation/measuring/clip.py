"""CLIP score of images and their prompts, and distances between sets of images in CLIP's features.

Weights are a folder below the models root, or a hub repository pinned to a commit: a branch could change meanwhile.
"""

import hashlib
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Final

import numpy as np
from django.db.models import QuerySet
from numpy.typing import NDArray
from PIL import Image as PillowImage

from generation import model_folders
from generation.errors import GenerationError
from generation.measuring.rows import Measured, Watch, fill_gaps
from generation.models import Image, Metric
from generation.provenance import digest_of

if TYPE_CHECKING:
    from generation.pipelines.clip import Clip

SCORE: Final = "clip_score"
SCALE: Final = 100.0
BATCH: Final = 16

_REPOSITORY: Final = re.compile(r"[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*", re.ASCII)
_COMMIT: Final = re.compile(r"[0-9a-f]{40}")


@dataclass(frozen=True)
class Weights:
    """Where a CLIP comes from. `commit` is empty for a folder below the models root."""

    place: str
    commit: str = ""

    @classmethod
    def told(cls, text: str) -> "Weights":
        """From "my-clip" or "owner/name@40-hex-commit"; refuses what is neither."""
        place, at, commit = text.partition("@")
        if not at:
            model_folders.check_source(place)
            return cls(place)
        if not _REPOSITORY.fullmatch(place):
            raise GenerationError(f"{place!r} is no hub repository; give owner/name@commit.")
        if not _COMMIT.fullmatch(commit):
            raise GenerationError(
                f"{commit!r} is no commit; give all 40 hex digits, because a branch or tag can change under a metric."
            )
        return cls(place, commit)

    def __str__(self) -> str:
        return f"{self.place}@{self.commit}" if self.commit else self.place


@dataclass(frozen=True)
class LoadedClip:
    """A CLIP in memory, and what rows call it: folder and hash of its files, or repository and commit."""

    clip: "Clip"
    source: str


def load(weights: Weights) -> LoadedClip:
    """The CLIP, from memory where this process has loaded the same files before."""
    if weights.commit:
        from generation.pipelines import clip

        return _loaded(clip.fetch(weights.place, weights.commit), f"CLIP {weights}")
    try:
        folder = model_folders.folder_of(weights.place)
    except GenerationError as error:
        if _REPOSITORY.fullmatch(weights.place):
            raise GenerationError(
                f"{error} A hub repository needs its commit: {weights.place}@<40 hex digits>."
            ) from None
        raise
    model_folders.check_files(weights.place)
    return _loaded(folder, f"CLIP {weights.place} ({_digest_of_files(folder)})")


def measure_scores(images: QuerySet[Image], loaded: LoadedClip, *, watch: Watch) -> Measured:
    """Store 100 * max(cos(image, prompt), 0) of every image that lacks it.

    CLIPScore of Hessel et al. 2021 (arXiv 2104.08718) is 2.5 * max(cos, 0) with "A photo depicts" before the caption;
    here the prompt stands alone and the scale is 0 to 100, as in most text-to-image papers.
    """

    def metrics_of(chosen: Sequence[Image], pictures: Sequence[PillowImage.Image]) -> Iterator[Metric]:
        texts = [image.prompt_text for image in chosen]
        cosines = cosine(loaded.clip.image_features(pictures), loaded.clip.text_features(texts))
        for image, value in zip(chosen, SCALE * np.maximum(cosines, 0), strict=True):
            yield Metric(image=image, name=SCORE, value=float(value), source=loaded.source)

    return fill_gaps(images, name=SCORE, source=loaded.source, metrics_of=metrics_of, batch=BATCH, watch=watch)


def cosine(one: NDArray[np.float64], other: NDArray[np.float64]) -> NDArray[np.float64]:
    """(n,) of the rows of two (n, d)."""
    found: NDArray[np.float64] = (one * other).sum(axis=1)
    cosines: NDArray[np.float64] = found / np.linalg.norm(one, axis=1) / np.linalg.norm(other, axis=1)
    return cosines


@lru_cache(maxsize=1)
def _loaded(folder: Path, source: str) -> LoadedClip:
    from generation.pipelines import clip

    return LoadedClip(clip.load(folder), source)


def _digest_of_files(folder: Path) -> str:
    """12 hex digits over the names and hashes of the files that decide: other weights are another source."""
    files = sorted(path for path in folder.rglob("*") if path.suffix in model_folders.DECIDING_SUFFIXES)
    hashes = {
        path.relative_to(folder).as_posix(): _hash_of(path, path.stat().st_mtime_ns, path.stat().st_size)
        for path in files
    }
    return digest_of(hashes)[:12]


@lru_cache(maxsize=256)
def _hash_of(path: Path, changed: int, size: int) -> str:
    # Weights of a gigabyte take a second: not at every turn of a worker, unless the file was touched.
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
