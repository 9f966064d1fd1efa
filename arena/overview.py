"""A researcher's studies at a glance: how far the images are and how many votes came in."""

from collections.abc import Iterable
from dataclasses import dataclass

from django.contrib.auth.models import AbstractBaseUser, AnonymousUser
from django.db.models import Count, IntegerField, OuterRef, Q, QuerySet, Subquery, Value
from django.db.models.functions import Cast, Coalesce

from arena.models import Contender, Rater, Study, StudyPrompt, Vote
from generation.models import Image


@dataclass(frozen=True)
class StudyCard:
    """What the home page shows of a study."""

    study: Study
    images_made: int
    images_wanted: int
    votes: int
    simulated_votes: int

    @property
    def state(self) -> str:
        return self.study.get_state_display()

    @property
    def is_drawing(self) -> bool:
        """Images are still being made, or nobody has asked for them yet."""
        return self.images_made < self.images_wanted

    @property
    def has_results(self) -> bool:
        return self.votes + self.simulated_votes > 0


def study_cards(user: AbstractBaseUser | AnonymousUser) -> list[StudyCard]:
    """The studies this person may see, newest first; three queries however many there are."""
    visible = Study.objects.visible_to(user)
    studies = list(visible)
    images = _images_by_study(visible)
    votes = _votes_by_study(studies)
    return [
        StudyCard(
            study=study,
            images_made=images[study.pk][0],
            images_wanted=images[study.pk][1] * int(study.design.get("samples", 1)),
            votes=votes.get((study.pk, False), 0),
            simulated_votes=votes.get((study.pk, True), 0),
        )
        for study in studies
    ]


def _images_by_study(studies: QuerySet[Study]) -> dict[int, tuple[int, int]]:
    """Per study: images made, and images wanted of one sample. Prompts that share a text share their images."""
    rows = studies.order_by().annotate(
        contenders_in=_counted(Contender.objects.filter(study=OuterRef("pk"), withdrawn_at__isnull=True)),
        texts_in=_counted(StudyPrompt.objects.filter(_is_asked(), study=OuterRef("pk")), what="prompt__text_digest"),
        images_in=_counted(_images()),
    )
    return {
        pk: (made, contenders * texts)
        for pk, contenders, texts, made in rows.values_list("pk", "contenders_in", "texts_in", "images_in")
    }


def _is_asked() -> Q:
    """In a draft, where it is not yet resolved which criteria apply, every prompt counts."""
    return Q(study__state=Study.State.DRAFT) | Q(criteria__isnull=False)


def _images() -> QuerySet[Image]:
    return Image.objects.filter(
        recipe__contenders__study=OuterRef("pk"),
        recipe__contenders__withdrawn_at__isnull=True,
        prompt_digest__in=StudyPrompt.objects.filter(_is_asked(), study=OuterRef(OuterRef("pk"))).values(
            "prompt__text_digest"
        ),
        sample__lt=Coalesce(Cast(OuterRef("design__samples"), IntegerField()), 1),
    )


def _counted(rows: "QuerySet[Contender] | QuerySet[StudyPrompt] | QuerySet[Image]", *, what: str = "pk") -> Coalesce:
    """How many different values a correlated query has, as one column."""
    # Grouping by a constant keeps the rows together: without it Django groups by the primary key.
    grouped = rows.order_by().annotate(one=Value(1)).values("one")
    counted = grouped.annotate(number=Count(what, distinct=True)).values("number")
    return Coalesce(Subquery(counted, output_field=IntegerField()), 0)


def _votes_by_study(studies: Iterable[Study]) -> dict[tuple[int, bool], int]:
    """Answers per study, those of simulated raters apart."""
    found = (
        Vote.objects.answers()
        .standing()
        .filter(study__in=list(studies))
        .order_by()
        .values("study", "stratum")
        .annotate(number=Count("pk"))
    )
    votes: dict[tuple[int, bool], int] = {}
    for row in found:
        key = row["study"], row["stratum"] == Rater.Kind.SIMULATED
        votes[key] = votes.get(key, 0) + row["number"]
    return votes
