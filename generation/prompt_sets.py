"""Prompt rows kept as a named, versioned, immutable set."""

import hashlib
from collections.abc import Iterable, Sequence
from itertools import islice
from typing import Any, Final

from django.contrib.auth.models import User
from django.db import IntegrityError, transaction
from django.db.models import Max

from generation.models import Prompt, PromptSet
from generation.prompt_files import PromptRow
from generation.provenance import canonical_json, text_digest

ROWS_AT_ONCE: Final = 1_000


class PromptSetError(ValueError):
    """A prompt set that cannot be saved; the message is a sentence that says what to do."""


def save_prompt_set(
    *,
    name: str,
    rows: Sequence[PromptRow],
    licence: str = "",
    source: str = "",
    owner: User | None = None,
) -> PromptSet:
    """Store the rows under the name, all or none.

    Equal content under that name is never stored twice: the set that holds it is returned as it is (`find_prompt_set`
    tells beforehand). Other content becomes the next version.
    """
    name, licence, source = _checked(name=name, licence=licence, source=source)
    if not rows:
        raise PromptSetError("A prompt set needs at least one prompt.")
    fields = {"name": name, "licence": licence, "source": source, "owner": owner, "digest": content_digest(rows)}
    try:
        return _get_or_store(fields, rows)
    except IntegrityError:
        # Somebody saved this name at the same moment; what they saved is visible now.
        return _get_or_store(fields, rows)


def begin_prompt_set(
    *, name: str, rows: Sequence[PromptRow], licence: str = "", source: str = "", owner: User | None = None
) -> PromptSet:
    """The owner's set that holds these rows under this name; else a new one with the first of them alone.

    That one is nobody's until `complete_prompt_set`, so that the others can be added a batch at a time.
    """
    name, licence, source = _checked(name=name, licence=licence, source=source)
    if not rows:
        raise PromptSetError("A prompt set needs at least one prompt.")
    versions = PromptSet.objects.filter(name=name)
    if found := versions.filter(digest=content_digest(rows), owner=owner).first():
        return found
    newest = versions.aggregate(newest=Max("version"))["newest"] or 0
    fields = {"name": name, "licence": licence, "source": source, "owner": owner}
    prompt_set = PromptSet.objects.create(**fields, digest="", version=newest + 1)
    prompt_of(prompt_set, 0, rows[0]).save()
    return prompt_set


def complete_prompt_set(prompt_set: PromptSet, digest: str) -> None:
    """All of its rows are stored, whose `content_digest` this is: it can be seen and used like any other."""
    prompt_set.digest = digest
    prompt_set.save(update_fields=["digest"])


def find_prompt_set(*, name: str, rows: Iterable[PromptRow]) -> PromptSet | None:
    """The version under this name that already holds exactly these prompts."""
    return PromptSet.objects.filter(name=name.strip(), digest=content_digest(rows)).first()


def content_digest(rows: Iterable[PromptRow]) -> str:
    """sha256 over the prompts in their order: one line of canonical JSON each. Lines of the file do not count."""
    digest = hashlib.sha256()
    for row in rows:
        content = [row.text, row.category, row.challenge, row.target_text, row.tags, row.metadata]
        digest.update(canonical_json(content).encode() + b"\n")
    return digest.hexdigest()


def _checked(**values: str) -> list[str]:
    """The texts without blanks around them. SQLite would store what PostgreSQL refuses as too long."""
    cleaned = {field: value.strip() for field, value in values.items()}
    for field, value in cleaned.items():
        longest = getattr(PromptSet._meta.get_field(field), "max_length")  # noqa: B009 - the stubs also think of relations
        if len(value) > longest:
            raise PromptSetError(f"The {field} has {len(value)} characters; give at most {longest}.")
        if any(not character.isprintable() for character in value):
            raise PromptSetError(f"The {field} holds a control character; remove it.")
    if not cleaned["name"]:
        raise PromptSetError("The prompt set has no name; give one.")
    return list(cleaned.values())


@transaction.atomic
def _get_or_store(fields: dict[str, Any], rows: Sequence[PromptRow]) -> PromptSet:
    versions = PromptSet.objects.filter(name=fields["name"])
    if found := versions.filter(digest=fields["digest"]).first():
        return found
    newest = versions.aggregate(newest=Max("version"))["newest"] or 0
    prompt_set = PromptSet.objects.create(**fields, version=newest + 1)
    _store(prompt_set, rows)
    return prompt_set


def _store(prompt_set: PromptSet, rows: Sequence[PromptRow]) -> None:
    prompts = (prompt_of(prompt_set, position, row) for position, row in enumerate(rows))
    while chunk := list(islice(prompts, ROWS_AT_ONCE)):
        Prompt.objects.bulk_create(chunk)


def prompt_of(prompt_set: PromptSet, position: int, row: PromptRow) -> Prompt:
    """A row of a prompt file as the prompt at this place of a set, not stored."""
    return Prompt(
        prompt_set=prompt_set,
        position=position,
        text=row.text,
        text_digest=text_digest(row.text),
        category=row.category,
        challenge=row.challenge,
        target_text=row.target_text,
        tags=list(row.tags),
        metadata=row.metadata,
    )
