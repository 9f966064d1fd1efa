"""The study that a bundle becomes, without its raters and votes: prompts, recipes, contenders, criteria, amendments."""

from __future__ import annotations

from typing import Any, Final

from django.contrib.auth.models import User
from django.db import transaction

from arena import studies
from arena.bundles import layout
from arena.bundles.archive import Archive
from arena.bundles.layout import Design
from arena.criteria import CriterionSpec
from arena.imported_prompts import first_prompt
from arena.models import Amendment, Study
from generation.models import Checkpoint, Prompt, Recipe, Schedule
from generation.prompt_files import PromptRow
from generation.provenance import digest_of

_WEIGHTS_STAYED: Final = "This checkpoint came with a bundle of a study, and its weights did not: add it to use it."
IMPORTED: Final = " (imported)"


class Founder:
    """Makes the study's own rows. Recipes, checkpoints and images are new ones, whatever this site already has:
    a bundle from elsewhere must not be able to pass off its pictures as those of our recipes."""

    def __init__(self, archive: Archive, design: Design, *, slug: str, owner: User | None) -> None:
        self._archive, self._design, self._slug, self._owner = archive, design, slug, owner
        # Each owner's copy has rows of its own, so that nobody's can be told from another's.
        self._name = archive.name if owner is None else digest_of({"bundle": archive.name, "owner": owner.pk})
        self._mark = self._name[:8]

    def found(self) -> Study:
        """A draft with the first prompt, that nobody sees, for it says that a bundle is being taken into it."""
        with transaction.atomic():
            study = self._study()
            study.taking_in = self._archive.name
            study.save(update_fields=["taking_in"])
            study.study_prompts.update(stratum=stratum_of(self._design.prompts[0]))
            self._amend(study)
        return study

    def _study(self) -> Study:
        design = self._design
        return studies.create_study(
            slug=self._slug,
            name=imported_name(design.name),
            owner=self._owner,
            prompts=[self._first_prompt()],
            contenders=[
                studies.ContenderSpec(
                    label=row.label, recipe=self._recipe(place, row.recipe), is_baseline=row.is_baseline
                )
                for place, row in enumerate(design.contenders)
            ],
            criteria=[
                CriterionSpec(
                    key=row.key,
                    name=row.name,
                    question=row.question,
                    allows_tie=row.allows_tie,
                    allows_both_bad=row.allows_both_bad,
                    shows_prompt=row.shows_prompt,
                    applies_to=row.applies_to,
                    categories=tuple(row.categories),
                )
                for row in design.criteria
            ],
            design=design.design,
            display_rule=design.display_rule,
            rater_rules=design.rater_rules,
            description=design.description,
            is_imported=True,
        )

    def prompt_rows(self) -> list[PromptRow]:
        """Those of the study, as a prompt file would say them."""
        return [
            PromptRow(
                text=row.text,
                category=row.category,
                challenge=row.challenge,
                target_text=row.target_text,
                tags=tuple(row.tags),
                metadata=row.metadata,
                line=number,
            )
            for number, row in enumerate(self._design.prompts, start=1)
        ]

    def _first_prompt(self) -> Prompt:
        licences = sorted({str(each.get("licence") or "") for each in self._design.prompt_sets} - {""})
        return first_prompt(
            name=f"{self._design.name[:150]} (bundle {self._mark})",
            rows=self.prompt_rows(),
            licence=", ".join(licences)[:200],
            source=f"Bundle {self._archive.name}",
            owner=self._owner,
        )

    def _recipe(self, place: int, row: layout.RecipeRow) -> Recipe:
        values = row.model_dump(exclude={"checkpoint", "schedule", "digest"})
        return Recipe.objects.create(
            **values,
            checkpoint=None if row.checkpoint is None else self._checkpoint(row.checkpoint),
            schedule=None if row.schedule is None else self._schedule(row.schedule),
            state=Recipe.State.READY,
            owner=self._owner,
            digest=digest_of({"bundle": self._name, "contender": place}),
        )

    def _checkpoint(self, row: layout.CheckpointRow) -> Checkpoint:
        values = row.model_dump(exclude={"name"})
        found, _ = Checkpoint.objects.get_or_create(
            name=f"{row.name[:91]}-{self._mark}",
            defaults=values | {"state": Checkpoint.State.REFUSED, "refusal": _WEIGHTS_STAYED, "owner": self._owner},
        )
        return found

    def _schedule(self, row: layout.ScheduleRow) -> Schedule:
        values = row.model_dump()
        found, _ = Schedule.objects.get_or_create(
            digest=digest_of({"bundle": self._name, "schedule": values}), defaults=values
        )
        return found

    def _amend(self, study: Study) -> None:
        contenders = list(study.contenders.order_by("position"))
        for contender, row in zip(contenders, self._design.contenders, strict=True):
            if row.withdrawn_at is not None:
                contender.withdrawn_at = row.withdrawn_at
                contender.save(update_fields=["withdrawn_at"])
        places = [contender.pk for contender in contenders]
        Amendment.objects.bulk_create(
            Amendment(study=study, change=_change(row.change, places), reason=f"{row.at:%Y-%m-%d}: {row.reason}")
            for row in self._design.amendments
        )


def stratum_of(row: layout.PromptRow) -> str:
    """As it was when the study opened."""
    return row.stratum or row.category


def imported_name(name: str) -> str:
    """Says where the study comes from, so that nobody takes it for the original beside it."""
    return name if name.endswith(IMPORTED) else f"{name[: 200 - len(IMPORTED)]}{IMPORTED}"


def _change(change: layout.Change, contenders: list[int]) -> dict[str, Any]:
    said = {key: value for key, value in change.model_dump().items() if value not in ("", None)}
    return said if change.contender is None else said | {"contender": contenders[change.contender]}
