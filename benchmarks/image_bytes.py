"""Bytes of an image's two files, its PNG and its raters' copy: `python -m benchmarks.image_bytes`.

The small pictures come from the shipped demo model. The large ones are made here, with what makes pictures costly to
keep: a spectrum that falls as in photographs (amplitude as 1/f), some sharp edges, and a grain of one step of 255.
"""

import io
import os
from pathlib import Path
from statistics import mean

import numpy as np
from PIL import Image as Pictures
from PIL import ImageDraw, ImageFont

DEMO = Path(__file__).resolve().parents[1] / "generation" / "demo_models" / "tiny-sd3"
RESULT = Path(__file__).parent / "results" / "image_bytes.md"
WORDS = ("CAT", "SUN", "RED", "BOX", "HAT", "PEN", "CUP", "KEY")
COLOURS = ("red", "blue")
SIDE, LARGE, TRIED = 1024, 12, 4
# What a rater's copy might be instead: name, how Pillow saves it. WebP has half the resolution of colour, always.
OTHERS: dict[str, dict[str, object]] = {
    "WebP 90, as raters get it": {"format": "WEBP", "quality": 90, "method": 4},
    "WebP 80": {"format": "WEBP", "quality": 80, "method": 4},
    "WebP 70": {"format": "WEBP", "quality": 70, "method": 4},
    "WebP 60": {"format": "WEBP", "quality": 60, "method": 4},
    "JPEG 85, full colour": {"format": "JPEG", "quality": 85, "subsampling": 0, "optimize": True},
    "JPEG 70, full colour": {"format": "JPEG", "quality": 70, "subsampling": 0, "optimize": True},
    "AVIF 70, full colour": {"format": "AVIF", "quality": 70, "subsampling": "4:4:4", "speed": 6},
}


