"""Studies ready to be made of the shipped models: which step count, which formulation, what each part is worth."""

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from django.contrib.auth import get_user_model
from django.db import transaction

from arena import simulated_raters, studies
from arena.criteria import PRESETS
from arena.designs import StudyError
from arena.models import Study
from generation import checkpoints, model_folders, recipes, schedules
from generation.models import Checkpoint, Prompt, Schedule
from generation.prompt_files import PromptRow
from generation.prompt_sets import save_prompt_set
from generation.scenes import Scene, caption_of, demo_scenes
from generation.scenes.vocabulary import COUNTS
from generation.schedules import steps_in_words

CHECKPOINTS = {"tiny-sd3": "final", "tiny-sd3-mid": "halfway", "tiny-sd3-early": "early"}
STEP_COUNTS = (1, 2, 4, 8, 28)
MOST_STEPS: Final = 28
PROMPTS = 24
MOST_PROMPTS: Final = 200
MOST_SIMULATED: Final = 1_000
GUIDANCE: Final = 3.0
SIZE: Final = 64
BALLOTS_PER_RATER = 40

_SLUG: Final = re.compile(r"[-a-zA-Z0-9_]{1,100}")

FLOW: Final = "FlowMatchEulerDiscreteScheduler"
DDIM_UPDATE: Final = "DPMSolverMultistepScheduler"
"""Stored with the models that predict noise or v, with `solver_order` 1: then it takes DDIM's steps."""


@dataclass(frozen=True)
class Part:
    """One contender of a template: a shipped checkpoint and how it is sampled.

    scheduler:   the class that came with the weights; all its options stay theirs
    is_optional: left out, with a sentence, where its folder is not there
    """

    checkpoint: str
    label: str
    steps: int = MOST_STEPS
    scheduler: str = FLOW
    call_options: dict[str, Any] = field(default_factory=lambda: {"max_sequence_length": 18})
    without: tuple[str, ...] = ()
    is_baseline: bool = False
    is_optional: bool = False

    @property
    def recipe_name(self) -> str:
        """What the recipe is called; the label says the same to researchers."""
        named = [self.checkpoint, steps_in_words(self.steps), *(f"without {part}" for part in self.without)]
        return ", ".join(named)


@dataclass(frozen=True)
class StudyTemplate:
    """What a study of shipped models asks."""

    name: str
    title: str
    question: str
    parts: Callable[[], Sequence[Part]]


@dataclass(frozen=True)
class MadeStudy:
    """The study, and the labels of the contenders whose checkpoint is not on this machine."""

    study: Study
    left_out: tuple[str, ...]


def _steps() -> Iterator[Part]:
    for checkpoint, word in CHECKPOINTS.items():
        for steps in STEP_COUNTS:
            is_baseline = checkpoint == "tiny-sd3" and steps == max(STEP_COUNTS)
            label = f"{word} · {steps_in_words(steps)}"
            yield Part(checkpoint, label, steps=steps, is_baseline=is_baseline)


def _formulations() -> Iterator[Part]:
    yield Part("tiny-sd3-early", "rf/lognorm(0,1)", is_baseline=True)
    yield Part("tiny-sd3-rf", "rf")
    yield Part("tiny-sd3-eps", "eps/linear", scheduler=DDIM_UPDATE)
    yield Part("tiny-sd3-v", "v/cos", scheduler=DDIM_UPDATE)


def _ablations() -> Iterator[Part]:
    yield Part("tiny-sd3", "all three text encoders", is_baseline=True)
    yield Part("tiny-sd3", "without T5", without=("text_encoder_3",))
    yield Part("tiny-sd3-pastel", "with the pastel LoRA", is_optional=True)
    yield Part("tiny-ldm", "latent diffusion", scheduler=DDIM_UPDATE, call_options={})


TEMPLATES: Final[dict[str, StudyTemplate]] = {
    template.name: template
    for template in (
        StudyTemplate(
            name="steps",
            title="How many steps, and which checkpoint?",
            question="Three checkpoints of one small model, each sampled with 1 to 28 steps, on the same prompts and "
            "the same noise. Which number of steps do people prefer, and does the checkpoint that was trained longer "
            "win?",
            parts=lambda: tuple(_steps()),
        ),
        StudyTemplate(
            name="formulations",
            title="Which formulation?",
            question="One network trained four times for 1,000 steps on the same data: rectified flow with "
            "logit-normal and with uniform timesteps, noise on LDM's linear schedule, v on the cosine one. Each draws "
            "with 28 steps of the scheduler stored with it, on the same prompts and the same noise.",
            parts=lambda: tuple(_formulations()),
        ),
        StudyTemplate(
            name="ablations",
            title="What is each part worth?",
            question="The finished model with all its text encoders, without its T5 encoder, and with a LoRA adapter; "
            "beside it latent diffusion with one text encoder. All draw with 28 steps, on the same prompts and the "
            "same noise.",
            parts=lambda: tuple(_ablations()),
        ),
    )
}


