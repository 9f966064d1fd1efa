"""What a file is taken for: by content, by name only where the content leaves it open."""

import pytest

from generation.prompt_files import PromptFormat, read_prompts

CSV, TSV, TEXT = PromptFormat.CSV, PromptFormat.TSV, PromptFormat.PLAIN_TEXT


@pytest.mark.parametrize(
    ("name", "text", "expected", "prompts"),
    [
        ("a.txt", "Prompt\tCategory\na cat\tx\n", TSV, ["a cat"]),
        ("a.csv", "Prompt\tCategory\na cat, red\tx\n", TSV, ["a cat, red"]),
        ("a.tsv", "prompt,category\na cat,x\n", CSV, ["a cat"]),
        ("a.csv", "Prompt;Category\na cat, red;x\n", CSV, ["a cat, red"]),
        ("a.json", "id,prompt\n1,a cat\n", CSV, ["a cat"]),
        ("a", "id,prompt\n1,a cat\n", CSV, ["a cat"]),
        ("a.csv", '"prompt","category"\r\n"a cat","x"\r\n', CSV, ["a cat"]),
        ("a.csv", "\n\nprompt,category\rcat,x\r", CSV, ["cat"]),
        ("a.csv", "text\na cat, red\na dog\n", CSV, ["a cat, red", "a dog"]),
        ("a.csv", 'text\n"a cat, red"\na dog\n', CSV, ["a cat, red", "a dog"]),
        ("a.txt", "Prompts\na cat, red\n", TEXT, ["a cat, red"]),
        ("a.txt", "poster, text, minimal\na cat\n", TEXT, ["poster, text, minimal", "a cat"]),
        ("a.txt", "[a cat]\n{red|blue} car\n", TEXT, ["[a cat]", "{red|blue} car"]),
        ("a.txt", '"STOP"\n', TEXT, ['"STOP"']),
        ("a.csv", '[{"prompt": "a cat"}]', PromptFormat.JSON, ["a cat"]),
        ("a.jsonl", '[{"prompt": "a cat"}]', PromptFormat.JSON, ["a cat"]),
        ("a.json", '{"prompt": "a cat"}\n{"prompt": "a dog"}\n', PromptFormat.JSONL, ["a cat", "a dog"]),
        ("a.json", '{\n"prompt": "a cat"\n}\n', PromptFormat.JSON, ["a cat"]),
        ("a.jsonl", '"a cat"\n"a dog"\n', PromptFormat.JSONL, ["a cat", "a dog"]),
    ],
)
def test_the_content_decides(name: str, text: str, expected: PromptFormat, prompts: list[str]) -> None:
    file = read_prompts(text.encode(), file_name=name)
    assert (file.format, [row.text for row in file.rows]) == (expected, prompts)


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-32"])
def test_encodings_that_say_what_they_are_are_read(encoding: str) -> None:
    file = read_prompts("prompt\nein Käfer 🐞 für „Zoë“\n".encode(encoding), file_name="a.csv")
    assert [row.text for row in file.rows] == ["ein Käfer 🐞 für „Zoë“"]


@pytest.mark.parametrize("codec", ["utf-16-be", "utf-32-be"])
def test_big_endian_files_with_a_mark_are_read(codec: str) -> None:
    file = read_prompts("\ufeffprompt\nein Käfer\n".encode(codec), file_name="a.csv")
    assert [row.text for row in file.rows] == ["ein Käfer"]
