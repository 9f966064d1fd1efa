"""`manage.py import_images`: images made elsewhere become contenders that people can compare."""

import sys
from argparse import ArgumentParser
from contextlib import closing
from pathlib import Path
from typing import Any

from django.contrib.auth.models import User
from django.core.management.base import BaseCommand, CommandError
from django.db import DatabaseError
from tqdm import tqdm

from arena import external_contenders, studies
from arena.intake import take_in_images
from arena.management.naming import user_named
from arena.models import Study
from arena.refusals import Refusal
from generation.image_imports import Asked, ImageImportError, Layout, PromptIndex, look_at, open_import, take_in
from generation.image_imports.importing import Watch
from generation.models import PromptSet

INTERRUPTED = 130


class Command(BaseCommand):
    help = (
        "Import images made elsewhere: a manifest (CSV, TSV, JSONL), a folder or a zip archive. All of it or nothing."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("place", metavar="MANIFEST_OR_FOLDER", type=Path)
        parser.add_argument("--prompts", metavar="SET", help="name of the prompt set; its latest version is taken")
        parser.add_argument(
            "--contender",
            action="append",
            default=[],
            metavar="NAME",
            help="whose images these are; may be repeated where the manifest names contenders",
        )
        parser.add_argument(
            "--layout", choices=[layout.value for layout in Layout], help="found out from the file names if left out"
        )
        parser.add_argument("--first-index", type=int, choices=(0, 1), default=0, help="number of the first prompt")
        parser.add_argument(
            "--samples", type=int, help="images wanted of each prompt; as many as there are if left out"
        )
        parser.add_argument("--owner", metavar="USER", help="whose images they will be; the whole site's if left out")
        parser.add_argument("--study", metavar="SLUG", help="add the contenders to this draft, or fill its gaps")
        parser.add_argument("--dry-run", action="store_true", help="only report what is there and what is missing")

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            self._import(options)
        except (ImageImportError, Refusal) as refusal:
            raise CommandError(str(refusal)) from refusal
        except DatabaseError as error:
            raise CommandError(
                f"Nothing was imported: {error}. If the database is new, run `python manage.py migrate` first."
            ) from error
        except KeyboardInterrupt as interrupt:
            raise CommandError(
                "Stopped; nothing was imported. Give the same command to start again.", returncode=INTERRUPTED
            ) from interrupt

    def _import(self, options: dict[str, Any]) -> None:
        study = _study(options["study"])
        asked = _asked(options, study)
        layout = Layout(options["layout"]) if options["layout"] else None
        with open_import(options["place"], layout=layout) as (source, claims, unknown):
            looked = self._with_bar(lambda watch: look_at(source, claims, asked=asked, unknown=unknown, watch=watch))
            for line in looked.report.lines():
                self.stdout.write(line)
            if problems := looked.report.problems:
                count = "1 problem" if len(problems) == 1 else f"{len(problems)} problems, the first"
                raise CommandError(f"Nothing was imported: {count}: {problems[0]}")
            if options["dry_run"]:
                self.stdout.write("Dry run: nothing was imported.")
                return
            images = self._with_bar(lambda watch: take_in(looked, watch=watch))
        self.stdout.write(self.style.SUCCESS(f"{len(images)} images imported."))
        if study is not None:
            names = [each.contender for each in looked.report.contenders]
            self._enter(study, names, owner=asked.owner)

    def _enter(self, study: Study, names: list[str], *, owner: User | None) -> None:
        for name in external_contenders.add_to_draft(study, names=names, owner=owner):
            self.stdout.write(f"{name} is now a contender of {study.name}.")
        while take_in_images(study=study):
            pass
        ready = studies.readiness(study)
        self.stdout.write(f"{ready.made} of {ready.wanted} images are there, {ready.showable} ready for raters.")

    def _with_bar(self, act: Any) -> Any:
        with closing(tqdm(file=sys.stderr, unit=" files", disable=None)) as bar:

            def watch(what: str, done: int, total: int) -> None:
                bar.total = total
                bar.set_description(what, refresh=False)
                bar.update(done - bar.n)

            told: Watch = watch
            return act(told)


def _study(slug: str | None) -> Study | None:
    if slug is None:
        return None
    study = Study.objects.filter(slug=slug).first()
    if study is None:
        known = ", ".join(Study.objects.values_list("slug", flat=True)) or "none yet"
        raise CommandError(f"There is no study {slug!r}. Known: {known}.")
    return study


def _asked(options: dict[str, Any], study: Study | None) -> Asked:
    samples = options["samples"]
    if samples is not None and not 1 <= samples <= 1000:
        raise CommandError(f"--samples must lie between 1 and 1000, not {samples}.")
    owner = user_named(options["owner"]) or (study.owner if study else None)
    names = [name.strip() for name in options["contender"]]
    if options["prompts"]:
        index = PromptIndex.of_set(_prompt_set(options["prompts"]), first_index=options["first_index"])
    elif study is not None:
        index = external_contenders.prompts_of(study, first_index=options["first_index"])
        samples = samples or external_contenders.samples_of(study)
    else:
        raise CommandError("Say whose prompts these images are of: --prompts SET, or --study SLUG.")
    return Asked(index=index, contenders=names, owner=owner, samples=samples)


def _prompt_set(name: str) -> PromptSet:
    prompt_set = PromptSet.objects.whole().filter(name=name).order_by("-version").first()
    if prompt_set is None:
        names = PromptSet.objects.whole().values_list("name", flat=True).distinct().order_by("name")
        known = ", ".join(names) or "none yet"
        raise CommandError(f"There is no prompt set {name!r}. Known: {known}. import_prompts adds one.")
    return prompt_set
