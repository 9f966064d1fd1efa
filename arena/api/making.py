"""Checkpoints, recipes and runs: what makes images, and who asked for which."""

from datetime import datetime
from typing import Annotated, Any

from django.contrib.auth.models import User
from django.db.models import QuerySet
from django.http import HttpRequest
from django.shortcuts import get_object_or_404
from ninja import Query, Router, Schema, Status
from pydantic import Field

from arena import run_control
from arena.api.access import person
from arena.api.problems import REFUSALS, Problem, ProblemError
from arena.api.prompt_sets import Page
from arena.researchers import may_design
from generation import planning, run_status
from generation.checkpoints import register_checkpoint
from generation.models import Checkpoint, PromptSet, Recipe, Run
from generation.recipes import get_recipe as recipe_with
from generation.schedules import get_schedule

checkpoints = Router(tags=["checkpoints"])
recipes = Router(tags=["recipes"])
runs = Router(tags=["runs"])

Finite = Field(None, allow_inf_nan=False)
RowNumber = Annotated[int, Field(ge=1, lt=2**63)]
ACTS = ("pause", "resume", "cancel", "retry")


class CheckpointIn(Schema):
    """Weights below the models root, or a hub repository at one commit. A worker checks them."""

    name: str = Field(pattern=r"^[-a-zA-Z0-9_]{1,100}$")
    source: str = Field(min_length=1, max_length=500)
    revision: str = Field("", max_length=40)
    licence: str = Field("", max_length=200)
    loss_family: str = Field("", max_length=100)
    validation_loss: float | None = Finite
    training_step: int | None = Field(None, ge=0, lt=2**63)
    needs: str = Field("", max_length=20)


class CheckpointOut(Schema):
    """A checkpoint: draft and checking until a worker has looked, then ready, or refused with the reason."""

    id: int
    name: str
    source: str
    revision: str
    state: str
    refusal: str
    pipeline_class: str
    licence: str
    loss_family: str
    validation_loss: float | None
    training_step: int | None
    parameters: int | None
    created_at: datetime


class Checkpoints(Schema):
    """A part of the list of checkpoints."""

    count: int
    items: list[CheckpointOut]


class RecipeIn(Schema):
    """Everything that decides the pixels; the same settings again give the recipe that is there."""

    name: str = Field(min_length=1, max_length=200)
    checkpoint: int = Field(ge=1, lt=2**63)
    steps: int = Field(ge=1, le=1000)
    scheduler_class: str = Field("FlowMatchEulerDiscreteScheduler", max_length=100)
    shift: float | None = Finite
    sigmas: list[float] | None = Field(None, max_length=1000)
    grid: str = Field("own", max_length=10)
    options: dict[str, Any] = {}
    guidance: float = Field(1.0, allow_inf_nan=False)
    width: int = Field(ge=8, le=65_536)
    height: int = Field(ge=8, le=65_536)
    dtype: str = Field("float32", max_length=10)
    negative_prompt: str = Field("", max_length=10_000)
    call_options: dict[str, Any] = {}
    notes: str = Field("", max_length=10_000)


class RecipeOut(Schema):
    """A recipe with what a worker found out about it."""

    id: int
    name: str
    state: str
    refusal: str
    checkpoint: int | None = Field(validation_alias="checkpoint_id")
    steps: int | None = Field(None, validation_alias="schedule.steps")
    shift: float | None = Field(None, validation_alias="schedule.shift")
    scheduler_class: str | None = Field(None, validation_alias="schedule.scheduler_class")
    guidance: float
    width: int
    height: int
    dtype: str
    negative_prompt: str
    evaluations: int | None
    sigmas: list[float] | None = Field(validation_alias="resolved_sigmas")
    digest: str
    created_at: datetime


class Recipes(Schema):
    """A part of the list of recipes."""

    count: int
    items: list[RecipeOut]


class RunIn(Schema):
    """Which images are wanted: every prompt of a set by every recipe, so many times."""

    name: str = Field(min_length=1, max_length=200)
    prompt_set: int = Field(ge=1, lt=2**63)
    recipes: list[RowNumber] = Field(min_length=1, max_length=200)
    samples: int = Field(1, ge=1, le=16)
    priority: int = Field(0, ge=-1000, le=1000)


class RunOut(Schema):
    """How a run stands, counted now. `seconds_left` is null until something was measured."""

    id: int
    name: str
    state: str
    done: int
    running: int
    waiting: int
    failed: int
    cancelled: int
    seconds_left: float | None
    failures: dict[str, int]
    obstacles: list[str]

    @classmethod
    def of(cls, run: Run) -> "RunOut":
        status = run_status.status_of(run)
        return cls(
            id=run.pk,
            name=run.name,
            state=status.state,
            done=status.done,
            running=status.running,
            waiting=status.waiting,
            failed=status.failed,
            cancelled=status.cancelled,
            seconds_left=status.seconds_left,
            failures={failure.reason: failure.count for failure in status.failures},
            obstacles=list(status.obstacles),
        )


class RunLine(Schema):
    """A run in a list."""

    id: int
    name: str
    created_at: datetime


class Runs(Schema):
    """A part of the list of runs."""

    count: int
    items: list[RunLine]


class Act(Schema):
    """What to do with a run."""

    act: str = Field(pattern=f"^({'|'.join(ACTS)})$")


class Said(Schema):
    """What happened, in a sentence."""

    detail: str


@checkpoints.get("", response={200: Checkpoints, REFUSALS: Problem})
def list_checkpoints(request: HttpRequest, page: Query[Page]) -> dict[str, Any]:
    """Checkpoints of the whole site and your own, by name."""
    found = _checkpoints(request)
    return {"count": found.count(), "items": list(found[page.offset : page.offset + page.limit])}


