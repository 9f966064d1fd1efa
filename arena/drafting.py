"""From a planned study to a draft: recipes stored, prompts drawn, rows written; all of it or nothing."""

from django.contrib.auth.models import User
from django.db import transaction

from arena import studies
from arena.design_files import PlannedStudy, sampling_of
from arena.models import Study
from arena.pair_designs import Corner, check_pairs, factors_of
from arena.refusals import StudyError
from arena.studies import ContenderSpec
from generation.errors import GenerationError
from generation.models import Prompt
from generation.prompt_sampling import SampleError, prompts_drawn
from generation.sweeps import stored


def save_draft(planned: PlannedStudy, *, owner: User | None, draft: Study | None = None) -> Study:
    """A new draft, or the same one with all of its parts put anew. Raises StudyError with the field that is wrong."""
    corners = [Corner(wish.is_baseline, factors_of(wish.recipe)) for wish in planned.wishes]
    if len(corners) > 1:
        check_pairs(str(planned.design.get("pairs", "all")), corners)
    with transaction.atomic():
        contenders = _stored(planned)
        prompts = _drawn(planned)
        design = dict(planned.design)
        if planned.prompt_set is not None:
            design["sampling"] = sampling_of(planned.prompt_set, planned.rule)
        elif draft is not None and "sampling" in draft.design:
            design["sampling"] = draft.design["sampling"]
        if draft is None:
            return studies.create_study(
                slug=planned.slug,
                name=planned.name,
                description=planned.description,
                owner=owner,
                prompts=prompts or [],
                contenders=contenders,
                criteria=planned.criteria,
                design=design,
                display_rule=planned.display_rule,
                rater_rules=planned.rater_rules,
            )
        return studies.rewrite_draft(
            draft,
            actor=owner,
            name=planned.name,
            description=planned.description,
            prompts=prompts,
            contenders=contenders,
            criteria=planned.criteria,
            design=design,
            display_rule=planned.display_rule,
            rater_rules=planned.rater_rules,
        )


def _stored(planned: PlannedStudy) -> list[ContenderSpec]:
    """All recipes as rows, so that what the summary counted is what will be made."""
    try:
        return [ContenderSpec(wish.label, stored(wish.recipe), wish.is_baseline) for wish in planned.wishes]
    except GenerationError as error:
        raise StudyError(str(error), code="bad_contender", field="contenders") from error


def _drawn(planned: PlannedStudy) -> list[Prompt] | None:
    if planned.prompt_set is None:
        return None
    try:
        return prompts_drawn(planned.prompt_set, planned.rule)
    except SampleError as error:
        raise StudyError(str(error), code="bad_sample", field="prompts") from error
