"""Every file that is refused, with its line and its sentence."""

import io
import tracemalloc
import zipfile
from pathlib import Path

import pytest

from generation.prompt_files import MOST_BYTES, MOST_PROMPTS, PromptFileError, read_prompt_path, read_prompts
from tests.generation.prompt_files.bad_json import BAD_JSON
from tests.generation.prompt_files.bad_tables import BAD_TABLES_AND_TEXTS, BadFile


@pytest.mark.parametrize("bad", [*BAD_TABLES_AND_TEXTS, *BAD_JSON], ids=lambda bad: bad.label)
def test_a_bad_file_is_refused_with_its_line_and_one_sentence(bad: BadFile) -> None:
    with pytest.raises(PromptFileError) as refusal:
        read_prompts(bad.data, file_name=bad.name)
    assert (refusal.value.line, str(refusal.value)) == (bad.line, bad.sentence)


def refused(path: Path) -> str:
    with pytest.raises(PromptFileError) as refusal:
        read_prompt_path(path)
    return str(refusal.value)


def test_a_workbook_is_named_as_what_it_is() -> None:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("xl/workbook.xml", "<workbook/>")
    with pytest.raises(PromptFileError) as refusal:
        read_prompts(buffer.getvalue(), file_name="prompts.csv")
    assert str(refusal.value) == (
        "prompts.csv: this is an Excel workbook or a zip archive, not text; "
        "save the prompts as CSV (UTF-8) or plain text."
    )


def test_a_huge_file_is_refused_without_reading_it(tmp_path: Path) -> None:
    path = tmp_path / "huge.csv"
    with path.open("wb") as file:
        file.truncate(200 * 2**20)
    tracemalloc.start()
    try:
        sentence = refused(path)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert sentence == "huge.csv: the file is larger than 32 MB; split it into several prompt sets."
    assert peak < 2**20


def test_bytes_over_the_limit_are_refused() -> None:
    with pytest.raises(PromptFileError, match="larger than 32 MB"):
        read_prompts(b"x" * (MOST_BYTES + 1), file_name="a.txt")


@pytest.mark.parametrize(("name", "header"), [("a.csv", "prompt,note\n"), ("a.tsv", "prompt\tnote\n"), ("a.txt", "")])
def test_more_prompts_than_allowed_are_refused_at_the_first_too_many(name: str, header: str) -> None:
    row = {"a.csv": '"a",x\n', "a.tsv": '"a"\tx\n', "a.txt": "a\n"}[name]
    with pytest.raises(PromptFileError) as refusal:
        read_prompts((header + row * (MOST_PROMPTS + 1)).encode(), file_name=name)
    line = MOST_PROMPTS + 1 + bool(header)
    assert str(refusal.value) == (
        f"{name}, line {line}: there are more than 100,000 prompts; split it into several prompt sets."
    )


def test_a_folder_without_txt_files_is_refused(tmp_path: Path) -> None:
    (tmp_path / "notes.md").write_text("x")
    assert refused(tmp_path) == (
        f"{tmp_path.name}: there is no .txt file in this folder; name a file, or a folder with one .txt a prompt."
    )


def test_a_bad_file_in_a_folder_is_named(tmp_path: Path) -> None:
    (tmp_path / "1.txt").write_text("a cat")
    (tmp_path / "2.txt").write_bytes(b"a cat\nin a caf\xe9")
    assert refused(tmp_path) == (
        '2.txt, line 2: byte 0xE9 is not UTF-8; save the file as UTF-8 (in Excel: "CSV UTF-8").'
    )
    (tmp_path / "2.txt").write_text("x" * 10_001)
    assert refused(tmp_path) == (
        "2.txt, line 1: the prompt has 10,001 characters, more than the 10,000 allowed; shorten it."
    )
    (tmp_path / "2.txt").write_text(" \n")
    assert refused(tmp_path) == ("2.txt: the file is empty; put a header and rows, or one prompt a line, into it.")
