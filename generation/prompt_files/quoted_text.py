"""The text a picture should show, taken from the quotation marks of its prompt."""

import re
from typing import Final

_OPENS: Final = r"(?<![^\s(\[{—–:,/-])"
_CLOSES: Final = r"(?![^\W_])"
# Double marks always quote. After a letter or digit a straight mark opens nothing: 5" is five inches.
_DOUBLE: Final = re.compile(
    rf'{_OPENS}"(?=\S)(?P<straight>[^"\n]*[^"\s])"{_CLOSES}'
    r"|[“„](?P<curly>[^“”„\n]*[^“”„\s])[”“]"
    r"|«\s?(?P<angle>[^«»\n]*[^«»\s])\s?»"
    r"|「(?P<corner>[^「」\n]+)」|『(?P<white_corner>[^『』\n]+)』"
)
# Single marks also are apostrophes: one between letters belongs to the text (Don't Panic!).
_SINGLE: Final = re.compile(rf"{_OPENS}['‘](?=\S)(?P<text>(?:[^'‘’\n]|(?<=\w)['’](?=\w))*[^'‘’\s])['’]{_CLOSES}")
_NAMING: Final = (
    "say|says|said|saying|read|reads|reading|word|words|letter|letters|number|text|message|slogan|title|titled|caption|captioned"
    "|label|labeled|labelled|inscription|name|named|called|spell|spells|spelling|write|writes|writing|written|phrase|quote|sign"
)
_MAKING: Final = (
    "written|painted|printed|spelled|spelt|carved|engraved|embroidered|stitched|inscribed|stencilled|stenciled|sprayed"
)
_CUE_BEFORE: Final = re.compile(
    rf"\b(?:{_NAMING})\b[\s:,]*(?:(?:of|is|the|and|or|with|in)\b[\s:,]*){{0,2}}$", re.IGNORECASE
)
_CUE_AFTER: Final = re.compile(rf"\s*(?:is|are|being)?\s*(?:{_MAKING})\b", re.IGNORECASE)


def text_to_render(prompt: str) -> str | None:
    """Every piece in double quotation marks, one a line; without any, the pieces in single marks that clearly quote.

    Single marks clearly quote when a word such as says, word, called or sign stands right before them, or written,
    painted or printed right after. A comma before the closing mark belongs to the sentence and is left out; a piece
    that is quoted twice is listed once. None when nothing is quoted.
    """
    pieces = [next(filter(None, found.groups())) for found in _DOUBLE.finditer(prompt)]
    if not pieces:
        pieces = [found["text"] for found in _SINGLE.finditer(prompt) if _is_cued(prompt, found)]
    wanted = dict.fromkeys(piece.strip().removesuffix(",") for piece in pieces)
    return "\n".join(filter(None, wanted)) or None


def _is_cued(prompt: str, found: re.Match[str]) -> bool:
    return bool(_CUE_BEFORE.search(prompt, 0, found.start()) or _CUE_AFTER.match(prompt, found.end()))
