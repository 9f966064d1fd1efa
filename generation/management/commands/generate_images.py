"""`manage.py generate_images`: images of a prompt set by checkpoints at several step counts, without a study."""

import json
import sys
from dataclasses import dataclass
from typing import Any, TypeVar

from django.core.management.base import BaseCommand, CommandError, CommandParser

from generation import model_folders
from generation.adapters import parts_of
from generation.batch_limits import STRICT
from generation.checkpoints import resolve_checkpoint, told_call_options
from generation.errors import GenerationError
from generation.families import BATCH_MODES, DTYPES
from generation.foreground import make_with_bar
from generation.models import Checkpoint, ImageJob, PromptSet, Recipe, Run
from generation.pipelines.sizes import size_rule
from generation.planning import RunProgress, add_to_run, retry_failed, start_run
from generation.run_plans import plan_run
from generation.schedules import OWN_GRID, SD3_GRID
from generation.sweeps import Axes, Sampler, sweep

INTERRUPTED = 130
Number = TypeVar("Number", int, float)


class Command(BaseCommand):
    help = "Make the images of a prompt set. Images that exist are not made again; give the same command to go on."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--prompts", required=True, help="name of a prompt set; its latest version is taken")
        parser.add_argument("--checkpoint", required=True, help="name of a checkpoint, or several: early,final")
        parser.add_argument("--steps", required=True, help="such as 1,4,28")
        parser.add_argument(
            "--shift", help="shift of a flow's sigmas, such as 1,1.5,3; without it the checkpoint's own"
        )
        parser.add_argument("--guidance", default="4", help="such as 4, or 1,4,7 (default %(default)s; 1 is none)")
        parser.add_argument("--scheduler", default="", help="scheduler class; without it the checkpoint's own")
        parser.add_argument(
            "--option",
            action="append",
            default=[],
            metavar="NAME=VALUE",
            help="option of the scheduler, such as solver_order=3 or use_karras_sigmas=true; may be repeated",
        )
        parser.add_argument(
            "--grid",
            choices=(SD3_GRID, OWN_GRID),
            default="",
            help="sd3: sigmas linspace(1, 1/N, N), usual for FlowMatchEuler; own: the scheduler's, usual elsewhere",
        )
        parser.add_argument(
            "--without",
            action="append",
            default=[],
            metavar="COMPONENT",
            help="do without a text encoder: text_encoder_3 of SD3",
        )
        parser.add_argument("--dtype", choices=DTYPES, default="float32", help="of the weights (default %(default)s)")
        parser.add_argument("--batch-mode", choices=BATCH_MODES, default="fast", help="default %(default)s")
        parser.add_argument(
            "--strict",
            action="store_true",
            help="short for --batch-mode strict: batches of a fixed size, so pixels do not depend on neighbours",
        )
        parser.add_argument("--samples", type=int, default=1, help="of each prompt and recipe (default %(default)s)")
        parser.add_argument("--size", help="such as 64 or 1024x768; without it the size the checkpoint was trained at")
        parser.add_argument("--limit", type=int, help="only the first prompts of the set")
        parser.add_argument("--plan", action="store_true", help="say what it would cost and make nothing")
        parser.add_argument("--retry-failed", action="store_true", help="give images that failed new attempts")

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            wish = _wish_of(options)
            self._tell(wish)
            if options["plan"]:
                return
            progress, run = self._generate(wish, retry=options["retry_failed"])
        except GenerationError as error:
            raise CommandError(str(error)) from error
        except KeyboardInterrupt as interrupt:
            raise CommandError(
                "Stopped. Everything finished is kept; give the same command to go on.", returncode=INTERRUPTED
            ) from interrupt
        if progress.failed:
            first = ImageJob.objects.filter(runs=run).exclude(reason="").filter(state=ImageJob.State.FAILED).first()
            why = f" The first: {first.reason}" if first else ""
            raise CommandError(
                f"{progress.failed} of {progress.total} images failed.{why} Add --retry-failed to try them again."
            )
        self.stdout.write(f"{progress.done} images are there.")

    def _tell(self, wish: "Wish") -> None:
        """What it will cost, before it starts; this process works beside the living workers."""
        shape = f"{len(wish.texts)} prompts x {len(wish.recipes)} recipes x {wish.samples} samples."
        plan = plan_run(recipes=wish.recipes, prompt_texts=wish.texts, samples=wish.samples, own_workers=1)
        self.stdout.write("\n".join([shape, *plan.lines()]))

    def _generate(self, wish: "Wish", *, retry: bool) -> tuple[RunProgress, Run]:
        run = Run.objects.filter(name=wish.name, owner=None, cancelled_at=None).first()
        wanted: Any = {"recipes": wish.recipes, "prompt_texts": wish.texts, "samples": wish.samples}
        if run is None:
            run = start_run(name=wish.name, owner=None, **wanted)
        else:
            add_to_run(run, **wanted)
        if retry:
            retry_failed(run)
        return make_with_bar(run, stream=sys.stderr), run


