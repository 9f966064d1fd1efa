"""Folders as other benchmarks write them: the names of the files say which prompt and sample they are.

dalle3      {prompt_index}_{sample}.png            DALL-E 3 Eval
geneval     {prompt_index}/samples/{sample}.png    GenEval
compbench   prompt_{prompt_index}.png, or {prompt text}_{number}.png: T2I-CompBench numbers all files of a run,
            so that the lowest number of a prompt is its sample 0
"""

import re
from collections.abc import Iterable, Sequence
from typing import Final

from generation.image_imports.rows import Claim, ImageImportError, Layout

_ENDING: Final = r"\.(?:png|jpe?g|webp)"
_DALLE3: Final = re.compile(rf"(?:.*/)?(?P<prompt>[0-9]{{1,9}})_(?P<sample>[0-9]{{1,9}}){_ENDING}", re.IGNORECASE)
_GENEVAL: Final = re.compile(
    rf"(?:.*/)?(?P<prompt>[0-9]{{1,9}})/samples/(?P<sample>[0-9]{{1,9}}){_ENDING}", re.IGNORECASE
)
_COMPBENCH_INDEX: Final = re.compile(rf"(?:.*/)?prompt_(?P<prompt>[0-9]{{1,9}}){_ENDING}", re.IGNORECASE)
_COMPBENCH_TEXT: Final = re.compile(
    rf"(?:.*/)?(?P<text>[^/]*[^/0-9_][^/]*)_(?P<rank>[0-9]{{1,9}}){_ENDING}", re.IGNORECASE | re.DOTALL
)


def detect_layout(names: Sequence[str]) -> Layout:
    """The layout that most files follow."""
    counts = {layout: sum(_claim(name, layout) is not None for name in names) for layout in _FOLDER_LAYOUTS}
    best = max(counts, key=lambda layout: counts[layout])
    if not counts[best]:
        raise ImageImportError(
            "the file names follow none of the known layouts",
            remedy="write a manifest (file,prompt,sample), or name the files {prompt_index}_{sample}.png",
        )
    return best


def claims_by_name(names: Iterable[str], *, layout: Layout) -> tuple[list[Claim], list[str]]:
    """What the files say by their names, and the files that say nothing in this layout."""
    claims, unknown = [], []
    for name in names:
        claim = _claim(name, layout)
        if claim is None:
            unknown.append(name)
        else:
            claims.append(claim)
    return claims, unknown


_FOLDER_LAYOUTS: Final = (Layout.GENEVAL, Layout.DALLE3, Layout.COMPBENCH)


def _claim(name: str, layout: Layout) -> Claim | None:
    if layout is Layout.COMPBENCH:
        if found := _COMPBENCH_INDEX.fullmatch(name):
            return Claim(file=name, prompt_id=found["prompt"], sample=0)
        if found := _COMPBENCH_TEXT.fullmatch(name):
            return Claim(file=name, prompt=found["text"].strip(), rank=int(found["rank"]))
        return None
    found = (_GENEVAL if layout is Layout.GENEVAL else _DALLE3).fullmatch(name)
    return Claim(file=name, prompt_id=found["prompt"], sample=int(found["sample"])) if found else None
