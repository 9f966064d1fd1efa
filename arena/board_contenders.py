"""Who stands on a board: the same contender in several studies is one, told by what makes its images."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

from arena.models import Contender, Study
from generation.models import Recipe
from generation.provenance import digest_of

EXTERNAL = "external"


@dataclass(frozen=True)
class BoardContender:
    """One line of a board, by the contenders that it is in the studies; the newest study gives the label."""

    identity: str
    label: str
    recipe: Recipe
    contenders: tuple[Contender, ...]

    @property
    def studies(self) -> frozenset[int]:
        return frozenset(contender.study_id for contender in self.contenders)

    @property
    def baselines(self) -> int:
        """In how many studies it is the baseline."""
        return sum(contender.is_baseline for contender in self.contenders)

    @property
    def is_withdrawn(self) -> bool:
        """From every study it was in."""
        return all(contender.withdrawn_at is not None for contender in self.contenders)

    @property
    def family(self) -> str:
        """Formulation of the checkpoint, or its pipeline; one word for everything made elsewhere."""
        checkpoint = self.recipe.checkpoint
        return EXTERNAL if checkpoint is None else checkpoint.loss_family or checkpoint.pipeline_class or "unknown"

    @property
    def checkpoint(self) -> str:
        return self.recipe.checkpoint.name if self.recipe.checkpoint else self.recipe.name

    @property
    def steps(self) -> int | None:
        return self.recipe.schedule.steps if self.recipe.schedule else None


@dataclass(frozen=True)
class Cast:
    """All contenders of some studies by identity, in the order of the identities, which names have no part in."""

    members: tuple[BoardContender, ...]

    @cached_property
    def by_identity(self) -> Mapping[str, BoardContender]:
        return {member.identity: member for member in self.members}

    @cached_property
    def place_of(self) -> Mapping[int, int]:
        """Number of a study's contender, by its id."""
        return {contender.pk: place for place, member in enumerate(self.members) for contender in member.contenders}

    @cached_property
    def doubled(self) -> Mapping[int, str]:
        """Studies in which somebody stands twice, by their ids, with the label: they cannot be pooled."""
        return {
            study: member.label
            for member in self.members
            for study, times in Counter(contender.study_id for contender in member.contenders).items()
            if times > 1
        }


def identity_of(recipe: Recipe) -> str:
    """Equal for equal contenders: one recipe, or one name of a service whose images are made elsewhere.

    The recipe's digest is of checkpoint, schedule and all settings. A service made elsewhere has no settings that this
    site knows; whoever uploads it, and however large its images are, its name is what it is.
    """
    if recipe.kind == Recipe.Kind.EXTERNAL:
        return digest_of({"external contender": recipe.name.strip()})
    return recipe.digest


def cast_of(studies: Iterable[Study]) -> Cast:
    """Everybody in these studies; one query."""
    found = Contender.objects.filter(study__in=[study.pk for study in studies])
    rows = found.select_related("recipe__checkpoint", "recipe__schedule").order_by("study_id", "position")
    groups: dict[str, list[Contender]] = {}
    for contender in rows:
        groups.setdefault(identity_of(contender.recipe), []).append(contender)
    labels = _labels({identity: own[-1].label for identity, own in groups.items()})
    return Cast(
        tuple(
            BoardContender(identity, labels[identity], own[-1].recipe, tuple(own))
            for identity, own in sorted(groups.items())
        )
    )


def twice_in(study: Study, contenders: Sequence[Contender]) -> str:
    """The label of a contender that a study has twice by identity; empty where it has none."""
    seen: set[str] = set()
    for contender in contenders:
        identity = identity_of(contender.recipe)
        if identity in seen:
            return contender.label
        seen.add(identity)
    return ""


def _labels(wanted: Mapping[str, str]) -> dict[str, str]:
    """Labels by identity; those that two contenders have are told apart by a piece of the identity."""
    given = list(wanted.values())
    return {
        identity: label if given.count(label) == 1 else f"{label} [{identity[:6]}]"
        for identity, label in wanted.items()
    }