def make_from_template(
    template: StudyTemplate,
    *,
    slug: str = "",
    prompts: int | None = None,
    simulated: int = 0,
) -> MadeStudy:
    """An open study with its images asked for and, on request, simulated raters enrolled. Loads no model.

    slug:      short name of the study; the template's if empty
    prompts:   how many captions of the scene world; PROMPTS if None
    simulated: how many simulated raters answer BALLOTS_PER_RATER ballots each as soon as the images are there

    Raises StudyError where the short name is taken or a number makes no sense, GenerationError for refused recipes.
    """
    prompts = PROMPTS if prompts is None else prompts
    slug = slug or template.name
    _check(slug=slug, prompts=prompts, simulated=simulated)
    parts = template.parts()
    left_out = tuple(part.label for part in parts if part.is_optional and not _is_here(part))
    owner = get_user_model().objects.filter(is_superuser=True).order_by("pk").first()
    with transaction.atomic():
        study = studies.create_study(
            slug=slug,
            name=template.title,
            description=_description(template, simulated),
            owner=owner,
            prompts=_prompts(prompts),
            contenders=[_contender(part) for part in parts if part.label not in left_out],
            criteria=PRESETS["sd3"],
            rater_rules={"ballots_per_rater": BALLOTS_PER_RATER},
        )
        study = studies.open_study(study, actor=owner)
        if simulated:
            simulated_raters.enrol(study, simulated, ballots_by_themselves=BALLOTS_PER_RATER)
        studies.ask_for_images(study)
    return MadeStudy(study=study, left_out=left_out)


def _check(*, slug: str, prompts: int, simulated: int) -> None:
    if not _SLUG.fullmatch(slug):
        raise StudyError(
            f"A short name has at most 100 letters, digits, - and _, and {slug!r} is none: choose another.",
            code="bad_slug",
            field="slug",
        )
    if not 1 <= prompts <= MOST_PROMPTS:
        raise StudyError(f"A template takes 1 to {MOST_PROMPTS} prompts, not {prompts}.", code="bad_prompt_count")
    if not 0 <= simulated <= MOST_SIMULATED:
        raise StudyError(
            f"The number of simulated raters must lie between 0 and {MOST_SIMULATED}, not {simulated}.",
            code="bad_rater_count",
        )


def _is_here(part: Part) -> bool:
    return (model_folders.models_root() / part.checkpoint / "checkpoint.json").exists()


def _description(template: StudyTemplate, simulated: int) -> str:
    if not simulated:
        return template.question
    return (
        f"{template.question} The first {simulated * BALLOTS_PER_RATER} ballots come from {simulated} simulated "
        "raters: a program that looks at the pixels of both images and compares them with the caption. They are marked "
        "wherever they count and can be left out of every result with one switch."
    )


def _contender(part: Part) -> studies.ContenderSpec:
    checkpoint = Checkpoint.objects.filter(name=part.checkpoint).first()
    recipe = recipes.get_recipe(
        name=part.recipe_name,
        checkpoint=checkpoint or checkpoints.register_checkpoint(name=part.checkpoint, source=part.checkpoint),
        schedule=_schedule(part),
        guidance=GUIDANCE,
        width=SIZE,
        height=SIZE,
        call_options=part.call_options,
        without=part.without,
    )
    return studies.ContenderSpec(label=part.label, recipe=recipe, is_baseline=part.is_baseline)


def _schedule(part: Part) -> Schedule:
    if part.scheduler != FLOW:
        return schedules.get_schedule(scheduler_class=part.scheduler, steps=part.steps)
    return schedules.get_schedule(steps=part.steps, shift=1.0, sigmas=schedules.few_step_sigmas(part.steps))


def _prompts(count: int) -> list[Prompt]:
    rows = [_prompt_row(scene) for scene in demo_scenes(count)]
    prompt_set = save_prompt_set(name="Demo scenes", rows=rows, licence="Apache-2.0", source="generation/scenes")
    return list(prompt_set.prompts.order_by("position"))


def _prompt_row(scene: Scene) -> PromptRow:
    if scene.sign is not None:
        return PromptRow(text=caption_of(scene), category="sign", target_text=scene.sign.text)
    return PromptRow(text=caption_of(scene), category=_category(scene))


def _category(scene: Scene) -> str:
    if scene.place in COUNTS:
        return "several objects"
    return "one object" if len(scene.objects) == 1 else "two objects"
