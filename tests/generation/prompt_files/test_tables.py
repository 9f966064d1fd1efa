"""Cells of CSV and TSV files: quoting, lines, and that nothing written by the csv module is lost."""

import csv
import io

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from generation.prompt_files import PromptFile, PromptFileError, read_prompts

HEADER = ["prompt", "category", "note"]
# What survives on purpose: no NUL, no lone surrogates, no carriage returns (line ends inside a cell become LF).
CHARACTERS = st.characters(blacklist_categories=["Cs"], blacklist_characters="\0\r")
PROMPTS = st.text(CHARACTERS, min_size=1, max_size=30).map(str.strip).filter(bool)
NOTES = st.text(CHARACTERS, max_size=30).map(str.strip).filter(lambda text: not text.startswith(("[", "{")))
ROWS = st.lists(st.tuples(PROMPTS, NOTES, NOTES), min_size=1, max_size=8)


def read(text: str, *, name: str = "prompts.tsv") -> PromptFile:
    return read_prompts(text.encode(), file_name=name, derive_target_text=False)


def cells_of(file: PromptFile) -> list[tuple[str, str, str]]:
    return [(row.text, row.category, row.metadata.get("note", "")) for row in file.rows]


def written(rows: list[tuple[str, str, str]], *, delimiter: str, quoting: int, line_end: str = "\n") -> str:
    buffer = io.StringIO(newline="")
    writer = csv.writer(buffer, delimiter=delimiter, quoting=quoting, lineterminator=line_end)  # type: ignore[arg-type]
    writer.writerows([HEADER, *rows])
    return buffer.getvalue()


@settings(deadline=None)
@example(rows=[("0", "", "0\n0")], delimiter=",", quoting=csv.QUOTE_MINIMAL, line_end="\r")
@given(
    rows=ROWS,
    delimiter=st.sampled_from(",;"),
    quoting=st.sampled_from([csv.QUOTE_MINIMAL, csv.QUOTE_ALL]),
    line_end=st.sampled_from(["\n", "\r\n", "\r"]),
)
def test_csv_round_trip(rows: list[tuple[str, str, str]], delimiter: str, quoting: int, line_end: str) -> None:
    if line_end == "\r" and any("\n" in cell for row in rows for cell in row):
        # Python's writer, before 3.13, then leaves the cell's line break without the quotation marks that CSV asks for.
        quoting = csv.QUOTE_ALL
    file = read(written(rows, delimiter=delimiter, quoting=quoting, line_end=line_end), name="prompts.csv")
    assert cells_of(file) == rows


def test_a_line_break_without_quotation_marks_is_refused_with_its_line() -> None:
    text = ",".join(HEADER) + "\r0,,0\n0\r"
    with pytest.raises(PromptFileError, match=r"prompts\.csv, line 3: .*put quotation marks around"):
        read(text, name="prompts.csv")


@settings(deadline=None)
@given(rows=ROWS)
def test_fully_quoted_tsv_round_trip(rows: list[tuple[str, str, str]]) -> None:
    assert cells_of(read(written(rows, delimiter="\t", quoting=csv.QUOTE_ALL))) == rows


@settings(deadline=None)
@given(rows=ROWS)
def test_unquoted_tsv_round_trip(rows: list[tuple[str, str, str]]) -> None:
    rows = [tuple(cell.replace("\t", " ").replace("\n", " ") for cell in row) for row in rows]  # type: ignore[misc]
    # A cell that is a CSV-quoted text with a doubled mark inside is the one thing that cannot be told apart.
    rows = [tuple(cell.replace('""', '"') for cell in row) for row in rows]  # type: ignore[misc]
    text = "\n".join("\t".join(row) for row in [tuple(HEADER), *rows]) + "\n"
    assert cells_of(read(text)) == rows


@pytest.mark.parametrize(
    ("cells", "expected"),
    [
        (['"G I G G L E" painted', "a dog"], ['"G I G G L E" painted', "a dog"]),
        (['"STOP"', "a dog"], ['"STOP"', "a dog"]),
        (['"""G I G G L E"" painted"', "a dog"], ['"G I G G L E" painted', "a dog"]),
        (['"a cat\nasleep"', "a dog"], ["a cat\nasleep", "a dog"]),
        (['"a cat\tasleep"', "a dog"], ["a cat\tasleep", "a dog"]),
        (['"Hello, said the bear', "a dog", 'the bear said "hello"'], None),
        (['"Hello, said the bear', "a dog", 'hello, said the bear"'], None),
        (['an unclosed "mark', "a dog"], None),
    ],
)
def test_tsv_quoting_is_decided_by_content(cells: list[str], expected: list[str] | None) -> None:
    file = read("prompt\tcategory\n" + "".join(f"{cell}\tx\n" for cell in cells))
    assert [row.text for row in file.rows] == (expected or cells)


def test_lines_are_those_where_rows_begin() -> None:
    file = read('prompt,note\r\n"a cat\r\nasleep",x\r\n,\r\n\r\na dog,y\r\n', name="prompts.csv")
    assert [(row.line, row.text) for row in file.rows] == [(2, "a cat\nasleep"), (6, "a dog")]


def test_quotation_marks_inside_an_unquoted_csv_cell_are_kept() -> None:
    file = read('prompt,note\na 5" screen that says "hi",x\n', name="prompts.csv")
    assert [row.text for row in file.rows] == ['a 5" screen that says "hi"']


def test_a_column_without_a_name_is_numbered() -> None:
    file = read(",prompt,\n0,a cat,\n", name="prompts.csv")
    assert [row.metadata for row in file.rows] == [{"column 1": "0"}]


def test_cells_that_look_like_formulas_or_markup_stay_texts() -> None:
    prompts = ["=cmd|' /C calc'!A0", "+1", "-1", "@SUM(A1)", "<img src=x onerror=alert(1)>", "{{7*7}}", "javascript:x"]
    file = read("prompt\tnote\n" + "".join(f"{prompt}\tx\n" for prompt in prompts))
    assert [row.text for row in file.rows] == prompts
