"""Every kind of file that people and attackers send: a clean upright RGB picture, or one sentence."""

import io
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from django.conf import settings
from PIL import Image as Pictures
from PIL import ImageCms

from generation.image_imports.pictures import Facts, facts_of, read_picture
from generation.image_imports.rows import MOST_FILE_BYTES, ImageImportError
from tests.generation.image_imports import files

NOT_AN_IMAGE = "this is no PNG, JPEG or WebP image"
BAD: dict[str, tuple[Callable[[], bytes], str]] = {
    "B01 nothing": (lambda: b"", "the file is empty (0 bytes)"),
    "B02 cut PNG": (lambda: files.png()[:-60], "damaged or cut off"),
    "B02 cut PNG header": (lambda: files.png()[:20], "damaged or cut off"),
    "B02 cut JPEG": (lambda: files.saved(files.picture(size=(400, 300)), "JPEG")[:-900], "damaged or cut off"),
    "B02 cut WebP": (lambda: files.saved(files.picture(size=(400, 300)), "WEBP")[:-40], "damaged or cut off"),
    "B02 wrong checksum": (lambda: files.png().replace(b"IHDR\0", b"IHDR\1", 1), "damaged or cut off"),
    "B03 text": (lambda: b"I am a picture, honestly.", NOT_AN_IMAGE),
    "B04 9000 a side": (lambda: files.one_bit_png(9000), "9000 x 9000 pixels, more than"),
    "B04 13000 a side": (lambda: files.one_bit_png(13_000), "more than 16,777,216 pixels"),
    "B04 WebP of 16383 a side": (files.huge_webp, "more than 16,777,216 pixels"),
    "B05 animated GIF": (lambda: files.animated("GIF"), NOT_AN_IMAGE),
    "B05 animated PNG": (lambda: files.animated("PNG"), "animated"),
    "B05 animated WebP": (lambda: files.animated("WEBP"), "animated"),
    "B05 TIFF": (lambda: files.saved(files.picture(), "TIFF"), NOT_AN_IMAGE),
    "B05 ICO": (lambda: files.saved(files.picture(), "ICO"), NOT_AN_IMAGE),
    "B05 EPS": (lambda: files.saved(files.picture(), "EPS"), NOT_AN_IMAGE),
    "B05 PSD": (files.psd, NOT_AN_IMAGE),
    "B05 FITS": (files.fits, NOT_AN_IMAGE),
    "B05 several pictures in one JPEG": (
        lambda: files.saved(files.picture(), "MPO", save_all=True, append_images=[files.picture()]),
        "animated or holds several pictures",
    ),
    "B06 text of 60 MB": (files.text_bomb, "damaged or cut off"),
    "B06 profile of 60 MB": (files.profile_bomb, "damaged or cut off"),
    "B07 one pixel": (lambda: files.png(size=(1, 1)), "1 x 1 pixels, less than 8"),
    "B07 one row": (lambda: files.png(size=(10_000, 1)), "10000 x 1 pixels, more than 8192"),
    "B08 SVG": (lambda: files.SVG, NOT_AN_IMAGE),
    "B08 HTML": (lambda: files.HTML, NOT_AN_IMAGE),
    "a file that is too large": (lambda: files.png() + bytes(MOST_FILE_BYTES), "larger than 32 MB"),
    "a broken profile": (
        lambda: files.saved(files.picture(), icc_profile=b"no profile"),
        "its colour profile cannot be applied",
    ),
}


@pytest.mark.parametrize("case", BAD)
def test_a_bad_file_is_refused_in_one_sentence_that_names_it(case: str) -> None:
    make, reason = BAD[case]
    with pytest.raises(ImageImportError) as refused:
        read_picture(make(), file_name="fox.png")
    sentence = str(refused.value)
    assert sentence.startswith("fox.png: ") and reason in sentence
    assert sentence.endswith(".") and "\n" not in sentence and len(sentence) < 300


MEASURE = """
import resource, sys
from tests.generation.image_imports import files
from generation.image_imports.pictures import read_picture
from generation.image_imports.rows import ImageImportError
read_picture(files.png(), file_name="warm")
for name in ("text_bomb", "profile_bomb", "huge_webp"):
    data = getattr(files, name)()
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    try:
        read_picture(data, file_name=name)
    except ImageImportError:
        print(name, (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) // 1024)
for side in (9000, 13000):
    data = files.one_bit_png(side)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    try:
        read_picture(data, file_name="large")
    except ImageImportError:
        print(side, (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) // 1024)
"""


def test_bombs_are_refused_before_they_take_memory() -> None:
    """In a process of its own: its highest memory use, in MB, before and after each file."""
    ended = subprocess.run(
        [sys.executable, "-c", f"import django; django.setup()\n{MEASURE}"],
        cwd=settings.BASE_DIR,
        env={"DJANGO_SETTINGS_MODULE": "evalsite.settings", "WINRATE_DATA_DIR": str(settings.DATA_DIR)},
        capture_output=True,
        text=True,
        check=True,
    )
    grown = dict(line.split() for line in ended.stdout.splitlines())
    assert set(grown) == {"text_bomb", "profile_bomb", "huge_webp", "9000", "13000"}
    assert all(int(megabytes) < 100 for megabytes in grown.values()), grown


def turned(orientation: int) -> bytes:
    exif = Pictures.Exif()
    exif[0x0112] = orientation
    back = {1: None, 3: 3, 6: 2, 8: 4}[orientation]  # Transpose.ROTATE_180, ROTATE_90, ROTATE_270
    drawn = files.picture() if back is None else files.picture().transpose(Pictures.Transpose(back))
    return files.saved(drawn, "JPEG", exif=exif, quality=95)