@dataclass(frozen=True)
class Wish:
    """What the arguments ask for."""

    name: str
    texts: list[str]
    recipes: list[Recipe]
    samples: int


def _wish_of(options: dict[str, Any]) -> Wish:
    prompt_set, texts = _prompts(options["prompts"], options["limit"])
    recipes = [
        recipe
        for name in options["checkpoint"].split(",")
        for recipe in _recipes(_ready_checkpoint(name.strip()), options)
    ]
    name = f"{prompt_set}: {', '.join(recipe.name for recipe in recipes)}"[:200]
    return Wish(name=name, texts=texts, recipes=recipes, samples=options["samples"])


def _prompts(name: str, limit: int | None) -> tuple[PromptSet, list[str]]:
    prompt_set = PromptSet.objects.whole().filter(name=name).order_by("-version").first()
    if prompt_set is None:
        names = PromptSet.objects.whole().values_list("name", flat=True).distinct().order_by("name")
        known = ", ".join(names) or "none yet"
        raise GenerationError(f"There is no prompt set {name!r}. Known: {known}. import_prompts adds one.")
    if limit is not None and limit < 1:
        raise GenerationError(f"--limit must be at least 1, not {limit}.")
    return prompt_set, list(prompt_set.prompts.values_list("text", flat=True)[:limit])


def _ready_checkpoint(name: str) -> Checkpoint:
    checkpoint = Checkpoint.objects.filter(name=name).first()
    if checkpoint is None:
        known = ", ".join(Checkpoint.objects.values_list("name", flat=True)) or "none yet"
        raise GenerationError(f"There is no checkpoint {name!r}. Known: {known}. add_checkpoint adds one.")
    if checkpoint.state in (Checkpoint.State.DRAFT, Checkpoint.State.CHECKING):
        checkpoint = resolve_checkpoint(checkpoint)
    if checkpoint.state == Checkpoint.State.REFUSED:
        raise GenerationError(f"The checkpoint {name} is refused: {checkpoint.refusal}")
    return checkpoint


def _recipes(checkpoint: Checkpoint, options: dict[str, Any]) -> list[Recipe]:
    width, height = _size(options["size"], checkpoint)
    shifts = _numbers("--shift", options["shift"], float) if options["shift"] else [None]
    axes = Axes(
        steps=_numbers("--steps", options["steps"], int),
        shifts=shifts,
        guidances=_numbers("--guidance", options["guidance"], float),
    )
    sampler = Sampler(
        width=width,
        height=height,
        scheduler_class=options["scheduler"],
        grid=options["grid"],
        options=dict(_option(text) for text in options["option"]),
        call_options=told_call_options(checkpoint),
        without=options["without"],
        dtype=options["dtype"],
        batch_mode=STRICT if options["strict"] else options["batch_mode"],
    )
    return sweep(checkpoint=checkpoint, axes=axes, sampler=sampler).recipes


def _numbers(argument: str, text: str, kind: type[Number]) -> list[Number]:
    try:
        return [kind(part) for part in text.split(",")]
    except ValueError as error:
        what, such_as = ("whole numbers", "1,4,28") if kind is int else ("numbers", "1,1.5,3")
        raise GenerationError(f"{argument} must be {what} such as {such_as}, not {text!r}.") from error


def _option(text: str) -> tuple[str, Any]:
    name, equals, value = text.partition("=")
    if not equals:
        raise GenerationError(f"--option is NAME=VALUE such as solver_order=3, not {text!r}.")
    try:
        return name, json.loads(value)
    except ValueError:
        return name, value  # a word, such as trailing


def _size(text: str | None, checkpoint: Checkpoint) -> tuple[int, int]:
    if text is None:
        return size_rule(model_folders.folder_of(parts_of(checkpoint).base), checkpoint.pipeline_class).usual
    width, _, height = text.partition("x")
    try:
        return int(width), int(height or width)
    except ValueError as error:
        raise GenerationError(f"--size must be such as 64 or 1024x768, not {text!r}.") from error
