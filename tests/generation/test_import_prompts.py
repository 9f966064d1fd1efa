"""The command import_prompts: what it says, what it stores, and that a bad file stores nothing."""

import io
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from django.conf import settings
from django.core.management import CommandError, call_command

from generation.models import Prompt, PromptSet
from tests.generation.prompt_files.bad_json import BAD_JSON
from tests.generation.prompt_files.bad_tables import BAD_TABLES_AND_TEXTS, BadFile

TSV = (
    "Prompt\tCategory\tChallenge\tNote\n"
    "bond\tAbstract\tBasic\tscience\n"
    '"G I G G L E" painted as graffiti\tIllustrations\tWriting & Symbols\t\n'
    "bond\tAbstract\tBasic\t\n"
)


def run(*arguments: object) -> str:
    output = io.StringIO()
    call_command("import_prompts", *map(str, arguments), stdout=output, no_color=True)
    return output.getvalue()


@pytest.fixture
def file(tmp_path: Path, db: None) -> Path:
    path = tmp_path / "PartiPrompts.tsv"
    path.write_text(TSV)
    return path


def test_a_file_is_stored_and_what_was_understood_is_said(file: Path) -> None:
    assert run(file, "--licence", "Apache-2.0") == (
        "Format:              TSV\n"
        "Prompts:             3\n"
        "Categories:          2 (Abstract 2, Illustrations 1)\n"
        "Challenges:          2 (Basic 2, Writing & Symbols 1)\n"
        "With text to render: 1 (taken from quotation marks)\n"
        "Duplicates:          1 (kept)\n"
        "Extra columns:       Note\n"
        "Quotation marks around or inside a cell are kept as part of the text.\n"
        'Saved as "PartiPrompts v1".\n'
    )
    assert list(PromptSet.objects.values_list("name", "version", "licence", "source")) == [
        ("PartiPrompts", 1, "Apache-2.0", "PartiPrompts.tsv")
    ]
    assert list(Prompt.objects.values_list("position", "text", "challenge", "target_text", "metadata")) == [
        (0, "bond", "Basic", None, {"Note": "science"}),
        (1, '"G I G G L E" painted as graffiti', "Writing & Symbols", "G I G G L E", {}),
        (2, "bond", "Basic", None, {}),
    ]


def test_the_same_file_again_adds_nothing_and_says_so(file: Path) -> None:
    run(file)
    assert run(file).endswith('\n"PartiPrompts v1" already holds exactly these prompts; nothing was added.\n')
    assert PromptSet.objects.count() == 1


def test_a_corrected_file_is_the_next_version(file: Path) -> None:
    run(file)
    file.write_text(TSV.replace("graffiti", "graffito"))
    assert run(file).endswith('\nSaved as "PartiPrompts v2".\n')


def test_columns_can_be_named_duplicates_dropped_and_all_of_it_previewed(tmp_path: Path, db: None) -> None:
    path = tmp_path / "tiere.csv"
    path.write_text("id,beschreibung,tag\n1,a cat,x\n2,a dog,y\n3,a cat,z\n")
    said = [path, "--column", "text=beschreibung", "--column", "category=", "--drop-duplicates"]
    preview = json.loads(run(*said, "--preview", "--json"))
    assert (preview["prompts"], preview["dropped"], preview["categories"]) == (2, 1, {})
    assert preview["columns"] == {"id": "", "beschreibung": "text", "tag": ""}
    assert not PromptSet.objects.exists()
    assert "Duplicates:          1 (left out)\n" in run(*said)
    assert [prompt.metadata for prompt in Prompt.objects.order_by("position")] == [
        {"id": "1", "tag": "x"},
        {"id": "2", "tag": "y"},
    ]


@pytest.mark.parametrize(
    ("column", "words"),
    [
        ("text", "as in text=caption"),
        ("colour=a", "nothing that a column can mean"),
        ("text=nowhere", "no prompt column"),
    ],
)
def test_a_column_that_makes_no_sense_is_refused(file: Path, column: str, words: str) -> None:
    with pytest.raises(CommandError) as refused:
        run(file, "--column", column)
    assert words in str(refused.value)


