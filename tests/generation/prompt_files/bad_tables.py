"""Tables and texts that must be refused, each with the sentence that a person gets to read."""

from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True)
class BadFile:
    """`sentence` is the whole message, the file and line included."""

    label: str
    name: str
    data: bytes
    line: int | None
    reason: str

    @property
    def sentence(self) -> str:
        place = f"{self.name}, line {self.line}" if self.line else self.name
        return f"{place}: {self.reason}."


_CLOSE: Final = 'close it, and write "" for a quotation mark inside a quoted cell'
_UTF8: Final = 'save the file as UTF-8 (in Excel: "CSV UTF-8")'
_NAME_IT: Final = 'name the column with the prompts "prompt", or save one prompt a line as .txt'
_FILL: Final = "put a header and rows, or one prompt a line, into it"

BAD_TABLES_AND_TEXTS: Final = [
    # Bytes
    BadFile("empty", "a.csv", b"", None, f"the file is empty; {_FILL}"),
    BadFile("blank", "a.txt", b"\xef\xbb\xbf \n\n", None, f"the file is empty; {_FILL}"),
    BadFile(
        "NUL",
        "a.csv",
        b"prompt\na cat\na d\0g\n",
        3,
        "there is a NUL byte; remove it, or export the file again as UTF-8 text",
    ),
    BadFile("Latin-1", "a.csv", b"prompt,note\r\na cat,x\r\na caf\xe9,y\r\n", 3, f"byte 0xE9 is not UTF-8; {_UTF8}"),
    BadFile("Latin-1 and CR", "a.txt", b"a cat\ra dog\ra caf\xe9", 3, f"byte 0xE9 is not UTF-8; {_UTF8}"),
    BadFile("cut UTF-8", "a.txt", "a cat\ncafé".encode()[:-1], 2, f"byte 0xC3 is not UTF-8; {_UTF8}"),
    BadFile("cut UTF-16", "a.txt", "a cat\ncafé".encode("utf-16")[:-1], 2, f"byte 0xE9 is not UTF-16; {_UTF8}"),
    BadFile(
        "UTF-16 without a mark",
        "a.txt",
        "a cat".encode("utf-16-le"),
        1,
        "there is a NUL byte; the file looks like UTF-16 without a byte order mark: save it as UTF-8",
    ),
    # Tables
    BadFile(
        "unclosed quote",
        "a.csv",
        b'prompt,note\na cat,x\n"a dog,y\na fox,z\n',
        3,
        f"the quotation mark that opens here is never closed; {_CLOSE}",
    ),
    BadFile(
        "unclosed quote in the second cell",
        "a.csv",
        b'prompt,note\n"a\ncat","x\ny\n',
        3,
        f"the quotation mark that opens here is never closed; {_CLOSE}",
    ),
    BadFile(
        "quote closed far below",
        "a.csv",
        b'prompt,note\n"a dog,y\na fox,z\n"a cat",w\n',
        2,
        f"the quotation mark that opens here is not closed before line 4; {_CLOSE}",
    ),
    BadFile(
        "text after a quote",
        "a.csv",
        b'prompt,note\n"G I G" painted,x\n',
        2,
        f"more text follows the closing quotation mark of a cell; {_CLOSE}",
    ),
    BadFile(
        "unclosed quote in a quoted TSV",
        "a.tsv",
        b'"prompt"\t"note"\n"a cat"\t"x"\n"a dog\t"y"\n',
        3,
        f"more text follows the closing quotation mark of a cell; {_CLOSE}",
    ),
    BadFile(
        "unclosed quote in one column",
        "a.csv",
        b'prompt\n"a cat\n',
        2,
        f"the quotation mark that opens here is never closed; {_CLOSE}",
    ),
    BadFile(
        "no prompt column",
        "a.csv",
        b"\nid,Category\n1,x\n",
        2,
        f"there is no prompt column, only id, Category; {_NAME_IT}",
    ),
    BadFile(
        "no prompt column in TSV",
        "a.tsv",
        b"id\tname\n1\tx\n",
        1,
        f"there is no prompt column, only id, name; {_NAME_IT}",
    ),
    BadFile(
        "no prompt column, told by content",
        "a.dat",
        b"Category,Challenge\nx,y\n",
        1,
        f"there is no prompt column, only Category, Challenge; {_NAME_IT}",
    ),
    BadFile("one nameless column", "a.csv", b"a cat\na dog\n", 1, f"there is no prompt column, only a cat; {_NAME_IT}"),
    BadFile(
        "header only",
        "a.csv",
        b"prompt,category\n",
        None,
        "there are no prompts in this file; add at least one",
    ),
    BadFile(
        "header and blank rows",
        "a.csv",
        b"prompt,category\n,\n\n , \n",
        None,
        "there are no prompts in this file; add at least one",
    ),
    BadFile(
        "row too long",
        "a.csv",
        b"prompt,category\na cat, red,x\n",
        2,
        "the header in line 1 has 2 cells, this row 3 cells; "
        "put quotation marks around cells that contain the separator",
    ),
    BadFile(
        "row too short",
        "a.tsv",
        b"prompt\tcategory\n\na cat\n",
        3,
        "the header in line 1 has 2 cells, this row 1 cell; give every row the same number of tabs",
    ),
    BadFile(
        "two columns of one name",
        "a.csv",
        b"prompt,note,note\na,b,c\n",
        1,
        'there are two columns "note"; rename one of them',
    ),
    BadFile(
        "empty prompt",
        "a.csv",
        b"prompt,category\na cat,x\n  ,y\n",
        3,
        "the prompt is empty; write one or remove the row",
    ),
    # Limits
    BadFile(
        "prompt too long",
        "a.csv",
        b"prompt,note\na,x\n" + b"x" * 200_000 + b",y\n",
        3,
        "the prompt has 200,000 characters, more than the 10,000 allowed; shorten it",
    ),
    BadFile(
        "note too long",
        "a.csv",
        b"prompt,note\na,x\nb," + b"y" * 200_000 + b"\n",
        3,
        "the metadata has 200,012 characters, more than the 100,000 allowed; shorten it",
    ),
    BadFile(
        "category too long",
        "a.csv",
        b"prompt,category\na," + b"y" * 201 + b"\n",
        2,
        "the category has 201 characters, more than the 200 allowed; shorten it",
    ),
    BadFile(
        "challenge too long",
        "a.csv",
        b"prompt,challenge\na," + b"y" * 201 + b"\n",
        2,
        "the challenge has 201 characters, more than the 200 allowed; shorten it",
    ),
    BadFile(
        "tag too long",
        "a.csv",
        b"prompt,tags\na," + b"y" * 201 + b"\n",
        2,
        "the tag has 201 characters, more than the 200 allowed; shorten it",
    ),
    BadFile(
        "text to render too long",
        "a.csv",
        b"prompt,target_text\na," + b"y" * 1001 + b"\n",
        2,
        "the text to render has 1,001 characters, more than the 1,000 allowed; shorten it",
    ),
]