def sixteen_bit() -> bytes:
    drawn = Pictures.new("I;16", (64, 48), 51_400)  # 200 of 255
    drawn.paste(15_420, (0, 0, 17, 13))
    return files.saved(drawn)


def with_alpha(mode: str) -> bytes:
    drawn = files.picture().convert("RGBA")
    drawn.putalpha(Pictures.new("L", drawn.size, 255))
    return files.saved(drawn.quantize(8) if mode == "P" else drawn.convert(mode))


RED, BLUE = (200, 40, 40), (20, 60, 220)
GOOD: dict[str, tuple[Callable[[], bytes], tuple[int, int, int], tuple[int, int, int]]] = {
    "RGB PNG": (files.png, RED, BLUE),
    "JPEG": (lambda: files.saved(files.picture(), "JPEG", quality=95), RED, BLUE),
    "WebP": (lambda: files.saved(files.picture(), "WEBP", lossless=True), RED, BLUE),
    "CMYK JPEG": (lambda: files.saved(files.picture().convert("CMYK"), "JPEG", quality=95), RED, BLUE),
    "palette": (lambda: files.saved(files.picture().quantize(8)), RED, BLUE),
    "palette with alpha": (lambda: with_alpha("P"), RED, BLUE),
    "RGBA": (lambda: with_alpha("RGBA"), RED, BLUE),
    "grey with alpha": (lambda: with_alpha("LA"), (88, 88, 88), (66, 66, 66)),
    "16-bit grey": (sixteen_bit, (200, 200, 200), (60, 60, 60)),
    "one bit": (lambda: files.saved(Pictures.new("1", (64, 48), 1)), (255, 255, 255), (255, 255, 255)),
    "turned by EXIF 3": (lambda: turned(3), RED, BLUE),
    "turned by EXIF 6": (lambda: turned(6), RED, BLUE),
    "turned by EXIF 8": (lambda: turned(8), RED, BLUE),
    "with a script behind its end": (lambda: files.png() + files.TAIL, RED, BLUE),
}


@pytest.mark.parametrize("case", GOOD)
def test_a_good_file_comes_out_upright_in_rgb_and_of_its_size(case: str) -> None:
    make, ground, corner = GOOD[case]
    shown = Pictures.open(io.BytesIO(read_picture(make(), file_name="fox").png()))
    assert (shown.mode, shown.size) == ("RGB", (64, 48))
    for place, wanted in (((60, 44), ground), ((4, 4), corner)):
        got = shown.getpixel(place)
        assert isinstance(got, tuple)
        assert all(abs(a - b) <= 6 for a, b in zip(got, wanted, strict=True)), (place, got, wanted)


def test_transparent_pixels_get_white_behind_them() -> None:
    drawn = Pictures.new("RGBA", (16, 16), (255, 0, 0, 0))
    assert set(read_picture(files.saved(drawn), file_name="x").rgb) == {255}


def test_a_wide_colour_profile_is_applied_before_it_is_dropped() -> None:
    # A profile whose primaries are sRGB's with red and green exchanged.
    icc = bytearray(ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes())
    tags = {bytes(icc[at : at + 4]): at for at in range(132, 132 + 12 * int.from_bytes(icc[128:132]), 12)}
    red, green = tags[b"rXYZ"], tags[b"gXYZ"]
    icc[red + 4 : red + 12], icc[green + 4 : green + 12] = icc[green + 4 : green + 12], icc[red + 4 : red + 12]
    data = bytes(icc).replace("sRGB".encode("utf-16-be"), "mine".encode("utf-16-be"))
    read = read_picture(files.saved(Pictures.new("RGB", (16, 16), (250, 5, 5)), icc_profile=data), file_name="x")
    red_part, green_part, _ = read.rgb[:3]
    assert green_part > 200 > 100 > red_part


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP"])
def test_nothing_but_pixels_is_kept(kind: str) -> None:
    data = files.with_every_metadata(kind)
    assert files.NAME in data
    kept = read_picture(data, file_name="x").png()
    assert {kept[at + 4 : at + 8] for at in chunk_starts(kept)} == {b"IHDR", b"IDAT", b"IEND"}
    assert Pictures.open(io.BytesIO(kept)).info == {}


def chunk_starts(data: bytes) -> list[int]:
    starts, at = [], 8
    while at < len(data):
        starts.append(at)
        at += 12 + int.from_bytes(data[at : at + 4])
    assert at == len(data)
    return starts


def test_facts_survive_json_and_name_the_original() -> None:
    read = read_picture(files.saved(files.picture(), "JPEG"), file_name="x")
    facts = facts_of(read)
    assert Facts.from_json(facts.to_json()) == facts
    assert (facts.original.format, facts.original.mode, facts.file_sha256) == ("JPEG", "RGB", "")


def test_no_file_outside_the_catalogue_of_bad_ones_is_a_traceback(tmp_path: Path) -> None:
    """Every file with one byte changed is read or refused, never anything else."""
    data = files.saved(files.picture(), "PNG", exif=Pictures.Exif())
    for at in range(8, len(data), 3):
        try:
            read_picture(data[:at] + bytes([data[at] ^ 0x5A]) + data[at + 1 :], file_name="x")
        except ImageImportError as refusal:
            assert str(refusal).startswith("x: ")
