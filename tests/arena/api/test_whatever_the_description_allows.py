"""Schemathesis asks every operation what its description allows, and holds each answer against it.

A few requests for each by default; SCHEMATHESIS_EXAMPLES=100 asks more.
"""

import os
from collections.abc import Iterator
from typing import Any, cast

import pytest
import schemathesis
from django.core.cache import cache
from django.core.signals import request_finished, request_started
from django.core.wsgi import get_wsgi_application
from django.db import close_old_connections
from hypothesis import HealthCheck, Phase, given, settings
from schemathesis.core.failures import FailureGroup
from schemathesis.specs.openapi.checks import positive_data_acceptance

from arena import api_tokens, consent, front_ends, studies, voting
from generation.image_imports import get_external_recipe
from generation.models import Checkpoint, PromptSet
from tests.arena import factories

pytestmark = [pytest.mark.django_db, pytest.mark.once]
EXAMPLES = int(os.environ.get("SCHEMATHESIS_EXAMPLES", "3"))


@pytest.fixture(autouse=True)
def _one_connection() -> Iterator[None]:
    """Requests must see the rows of the test, so none of them may close its connection, as in Django's own client."""
    for signal in (request_started, request_finished):
        signal.disconnect(close_old_connections)
    yield
    for signal in (request_started, request_finished):
        signal.connect(close_old_connections)


def known_ids() -> dict[str, Any]:
    """Things that exist, so that requests get past the address."""
    root = factories.make_user("root", is_superuser=True)
    study = factories.make_study(owner=root, contenders=2, prompts=1, slug="hers")
    run = studies.ask_for_images(study)
    rater = front_ends.enrol(study, consent_version=consent.consent_version(study), actor=root)
    return {
        "slug": study.slug,
        "prompt_set_id": PromptSet.objects.get().pk,
        "contender_id": get_external_recipe(name="SDXL", owner=root)[0].pk,
        "checkpoint_id": Checkpoint.objects.get().pk,
        "recipe_id": study.contenders.all()[0].recipe_id,
        "run_id": run.pk,
        "rater_id": rater.public_id,
        "token": voting.open_ballots(rater=rater, wanted=1)[0].token,
        "side": "left",
    }


def test_every_operation_answers_as_described(monkeypatch: pytest.MonkeyPatch) -> None:
    cache.clear()
    monkeypatch.setattr(api_tokens, "REQUESTS_A_MINUTE", 10**9)
    known = known_ids()
    _, text = api_tokens.create_token(user=factories.make_user("root"), label="tests", scope="write")
    headers = {"Authorization": f"Bearer {text}"}
    schema = schemathesis.openapi.from_wsgi("/api/v1/openapi.json", get_wsgi_application(), headers=headers)
    asked, failures = 0, dict[str, str]()
    for found in schema.get_all_operations():
        operation = cast(Any, found).ok()

        @settings(
            max_examples=EXAMPLES,
            deadline=None,
            derandomize=True,
            database=None,
            phases=[Phase.generate],
            suppress_health_check=list(HealthCheck),
        )
        @given(case=operation.as_strategy())
        def ask(case: Any) -> None:
            nonlocal asked
            asked += 1
            if asked % 3:  # every third keeps the ids that were made up
                case.path_parameters = {name: known.get(name, value) for name, value in case.path_parameters.items()}
            case.call_and_validate(headers=headers, excluded_checks=[positive_data_acceptance])

        try:
            ask()
        except FailureGroup as found_here:
            failures[operation.label] = "\n".join(str(each) for each in found_here.exceptions)
    assert failures == {} and asked > 100
