"""The demo study: how many steps do people prefer, and does longer training win? Ready after a first start."""

from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from django.conf import settings
from django.contrib.auth import get_user_model
from django.db import transaction

from arena import raters, simulated_raters, studies
from arena.criteria import PRESETS
from arena.models import Study
from generation import checkpoints, recipes, schedules
from generation.models import Checkpoint, Prompt
from generation.prompt_files import PromptRow
from generation.prompt_sets import save_prompt_set
from generation.scenes import Scene, caption_of, demo_scenes
from generation.scenes.vocabulary import COUNTS

SLUG = "demo"
CHECKPOINTS = {"tiny-sd3": "final", "tiny-sd3-mid": "halfway", "tiny-sd3-early": "early"}
STEP_COUNTS = (1, 2, 4, 8, 28)
PROMPTS = 24
GUIDANCE = 3.0
SIZE = 64
SIMULATED_RATERS = 20
BALLOTS_PER_RATER = 40

DESCRIPTION = (
    "Three checkpoints of one small model, each sampled with 1 to 28 steps, on the same prompts and the same noise. "
    "Which number of steps do people prefer, and does the checkpoint that was trained longer win? "
    f"The first {SIMULATED_RATERS * BALLOTS_PER_RATER} ballots come from {SIMULATED_RATERS} simulated raters: "
    "a program that looks at the pixels of both images and compares them with the caption. They are marked wherever "
    "they count and can be left out of every result with one switch."
)


@dataclass(frozen=True)
class Demo:
    """The demo study and, where this machine still knows it, the token of its invitation link."""

    study: Study
    rater_link_token: str | None


def prepare_demo() -> Demo:
    """Make the demo study and ask for its images; a second call finds what the first one made. Loads no model."""
    with transaction.atomic():
        study = Study.objects.filter(slug=SLUG).first() or _create()
        if study.run is None:
            studies.ask_for_images(study)
    return Demo(study=study, rater_link_token=_rater_link_token(study))


def _create() -> Study:
    owner = get_user_model().objects.filter(is_superuser=True).order_by("pk").first()
    study = studies.create_study(
        slug=SLUG,
        name="How many steps, and which checkpoint?",
        description=DESCRIPTION,
        owner=owner,
        prompts=_prompts(),
        contenders=_contenders(),
        criteria=PRESETS["sd3"],
        rater_rules={"ballots_per_rater": BALLOTS_PER_RATER},
    )
    study = studies.open_study(study, actor=owner)
    simulated_raters.enrol(study, SIMULATED_RATERS, ballots_by_themselves=BALLOTS_PER_RATER)
    return study


def _prompts() -> list[Prompt]:
    rows = [_prompt_row(scene) for scene in demo_scenes(PROMPTS)]
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


def _contenders() -> list[studies.ContenderSpec]:
    specs = []
    for name, word in CHECKPOINTS.items():
        checkpoint = Checkpoint.objects.filter(name=name).first() or checkpoints.register_checkpoint(
            name=name, source=name
        )
        for steps in STEP_COUNTS:
            schedule = schedules.get_schedule(steps=steps, shift=1.0, sigmas=schedules.few_step_sigmas(steps))
            recipe = recipes.get_recipe(
                name=f"{name}, {steps} step{'s' if steps > 1 else ''}",
                checkpoint=checkpoint,
                schedule=schedule,
                guidance=GUIDANCE,
                width=SIZE,
                height=SIZE,
                call_options={"max_sequence_length": 18},
            )
            is_baseline = name == "tiny-sd3" and steps == max(STEP_COUNTS)
            label = f"{word} · {steps} step{'s' if steps > 1 else ''}"
            specs.append(studies.ContenderSpec(label=label, recipe=recipe, is_baseline=is_baseline))
    return specs


def _rater_link_token(study: Study) -> str | None:
    """The invitation's token. The database keeps only a hash, so this machine keeps the token, for its owner."""
    if study.state not in (Study.State.OPEN, Study.State.PAUSED):
        return None
    kept = Path(settings.DATA_DIR) / "demo_rater_link"
    if kept.exists():
        token = kept.read_text().strip()
        with suppress(raters.InvitationError):
            if raters.invitation_of(token).study_id == study.pk:
                return token
    _, token = raters.invite(study=study, label="demo link")
    kept.touch(mode=0o600)
    kept.write_text(token + "\n")
    return token
