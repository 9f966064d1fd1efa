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

from arena import api_tokens
from tests.arena import factories
from tests.arena.api.callers import things_of

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


def test_every_operation_answers_as_described(monkeypatch: pytest.MonkeyPatch) -> None:
    cache.clear()
    monkeypatch.setattr(api_tokens, "REQUESTS_A_MINUTE", 10**9)
    known = things_of(factories.make_user("root", is_superuser=True))
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
