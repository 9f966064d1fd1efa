"""Small real studies for tests: rows made by the product's own acts, PNG images in the store, no torch."""

import hashlib
import io
import itertools
from collections.abc import Callable
from typing import Any

from django.contrib.auth.models import User
from PIL import Image as Pictures

from arena import raters, studies, voting
from arena.criteria import PRESETS
from arena.intake import take_in_images
from arena.models import Ballot, Contender, Criterion, Rater, Study, Vote
from generation import image_store
from generation.models import Checkpoint, Image, Prompt, PromptSet, Recipe, Schedule
from generation.provenance import digest_of, pixels_digest, request_digest, seed_for, text_digest

STEP_COUNTS = (1, 2, 4, 8, 16, 28)
ChoiceOf = Callable[[Ballot, Criterion], str]


def make_user(name: str = "ada", *, is_superuser: bool = False) -> User:
    """A researcher; asked twice for one name, the same one."""
    found, _ = User.objects.get_or_create(
        username=name, defaults={"is_superuser": is_superuser, "is_staff": is_superuser}
    )
    return found


def make_prompts(count: int, *, with_text: int = 1, name: str = "colour words") -> list[Prompt]:
    """`count` prompts, the first `with_text` of which have text to render."""
    prompt_set = PromptSet.objects.create(
        name=name, version=PromptSet.objects.filter(name=name).count() + 1, digest=digest_of([name, count, with_text])
    )
    prompts = []
    for position in range(count):
        target = f"W{position}" if position < with_text else None
        text = f'a sign that says "{target}"' if target else f"{name}: a plain surface number {position}"
        prompts.append(
            Prompt(
                prompt_set=prompt_set,
                position=position,
                text=text,
                text_digest=text_digest(text),
                category="signs" if target else "surfaces",
                target_text=target,
            )
        )
    return Prompt.objects.bulk_create(prompts)


def make_recipe(name: str, *, steps: int = 4, checkpoint: str = "final", size: int = 64) -> Recipe:
    """A ready recipe of a checkpoint that exists as a row only."""
    weights, _ = Checkpoint.objects.get_or_create(
        name=checkpoint,
        defaults={
            "source": checkpoint,
            "pipeline_class": "StableDiffusion3Pipeline",
            "state": Checkpoint.State.READY,
            "loss_family": "rf",
            "validation_loss": 0.2,
            "parameters": 3_000_000,
        },
    )
    schedule, _ = Schedule.objects.get_or_create(
        digest=digest_of(["flow", steps]),
        defaults={"scheduler_class": "FlowMatchEulerDiscreteScheduler", "steps": steps},
    )
    return Recipe.objects.create(
        name=name,
        checkpoint=weights,
        schedule=schedule,
        width=size,
        height=size,
        evaluations=steps,
        state=Recipe.State.READY,
        digest=digest_of(["recipe", name, checkpoint, steps, size]),
    )


def png_of(colour: tuple[int, int, int], *, size: int = 64) -> bytes:
    """A plain PNG of one colour."""
    file = io.BytesIO()
    Pictures.new("RGB", (size, size), colour).save(file, format="PNG")
    return file.getvalue()


def colour_of(*names: object) -> tuple[int, int, int]:
    """A colour that depends on the names and on nothing else."""
    red, green, blue, *_ = hashlib.sha256("|".join(map(str, names)).encode()).digest()
    return red, green, blue


def make_image(*, recipe: Recipe, prompt_text: str, sample: int = 0, data: bytes | None = None) -> Image:
    """An image row with its PNG in the store; the colour follows recipe, prompt and sample unless data is given."""
    data = png_of(colour_of(recipe.name, prompt_text, sample), size=recipe.width) if data is None else data
    with Pictures.open(io.BytesIO(data)) as picture:
        width, height = picture.size
        pixels = pixels_digest(picture.convert("RGB").tobytes(), width=width, height=height)
    return Image.objects.create(
        recipe=recipe,
        prompt_text=prompt_text,
        prompt_digest=text_digest(prompt_text),
        sample=sample,
        request_digest=request_digest(recipe_digest=recipe.digest, prompt_text=prompt_text, sample=sample),
        seed=seed_for(prompt_text=prompt_text, sample=sample),
        file_sha256=image_store.put(data, suffix=".png"),
        pixels_sha256=pixels,
        width=width,
        height=height,
        size_bytes=len(data),
        seconds=0.5 * (recipe.evaluations or 1),
        provenance={"made_by": "tests"},
        provenance_digest=digest_of(["tests", recipe.name, prompt_text, sample]),
    )


