"""The prompts of an import into its study a batch at a time, with the criteria that are asked on each."""

from __future__ import annotations

from array import array
from collections.abc import Callable, Iterable, Sequence

from django.contrib.auth.models import User

from arena.batches import Claim, ids_of
from arena.models import Study, StudyPrompt
from arena.refusals import Refusal
from generation.models import Prompt, PromptSet
from generation.prompt_files import PromptRow
from generation.prompt_sets import PromptSetError, begin_prompt_set, complete_prompt_set, content_digest, prompt_of


def first_prompt(*, name: str, rows: Sequence[PromptRow], owner: User | None, source: str, licence: str = "") -> Prompt:
    """The first one of a set that nobody sees yet, for a study to be founded with; `PromptTaker` brings the others."""
    try:
        prompt_set = begin_prompt_set(name=name, rows=rows, owner=owner, source=source, licence=licence)
    except PromptSetError as error:
        raise Refusal(str(error), code="bad_name", field="name") from error
    return prompt_set.prompts.order_by("position")[0]


class PromptTaker:
    """Writes prompts where an earlier try ended. The study was founded with the first of them."""

    def __init__(self, claim: Claim, rows: Sequence[PromptRow]) -> None:
        self._claim, self._study, self._rows = claim, claim.study, rows
        self._set = self._set_of(claim.study)

    def take(self, stratum: Callable[[int], str]) -> array[int]:
        """Ids of the study's prompts by place. stratum: of the prompt at a place."""
        claim, study, number = self._claim, self._study, len(self._rows)
        if self._set.digest:  # whole: this owner had these very prompts already
            prompts = ids_of(self._set.prompts.all())
        else:
            prompts = claim.fill(
                self._set.prompts.all(),
                range(number),
                lambda place: vars(prompt_of(self._set, place, self._rows[place])),
                what="prompts",
                number=number,
            )
        return claim.fill(
            study.study_prompts.all(),
            range(number),
            lambda place: {
                "study_id": study.pk,
                "position": place,
                "prompt_id": prompts[place],
                "stratum": stratum(place),
            },
        )

    def link(self, asked: Iterable[tuple[int, int]]) -> None:
        """Store which criterion is asked on which prompt of the study, by their ids and always in the same order."""
        through = StudyPrompt.criteria.through
        stored = through._default_manager.filter(studyprompt__study=self._study)
        self._claim.fill(stored, asked, lambda pair: {"studyprompt_id": pair[0], "criterion_id": pair[1]})

    def ending(self) -> Callable[[], None]:
        """What makes the set seen and used; to be called in the batch that makes the study whole."""
        if self._set.digest:
            return lambda: None
        digest = content_digest(self._rows)
        return lambda: complete_prompt_set(self._set, digest)

    @staticmethod
    def _set_of(study: Study) -> PromptSet:
        first = study.study_prompts.select_related("prompt__prompt_set").order_by("position")[0]
        return first.prompt.prompt_set
