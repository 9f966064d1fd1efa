"""Small copies of images for researchers' pages, made when they are first looked at and kept beside raters' copies."""

from typing import Final

from arena import display
from arena.display import TINY_SIDE, DisplayRule
from generation.models import Image

LONGEST_SIDE: Final = 192


def thumbnail_rule(width: int, height: int) -> DisplayRule:
    """The whole picture at no more than 192 pixels a side; a tiny one keeps every pixel."""
    scale = min(1.0, LONGEST_SIDE / max(width, height))
    return DisplayRule(
        width=max(display.LEAST_SIDE, round(width * scale)),
        height=max(display.LEAST_SIDE, round(height * scale)),
        lossless=max(width, height) <= TINY_SIDE,
        quality=80,
    )


def thumbnail_of(image: Image) -> bytes:
    """WebP bytes. Raises DisplayError for a picture that cannot be shown, GenerationError where its file is missing."""
    return display.copy_under(thumbnail_rule(image.width, image.height), image_sha256=image.file_sha256)
