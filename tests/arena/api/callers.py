"""Programs that call the API."""

import json
from typing import Any

from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client

from arena import api_tokens
from tests.arena import factories

Answer = Any  # what Django's test client returns, whose type has no public name


class Caller:
    """A program with a token, or without one."""

    def __init__(self, token: str = "") -> None:
        self._client = Client(enforce_csrf_checks=True)
        self._headers = {"Authorization": f"Bearer {token}"} if token else {}

    def get(self, path: str, **query: Any) -> Answer:
        return self._client.get(f"/api/v1{path}", query, headers=self._headers)

    def post(self, path: str, body: Any = None, *, headers: dict[str, str] | None = None) -> Answer:
        data = body if isinstance(body, str | bytes) else json.dumps(body or {})
        all_headers = self._headers | (headers or {})
        return self._client.post(f"/api/v1{path}", data, content_type="application/json", headers=all_headers)

    def form(self, path: str, **fields: Any) -> Answer:
        """A multipart form, files among the fields."""
        return self._client.post(f"/api/v1{path}", fields, headers=self._headers)

    def upload(self, contender: int, files: dict[str, bytes], **fields: Any) -> Answer:
        sent = [SimpleUploadedFile(name, data, content_type="image/png") for name, data in files.items()]
        return self._client.post(
            f"/api/v1/contenders/{contender}/images", {"files": sent, **fields}, headers=self._headers
        )


def caller(name: str = "ada", *, scope: str = "write", days: int | None = 30, is_superuser: bool = False) -> Caller:
    """A program of this person."""
    user = factories.make_user(name, is_superuser=is_superuser)
    _, text = api_tokens.create_token(user=user, label="tests", scope=scope, days=days)
    return Caller(text)


def problem(response: Answer, status: int) -> dict[str, Any]:
    """The problem document of a refusal, checked for its form."""
    assert (response.status_code, response.headers["Content-Type"]) == (status, "application/problem+json")
    body: dict[str, Any] = json.loads(response.content)
    assert set(body) == {"type", "title", "status", "detail", "code", "errors"}
    assert body["status"] == status and body["detail"].endswith(".") and "\n" not in body["detail"]
    return body


def body_of(response: Answer, status: int = 200) -> Any:
    """The JSON of an answer."""
    assert response.status_code == status, response.content
    return json.loads(response.content)
