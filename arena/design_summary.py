"""What a design comes to: images and hours, ballots, raters' hours, and what it can tell apart. Nothing is stored."""

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from arena.contender_wishes import Wish
from arena.criteria import CriterionSpec
from arena.design_files import PlannedStudy
from arena.design_power import Field, Needed, Power, Question, ballots_needed, power_of
from arena.models import Criterion, Study
from arena.pair_designs import ALL_PAIRS, Corner, check_pairs, factors_of, pairs_by
from arena.planning_assumptions import Assumptions
from arena.refusals import StudyError
from generation.models import Image, Prompt, Recipe
from generation.pace import means_for
from generation.prompt_sampling import SampleError, prompts_drawn
from generation.run_plans import duration_in_words, image_workers

IDS_AT_ONCE: Final = 500


@dataclass(frozen=True)
class ImageCosts:
    """seconds: of one worker, for those that are missing; None where something was never measured."""

    wanted: int
    existing: int
    seconds: float | None
    unmeasured: tuple[str, ...]
    workers: int

    @property
    def missing(self) -> int:
        return self.wanted - self.existing

    @property
    def in_words(self) -> str:
        if not self.missing:
            return "all of them exist"
        if self.seconds is None:
            more = f" and {len(self.unmeasured) - 1} more" if len(self.unmeasured) > 1 else ""
            return f"time not known: nothing was measured for {self.unmeasured[0]}{more}"
        whom = f"{self.workers} worker{'s' if self.workers > 1 else ''}" if self.workers else "one worker; none lives"
        return f"about {duration_in_words(self.seconds / max(1, self.workers))} with {whom}"


@dataclass(frozen=True)
class Summary:
    """ordinary: ballots that count; ballots: with those that check raters. why: what stands in the way of opening."""

    prompts: int
    contenders: tuple[str, ...]
    pairs: int
    images: ImageCosts
    ordinary: int
    ballots: int
    rater_hours: float
    ballots_a_rater: float | None
    quota: int | None
    power: tuple[Power, ...]
    needed: tuple[Needed, ...]
    needed_for: str
    why: tuple[str, ...]

    def to_json(self) -> dict[str, Any]:
        """What the designer's page shows beside the form."""
        return {
            "prompts": self.prompts,
            "contenders": list(self.contenders),
            "pairs": self.pairs,
            "images_wanted": self.images.wanted,
            "images_existing": self.images.existing,
            "images_missing": self.images.missing,
            "image_seconds": self.images.seconds,
            "images_in_words": self.images.in_words,
            "ballots": self.ballots,
            "ordinary_ballots": self.ordinary,
            "rater_hours": self.rater_hours,
            "ballots_a_rater": self.ballots_a_rater,
            "power": [one.to_json() for one in self.power],
            "needed_for": self.needed_for,
            "needed": [{"win_rate": one.win_rate, "ballots": one.ballots} for one in self.needed],
            "problems": list(self.why),
        }


def summary_of(planned: PlannedStudy, *, keeps: Sequence[Prompt] = ()) -> Summary:
    """The summary of a design. keeps: the prompts of a draft that keeps those it has."""
    try:
        prompts = prompts_drawn(planned.prompt_set, planned.rule) if planned.prompt_set else list(keeps)
    except SampleError as error:
        raise StudyError(str(error), code="bad_sample", field="prompts") from error
    corners = [Corner(wish.is_baseline, factors_of(wish.recipe)) for wish in planned.wishes]
    return summarise(
        prompts=prompts,
        wishes=planned.wishes,
        corners=corners,
        criteria=planned.criteria,
        design=planned.design,
        rater_rules=planned.rater_rules,
    )


def summary_of_study(study: Study) -> Summary:
    """The same of a study that is stored, draft or not."""
    rows = study.study_prompts.select_related("prompt").order_by("position")
    contenders = study.contenders.filter(withdrawn_at__isnull=True).select_related("recipe__schedule")
    wishes = [Wish(one.label, one.recipe, one.is_baseline) for one in contenders.order_by("position")]
    return summarise(
        prompts=[row.prompt for row in rows],
        wishes=wishes,
        corners=[Corner(wish.is_baseline, factors_of(wish.recipe)) for wish in wishes],
        criteria=list(study.criteria.order_by("position")),
        design=study.design,
        rater_rules=study.rater_rules,
    )


