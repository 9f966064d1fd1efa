"""import_prompts: a prompt file, or a folder of .txt files, becomes a prompt set."""

import json
from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.db import DatabaseError

from generation.prompt_files import PromptFile, PromptFileError, check_columns, read_prompt_path, shown
from generation.prompt_sets import PromptSetError, find_prompt_set, save_prompt_set

FORMAT_VERSION = 1


class Command(BaseCommand):
    help = "Import prompts from CSV, TSV, JSONL, JSON, plain text, or a folder with one .txt file a prompt."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("file", metavar="FILE", type=Path, help="The prompt file, or a folder of .txt files.")
        parser.add_argument(
            "--name", default="", help="Name of the prompt set; the file's name without its ending if left out."
        )
        parser.add_argument("--licence", default="", help="Under which licence the prompts may be used.")
        parser.add_argument("--source", default="", help="Where they come from; the file's name if left out.")
        parser.add_argument(
            "--no-target-text",
            action="store_true",
            help="Do not take the text to render from the quotation marks of a prompt.",
        )
        parser.add_argument(
            "--column",
            action="append",
            default=[],
            metavar="MEANING=COLUMN",
            help="Which column carries a meaning, such as text=caption; category= for none. Several may be given.",
        )
        parser.add_argument("--drop-duplicates", action="store_true", help="Keep only the first of equal prompts.")
        parser.add_argument("--preview", action="store_true", help="Say what is understood; store nothing.")
        parser.add_argument("--json", action="store_true", help="Print JSON instead of sentences.")

    def handle(self, *args: Any, file: Path, name: str, licence: str, source: str, **options: Any) -> None:
        read = _read(file, derive_target_text=not options["no_target_text"], columns=_columns(options["column"]))
        prompts = read.without_duplicates() if options["drop_duplicates"] else read
        dropped = len(read.rows) - len(prompts.rows)
        name = name or shown(file.resolve().name if file.is_dir() else file.stem, longest=200)
        is_json, said = options["json"], _as_json(prompts, dropped)
        for line in () if is_json else _understood(prompts, dropped):
            self.stdout.write(line)
        if options["preview"]:
            self.stdout.write(
                json.dumps(said, ensure_ascii=False) if is_json else "Nothing was saved: this is a preview."
            )
            return
        try:
            existing = find_prompt_set(name=name, rows=prompts.rows)
            prompt_set = save_prompt_set(
                name=name, rows=prompts.rows, licence=licence, source=source or shown(prompts.file_name, longest=500)
            )
        except PromptSetError as error:
            raise CommandError(str(error)) from error
        except DatabaseError as error:
            raise CommandError(
                f"Nothing was saved: {error}. If the database is new, run `python manage.py migrate` first."
            ) from error
        if is_json:
            saved = {"set": prompt_set.name, "set_version": prompt_set.version, "is_new": existing is None}
            self.stdout.write(json.dumps(said | saved, ensure_ascii=False))
        elif existing:
            self.stdout.write(f'"{prompt_set}" already holds exactly these prompts; nothing was added.')
        else:
            self.stdout.write(self.style.SUCCESS(f'Saved as "{prompt_set}".'))


def _columns(said: list[str]) -> dict[str, str]:
    columns = {}
    for one in said:
        meaning, equals, column = one.partition("=")
        if not equals or meaning in columns:
            raise CommandError(f"--column {one!r}: write each meaning once, as in text=caption.")
        columns[meaning] = column
    try:
        check_columns(columns)
    except PromptFileError as error:
        raise CommandError(f"--column: {error}") from error
    return columns


def _read(file: Path, *, derive_target_text: bool, columns: dict[str, str]) -> PromptFile:
    try:
        return read_prompt_path(file, derive_target_text=derive_target_text, columns=columns)
    except PromptFileError as error:
        raise CommandError("\n".join(str(each) for each in error.all)) from error
    except FileNotFoundError as error:
        raise CommandError(f"{file} does not exist; name a prompt file or a folder of .txt files.") from error
    except OSError as error:
        raise CommandError(f"{file} cannot be read: {error.strerror or error}.") from error


def _as_json(prompts: PromptFile, dropped: int) -> dict[str, Any]:
    return {
        "version": FORMAT_VERSION,
        "format": prompts.format.value,
        "prompts": len(prompts.rows),
        "categories": prompts.categories,
        "challenges": prompts.challenges,
        "with_target_text": prompts.with_target_text,
        "target_texts_derived": prompts.target_texts_derived,
        "duplicates": prompts.duplicates,
        "dropped": dropped,
        "columns": prompts.columns,
        "remarks": list(prompts.remarks),
    }


def _understood(prompts: PromptFile, dropped: int) -> list[str]:
    """What was read, a fact a line, so that a column taken for something else is noticed at once."""
    with_text = f"{prompts.with_target_text:,}"
    if prompts.target_texts_derived:
        with_text += " (taken from quotation marks)"
    duplicates = f"{prompts.duplicates:,} (kept)" if prompts.duplicates else "none"
    if dropped:
        duplicates = f"{dropped:,} (left out)"
    facts = {
        "Format": prompts.format.value,
        "Prompts": f"{len(prompts.rows):,}",
        "Categories": _counts(prompts.categories),
        "Challenges": _counts(prompts.challenges),
        "With text to render": with_text,
        "Duplicates": duplicates,
        "Extra columns": ", ".join(shown(name) for name in prompts.extra_columns[:20]) or "none",
    }
    return [f"{title + ':':<21}{fact}" for title, fact in facts.items()] + list(prompts.remarks)


def _counts(counts: dict[str, int]) -> str:
    if not counts:
        return "none"
    largest = sorted(counts.items(), key=lambda item: -item[1])
    names = ", ".join(f"{shown(name)} {count}" for name, count in largest[:12])
    return f"{len(counts)} ({names}{', …' if len(counts) > 12 else ''})"
