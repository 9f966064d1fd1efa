"""Prompt rows kept as a named, versioned, immutable set."""

import threading
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.db import connection

from generation.models import Prompt, PromptSet
from generation.prompt_files import PromptRow
from generation.prompt_sets import PromptSetError, content_digest, find_prompt_set, save_prompt_set
from generation.provenance import text_digest

ROWS = (
    PromptRow(
        text='a sign that says "STOP"',
        category="street",
        challenge="Writing",
        target_text="STOP",
        tags=("red", "sign"),
        metadata={"include": [{"count": 1}], "Note": None},
        line=2,
    ),
    PromptRow(text="ein Käfer", line=3),
)


@pytest.fixture
def owner(db: None) -> User:
    return User.objects.create_user("ada")


def test_a_set_keeps_every_field_of_its_rows_in_their_order(owner: User) -> None:
    saved = save_prompt_set(name=" Signs ", rows=ROWS, licence="CC0-1.0", source="signs.csv", owner=owner)
    stored = PromptSet.objects.values("name", "version", "licence", "source", "digest", "owner").get(pk=saved.pk)
    assert stored == {
        "name": "Signs",
        "version": 1,
        "licence": "CC0-1.0",
        "source": "signs.csv",
        "digest": content_digest(ROWS),
        "owner": owner.pk,
    }
    fields = ("position", "text", "text_digest", "category", "challenge", "target_text", "tags", "metadata")
    assert list(saved.prompts.values(*fields)) == [
        {
            "position": 0,
            "text": 'a sign that says "STOP"',
            "text_digest": text_digest('a sign that says "STOP"'),
            "category": "street",
            "challenge": "Writing",
            "target_text": "STOP",
            "tags": ["red", "sign"],
            "metadata": {"include": [{"count": 1}], "Note": None},
        },
        {
            "position": 1,
            "text": "ein Käfer",
            "text_digest": text_digest("ein Käfer"),
            "category": "",
            "challenge": "",
            "target_text": None,
            "tags": [],
            "metadata": {},
        },
    ]


@pytest.mark.django_db
def test_equal_content_is_stored_once() -> None:
    assert find_prompt_set(name="Signs", rows=ROWS) is None
    first = save_prompt_set(name="Signs", rows=ROWS)
    again = save_prompt_set(name="Signs", rows=[PromptRow(**{**vars(row), "line": 9}) for row in ROWS], licence="MIT")
    assert again == first == find_prompt_set(name=" Signs", rows=ROWS)
    assert again.licence == ""
    assert (PromptSet.objects.count(), Prompt.objects.count()) == (1, 2)


@pytest.mark.django_db
def test_other_content_is_the_next_version_and_leaves_the_first_alone() -> None:
    first = save_prompt_set(name="Signs", rows=ROWS)
    second = save_prompt_set(name="Signs", rows=ROWS[::-1])
    assert [str(prompt_set) for prompt_set in (first, second)] == ["Signs v1", "Signs v2"]
    assert [prompt.text for prompt in first.prompts.all()] == [row.text for row in ROWS]
    assert save_prompt_set(name="Signs", rows=ROWS) == first
    assert str(save_prompt_set(name="Other", rows=ROWS)) == "Other v1"


@pytest.mark.parametrize(
    "change",
    [
        {"text": "ein Hund"},
        {"category": "x"},
        {"challenge": "x"},
        {"target_text": "x"},
        {"tags": ("x",)},
        {"metadata": {"x": 1}},
    ],
)
def test_every_stored_field_counts_for_the_digest(change: dict[str, Any]) -> None:
    changed = PromptRow(**{**vars(ROWS[1]), **change})
    assert content_digest([ROWS[0], changed]) != content_digest(ROWS)


def test_the_digest_stays_the_same_from_release_to_release() -> None:
    assert content_digest(ROWS) == "c8ae8f89f8b40f17b5faea00c15969ffe0e40c265b62b59af0e0d956f6436d8a"


@pytest.mark.django_db
def test_duplicates_keep_their_positions() -> None:
    saved = save_prompt_set(name="Twice", rows=[ROWS[1], ROWS[0], ROWS[1]])
    assert [prompt.text for prompt in saved.prompts.all()] == [ROWS[1].text, ROWS[0].text, ROWS[1].text]


@pytest.mark.django_db
def test_a_large_set_is_stored_in_chunks() -> None:
    saved = save_prompt_set(name="Large", rows=[PromptRow(text=f"a cat, {number}") for number in range(2_001)])
    assert list(saved.prompts.values_list("position", "text")) == [(n, f"a cat, {n}") for n in range(2_001)]


@pytest.mark.parametrize(
    ("given", "sentence"),
    [
        ({"name": "  "}, "The prompt set has no name; give one."),
        ({"name": "x" * 201}, "The name has 201 characters; give at most 200."),
        ({"name": "x\0"}, "The name holds a control character; remove it."),
        ({"licence": "x" * 201}, "The licence has 201 characters; give at most 200."),
        ({"source": "x" * 501}, "The source has 501 characters; give at most 500."),
        ({"rows": []}, "A prompt set needs at least one prompt."),
    ],
)
@pytest.mark.django_db
def test_what_cannot_be_stored_is_refused(given: dict[str, Any], sentence: str) -> None:
    with pytest.raises(PromptSetError) as refusal:
        save_prompt_set(**{"name": "Signs", "rows": ROWS, **given})
    assert str(refusal.value) == sentence
    assert not PromptSet.objects.exists()


@pytest.mark.django_db
def test_a_row_that_the_database_refuses_leaves_nothing_behind() -> None:
    rows = [
        *(PromptRow(text=f"a cat, {number}") for number in range(1_500)),
        PromptRow(text="x", metadata={"x": float("nan")}),
    ]
    with pytest.raises(ValueError, match="finite"):
        save_prompt_set(name="Broken", rows=rows)
    assert not PromptSet.objects.exists()


@pytest.mark.django_db(transaction=True)
def test_two_people_saving_one_name_at_once_get_two_versions() -> None:
    start = threading.Barrier(2)
    saved: list[PromptSet] = []

    def save(rows: tuple[PromptRow, ...]) -> None:
        start.wait(timeout=10)
        saved.append(save_prompt_set(name="Signs", rows=rows))
        connection.close()

    threads = [threading.Thread(target=save, args=(rows,)) for rows in (ROWS, ROWS[::-1])]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=60)
    assert sorted(prompt_set.version for prompt_set in saved) == [1, 2]
    assert sorted(PromptSet.objects.values_list("version", flat=True)) == [1, 2]
    assert Prompt.objects.count() == 4
