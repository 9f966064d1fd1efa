"""Prompt files as published sets ship them, each written here in the same shape."""

import json
from pathlib import Path

import pytest

from generation.prompt_files import PromptFile, PromptFormat, PromptRow, read_prompt_path, read_prompts


def read(text: str, *, name: str) -> PromptFile:
    return read_prompts(text.encode(), file_name=name)


def test_partiprompts_is_read_without_quoting() -> None:
    file = read(
        "Prompt\tCategory\tChallenge\tNote\n"
        "bond\tAbstract\tBasic\tBiology-inspired concepts with multiple meanings\n"
        '"G I G G L E" painted as graffiti\tIllustrations\tWriting & Symbols\t\n'
        "a penguin next to a bemused eagle. \tAnimals\tComplex\t\n",
        name="PartiPrompts.tsv",
    )
    assert file == PromptFile(
        file_name="PartiPrompts.tsv",
        format=PromptFormat.TSV,
        rows=(
            PromptRow(
                text="bond",
                category="Abstract",
                challenge="Basic",
                metadata={"Note": "Biology-inspired concepts with multiple meanings"},
                line=2,
            ),
            PromptRow(
                text='"G I G G L E" painted as graffiti',
                category="Illustrations",
                challenge="Writing & Symbols",
                target_text="G I G G L E",
                line=3,
            ),
            PromptRow(text="a penguin next to a bemused eagle.", category="Animals", challenge="Complex", line=4),
        ),
        remarks=("Quotation marks around or inside a cell are kept as part of the text.",),
        target_texts_derived=True,
        columns={"Prompt": "text", "Category": "category", "Challenge": "challenge", "Note": ""},
    )


@pytest.mark.parametrize("header", ["Prompts,Category", "Prompt,Category", "PROMPTS,category"])
def test_drawbench_category_loses_its_trailing_blank(header: str) -> None:
    file = read(f'{header}\nA red colored car.,Colors \n"A car, red.",Colors\n', name="DrawBench.csv")
    assert file.rows == (
        PromptRow(text="A red colored car.", category="Colors", line=2),
        PromptRow(text="A car, red.", category="Colors", line=3),
    )
    assert file.categories == {"Colors": 2}


def test_geneval_keeps_its_nested_metadata() -> None:
    include = [{"class": "bench", "count": 1}, {"class": "cat", "count": 2, "color": "red"}]
    line = json.dumps({"tag": "counting", "include": include, "prompt": "a photo of a bench"})
    file = read(f"{line}\n\n{line}", name="evaluation_metadata.jsonl")
    assert file.format is PromptFormat.JSONL
    expected = PromptRow(text="a photo of a bench", category="counting", metadata={"include": include}, line=1)
    assert file.rows[0] == expected
    assert [row.line for row in file.rows] == [1, 3]
    assert file.extra_columns == ("include",)
    assert file.duplicates == 1


def test_a_single_object_on_one_line_is_a_prompt() -> None:
    file = read('{"prompt": "a cat", "tag": "one"}', name="one.txt")
    assert file.rows == (PromptRow(text="a cat", category="one", line=1),)


def test_plain_text_is_one_prompt_a_line_with_or_without_a_final_newline() -> None:
    file = read("a green bench and a red car\n\n   \n  a dog, a cat \r\nein Hund\u2028im Schnee", name="color_val.txt")
    assert file.format is PromptFormat.PLAIN_TEXT
    assert file.rows == (
        PromptRow(text="a green bench and a red car", line=1),
        PromptRow(text="a dog, a cat", line=4),
        PromptRow(text="ein Hund\u2028im Schnee", line=5),
    )


def test_hps_is_a_list_of_strings() -> None:
    file = read('["a cat",\n "a dog in the style of \\u201cnoir\\u201d"]', name="anime.json")
    assert file.format is PromptFormat.JSON
    assert file.rows == (
        PromptRow(text="a cat", line=1),
        PromptRow(text="a dog in the style of “noir”", target_text="noir", line=2),
    )


def test_styles_over_lists_become_categories() -> None:
    file = read('{"anime": ["a cat",\n"a dog"],\n"photo": [{"prompt": "a fox"}]}', name="all.json")
    assert file.rows == (
        PromptRow(text="a cat", category="anime", line=1),
        PromptRow(text="a dog", category="anime", line=2),
        PromptRow(text="a fox", category="photo", line=3),
    )


def test_a_wrapped_list_has_no_category() -> None:
    file = read('{"version": 2, "prompts": [{"caption": "a cat", "seed": 1}]}', name="prompts.json")
    assert file.rows == (PromptRow(text="a cat", metadata={"seed": 1}, line=1),)


def test_objects_by_key_keep_their_key() -> None:
    file = read(
        '{\n"0a": {"category": "people", "prompt": "a man"},\n"0b": {"prompt": "a cat"}\n}', name="meta_data.json"
    )
    assert file.rows == (
        PromptRow(text="a man", category="people", metadata={"key": "0a"}, line=2),
        PromptRow(text="a cat", metadata={"key": "0b"}, line=3),
    )


def test_unigenbench_has_json_inside_a_cell() -> None:
    file = read(
        'index,prompt_en,sub_dims_en\n0,"A cat, asleep","{""Style"": [""Oil""], ""Count"": 2}"\n1,A dog,{broken\n',
        name="test_prompts_en.csv",
    )
    assert file.rows == (
        PromptRow(text="A cat, asleep", metadata={"index": "0", "sub_dims_en": {"Style": ["Oil"], "Count": 2}}, line=2),
        PromptRow(text="A dog", metadata={"index": "1", "sub_dims_en": "{broken"}, line=3),
    )


def test_a_folder_holds_one_prompt_a_file(tmp_path: Path) -> None:
    folder = tmp_path / "dpg"
    folder.mkdir()
    texts = {
        "10.txt": "ten",
        "2.txt": "two\r\nin two lines\n",
        "A.TXT": '\ufeffthe word "A"',
        "notes.md": "-",
        "._2.txt": "-",
    }
    for name, text in texts.items():
        (folder / name).write_bytes(text.encode())
    assert read_prompt_path(folder) == PromptFile(
        file_name="dpg",
        format=PromptFormat.FOLDER,
        rows=(
            PromptRow(text='the word "A"', target_text="A", metadata={"file": "A.TXT"}, line=1),
            PromptRow(text="two\nin two lines", metadata={"file": "2.txt"}, line=1),
            PromptRow(text="ten", metadata={"file": "10.txt"}, line=1),
        ),
        remarks=("Prompts of several lines, each kept as one prompt: 1.",),
        target_texts_derived=True,
        columns={"prompt": "text", "file": ""},
    )