def test_all_bad_rows_are_said_at_once(file: Path) -> None:
    file.write_text(TSV + "one cell\n\t\t\t\n\tno prompt\t\t\n")
    with pytest.raises(CommandError) as refused:
        run(file)
    lines = str(refused.value).splitlines()
    assert [line.split(":")[0] for line in lines] == ["PartiPrompts.tsv, line 5", "PartiPrompts.tsv, line 7"]


def test_name_source_and_target_texts_can_be_chosen(file: Path) -> None:
    output = run(file, "--name", "Parti", "--source", "Yu et al. 2022", "--no-target-text")
    assert "\nWith text to render: 0\n" in output
    assert list(PromptSet.objects.values_list("name", "source")) == [("Parti", "Yu et al. 2022")]
    assert not Prompt.objects.exclude(target_text=None).exists()


def test_a_folder_of_texts_is_stored_under_its_name(tmp_path: Path, db: None) -> None:
    folder = tmp_path / "dpg"
    folder.mkdir()
    for number in (10, 2):
        (folder / f"{number}.txt").write_text(f"prompt {number}")
    assert run(f"{folder}/") == (
        "Format:              folder of .txt files, one prompt each\n"
        "Prompts:             2\n"
        "Categories:          none\n"
        "Challenges:          none\n"
        "With text to render: 0 (taken from quotation marks)\n"
        "Duplicates:          none\n"
        "Extra columns:       file\n"
        'Saved as "dpg v1".\n'
    )
    assert list(Prompt.objects.values_list("text", "metadata")) == [
        ("prompt 2", {"file": "2.txt"}),
        ("prompt 10", {"file": "10.txt"}),
    ]


def test_many_categories_are_shortened(tmp_path: Path, db: None) -> None:
    path = tmp_path / "many.csv"
    path.write_text("prompt,category\n" + "".join(f"a cat,c{number:02}\n" for number in range(14)))
    names = ", ".join(f"c{number:02} 1" for number in range(12))
    assert f"\nCategories:          14 ({names}, …)\n" in run(path)


@pytest.mark.once
@pytest.mark.parametrize("bad", [*BAD_TABLES_AND_TEXTS, *BAD_JSON], ids=lambda bad: bad.label)
def test_a_bad_file_changes_nothing(bad: BadFile, file: Path, tmp_path: Path) -> None:
    run(file)
    (tmp_path / bad.name).write_bytes(bad.data)
    with pytest.raises(CommandError) as refusal:
        run(tmp_path / bad.name, "--name", "PartiPrompts")
    assert str(refusal.value) == bad.sentence
    assert list(PromptSet.objects.values_list("name", "version")) == [("PartiPrompts", 1)]
    assert Prompt.objects.count() == 3


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(CommandError) as refusal:
        run(tmp_path / "none.csv")
    assert str(refusal.value) == f"{tmp_path}/none.csv does not exist; name a prompt file or a folder of .txt files."


def test_a_name_that_cannot_be_stored_is_refused(file: Path) -> None:
    with pytest.raises(CommandError, match="The name has 201 characters; give at most 200."):
        run(file, "--name", "x" * 201)
    assert not PromptSet.objects.exists()


def as_process(folder: Path, path: Path) -> tuple[int, str, str]:
    """The command as people run it, on a new database below `folder`."""
    environment = {**os.environ, "WINRATE_DATA_DIR": str(folder / "data")}
    environment.pop("DATABASE_URL", None)
    command = [sys.executable, str(settings.BASE_DIR / "manage.py"), "import_prompts", str(path)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=120)  # noqa: S603
    return done.returncode, done.stdout, done.stderr


def test_a_bad_file_ends_the_process_with_one_sentence_and_exit_status_1(tmp_path: Path) -> None:
    path = tmp_path / "bad.csv"
    path.write_text('prompt,note\n"a cat,x\n')
    assert as_process(tmp_path, path) == (
        1,
        "",
        "CommandError: bad.csv, line 2: the quotation mark that opens here is never closed; "
        'close it, and write "" for a quotation mark inside a quoted cell.\n',
    )


def test_a_database_without_tables_is_told_from_a_bad_file(tmp_path: Path) -> None:
    path = tmp_path / "good.txt"
    path.write_text("a cat\n")
    status, _, errors = as_process(tmp_path, path)
    assert status == 1
    assert errors == (
        "CommandError: Nothing was saved: no such table: generation_promptset. "
        "If the database is new, run `python manage.py migrate` first.\n"
    )
