"""Rows that are stored many at a time are the very rows that were given, under ids that nobody else has."""

from datetime import datetime, timedelta

import pytest
from django.db import IntegrityError, transaction
from django.utils import timezone

from arena.bulk_rows import insertion, insertion_of
from arena.models import Ballot, Rater, StudyPrompt
from generation.models import Prompt
from tests.arena.factories import make_study

pytestmark = pytest.mark.django_db


def values_of(row: object) -> dict[str, object]:
    return {name: value for name, value in vars(row).items() if name != "_state"}


def test_every_kind_of_value_comes_back_as_it_was_given() -> None:
    study = make_study(contenders=2, prompts=2, images=False)
    prompt_set = StudyPrompt.objects.select_related("prompt__prompt_set").first().prompt.prompt_set  # type: ignore[union-attr]
    texts = ['a "fox"\tand\\n a\nhen', "Füchse 🦊", "\\N", ""]
    prompts = [
        Prompt(prompt_set=prompt_set, position=50 + k, text=text, tags=[text, k], metadata={"a": [None, 1.5, True]})
        for k, text in enumerate(texts)
    ]
    prompts[1].target_text = "\\N"
    raters = [Rater(study=study, kind=Rater.Kind.PANEL, traits={"taste": {"x": -0.25}}) for _ in range(3)]
    for rows in (prompts, raters):
        assert insertion_of(rows)() == [row.pk for row in rows]
    low, high = study.contenders.order_by("pk")
    shared = {"study": study, "study_prompt": study.study_prompts.first(), "stratum": "people", "rule": "x"}
    now = timezone.now()
    ballots = [
        Ballot(
            **shared,
            rater=rater,
            left_contender=low,
            right_contender=high,
            origin=Ballot.Origin.IMPORTED,
            state=Ballot.State.ANSWERED if place else Ballot.State.EXPIRED,
            probability=0.1 + 0.2 if place else None,
            answered_at=now if place else None,
            first_answers={"looks": "left"} if place == 1 else None,
            position=place,
        )
        for place, rater in enumerate(raters)
    ]
    store = insertion_of(ballots)
    assert store() == sorted(row.pk for row in ballots)
    for row in (*prompts, *raters, *ballots):
        again = values_of(type(row)._default_manager.get(pk=row.pk))
        stored_at = {name: again.pop(name) for name in ("created_at", "issued_at") if name in again}
        assert again == {name: values_of(row)[name] for name in again}
        assert all(isinstance(at, datetime) and at >= now - timedelta(minutes=1) for at in stored_at.values())
    assert Ballot.objects.filter(first_answers__isnull=True).count() == 2
    assert Rater.objects.create(study=study, kind="panel").pk == raters[-1].pk + 1
    assert insertion(Rater, [])() == insertion_of([])() == []


def test_what_the_database_refuses_is_refused_and_nothing_of_it_stays() -> None:
    study = make_study(contenders=2, prompts=2, images=False)
    twice = [Rater(study=study, kind="panel", public_id="a" * 32) for _ in range(2)]
    with pytest.raises(IntegrityError), transaction.atomic():
        insertion_of(twice)()
    assert not study.raters.exists()