def summarise(
    *,
    prompts: Sequence[Prompt],
    wishes: Sequence[Wish],
    corners: Sequence[Corner],
    criteria: Sequence[CriterionSpec | Criterion],
    design: dict[str, Any],
    rater_rules: dict[str, Any],
) -> Summary:
    """Everything from parts that are read already."""
    assumptions = Assumptions.from_json(design.get("planning", {}))
    pair_design = str(design.get("pairs", ALL_PAIRS))
    pairs = len(pairs_by(pair_design, corners))
    asked = {one.name: sum(applies(one, prompt) for prompt in prompts) for one in criteria}
    any_asked = sum(any(applies(one, prompt) for one in criteria) for prompt in prompts)
    ordinary = _ordinary(design, rater_rules, assumptions, cells=pairs * any_asked)
    checks = sum(float(rater_rules.get(name, 0)) for name in ("gold_share", "repeat_share"))
    ballots = math.ceil(ordinary / (1 - checks))
    questions = [Question(name, number, ordinary * number / max(1, any_asked)) for name, number in asked.items()]
    field = Field(pair_design, len(wishes), pairs, assumptions)
    scarcest = min((one for one in questions if one.prompts), key=lambda one: one.votes, default=None)
    quota = rater_rules.get("ballots_per_rater", 40)
    return Summary(
        prompts=any_asked,
        contenders=tuple(wish.label for wish in wishes),
        pairs=pairs,
        images=_images(wishes, _asked_texts(prompts, criteria), samples=int(design.get("samples", 1))),
        ordinary=ordinary,
        ballots=ballots,
        rater_hours=ballots * assumptions.seconds_per_ballot / 3600,
        ballots_a_rater=ballots / assumptions.raters if assumptions.raters else None,
        quota=quota,
        power=tuple(power_of(questions, field)),
        needed=tuple(ballots_needed(scarcest, field, ballots=ordinary)) if scarcest else (),
        needed_for=scarcest.name if scarcest else "",
        why=tuple(_problems(prompts, wishes, corners, pair_design, asked, ballots, assumptions, quota)),
    )


def applies(criterion: CriterionSpec | Criterion, prompt: Prompt) -> bool:
    """Whether the question is asked of the prompt; as `designs.criterion_applies`, for questions not stored yet."""
    if criterion.applies_to == Criterion.AppliesTo.HAS_TEXT:
        return bool(prompt.target_text)
    if criterion.applies_to == Criterion.AppliesTo.CATEGORIES:
        return prompt.category in criterion.categories
    return True


def _ordinary(design: dict[str, Any], rater_rules: dict[str, Any], assumptions: Assumptions, *, cells: int) -> int:
    """Ballots that count: by the target, else by what is hoped for, else as many as the raters may give."""
    if design.get("target_votes"):
        return int(design["target_votes"]) * cells
    if design.get("ballots_wanted"):
        return int(design["ballots_wanted"])
    quota = rater_rules.get("ballots_per_rater", 40)
    return int(assumptions.raters * quota) if assumptions.raters and quota else cells


def _asked_texts(prompts: Sequence[Prompt], criteria: Sequence[CriterionSpec | Criterion]) -> set[str]:
    return {prompt.text_digest for prompt in prompts if any(applies(one, prompt) for one in criteria)}


def _images(wishes: Sequence[Wish], texts: set[str], *, samples: int) -> ImageCosts:
    recipes = [wish.recipe for wish in wishes]
    made = _made(recipes, texts, samples)
    own = [recipe for recipe in recipes if recipe.kind != Recipe.Kind.EXTERNAL]
    means = means_for(own) if own else None
    seconds, unmeasured = 0.0, []
    for recipe in own:
        missing = len(texts) * samples - made[recipe.digest]
        if not missing:
            continue
        # A recipe that no worker has looked at has its steps for its evaluations.
        steps = recipe.evaluations or (recipe.schedule.steps if recipe.schedule else None)
        each = means.seconds_of(recipe, evaluations=steps) if means else None
        if each is None:
            unmeasured.append(recipe.name)
        else:
            seconds += each * missing
    return ImageCosts(
        wanted=len(texts) * samples * len(recipes),
        existing=sum(made.values()),
        seconds=None if unmeasured else seconds,
        unmeasured=tuple(unmeasured),
        workers=image_workers(),
    )


def _made(recipes: Sequence[Recipe], texts: set[str], samples: int) -> Counter[str]:
    """Images that exist, by recipe digest: drafts have no row, but may be the same as a recipe that has."""
    made: Counter[str] = Counter()
    digests = {recipe.digest for recipe in recipes}
    rows = Image.objects.filter(recipe__digest__in=digests, sample__lt=samples).order_by()
    for digest, prompt in rows.values_list("recipe__digest", "prompt_digest").iterator(chunk_size=IDS_AT_ONCE):
        made[digest] += prompt in texts
    return made


def _problems(
    prompts: Sequence[Prompt],
    wishes: Sequence[Wish],
    corners: Sequence[Corner],
    pair_design: str,
    asked: dict[str, int],
    ballots: int,
    assumptions: Assumptions,
    quota: int | None,
) -> list[str]:
    problems = []
    if len(wishes) < 2:
        problems.append("A study compares at least two contenders: choose recipes or a sweep.")
    else:
        try:
            check_pairs(pair_design, corners)
        except StudyError as refusal:
            problems.append(refusal.sentence)
    if not prompts:
        problems.append("No prompt is chosen.")
    for name, number in asked.items():
        if prompts and not number:
            problems.append(f"“{name}” is asked of none of these prompts.")
    if assumptions.raters and quota and ballots > assumptions.raters * quota:
        problems.append(
            f"{assumptions.raters:,} raters with at most {quota:,} ballots each give {assumptions.raters * quota:,} of "
            f"the {ballots:,} ballots: ask more people, raise the limit or plan fewer votes."
        )
    return problems
