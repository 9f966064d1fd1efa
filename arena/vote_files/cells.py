"""Cells that a spreadsheet would take for formulas, made harmless and back again."""

import re
from typing import Any, Final

# Excel, LibreOffice and Sheets run what begins like this. A cell that already begins with apostrophes before such a
# character gets one more, so that taking one away always gives back what was there.
_FORMULA: Final = re.compile(r"'*[=+\-@\t\r\n]")
_ESCAPED: Final = re.compile(r"'+[=+\-@\t\r\n]")


def escaped(cell: Any) -> Any:
    """The cell with an apostrophe in front where a spreadsheet would run it; anything but text as it is."""
    return f"'{cell}" if isinstance(cell, str) and _FORMULA.match(cell) else cell


def unescaped(text: str) -> str:
    """What `escaped` made the text from."""
    return text[1:] if _ESCAPED.match(text) else text