@checkpoints.post("", response={201: CheckpointOut, REFUSALS: Problem})
def create_checkpoint(request: HttpRequest, payload: CheckpointIn) -> Status[Checkpoint]:
    """A draft of a checkpoint, for staff who may add checkpoints. Nothing is read or fetched by this request."""
    user = _allowed(request, "add_checkpoint")
    return Status(201, register_checkpoint(**payload.dict(), owner=user))


@checkpoints.get("/{int:checkpoint_id}", response={200: CheckpointOut, REFUSALS: Problem})
def get_checkpoint(request: HttpRequest, checkpoint_id: int) -> Checkpoint:
    """One checkpoint."""
    return get_object_or_404(_checkpoints(request), pk=checkpoint_id)


@recipes.get("", response={200: Recipes, REFUSALS: Problem})
def list_recipes(request: HttpRequest, page: Query[Page]) -> dict[str, Any]:
    """Recipes of the checkpoints that you see, oldest first. Services are contenders."""
    found = visible_recipes(person(request)).order_by("pk")
    return {"count": found.count(), "items": list(found[page.offset : page.offset + page.limit])}


@recipes.post("", response={201: RecipeOut, REFUSALS: Problem})
def create_recipe(request: HttpRequest, payload: RecipeIn) -> Status[Recipe]:
    """A recipe, for whoever designs studies, as the designer's sweeps make them; a worker resolves its sigmas."""
    if not may_design(person(request)):
        _allowed(request, "add_recipe")
    checkpoint = _checkpoints(request).filter(pk=payload.checkpoint).first()
    if checkpoint is None:
        raise ProblemError(404, "There is no such checkpoint.", code="not_found", field="checkpoint")
    schedule = get_schedule(**payload.dict(include={"scheduler_class", "steps", "shift", "sigmas", "grid", "options"}))
    wanted = payload.dict(include={"name", "guidance", "width", "height", "dtype", "negative_prompt", "call_options"})
    made = recipe_with(**wanted, notes=payload.notes, checkpoint=checkpoint, schedule=schedule)
    return Status(201, made)


@recipes.get("/{int:recipe_id}", response={200: RecipeOut, REFUSALS: Problem})
def get_recipe(request: HttpRequest, recipe_id: int) -> Recipe:
    """One recipe."""
    return get_object_or_404(visible_recipes(person(request)), pk=recipe_id)


@runs.get("", response={200: Runs, REFUSALS: Problem})
def list_runs(request: HttpRequest, page: Query[Page]) -> dict[str, Any]:
    """Your runs and those of studies that you see, newest first."""
    found = run_control.visible_runs(person(request)).order_by("-pk")
    return {"count": found.count(), "items": list(found[page.offset : page.offset + page.limit])}


@runs.post("", response={201: RunOut, REFUSALS: Problem})
def start_run(request: HttpRequest, payload: RunIn) -> Status[RunOut]:
    """Ask for images, for staff who may add runs. Images that exist are not made again."""
    user = _allowed(request, "add_run")
    prompt_set = PromptSet.objects.visible_to(user).filter(pk=payload.prompt_set).first()
    if prompt_set is None:
        raise ProblemError(404, "There is no such prompt set.", code="not_found", field="prompt_set")
    found = list(visible_recipes(user).filter(pk__in=payload.recipes))
    if len(found) < len(set(payload.recipes)):
        raise ProblemError(404, "There is no such recipe.", code="not_found", field="recipes")
    texts = list(prompt_set.prompts.order_by("position").values_list("text", flat=True))
    run = planning.start_run(
        name=payload.name,
        owner=user,
        recipes=found,
        prompt_texts=texts,
        samples=payload.samples,
        priority=payload.priority,
    )
    return Status(201, RunOut.of(run))


@runs.get("/{int:run_id}", response={200: RunOut, REFUSALS: Problem})
def get_run(request: HttpRequest, run_id: int) -> RunOut:
    """How a run stands."""
    return RunOut.of(get_object_or_404(run_control.visible_runs(person(request)).distinct(), pk=run_id))


@runs.post("/{int:run_id}/steer", response={200: Said, REFUSALS: Problem})
def steer_run(request: HttpRequest, run_id: int, payload: Act) -> Said:
    """Pause, resume, cancel or retry a run, for those who may steer it."""
    user = person(request)
    run = get_object_or_404(run_control.visible_runs(user).distinct(), pk=run_id)
    if not run_control.may_steer(run, user):
        raise ProblemError(403, "You may look at this run, but not steer it.", code="not_yours")
    acts = {
        "pause": run_control.pause,
        "resume": run_control.resume,
        "cancel": run_control.cancel,
        "retry": run_control.retry,
    }
    return Said(detail=acts[payload.act](run, actor=user))


def visible_recipes(user: User) -> QuerySet[Recipe]:
    """Generated recipes of checkpoints that this person sees."""
    generated = Recipe.objects.filter(kind=Recipe.Kind.GENERATED).select_related("schedule", "checkpoint")
    return generated.filter(checkpoint__in=Checkpoint.objects.visible_to(user))


def _checkpoints(request: HttpRequest) -> QuerySet[Checkpoint]:
    return Checkpoint.objects.visible_to(person(request)).order_by("name")


def _allowed(request: HttpRequest, right: str) -> User:
    """As in the admin: staff with the right."""
    user = person(request)
    if not (user.is_staff and user.has_perm(f"generation.{right}")):
        raise ProblemError(403, "Your account may not do this: ask an administrator.", code="no_right")
    return user
