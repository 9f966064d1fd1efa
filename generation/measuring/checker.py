"""The demo's picture checker as a metric: which share of what the caption names does the picture show?"""

import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from typing import Final

import numpy as np
from django.db.models import QuerySet
from PIL import Image as PillowImage

from generation.measuring.rows import Measured, Watch, fill_gaps, without_metric
from generation.models import Image, Metric
from generation.provenance import text_digest
from generation.scenes import CaptionError, Findings, check, parse_caption

VERSION: Final = 1
"""Raised with every change of the checker that moves its numbers: all images are then measured anew."""

SOURCE: Final = f"picture checker {VERSION}"
OVERALL: Final = "checker"
PARTS: Final = ("colours", "shape", "place", "count", "letters", "background")
BATCH: Final = 8


class TimeIsUp(Exception):
    """The seconds given are over; everything measured so far is kept."""


def shares_of(found: Findings) -> dict[str, float]:
    """The share that is right, 0 to 1, of each part that the caption names, and their mean as `checker`."""
    things = found.things
    parts: dict[str, float | None] = {
        "colours": float(np.mean([thing.colour > 0 for thing in things])),
        "shape": float(np.mean([thing.has_shape for thing in things])) if found.has_shapes else None,
        "place": None if found.place_is_right is None else float(found.place_is_right),
        "count": None if found.count_is_right is None else float(found.count_is_right),
        "letters": found.letters,
        "background": float(found.background_is_right),
    }
    named = {part: share for part in PARTS if (share := parts[part]) is not None}
    return {OVERALL: float(np.mean(list(named.values()))), **{f"{OVERALL}_{part}": named[part] for part in named}}


def readable(texts: Iterable[str]) -> list[str]:
    """Those prompts that are captions of the scene world."""
    return [text for text in texts if _is_caption(text)]


def measure(images: QuerySet[Image], *, texts: Iterable[str], watch: Watch) -> Measured:
    """Measure the images of readable prompts among `texts` that were not measured yet."""
    return fill_gaps(
        of_captions(images, texts), name=OVERALL, source=SOURCE, metrics_of=_metrics_of, batch=BATCH, watch=watch
    )


def measure_for(images: QuerySet[Image], *, texts: Iterable[str], seconds: float) -> int:
    """The same for a limited time; how many images were measured."""
    ends = time.monotonic() + seconds
    counts: list[int] = []

    def look_at_the_clock(progress: Measured) -> None:
        counts.append(progress.done)
        if time.monotonic() > ends:
            raise TimeIsUp

    captions = of_captions(images, texts)
    if without_metric(captions, name=OVERALL, source=SOURCE).exists():
        with suppress(TimeIsUp):
            measure(images, texts=texts, watch=look_at_the_clock)
    return counts[-1] - counts[0] if counts else 0


def of_captions(images: QuerySet[Image], texts: Iterable[str]) -> QuerySet[Image]:
    """The images whose prompt is one of the readable texts."""
    return images.filter(prompt_digest__in=[text_digest(text) for text in readable(texts)])


def _is_caption(text: str) -> bool:
    try:
        parse_caption(text)
    except CaptionError:
        return False
    return True


def _metrics_of(images: Sequence[Image], pictures: Sequence[PillowImage.Image]) -> Iterator[Metric]:
    for image, picture in zip(images, pictures, strict=True):
        found = check(np.asarray(picture), parse_caption(image.prompt_text))
        for name, value in shares_of(found).items():
            yield Metric(image=image, name=name, value=value, source=SOURCE)
