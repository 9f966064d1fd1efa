"""The rater's copy of an image: pixels only, one size, one format: only the picture itself tells contenders apart."""

import io
import logging
from collections.abc import Iterable
from dataclasses import asdict, dataclass, fields
from typing import Any

from django.db import transaction
from django.db.models import Exists, Expression, OuterRef, Q, QuerySet
from PIL import Image as Pictures
from PIL import ImageOps

from arena.audit import note
from arena.models import DisplayCopy, Study
from arena.refusals import Refusal
from arena.supply import images_of
from generation import image_store
from generation.errors import GenerationError, StorageError
from generation.models import Image, Recipe
from generation.provenance import bytes_digest, digest_of

log = logging.getLogger(__name__)

READABLE_FORMATS = ("PNG", "JPEG", "WEBP")
MOST_PIXELS = 4096 * 4096
MOST_SIDE = 8192
LEAST_SIDE = 8

# Pictures up to TINY_SIDE are shown enlarged by a whole number (no resampling, so no contender is softened) to about
# TINY_SHOWN; larger ones are only ever made smaller, to at most LARGEST_SIDE.
TINY_SIDE = 192
TINY_SHOWN = 384
LARGEST_SIDE = 1024


class DisplayError(Refusal):
    """An image that raters cannot be shown, or a rule that cannot be applied."""


@dataclass(frozen=True)
class DisplayRule:
    """How every image of a study is shown: fitted into width x height by down-sampling only, centred on the padding
    colour, then enlarged by a whole number."""

    width: int
    height: int
    enlarge: int = 1
    padding: tuple[int, int, int] = (119, 119, 119)
    lossless: bool = False
    quality: int = 90
    format: str = "webp"

    def __post_init__(self) -> None:
        sides = (self.width, self.height)
        if not all(_is_whole(side, LEAST_SIDE, MOST_SIDE) for side in sides) or not _is_whole(self.enlarge, 1, 16):
            raise DisplayError(
                f"The display rule needs a width and a height of {LEAST_SIDE} to {MOST_SIDE} pixels and a whole "
                "enlargement of 1 to 16.",
                code="bad_display_size",
                field="display_rule",
            )
        if len(self.padding) != 3 or not all(_is_whole(part, 0, 255) for part in self.padding):
            raise DisplayError(
                "The padding colour is three whole numbers from 0 to 255.", code="bad_padding", field="display_rule"
            )
        if self.format != "webp" or not _is_whole(self.quality, 1, 100):
            raise DisplayError(
                "Raters' copies are WebP with a quality of 1 to 100.", code="bad_display_format", field="display_rule"
            )

    @classmethod
    def from_json(cls, rule: dict[str, Any]) -> "DisplayRule":
        known = {field.name for field in fields(cls)}
        if unknown := sorted(set(rule) - known):
            raise DisplayError(
                f"The display rule has an unknown entry {unknown[0]!r}; known are {', '.join(sorted(known))}.",
                code="unknown_display_entry",
                field="display_rule",
            )
        if missing := sorted({"width", "height"} - set(rule)):
            raise DisplayError(
                f"The display rule lacks {missing[0]!r}.", code="missing_display_entry", field="display_rule"
            )
        return cls(**{**rule, "padding": tuple(rule.get("padding", cls.padding))})

    def to_json(self) -> dict[str, Any]:
        return {**asdict(self), "padding": list(self.padding)}

    @property
    def digest(self) -> str:
        return digest_of(self.to_json())

    @property
    def shown_size(self) -> tuple[int, int]:
        return self.width * self.enlarge, self.height * self.enlarge


def default_display_rule(recipes: Iterable[Recipe]) -> DisplayRule:
    """One common size for these recipes: that of the smallest, so that resolution does not betray a contender."""
    sizes = [(recipe.width, recipe.height) for recipe in recipes]
    width = min(min(width for width, _ in sizes), LARGEST_SIDE)
    height = min(min(height for _, height in sizes), LARGEST_SIDE)
    enlarge = TINY_SHOWN // max(width, height) if max(width, height) <= TINY_SIDE else 1
    # Enlarged pixels are blocks of one colour: lossless keeps them crisp and is smaller than lossy there.
    return DisplayRule(width=width, height=height, enlarge=enlarge, lossless=enlarge > 1)


def rule_of(study: Study) -> DisplayRule:
    return DisplayRule.from_json(study.display_rule)


