"""`manage.py make_study TEMPLATE`: a study of the shipped models, open, with its images asked for."""

from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.db import DatabaseError

from arena.refusals import Refusal
from arena.studies import readiness
from arena.study_templates import BALLOTS_PER_RATER, PROMPTS, TEMPLATES, make_from_template
from generation.errors import GenerationError


class Command(BaseCommand):
    help = (
        "Make a study of the shipped models from a template: contenders, prompts and questions, open for raters, with"
        " its images asked for. A running `manage.py up` makes the images; `generate` makes them here."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("template", nargs="?", help=f"one of {', '.join(TEMPLATES)}")
        parser.add_argument("--list", action="store_true", help="show templates and contenders; makes nothing")
        parser.add_argument("--slug", default="", help="short name of the study; the template's if left out")
        parser.add_argument("--prompts", type=int, default=PROMPTS, help=f"how many prompts (default {PROMPTS})")
        parser.add_argument(
            "--simulated",
            type=int,
            default=0,
            metavar="N",
            help=f"enrol N simulated raters, who answer {BALLOTS_PER_RATER} ballots each once the images are there",
        )

    def handle(self, *args: Any, **options: Any) -> None:
        if options["list"]:
            self._list()
            return
        name = options["template"]
        if name not in TEMPLATES:
            said = "Name a template" if name is None else f"There is no template {name!r}"
            raise CommandError(f"{said}; choose from {', '.join(TEMPLATES)}, or see --list.")
        try:
            made = make_from_template(
                TEMPLATES[name], slug=options["slug"], prompts=options["prompts"], simulated=options["simulated"]
            )
        except (GenerationError, Refusal) as error:
            raise CommandError(str(error)) from error
        except DatabaseError as error:
            raise CommandError(
                f"Nothing was made: {error}. If the database is new, run `python manage.py migrate` first."
            ) from error
        study = made.study
        images = readiness(study)
        for label in made.left_out:
            self.stdout.write(f"Left out {label!r}: its checkpoint is not below the models root.")
        self.stdout.write(
            f"Made the study {study.slug!r}: {study.contenders.count()} contenders, {study.study_prompts.count()}"
            f" prompts, {images.made} of {images.wanted} images."
        )
        self.stdout.write("A running `manage.py up` goes on by itself. Without one:")
        for line in _next_steps(study.slug, options["simulated"]):
            self.stdout.write(f"  python manage.py {line}")

    def _list(self) -> None:
        for template in TEMPLATES.values():
            self.stdout.write(f"{template.name}: {template.title}")
            self.stdout.write(f"  {template.question}")
            for part in template.parts():
                tags = ["baseline"] * part.is_baseline + ["if it is there"] * part.is_optional
                self.stdout.write(f"  - {part.label}: {part.recipe_name}" + (f" ({', '.join(tags)})" if tags else ""))


def _next_steps(slug: str, simulated: int) -> list[str]:
    voting = f"simulate_raters {slug} --raters {simulated} --votes {BALLOTS_PER_RATER}"
    return [f"generate {slug}", voting if simulated else f"invite {slug}", f"fit {slug}"]