def make_study(
    *,
    contenders: int = 3,
    prompts: int = 4,
    with_text: int = 1,
    opened: bool = True,
    copies: bool = True,
    images: bool = True,
    slug: str = "colours",
    criteria: str = "sd3",
    samples: int = 1,
    ballots_per_rater: int | None = 40,
    owner: User | None = None,
    rules: dict[str, Any] | None = None,
    design: dict[str, Any] | None = None,
) -> Study:
    """A study of flat colours: contender i uses the i-th step count, the first is the baseline.

    No instructions stand before the first ballot unless the `rules` say so.
    Contenders from the seventh on belong to a second checkpoint. With `copies`, every image can be shown at once.
    """
    asked = make_prompts(prompts, with_text=with_text, name=slug)
    specs = []
    for index in range(contenders):
        steps, checkpoint = STEP_COUNTS[index % len(STEP_COUNTS)], f"{slug}-{index // len(STEP_COUNTS)}"
        recipe = make_recipe(f"{checkpoint}, {steps} steps", steps=steps, checkpoint=checkpoint)
        specs.append(studies.ContenderSpec(label=recipe.name, recipe=recipe, is_baseline=index == 0))
    study = studies.create_study(
        slug=slug,
        name=slug.title(),
        owner=owner or make_user(),
        prompts=asked,
        contenders=specs,
        criteria=PRESETS[criteria],
        design={"samples": samples, **(design or {})},
        rater_rules={"ballots_per_rater": ballots_per_rater, "instructions": False, **(rules or {})},
    )
    if images:
        for spec, prompt, sample in itertools.product(specs, asked, range(samples)):
            make_image(recipe=spec.recipe, prompt_text=prompt.text, sample=sample)
    if opened:
        study = studies.open_study(study, actor=study.owner)
    if copies:
        take_in_images(study=study, most=10_000)
    return study


def make_rater(study: Study, kind: str = Rater.Kind.INVITED) -> Rater:
    """A rater of that kind; an invited one joined by a real invitation."""
    if kind != Rater.Kind.INVITED:
        return Rater.objects.create(study=study, kind=kind)
    invitation, _ = raters.invite(study=study, most_uses=1)
    return raters.join(invitation=invitation, consent_text="My votes are kept without my name.")


def cast(rater: Rater, choice_of: ChoiceOf | str = Vote.Choice.LEFT, *, ballots: int = 1) -> list[voting.Receipt]:
    """Let the rater answer that many ballots (fewer when there are no more), by one choice or by a function."""
    receipts = []
    for _ in range(ballots):
        if not (queue := voting.open_ballots(rater=rater, wanted=1)):
            break
        ballot = queue[0]
        voting.mark_shown(ballot)
        answers = {
            criterion.key: choice_of if isinstance(choice_of, str) else choice_of(ballot, criterion)
            for criterion in ballot.study_prompt.criteria.all()
        }
        receipts.append(
            voting.cast_votes(rater=rater, ballot_token=ballot.token, answers=answers, page_milliseconds=1500)
        )
    return receipts


def vote_for(better: Callable[[Contender, Contender], bool]) -> ChoiceOf:
    """A `choice_of` that takes the left image where better(left, right) holds, else the right one."""

    def choice(ballot: Ballot, criterion: Criterion) -> str:
        return Vote.Choice.LEFT if better(ballot.left_contender, ballot.right_contender) else Vote.Choice.RIGHT

    return choice
