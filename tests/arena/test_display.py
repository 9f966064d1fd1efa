"""The rater's copy: one size, one format, pixels only, and wrong files refused before they are decoded."""

import io
import os
import struct
import zlib
from pathlib import Path

import pytest
from PIL import Image as Pictures
from PIL import ImageDraw
from PIL.PngImagePlugin import PngInfo
from pytest_django.fixtures import Settings

from arena import display, studies, supply, tasks
from arena.display import DisplayError, DisplayRule, make_copy
from arena.models import AuditEvent, DisplayCopy, Study
from generation import image_store
from generation.models import Image, Recipe
from tests.arena import factories
from tests.generation.test_image_store import use_s3
from tests.servers.s3_server import S3Server

SECRET = b"final, 28 steps"
TINY = DisplayRule(width=64, height=64, enlarge=6, lossless=True)


def opened(data: bytes) -> Pictures.Image:
    return Pictures.open(io.BytesIO(data))


def file_of(picture: Pictures.Image, *, format: str = "PNG", **options: object) -> bytes:
    file = io.BytesIO()
    picture.save(file, format=format, **options)
    return file.getvalue()


def picture(size: tuple[int, int] = (64, 64), mode: str = "RGB") -> Pictures.Image:
    drawn = Pictures.new("RGB", size, (200, 30, 30))
    ImageDraw.Draw(drawn).rectangle((0, 0, size[0] // 2, size[1] // 3), fill=(20, 40, 220))
    return drawn.convert(mode)


def chunks_of(webp: bytes) -> list[bytes]:
    """Names of the chunks of a WebP file."""
    assert webp[:4] == b"RIFF" and webp[8:12] == b"WEBP"
    names, place = [], 12
    while place < len(webp):
        names.append(webp[place : place + 4])
        (length,) = struct.unpack("<I", webp[place + 4 : place + 8])
        place += 8 + length + length % 2
    return names


def jpeg_with_everything() -> bytes:
    exif = Pictures.Exif()
    exif[0x010E] = SECRET.decode()
    exif[0x0112] = 6  # turned by a quarter
    return file_of(
        picture((80, 40)), format="JPEG", exif=exif, icc_profile=SECRET * 20, comment=SECRET, quality=95, xmp=SECRET
    )


def png_with_everything() -> bytes:
    text = PngInfo()
    text.add_text("model", SECRET.decode(), zip=False)
    text.add_itxt("XML:com.adobe.xmp", SECRET.decode())
    return file_of(picture(), pnginfo=text, icc_profile=SECRET * 20, dpi=(300, 300)) + b"<script>" + SECRET


def test_a_tiny_image_is_enlarged_by_a_whole_number_without_losing_a_pixel() -> None:
    original = picture()
    copy = opened(make_copy(file_of(original), rule=TINY))
    assert (copy.format, copy.size, copy.mode) == ("WEBP", (384, 384), "RGB")
    assert copy.tobytes() == original.resize((384, 384), Pictures.Resampling.NEAREST).tobytes()


@pytest.mark.parametrize("original", [png_with_everything(), jpeg_with_everything()], ids=["png", "jpeg"])
@pytest.mark.parametrize("rule", [TINY, DisplayRule(width=48, height=48)], ids=["lossless", "lossy"])
def test_no_metadata_and_no_tail_reach_the_rater(original: bytes, rule: DisplayRule) -> None:
    assert SECRET in original
    copy = make_copy(original, rule=rule)
    assert SECRET not in copy and b"script" not in copy
    assert chunks_of(copy) in ([b"VP8L"], [b"VP8 "])


def test_a_turned_photograph_is_shown_upright() -> None:
    copy = opened(make_copy(jpeg_with_everything(), rule=DisplayRule(width=80, height=80, lossless=True)))
    top, bottom = copy.getpixel((40, 2)), copy.getpixel((40, 77))
    left, right = copy.getpixel((5, 40)), copy.getpixel((75, 40))
    assert copy.size == (80, 80) and left == right == (119, 119, 119)  # a 40 x 80 picture with padding beside it
    assert top != (119, 119, 119) and bottom != (119, 119, 119)


@pytest.mark.parametrize(
    ("size", "inside"), [((1216, 832), (1024, 701)), ((1024, 1024), (1024, 1024)), ((512, 768), (512, 768))]
)
def test_large_images_are_only_made_smaller_and_share_one_canvas(
    size: tuple[int, int], inside: tuple[int, int]
) -> None:
    rule = DisplayRule(width=1024, height=1024, padding=(0, 255, 0), lossless=True)
    copy = opened(make_copy(file_of(Pictures.new("RGB", size, (255, 0, 0))), rule=rule))
    assert copy.size == (1024, 1024)
    red = copy.getchannel("R").point(lambda value: 255 * (value > 128)).getbbox()
    assert red is not None and (red[2] - red[0], red[3] - red[1]) == inside


@pytest.mark.parametrize("mode", ["L", "P", "CMYK", "LA", "RGBA", "1"])
def test_every_kind_of_pixel_becomes_rgb(mode: str) -> None:
    made = picture(mode=mode)
    data = file_of(made, format="JPEG" if mode == "CMYK" else "PNG")
    assert opened(make_copy(data, rule=TINY)).mode == "RGB"


def test_sixteen_bit_grey_keeps_its_middle() -> None:
    half = Pictures.new("I;16", (64, 64), 32768)
    copy = opened(make_copy(file_of(half), rule=TINY))
    assert copy.getpixel((0, 0)) == (127, 127, 127)


def test_see_through_pixels_show_the_padding_colour() -> None:
    copy = opened(make_copy(file_of(Pictures.new("RGBA", (64, 64), (255, 0, 0, 0))), rule=TINY))
    assert copy.getpixel((100, 100)) == TINY.padding


def png_claiming(width: int, height: int) -> bytes:
    """A small PNG file whose header promises a huge picture."""

    def chunk(name: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(b"")) + chunk(b"IEND", b"")


def animation() -> bytes:
    frames = [Pictures.new("RGB", (64, 64), colour) for colour in ("red", "blue")]
    return file_of(frames[0], format="WEBP", save_all=True, append_images=frames[1:])


@pytest.mark.filterwarnings("ignore::PIL.Image.DecompressionBombWarning")
@pytest.mark.parametrize(
    ("data", "code"),
    [
        (b"", "unreadable_image"),
        (b"this is no picture", "unreadable_image"),
        (file_of(picture())[:-400], "unreadable_image"),
        (b"<svg xmlns='http://www.w3.org/2000/svg'/>", "unreadable_image"),
        (file_of(picture(), format="GIF"), "unreadable_image"),
        (file_of(picture(), format="TIFF"), "unreadable_image"),
        (png_claiming(9000, 9000), "image_size_refused"),
        (png_claiming(13000, 13000), "image_size_refused"),
        (png_claiming(60000, 60000), "unreadable_image"),
        (png_claiming(10000, 8), "image_size_refused"),
        (file_of(Pictures.new("RGB", (1, 1))), "image_size_refused"),
        (animation(), "animated_image"),
    ],
    ids=["empty", "text", "cut", "svg", "gif", "tiff", "9000", "13000", "60000", "long", "1x1", "animated"],
)
def test_files_that_are_no_still_picture_of_bounded_size_are_refused(data: bytes, code: str) -> None:
    with pytest.raises(DisplayError) as refused:
        make_copy(data, rule=TINY)
    assert refused.value.code == code


@pytest.mark.parametrize(
    ("sizes", "rule"),
    [
        ([64, 64], DisplayRule(width=64, height=64, enlarge=6, lossless=True)),
        ([32, 64], DisplayRule(width=32, height=32, enlarge=12, lossless=True)),
        ([128], DisplayRule(width=128, height=128, enlarge=3, lossless=True)),
        ([512, 1024], DisplayRule(width=512, height=512)),
        ([2048, 1536], DisplayRule(width=1024, height=1024)),
        ([64, 1024], DisplayRule(width=64, height=64, enlarge=6, lossless=True)),
    ],
)
def test_the_default_rule_takes_the_smallest_contenders_size(sizes: list[int], rule: DisplayRule) -> None:
    assert display.default_display_rule(Recipe(width=size, height=size) for size in sizes) == rule


@pytest.mark.parametrize(
    ("rule", "code"),
    [
        ({"width": 64}, "missing_display_entry"),
        ({"width": 64, "height": 64, "watermark": "mine"}, "unknown_display_entry"),
        ({"width": "64", "height": 64}, "bad_display_size"),
        ({"width": 64, "height": 64, "enlarge": 1.5}, "bad_display_size"),
        ({"width": 64, "height": 64, "padding": [0, 0]}, "bad_padding"),
        ({"width": 64, "height": 64, "padding": [0, 0, 256]}, "bad_padding"),
        ({"width": 64, "height": 64, "padding": "#777777"}, "bad_padding"),
        ({"width": 64, "height": 64, "format": "png"}, "bad_display_format"),
        ({"width": 64, "height": 64, "quality": 0}, "bad_display_format"),
    ],
)
def test_a_display_rule_that_cannot_be_applied_is_refused(rule: dict[str, object], code: str) -> None:
    with pytest.raises(DisplayError) as refused:
        DisplayRule.from_json(rule)
    assert refused.value.code == code


def test_a_rule_survives_its_json_form() -> None:
    assert DisplayRule.from_json(TINY.to_json()) == TINY
    assert DisplayRule.from_json(TINY.to_json()).digest == TINY.digest


# --- the copies of a study --------------------------------------------------------------------------------------------
@pytest.fixture
def study(db: None) -> Study:
    return factories.make_study(contenders=3, prompts=2, copies=False)


def test_copies_of_all_contenders_have_one_size_one_format_and_no_metadata(study: Study) -> None:
    text = study.study_prompts.earliest("position").prompt.text
    marked = PngInfo()
    marked.add_text("parameters", SECRET.decode())
    Image.objects.filter(prompt_text=text, recipe=study.contenders.earliest("position").recipe).delete()
    factories.make_image(
        recipe=study.contenders.earliest("position").recipe,
        prompt_text=text,
        data=file_of(picture((96, 96)), pnginfo=marked),
    )
    assert display.prepare_copies(study=study) == 6
    seen = set()
    for copy in DisplayCopy.objects.all():
        data = display.read_copy(copy)
        shown = opened(data)
        seen.add((shown.format, shown.size, shown.mode, copy.content_type, tuple(chunks_of(data))))
        assert SECRET not in data and copy.size_bytes == len(data)
    assert seen == {("WEBP", (384, 384), "RGB", "image/webp", (b"VP8L",))}


def test_copies_are_made_once_and_a_few_at_a_time(study: Study) -> None:
    assert [display.prepare_copies(study=study, most=4) for _ in range(3)] == [4, 2, 0]
    assert DisplayCopy.objects.count() == 6


def test_identical_files_share_one_copy(db: None) -> None:
    study = factories.make_study(contenders=2, prompts=1, images=False, copies=False)
    text = study.study_prompts.get().prompt.text
    for contender in study.contenders.all():
        factories.make_image(recipe=contender.recipe, prompt_text=text, data=factories.png_of((9, 9, 9)))
    assert display.prepare_copies(study=study) == 1
    assert display.with_copies(supply.images_of(study), study=study).count() == 2


def test_a_quarantined_image_gets_no_copy_and_shows_none(study: Study) -> None:
    bad = Image.objects.earliest("pk")
    Image.objects.filter(pk=bad.pk).update(is_quarantined=True, quarantine_reason="disturbing")
    assert display.prepare_copies(study=study) == 5
    assert not DisplayCopy.objects.filter(image_sha256=bad.file_sha256).exists()
    shown = Image.objects.latest("pk")
    assert display.copy_of(shown, study=study) is not None
    shown.is_quarantined = True
    assert display.copy_of(shown, study=study) is None


def test_an_image_that_cannot_be_read_is_quarantined_and_the_others_go_on(study: Study) -> None:
    broken = Image.objects.earliest("pk")
    broken.file_sha256 = image_store.put(b"half a picture", suffix=".png")
    broken.save(update_fields=["file_sha256"])
    assert display.prepare_copies(study=study) == 5
    broken.refresh_from_db()
    assert broken.is_quarantined and broken.quarantine_reason.startswith("The image file cannot be read")
    assert AuditEvent.objects.filter(study=study, act="image quarantined").count() == 1


def test_a_missing_file_is_left_for_another_time(study: Study) -> None:
    lost = Image.objects.earliest("pk")
    lost.file_sha256 = "0" * 64
    lost.save(update_fields=["file_sha256"])
    assert display.prepare_copies(study=study) == 5
    lost.refresh_from_db()
    assert not lost.is_quarantined and display.copy_of(lost, study=study) is None


def test_a_file_whose_bytes_were_changed_is_quarantined_even_when_it_is_a_picture(study: Study) -> None:
    damaged = Image.objects.earliest("pk")
    path = image_store.path_or_none(damaged.file_sha256, suffix=".png")
    assert path is not None
    path.write_bytes(factories.png_of((1, 2, 3)))
    assert display.prepare_copies(study=study) == 5
    damaged.refresh_from_db()
    assert damaged.is_quarantined and damaged.quarantine_reason.startswith("The image file is damaged")
    told = AuditEvent.objects.get(study=study, act="image quarantined")
    assert told.detail == {"file_sha256": damaged.file_sha256, "reason": damaged.quarantine_reason}
    assert display.prepare_copies(study=study) == 0 and not display.without_copies(Image.objects.all(), study=study)


def test_another_display_rule_needs_other_copies(study: Study) -> None:
    display.prepare_copies(study=study)
    other = factories.make_study(contenders=2, prompts=1, slug="words", opened=False, copies=False)
    studies.change_draft(other, actor=None, display_rule={"width": 32, "height": 32})
    other.refresh_from_db()
    assert display.prepare_copies(study=other) == 2
    assert DisplayCopy.objects.values("rule_digest").distinct().count() == 2


@pytest.mark.once
@pytest.mark.django_db
def test_copies_in_an_object_store_are_made_by_the_periodic_task_once_per_image_and_rule(
    s3_server: S3Server, settings: Settings
) -> None:
    use_s3(s3_server, settings, bucket="copies")
    study = factories.make_study(contenders=2, prompts=2, copies=False)
    tasks.prepare_display_copies()
    copies = {(copy.image_sha256, copy.rule_digest): display.read_copy(copy) for copy in DisplayCopy.objects.all()}
    rule = display.rule_of(study)
    for image in supply.images_of(study):
        original = image_store.read(image.file_sha256, suffix=".png")
        assert copies.pop((image.file_sha256, rule.digest)) == make_copy(original, rule=rule)
    assert copies == {}
    tasks.prepare_display_copies()
    assert DisplayCopy.objects.count() == 4


@pytest.mark.django_db
def test_a_full_store_makes_no_copies_and_no_error(
    settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    store = {"BACKEND": "generation.image_store.AtomicFileSystemStorage", "OPTIONS": {"location": str(tmp_path)}}
    settings.STORAGES = settings.STORAGES | {"images": store}
    study = factories.make_study(contenders=2, prompts=2, copies=False)

    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", full)
        assert display.prepare_copies(study=study) == 0
    assert caplog.text.count("No raters' copies are made now. The image store") == 1
    assert display.prepare_copies(study=study) == 4
