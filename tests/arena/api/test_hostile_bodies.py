"""Every body that the API describes, with each of its fields made wrong in turn: refused, never a fault of ours.

Addresses in fields lead to a listener on this machine, which nobody may ask (RELIABILITY B22, B23, B26).
"""

import json
import socket
from collections.abc import Iterator
from typing import Any, Final

import pytest
from django.core.cache import cache

from arena import api_tokens
from tests.arena.api import test_every_operation
from tests.arena.api.callers import Answer, Caller, body_of, caller, problem

pytestmark = pytest.mark.django_db
known = test_every_operation.known
Body = dict[str, Any]
WRONG: Final[tuple[Any, ...]] = (None, -1, 10**30, "", "x" * 100_000, "\ud800", [[]])
IN_OBJECTS: Final = ({"x": "\ud800"}, {"x": 10**400}, {"seed": 10**30, "steps": -1, "$(id)": [10**6]})
RAW: Final = ("NaN", "-Infinity", "1e400", "9" * 5000, '"\\u0000"', "[" * 10_000, '{"a":' * 10_000, "\udcff")


@pytest.fixture
def listener() -> Iterator[socket.socket]:
    """A server that counts who comes by never answering: whoever connects waits in its queue."""
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        server.listen()
        server.setblocking(False)
        yield server


def visitors(server: socket.socket) -> int:
    count = 0
    while True:
        try:
            server.accept()[0].close()
        except BlockingIOError:
            return count
        count += 1


class Description:
    """What the API says that it takes."""

    def __init__(self, said: Body) -> None:
        self._said = said

    def bodies(self) -> Iterator[tuple[str, Body]]:
        """Every address that takes JSON, with a body that its description allows."""
        for path, methods in self._said["paths"].items():
            for method, operation in methods.items():
                content = operation.get("requestBody", {}).get("content", {})
                if "application/json" in content:
                    assert method == "post", (method, path)  # the caller below sends nothing else
                    yield path.removeprefix("/api/v1"), self._example(content["application/json"]["schema"])

    def _example(self, schema: Body) -> Any:
        if "$ref" in schema:
            return self._example(self._said["components"]["schemas"][schema["$ref"].rpartition("/")[2]])
        if "anyOf" in schema:
            return self._example(schema["anyOf"][0])
        if schema.get("type") == "object":
            return {name: self._example(each) for name, each in schema.get("properties", {}).items()}
        if schema.get("type") == "array":
            return [self._example(schema["items"])] * max(1, schema.get("minItems", 1))
        simple = {"integer": max(1, schema.get("minimum", 1)), "number": 1.0, "boolean": True, "string": "a"}
        return simple[schema["type"]] if "type" in schema else {}


def places(body: Any, before: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Where something stands in a body."""
    if isinstance(body, dict | list):
        for key, value in body.items() if isinstance(body, dict) else enumerate(body):
            yield (*before, key)
            yield from places(value, (*before, key))


def value_at(body: Any, place: tuple[Any, ...]) -> Any:
    for key in place:
        body = body[key]
    return body


def with_one_wrong(body: Any, place: tuple[Any, ...], value: Any) -> Any:
    changed = json.loads(json.dumps(body))
    value_at(changed, place[:-1])[place[-1]] = value
    return changed


def refused_well(answer: Answer, asked: object) -> None:
    assert answer.status_code < 500, asked
    if answer.status_code >= 400:
        problem(answer, answer.status_code)


@pytest.fixture
def call(monkeypatch: pytest.MonkeyPatch) -> Caller:
    """An administrator's program: whatever is refused here is refused for what it says."""
    cache.clear()
    monkeypatch.setattr(api_tokens, "REQUESTS_A_MINUTE", 10**9)
    return caller("root", is_superuser=True)


def test_no_body_is_a_fault_of_ours_and_no_address_in_one_is_asked(
    call: Caller,
    known: Body,
    listener: socket.socket,
) -> None:
    host, port = listener.getsockname()
    addresses = [f"http://{host}:{port}/x.csv", f"{host}:{port}"]
    asked = 0
    for path, body in Description(body_of(call.get("/openapi.json"))).bodies():
        address = path.format(**known)
        for place in places(body):
            wrong = (*WRONG, *addresses) if isinstance(value_at(body, place), str) else (*WRONG, *IN_OBJECTS)
            for value in wrong:
                refused_well(call.post(address, with_one_wrong(body, place, value)), (path, place, str(value)[:40]))
                asked += 1
        first = next(iter(body), "x")
        for raw in RAW:
            text = json.dumps({**body, first: "HERE"}).replace('"HERE"', raw, 1)
            answer = call.post(address, text.encode("utf-8", "surrogateescape"))
            assert answer.status_code in (400, 404, 409, 422), (path, raw[:20], answer.status_code)
            refused_well(answer, (path, raw[:20]))
    assert asked > 300 and visitors(listener) == 0


def test_the_listener_counts() -> None:
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        server.listen()
        server.setblocking(False)
        with socket.create_connection(server.getsockname()):
            pass
        assert visitors(server) == 1
