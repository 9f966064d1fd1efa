"""Real image files for tests, good and bad, made here."""

import io
import struct
import zipfile
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from PIL import Image as Pictures
from PIL import ImageCms, ImageDraw, PngImagePlugin

NAME = b"sdxl-turbo-secret"  # of the model; must not reach a rater


def picture(*, size: tuple[int, int] = (64, 48), colour: tuple[int, int, int] = (200, 40, 40)) -> Pictures.Image:
    """A ground of one colour with a blue corner at the top left, so that turns and mirrors show."""
    drawn = Pictures.new("RGB", size, colour)
    ImageDraw.Draw(drawn).rectangle((0, 0, size[0] // 4, size[1] // 4), fill=(20, 60, 220))
    return drawn


def saved(drawn: Pictures.Image, kind: str = "PNG", **options: Any) -> bytes:
    file = io.BytesIO()
    drawn.save(file, format=kind, **options)
    return file.getvalue()


def png(number: int = 0, *, size: tuple[int, int] = (64, 48)) -> bytes:
    """A good PNG; another number is another picture."""
    return saved(picture(size=size, colour=(200, 40 + number % 200, 40 + number // 200)))


def chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def one_bit_png(side: int) -> bytes:
    """A square PNG of zeros: some kilobytes that would take 821 MB as RGB at 13,000 pixels a side."""
    compressor = zlib.compressobj(9)
    row = bytes(1 + (side + 7) // 8)
    data = b"".join(compressor.compress(row) for _ in range(side)) + compressor.flush()
    header = struct.pack(">IIBBBBB", side, side, 1, 0, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", data) + chunk(b"IEND", b"")


def with_chunk_after_header(data: bytes, kind: bytes, content: bytes) -> bytes:
    return data[:33] + chunk(kind, content) + data[33:]


def text_bomb(megabytes: int = 60) -> bytes:
    """A PNG with a compressed text of 60 MB."""
    compressor = zlib.compressobj(9)
    block = b"a" * 2**20
    text = b"".join(compressor.compress(block) for _ in range(megabytes)) + compressor.flush()
    return with_chunk_after_header(png(), b"zTXt", b"Comment\0\0" + text)


def profile_bomb(megabytes: int = 60) -> bytes:
    compressor = zlib.compressobj(9)
    block = b"a" * 2**20
    text = b"".join(compressor.compress(block) for _ in range(megabytes)) + compressor.flush()
    return with_chunk_after_header(png(), b"iCCP", b"profile\0\0" + text)


def huge_webp() -> bytes:
    """A WebP whose header claims 16,383 x 16,383 pixels."""
    bits = (16382 | 16382 << 14).to_bytes(4, "little")
    payload = b"\x2f" + bits + bytes(64)
    body = b"WEBPVP8L" + struct.pack("<I", len(payload)) + payload + b"\0" * (len(payload) % 2)
    return b"RIFF" + struct.pack("<I", len(body)) + body


def animated(kind: str) -> bytes:
    frames = [picture(), picture(colour=(0, 200, 0))]
    return saved(frames[0], kind, save_all=True, append_images=frames[1:], duration=100)


def with_every_metadata(kind: str) -> bytes:
    """A file that says in every way it can which model made it."""
    exif = Pictures.Exif()
    exif[0x010E] = exif[0x013B] = NAME.decode()  # description, artist
    xmp = b'<x:xmpmeta xmlns:x="adobe:ns:meta/">' + NAME + b"</x:xmpmeta>"
    icc = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    options: dict[str, Any] = {"exif": exif, "icc_profile": icc}
    if kind == "PNG":
        texts = PngImagePlugin.PngInfo()
        texts.add_text("parameters", NAME.decode())
        texts.add_itxt("XML:com.adobe.xmp", xmp.decode())
        texts.add_text("Comment", NAME.decode() * 10, zip=True)
        options["pnginfo"] = texts
    else:
        options["xmp"] = xmp
    if kind == "JPEG":
        options["comment"] = NAME
    return saved(picture(), kind, **options)


def zip_of(members: Mapping[Any, bytes]) -> bytes:
    """Names, or `ZipInfo`s where an entry is to be a special one."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in members.items():
            archive.writestr(name, data)
    return file.getvalue()


def write_all(folder: Path, members: Mapping[str, bytes]) -> Path:
    for name, data in members.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(data)
    return folder


def fits() -> bytes:
    cards = ["SIMPLE  =                    T", "BITPIX  =                    8", "NAXIS   =                    2"]
    cards += ["NAXIS1  =                   64", "NAXIS2  =                   48", "END"]
    return "".join(card.ljust(80) for card in cards).ljust(2880).encode() + bytes(2880)


def psd() -> bytes:
    return b"8BPS" + struct.pack(">H6xHIIHH", 1, 3, 48, 64, 8, 3) + bytes(12) + bytes(2 + 3 * 64 * 48)


SVG = b'<svg xmlns="http://www.w3.org/2000/svg" width="64" height="48"><script>alert(1)</script></svg>'
HTML = b"<!doctype html><script>alert(1)</script>"
TAIL = b"<script>alert(document.domain)</script>"
