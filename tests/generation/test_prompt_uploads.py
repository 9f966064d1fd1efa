"""A prompt file between its upload and the set it becomes."""

from datetime import timedelta

import pytest
from django.contrib.auth.models import User
from django.utils import timezone

from generation.models import PromptSet, PromptUpload
from generation.prompt_files import PromptFileError, read_prompts
from generation.prompt_sets import PromptSetError, save_prompt_set
from generation.prompt_uploads import (
    MOST_KEPT,
    Problem,
    Reading,
    keep_upload,
    look_at,
    read_otherwise,
    save_upload,
)

CSV = b"id,beschreibung,group\n1,a cat,animals\n2,a dog,animals\n3,a cat,pets\n"


@pytest.fixture
def owner(db: None) -> User:
    return User.objects.create_user("ada")


def kept(owner: User, data: bytes = CSV, name: str = "tiere.csv") -> PromptUpload:
    return keep_upload(owner=owner, file_name=name, data=data)


def test_a_file_without_a_known_prompt_column_offers_its_columns(owner: User) -> None:
    look = look_at(kept(owner))
    assert look.file is None
    assert look.columns == {"id": "", "beschreibung": "", "group": ""}
    sentence = (
        "There is no prompt column, only id, beschreibung, group; name the column with the prompts "
        '"prompt", or save one prompt a line as .txt.'
    )
    assert look.problems == (Problem(1, sentence, "id,beschreibung,group"),)


def test_columns_that_a_person_chose_are_read_so(owner: User) -> None:
    upload = kept(owner)
    read_otherwise(upload, Reading({"text": "beschreibung", "category": "group"}))
    look = look_at(PromptUpload.objects.get())
    assert look.file is not None
    assert [(row.text, row.category, row.metadata) for row in look.file.rows] == [
        ("a cat", "animals", {"id": "1"}),
        ("a dog", "animals", {"id": "2"}),
        ("a cat", "pets", {"id": "3"}),
    ]
    assert look.columns == {"id": "", "beschreibung": "text", "group": "category"}


def test_a_known_column_can_be_taken_for_nothing(owner: User) -> None:
    upload = kept(owner, b"prompt,category\na cat,7\n")
    read_otherwise(upload, Reading({"category": ""}))
    look = look_at(upload)
    assert look.file is not None and [(row.category, row.metadata) for row in look.file.rows] == [
        ("", {"category": "7"})
    ]


def test_duplicates_are_left_out_when_asked_and_counted(owner: User) -> None:
    upload = kept(owner)
    read_otherwise(upload, Reading({"text": "beschreibung"}, drops_duplicates=True))
    look = look_at(upload)
    assert look.file is not None
    assert ([row.text for row in look.file.rows], look.dropped) == (["a cat", "a dog"], 1)


def test_every_bad_row_is_listed_with_its_line_and_text(owner: User) -> None:
    look = look_at(kept(owner, b"prompt,note\na cat,x\na dog\n,empty\na bird,y,z\n"))
    assert [(problem.line, problem.row) for problem in look.problems] == [
        (3, "a dog"),
        (4, ",empty"),
        (5, "a bird,y,z"),
    ]
    assert look.problems[1].sentence == "The prompt is empty; write one or remove the row."


def test_bad_lines_of_json_lines_are_listed_too(owner: User) -> None:
    look = look_at(kept(owner, b'{"prompt": "a"}\n{"prompt": NaN}\n{"text": 3}\n{"prompt": "b"}\n', "a.jsonl"))
    assert [problem.line for problem in look.problems] == [2, 3]


def test_a_file_full_of_mistakes_lists_the_first_fifty(owner: User) -> None:
    look = look_at(kept(owner, b"prompt,note\n" + b"only one cell\n" * 500))
    assert [problem.line for problem in look.problems] == list(range(2, 52))


@pytest.mark.parametrize(
    ("columns", "words"),
    [
        ({"text": ""}, "no column is left for the prompt"),
        ({"text": "id", "category": "id"}, 'the column "id" cannot mean two things'),
        ({"colour": "id"}, "'colour' is nothing that a column can mean"),
    ],
)
def test_a_choice_that_makes_no_sense_is_refused_and_not_kept(owner: User, columns: dict[str, str], words: str) -> None:
    upload = kept(owner)
    with pytest.raises(PromptFileError, match=words):
        read_otherwise(upload, Reading(columns))
    assert PromptUpload.objects.get().reading["columns"] == {}


def test_a_column_that_is_not_there_is_named(owner: User) -> None:
    upload = kept(owner, b"prompt\na\n")
    read_otherwise(upload, Reading({"category": "colour"}))
    assert look_at(upload).problems[0].sentence.startswith('There is no column "colour"')


def test_bytes_that_are_no_text_are_not_kept(owner: User) -> None:
    with pytest.raises(PromptFileError, match="byte 0xE4 is not UTF-8"):
        kept(owner, b"prompt\nein K\xe4fer\n")
    assert not PromptUpload.objects.exists()


def test_saving_makes_a_set_and_forgets_the_file(owner: User) -> None:
    upload = kept(owner)
    read_otherwise(upload, Reading({"text": "beschreibung", "category": "group"}))
    saved, is_new = save_upload(upload, name="Tiere", licence="CC0-1.0", source="here")
    assert (str(saved), is_new, saved.owner, saved.licence) == ("Tiere v1", True, owner, "CC0-1.0")
    assert not PromptUpload.objects.exists()


def test_what_somebody_else_holds_under_that_name_is_refused_and_the_file_stays(owner: User) -> None:
    upload = kept(owner, b"a cat\na dog\n", "cats.txt")
    save_prompt_set(
        name="Cats",
        rows=read_prompts(b"a cat\na dog\n", file_name="cats.txt").rows,
        owner=User.objects.create_user("bea"),
    )
    with pytest.raises(PromptSetError, match="Somebody else has a set of this name: choose another"):
        save_upload(upload, name="Cats", licence="", source="")
    saved, is_new = save_upload(PromptUpload.objects.get(), name="My cats", licence="", source="")
    assert is_new and saved.owner == owner


def test_a_file_with_problems_is_not_saved(owner: User) -> None:
    upload = kept(owner)
    with pytest.raises(PromptFileError):
        save_upload(upload, name="Tiere", licence="", source="")
    assert (PromptSet.objects.count(), PromptUpload.objects.count()) == (0, 1)


def test_old_files_and_more_than_a_few_are_forgotten(owner: User) -> None:
    for _ in range(MOST_KEPT + 2):
        kept(owner)
    assert PromptUpload.objects.count() == MOST_KEPT
    PromptUpload.objects.update(created_at=timezone.now() - timedelta(days=8))
    kept(owner)
    assert PromptUpload.objects.count() == 1