def main() -> None:
    """Make both kinds, measure, write."""
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "evalsite.settings")
    import django

    django.setup()
    from arena.display import LARGEST_SIDE, TINY_SHOWN, DisplayRule

    small = DisplayRule(width=64, height=64, enlarge=TINY_SHOWN // 64, lossless=True)
    large = DisplayRule(width=min(SIDE, LARGEST_SIDE), height=min(SIDE, LARGEST_SIDE))
    pictures = demo_pictures()
    rows = [
        line_of(f"{len(pictures)} of the demo model, 64 x 64, 28 steps", pictures, small),
        line_of(f"{LARGE} synthetic, {SIDE} x {SIDE}", [synthetic(seed) for seed in range(LARGE)], large),
    ]
    RESULT.write_text(
        "# Bytes of an image's files\n\n"
        "`python -m benchmarks.image_bytes`. The PNG as workers write it, and the WebP copy that raters get.\n"
        f"The synthetic pictures are made {' '.join(__doc__.split('The large ones are made here, ')[1].split())}\n"
        "Every part of them has texture, which is costly; pictures of models of this size were not there to be"
        " measured.\n\n"
        "| pictures | PNG, mean (least to most) | raters' copy, mean (least to most) |\n|---|---|---|\n"
        + "".join(rows)
        + other_copies()
    )
    print(RESULT.read_text())


def line_of(what: str, pictures: list[Pictures.Image], rule: object) -> str:
    """A row of the table."""
    from arena.display import make_copy

    originals = [png(picture) for picture in pictures]
    copies = [make_copy(data, rule=rule) for data in originals]  # type: ignore[arg-type]
    told = (
        f"{mean(map(len, files)):,.0f} ({min(map(len, files)):,} to {max(map(len, files)):,})"
        for files in (originals, copies)
    )
    return f"| {what} | {' | '.join(told)} |\n"


def other_copies() -> str:
    """What smaller copies of the large pictures would cost in likeness."""
    plain = [synthetic(seed) for seed in range(TRIED)]
    worded = [with_words(synthetic(seed), seed) for seed in range(TRIED)]
    lines = [
        f"\nOther copies of {TRIED} of the large pictures, as they are and with coloured words written over them:"
        " mean bytes, and the peak signal-to-noise ratio to the original (six more are half of the difference).\n\n"
        "| copy | bytes | likeness, dB | bytes, with words | likeness, dB |\n|---|---|---|---|---|\n"
    ]
    for name, options in OTHERS.items():
        told = [f"{size:,.0f} | {likeness:.1f}" for size, likeness in (tried(plain, options), tried(worded, options))]
        lines.append(f"| {name} | {' | '.join(told)} |\n")
    return "".join(lines)


def tried(pictures: list[Pictures.Image], options: dict[str, object]) -> tuple[float, float]:
    """Mean bytes, and mean likeness in dB."""
    sizes, likeness = [], []
    for picture in pictures:
        file = io.BytesIO()
        picture.save(file, **options)  # type: ignore[arg-type]
        sizes.append(file.tell())
        file.seek(0)
        with Pictures.open(file) as opened:
            difference = np.asarray(opened.convert("RGB"), float) - np.asarray(picture, float)
        likeness.append(10 * np.log10(255**2 / np.mean(difference**2)))
    return mean(sizes), float(mean(likeness))


def with_words(picture: Pictures.Image, seed: int) -> Pictures.Image:
    """Lines of text of many sizes and colours over it, as pictures with signs have them."""
    random, drawing = np.random.default_rng(seed), ImageDraw.Draw(picture)
    for _ in range(14):
        place = (float(random.integers(0, SIDE - 320)), float(random.integers(0, SIDE - 60)))
        red, green, blue = (int(part) for part in random.integers(0, 255, 3))
        font = ImageFont.load_default(float(random.integers(14, 90)))
        drawing.text(place, "The quick brown fox 0123", font=font, fill=(red, green, blue))
    return picture


def png(picture: Pictures.Image) -> bytes:
    """As the workers save it."""
    file = io.BytesIO()
    picture.save(file, format="PNG")
    return file.getvalue()


def demo_pictures() -> list[Pictures.Image]:
    """Signs with words, as the demo's prompts have them."""
    import torch
    from diffusers import StableDiffusion3Pipeline

    pipeline = StableDiffusion3Pipeline.from_pretrained(DEMO, dtype=torch.float32, local_files_only=True)
    pipeline.set_progress_bar_config(disable=True)
    prompts = [f'a {colour} sign that says "{word}"' for colour in COLOURS for word in WORDS]
    drawn = pipeline(
        prompts,
        height=64,
        width=64,
        num_inference_steps=28,
        guidance_scale=3.0,
        generator=torch.Generator().manual_seed(1),
    )
    return list(drawn.images)


def synthetic(seed: int) -> Pictures.Image:
    """A picture with the spectrum of photographs, edges and grain."""
    random = np.random.default_rng(seed)
    frequency = np.hypot(np.fft.fftfreq(SIDE)[:, None], np.fft.rfftfreq(SIDE)[None, :])
    frequency[0, 0] = 1
    layers = [np.fft.irfft2(np.fft.rfft2(random.standard_normal((SIDE, SIDE))) / frequency) for _ in range(3)]
    light, hue = layers[0] / layers[0].std(), [layer / layer.std() for layer in layers[1:]]
    red, blue = light + 0.3 * hue[0], light + 0.3 * hue[1]
    picture = np.stack([red, light, blue], axis=-1) * 45 + 118
    rows, columns = np.mgrid[:SIDE, :SIDE]
    for _ in range(6):  # things in front, each with an outline and a colour of its own
        across, down, radius = random.uniform(0, SIDE, 2).tolist() + [random.uniform(40, 200)]
        inside = np.hypot(columns - across, rows - down) < radius
        picture[inside] = picture[inside] * 0.6 + random.uniform(0, 255, 3) * 0.4
    picture += random.normal(0, 1, picture.shape)
    return Pictures.fromarray(picture.round().clip(0, 255).astype(np.uint8))


if __name__ == "__main__":
    main()
