"""Bytes of an image file to upright RGB pixels, with limits checked before any pixel is read."""

import io
import struct
import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from typing import Any, Final

from PIL import Image as Pictures
from PIL import ImageCms, ImageOps

from generation import image_store
from generation.image_imports.rows import MOST_FILE_BYTES, ImageImportError
from generation.provenance import bytes_digest, pixels_digest

READABLE_FORMATS: Final = ("PNG", "JPEG", "WEBP")
LEAST_SIDE: Final = 8
MOST_SIDE: Final = 8192
MOST_PIXELS: Final = 4096 * 4096
BEHIND_TRANSPARENCY: Final = (255, 255, 255)
_SIGNATURES: Final = (b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff")
# What Pillow raises for broken files; Warning, because its warnings are errors here.
_BROKEN: Final = (OSError, ValueError, SyntaxError, TypeError, KeyError, EOFError, OverflowError, struct.error, Warning)
_warnings_lock = threading.Lock()


@dataclass(frozen=True)
class Original:
    """The file as it came; only facts about it are kept."""

    sha256: str
    size_bytes: int
    format: str
    mode: str


@dataclass(frozen=True)
class Picture:
    """Upright 8-bit RGB pixels in reading order, nothing else of the file, and the facts of the file."""

    rgb: bytes
    width: int
    height: int
    pixels_sha256: str
    original: Original

    def png(self) -> bytes:
        """A lossless file of the pixels alone."""
        file = io.BytesIO()
        Pictures.frombytes("RGB", (self.width, self.height), self.rgb).save(file, format="PNG")
        return file.getvalue()


@dataclass(frozen=True)
class Facts:
    """What is remembered of a picture that was looked at; `file_sha256` is empty until it lies in the image store."""

    width: int
    height: int
    pixels_sha256: str
    original: Original
    file_sha256: str = ""
    size_bytes: int = 0

    def to_json(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_json(cls, value: dict[str, Any]) -> "Facts":
        return cls(**{**value, "original": Original(**value["original"])})


def facts_of(picture: Picture) -> Facts:
    """The facts of a picture that is not stored."""
    return Facts(
        width=picture.width,
        height=picture.height,
        pixels_sha256=picture.pixels_sha256,
        original=picture.original,
    )


def store(picture: Picture) -> Facts:
    """Put the pixels as a PNG under its hash into the image store."""
    data = picture.png()
    return Facts(
        width=picture.width,
        height=picture.height,
        pixels_sha256=picture.pixels_sha256,
        original=picture.original,
        file_sha256=image_store.put(data, suffix=".png"),
        size_bytes=len(data),
    )


def read_picture(data: bytes, *, file_name: str) -> Picture:
    """Decode one still PNG, JPEG or WebP. Raises ImageImportError for everything else, before pixels are allocated.

    The picture is turned upright by its EXIF entry, its colours go from its profile to sRGB, transparency gets white
    behind it, 16 bits become 8. Everything that is not a pixel is left behind.
    """
    try:
        _check_signature(data)
        with _warnings_as_errors(), Pictures.open(io.BytesIO(data), formats=READABLE_FORMATS) as opened:
            _check_limits(opened)
            original = Original(bytes_digest(data), len(data), opened.format or "", opened.mode)
            picture = _rgb(_in_srgb(ImageOps.exif_transpose(opened)))
    except ImageImportError as refusal:
        refusal.file_name = file_name
        raise
    except (Pictures.DecompressionBombWarning, Pictures.DecompressionBombError) as bomb:
        raise ImageImportError(
            f"the image has more than {MOST_PIXELS:,} pixels", remedy="scale it down", file_name=file_name
        ) from bomb
    except _BROKEN as broken:
        raise ImageImportError(
            f"the image is damaged or cut off ({_in_words(broken)})",
            remedy="export it again as PNG, JPEG or WebP",
            file_name=file_name,
        ) from broken
    rgb, (width, height) = picture.tobytes(), picture.size
    return Picture(rgb, width, height, pixels_digest(rgb, width=width, height=height), original)


def _check_signature(data: bytes) -> None:
    if not data:
        raise ImageImportError("the file is empty (0 bytes)", remedy="export the image again")
    if len(data) > MOST_FILE_BYTES:
        raise too_large()
    is_webp = data[:4] == b"RIFF" and data[8:12] == b"WEBP"
    if not is_webp and not data.startswith(_SIGNATURES):
        raise ImageImportError("this is no PNG, JPEG or WebP image", remedy="convert it to one of these")


def too_large() -> ImageImportError:
    """The refusal of a file that need not be read to its end."""
    return ImageImportError(
        f"the file is larger than {MOST_FILE_BYTES // 2**20} MB", remedy="save it smaller or compressed"
    )


def _check_limits(opened: Pictures.Image) -> None:
    width, height = opened.size
    if width * height > MOST_PIXELS or max(width, height) > MOST_SIDE:
        raise ImageImportError(
            f"the image is {width} x {height} pixels, more than {MOST_SIDE} a side or {MOST_PIXELS:,} in all",
            remedy="scale it down",
        )
    if min(width, height) < LEAST_SIDE:
        raise ImageImportError(
            f"the image is {width} x {height} pixels, less than {LEAST_SIDE} a side", remedy="leave it out"
        )
    if getattr(opened, "n_frames", 1) != 1:
        raise ImageImportError("the image is animated or holds several pictures", remedy="save one still picture")


@contextmanager
def _warnings_as_errors() -> Iterator[None]:
    # Warning filters belong to the whole process. The lock keeps our threads apart, and `module` leaves the warnings
    # of other threads' code alone.
    with _warnings_lock, warnings.catch_warnings():
        warnings.filterwarnings("error", module=r"PIL(\.|$)")
        yield


def _in_srgb(picture: Pictures.Image) -> Pictures.Image:
    """Apply the colour profile, because it is dropped: without this, Display P3 and Adobe RGB files would turn pale."""
    profile = picture.info.get("icc_profile")
    if not profile:
        return picture
    picture.load()  # so that a file that is cut off is not called a bad profile
    try:
        source = ImageCms.ImageCmsProfile(io.BytesIO(profile))
        if "srgb" in ImageCms.getProfileDescription(source).casefold():
            return picture
        if picture.mode == "P":
            picture = picture.convert("RGBA" if picture.has_transparency_data else "RGB")
        if picture.mode not in ("RGB", "CMYK", "L"):
            alpha = picture.getchannel("A") if "A" in picture.getbands() else None
            bare = picture.convert("L" if picture.mode.startswith("L") else "RGB")
            converted = _applied(bare, source)
            if alpha is not None:
                converted.putalpha(alpha)
            return converted
        return _applied(picture, source)
    except (ImageCms.PyCMSError, OSError) as broken:
        raise ImageImportError(
            f"its colour profile cannot be applied ({_in_words(broken)})", remedy="export it as sRGB"
        ) from broken


def _applied(picture: Pictures.Image, source: ImageCms.ImageCmsProfile) -> Pictures.Image:
    target = ImageCms.createProfile("sRGB")
    converted = ImageCms.profileToProfile(picture, source, target, outputMode="RGB")
    if converted is None:
        raise ImageImportError("its colour profile cannot be applied", remedy="export it as sRGB")
    return converted


def _rgb(picture: Pictures.Image) -> Pictures.Image:
    picture.load()
    if picture.mode.startswith("I"):  # 16-bit grey: a plain convert() would clip it to white
        picture = picture.convert("I").point(lambda value: value * (1 / 257)).convert("L")
    if picture.has_transparency_data:
        ground = Pictures.new("RGBA", picture.size, (*BEHIND_TRANSPARENCY, 255))
        picture = Pictures.alpha_composite(ground, picture.convert("RGBA"))
    return picture.convert("RGB")


def _in_words(error: BaseException) -> str:
    text = " ".join(str(error).split()) or type(error).__name__
    return text[:117] + "..." if len(text) > 120 else text