def make_copy(original: bytes, *, rule: DisplayRule) -> bytes:
    """The bytes a rater gets. The picture is pasted into a NEW image, which leaves every kind of metadata behind."""
    picture = _upright_rgb(original, padding=rule.padding)
    scale = min(1.0, rule.width / picture.width, rule.height / picture.height)
    if scale < 1.0:
        fitted = (max(1, round(picture.width * scale)), max(1, round(picture.height * scale)))
        picture = picture.resize(fitted, Pictures.Resampling.LANCZOS)
    canvas = Pictures.new("RGB", (rule.width, rule.height), rule.padding)
    canvas.paste(picture, ((rule.width - picture.width) // 2, (rule.height - picture.height) // 2))
    if rule.enlarge > 1:
        canvas = canvas.resize(rule.shown_size, Pictures.Resampling.NEAREST)
    file = io.BytesIO()
    canvas.save(file, format="WEBP", lossless=rule.lossless, quality=rule.quality, method=4)
    return file.getvalue()


def with_copies(images: QuerySet[Image], *, study: Study) -> QuerySet[Image]:
    """Those of the images that a rater of this study can be shown."""
    return images.filter(is_shown_under(rule_of(study).digest))


def without_copies(images: QuerySet[Image], *, study: Study) -> QuerySet[Image]:
    """Those of the images that still need a copy before a rater of this study can be shown them."""
    return images.filter(~_has_copy(rule_of(study).digest), is_quarantined=False)


def prepare_copies(*, study: Study, most: int = 200) -> int:
    """Make the missing raters' copies of a study's images, oldest first; returns how many were made.

    Safe to run in several processes and to interrupt: a copy is a row keyed by image and rule, and the file lies under
    its own hash. An image that is damaged or no picture we can show is quarantined with the reason; one whose file is
    missing is left for the next call, because the store may only be away for a while.
    """
    rule = rule_of(study)
    missing = without_copies(images_of(study), study=study).order_by("pk")
    made = 0
    for sha256 in dict.fromkeys(missing.values_list("file_sha256", flat=True)):
        if made == most:
            break
        try:
            copy = make_copy(_original(sha256), rule=rule)
        except GenerationError as unreadable:
            log.warning("No rater's copy of image %s: %s", sha256, unreadable)
            continue
        except DisplayError as refusal:
            _quarantine(sha256, study=study, reason=refusal.sentence)
            continue
        try:
            _keep(copy, image_sha256=sha256, rule=rule)
        except StorageError as full:
            log.error("No raters' copies are made now. %s", full)
            break
        made += 1
    return made


def copy_of(image: Image, *, study: Study) -> DisplayCopy | None:
    """The rater's copy of an image under this study's rule, if it was made and the image is not quarantined."""
    if image.is_quarantined:
        return None
    return DisplayCopy.objects.filter(image_sha256=image.file_sha256, rule_digest=rule_of(study).digest).first()


def read_copy(copy: DisplayCopy) -> bytes:
    """The bytes of a rater's copy."""
    return image_store.read(copy.file_sha256, suffix=".webp")


def copy_under(rule: DisplayRule, *, image_sha256: str) -> bytes:
    """The bytes of an image's copy under any rule, made and kept at first use.

    Raises DisplayError for a picture that cannot be shown, GenerationError where its file is missing.
    """
    found = DisplayCopy.objects.filter(image_sha256=image_sha256, rule_digest=rule.digest).first()
    if found is not None:
        try:
            return read_copy(found)
        except GenerationError as lost:
            log.warning("A copy of image %s is made again: %s", image_sha256, lost)
    data = make_copy(_original(image_sha256), rule=rule)
    _keep(data, image_sha256=image_sha256, rule=rule)
    return data


def _original(sha256: str) -> bytes:
    data = image_store.read(sha256, suffix=".png")
    if bytes_digest(data) != sha256:  # files appear whole, so this one was changed later and will not mend itself
        raise DisplayError("The image file is damaged: its bytes no longer have its hash.", code="damaged_image")
    return data


def is_shown_under(rule_digest: str | Expression) -> Q:
    """Images that a rater can be shown under this rule."""
    return Q(_has_copy(rule_digest), is_quarantined=False)


def _has_copy(rule_digest: str | Expression) -> Exists:
    return Exists(DisplayCopy.objects.filter(image_sha256=OuterRef("file_sha256"), rule_digest=rule_digest))


def _keep(data: bytes, *, image_sha256: str, rule: DisplayRule) -> None:
    copy = DisplayCopy(
        image_sha256=image_sha256,
        rule_digest=rule.digest,
        file_sha256=image_store.put(data, suffix=".webp"),
        content_type="image/webp",
        size_bytes=len(data),
    )
    DisplayCopy.objects.bulk_create([copy], ignore_conflicts=True)  # another process may have made it meanwhile


def _quarantine(sha256: str, *, study: Study, reason: str) -> None:
    with transaction.atomic():
        found = Image.objects.filter(file_sha256=sha256, is_quarantined=False)
        found.update(is_quarantined=True, quarantine_reason=reason)
        note(study, None, "image quarantined", file_sha256=sha256, reason=reason)


def _upright_rgb(original: bytes, *, padding: tuple[int, int, int]) -> Pictures.Image:
    """Decode with limits: known formats, one frame, bounded size checked before any pixel is read."""
    try:
        with Pictures.open(io.BytesIO(original), formats=READABLE_FORMATS) as opened:
            _check_limits(opened)
            picture = ImageOps.exif_transpose(opened)
            picture.load()
    except (OSError, ValueError, SyntaxError, Pictures.DecompressionBombError) as broken:
        raise DisplayError(f"The image file cannot be read: {broken}", code="unreadable_image") from broken
    if picture.mode.startswith("I"):  # 16-bit grey: a plain convert() would clip it to white
        picture = picture.convert("I").point(lambda value: value * (1 / 257)).convert("L")
    if picture.has_transparency_data:
        ground = Pictures.new("RGBA", picture.size, (*padding, 255))
        picture = Pictures.alpha_composite(ground, picture.convert("RGBA"))
    return picture.convert("RGB")


def _check_limits(opened: Pictures.Image) -> None:
    width, height = opened.size
    if width * height > MOST_PIXELS or max(width, height) > MOST_SIDE or min(width, height) < LEAST_SIDE:
        raise DisplayError(
            f"The image is {width} x {height} pixels; raters can be shown {LEAST_SIDE} to {MOST_SIDE} pixels a side "
            f"and {MOST_PIXELS} in all.",
            code="image_size_refused",
        )
    if getattr(opened, "n_frames", 1) != 1:
        raise DisplayError("The image is animated; only still images can be compared.", code="animated_image")


def _is_whole(value: object, least: int, most: int) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and least <= value <= most
