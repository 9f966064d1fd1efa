"""The demo family on one sheet: a row for each model and number of steps, a column for each caption."""

import textwrap
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from generation.errors import GenerationError
from generation.model_folders import AdapterFile, read_json
from generation.pipelines.adapting import use_adapters
from generation.pipelines.loading import LoadedPipeline, Source, load
from generation.scenes import caption_of, demo_scenes
from generation.training.assembly import sample

PICTURE = 96
LABELS = 190
HEADINGS = 84
GAP = 2
MOST_CAPTIONS = 60
SEED = 0


@dataclass(frozen=True)
class Row:
    """A shipped checkpoint and how it is drawn."""

    checkpoint: str
    steps: int = 28
    without: tuple[str, ...] = ()

    @property
    def label(self) -> str:
        """Two lines: the checkpoint, and how it is drawn."""
        how = "1 step" if self.steps == 1 else f"{self.steps} steps"
        return "\n".join([self.checkpoint, ", ".join([how, *(f"without {_SHORT[part]}" for part in self.without)])])


_SHORT = {"text_encoder_3": "T5"}
ROWS = (
    *(Row("tiny-sd3", steps) for steps in (1, 4, 28)),
    Row("tiny-sd3", without=("text_encoder_3",)),
    Row("tiny-sd3-pastel"),
    *(Row(f"tiny-sd3-{name}") for name in ("mid", "early", "rf", "v", "eps")),
    Row("tiny-ldm", 4),
    Row("tiny-ldm"),
)


def draw_contact_sheet(models: Path, file: Path, *, captions: int) -> Iterator[str]:
    """Draw the shipped checkpoints below `models` into a PNG, yielding a sentence about each row.

    The captions are the first of the demo study's, which no model saw in training; every row starts from the same
    noise. What is not there is left out with a sentence. Raises GenerationError where nothing is there, or what is
    there does not load.
    """
    if not 1 <= captions <= MOST_CAPTIONS:
        raise GenerationError(f"A contact sheet has 1 to {MOST_CAPTIONS} captions, not {captions}.")
    texts = [caption_of(scene) for scene in demo_scenes(captions)]
    drawn: dict[Row, list[np.ndarray]] = {}
    for row in ROWS:
        if not (models / row.checkpoint / "checkpoint.json").exists():
            yield f"{row.checkpoint} is not there; left out"
            continue
        drawn[row] = sample(_loaded(models / row.checkpoint, row.without).pipe, texts, steps=row.steps, seed=SEED)
        yield f"{', '.join(row.label.splitlines())}: drawn"
    if not drawn:
        raise GenerationError(f"No model of the family lies below {models}; name their folder with --out.")
    _sheet(texts, drawn).save(file, format="PNG", optimize=True)
    yield f"{file}: {len(drawn)} rows of {captions}"


def _loaded(folder: Path, without: tuple[str, ...]) -> LoadedPipeline:
    base = folder.parent / read_json(folder / "checkpoint.json").get("adapter_of", folder.name)
    pipeline_class = str(read_json(base / "model_index.json")["_class_name"])
    loaded = load(Source(folder=base, pipeline_class=pipeline_class, dtype="float32", device="cpu", without=without))
    if base != folder:
        (weights,) = folder.glob("*.safetensors")
        use_adapters(loaded, [AdapterFile(name=folder.name.replace("-", "_"), path=weights, weight=1.0)])
    return loaded


def _sheet(texts: list[str], drawn: dict[Row, list[np.ndarray]]) -> Image.Image:
    step = PICTURE + GAP
    sheet = Image.new("RGB", (LABELS + step * len(texts), HEADINGS + step * len(drawn)), "white")
    pen, small, large = ImageDraw.Draw(sheet), _font(10), _font(14)
    for column, text in enumerate(texts):
        lines = "\n".join(textwrap.wrap(text, 16))
        place = (LABELS + column * step, HEADINGS - 6)
        pen.multiline_text(place, lines, fill="#333333", font=small, anchor="ld", spacing=2)
    for line, (row, pictures) in enumerate(drawn.items()):
        top = HEADINGS + line * step
        pen.multiline_text((8, top + PICTURE / 2), row.label, fill="black", font=large, anchor="lm", spacing=4)
        for column, picture in enumerate(pictures):
            shown = Image.fromarray(picture).resize((PICTURE, PICTURE), Image.Resampling.LANCZOS)
            sheet.paste(shown, (LABELS + column * step, top))
    return sheet


def _font(size: int) -> Any:
    return ImageFont.load_default(size)
