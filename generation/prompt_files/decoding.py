"""Bytes to text without ever guessing an encoding."""

import codecs
from typing import Final

from generation.prompt_files.rows import MOST_BYTES, PromptFileError

# The longer mark first: UTF-32-LE begins with the mark of UTF-16-LE.
_BYTE_ORDER_MARKS: Final = (
    (codecs.BOM_UTF8, "utf-8", "UTF-8"),
    (codecs.BOM_UTF32_LE, "utf-32-le", "UTF-32"),
    (codecs.BOM_UTF32_BE, "utf-32-be", "UTF-32"),
    (codecs.BOM_UTF16_LE, "utf-16-le", "UTF-16"),
    (codecs.BOM_UTF16_BE, "utf-16-be", "UTF-16"),
)
_OTHER_KINDS: Final = (
    (b"PK\x03\x04", "an Excel workbook or a zip archive"),
    (b"\xd0\xcf\x11\xe0", "an old Excel workbook"),
    (b"\x1f\x8b", "a gzip archive"),
    (b"PAR1", "a Parquet file"),
    (b"%PDF", "a PDF"),
    (b"\x89PNG", "a PNG image"),
    (b"\xff\xd8\xff", "a JPEG image"),
)
SIZE_REMEDY: Final = "split it into several prompt sets"


def line_number(text: str, position: int, *, start: int = 0) -> int:
    """The line that holds `position`, counted from 1 at `start`; LF, CRLF and CR all end a line."""
    ends = text.count("\n", start, position) + text.count("\r", start, position)
    return 1 + ends - text.count("\r\n", start, position)


def decode(data: bytes) -> str:
    """The text of the file. UTF-8, or UTF-16 and UTF-32 that say so by their byte order mark."""
    if len(data) > MOST_BYTES:
        raise too_large()
    for beginning, kind in _OTHER_KINDS:
        if data.startswith(beginning):
            raise PromptFileError(f"this is {kind}, not text", remedy="save the prompts as CSV (UTF-8) or plain text")
    encoding, name, mark = "utf-8", "UTF-8", b""
    for mark_bytes, codec, title in _BYTE_ORDER_MARKS:
        if data.startswith(mark_bytes):
            encoding, name, mark = codec, title, mark_bytes
            break
    try:
        text = data[len(mark) :].decode(encoding)
    except UnicodeDecodeError as error:
        before = data[len(mark) : len(mark) + error.start].decode(encoding, errors="replace")
        bad = data[len(mark) + error.start]
        raise PromptFileError(
            f"byte 0x{bad:02X} is not {name}",
            line=line_number(before, len(before)),
            remedy='save the file as UTF-8 (in Excel: "CSV UTF-8")',
        ) from None
    _refuse_nul(text)
    if not text.strip():
        raise PromptFileError("the file is empty", remedy="put a header and rows, or one prompt a line, into it")
    return text


def too_large() -> PromptFileError:
    return PromptFileError(f"the file is larger than {MOST_BYTES // 2**20} MB", remedy=SIZE_REMEDY)


def _refuse_nul(text: str) -> None:
    position = text.find("\0")
    if position < 0:
        return
    remedy = "remove it, or export the file again as UTF-8 text"
    if text.count("\0") > len(text) // 3:
        remedy = "the file looks like UTF-16 without a byte order mark: save it as UTF-8"
    raise PromptFileError("there is a NUL byte", line=line_number(text, position), remedy=remedy)
