"""Programs that call the API."""

import json
from typing import Any

from django.contrib.auth.models import Permission, User
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client

from arena import api_tokens, boards, consent, front_ends, gold, raters, studies, voting
from generation.image_imports import get_external_recipe
from generation.models import Checkpoint, PromptSet
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


def caller(
    name: str = "ada",
    *,
    scope: str = "write",
    days: int | None = 30,
    is_superuser: bool = False,
    may_design: bool = True,
) -> Caller:
    """A program of this person, a researcher unless `may_design` is false."""
    user = factories.make_user(name, is_superuser=is_superuser)
    if may_design:
        user.user_permissions.add(Permission.objects.get(codename="add_study"))
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


def things_of(owner: User) -> dict[str, Any]:
    """What addresses are made of: an open study with a run, a rater of a front end, an exclusion and a known answer."""
    study = factories.make_study(owner=owner, contenders=2, prompts=2, slug="hers")
    run = studies.ask_for_images(study)
    rater, other = (
        front_ends.enrol(study, consent_version=consent.consent_version(study), actor=owner) for _ in range(2)
    )
    prompt = study.study_prompts.all()[0]
    first, second = study.contenders.all()
    answers = {prompt.criteria.all()[0].key: "first"}
    known_answer = gold.propose(
        study=study, study_prompt=prompt, first=first, second=second, answers=answers, proposer=owner
    )
    boards.create_board(owner=owner, name="Hers", studies=[study], criteria=["prompt-following"])
    return {
        "slug": study.slug,
        "prompt_set_id": PromptSet.objects.get().pk,
        "contender_id": get_external_recipe(name="SDXL", owner=owner)[0].pk,
        "checkpoint_id": Checkpoint.objects.get().pk,
        "recipe_id": first.recipe_id,
        "run_id": run.pk,
        "rater_id": rater.public_id,
        "token": voting.open_ballots(rater=rater, wanted=1)[0].token,
        "side": "left",
        "exclusion_id": raters.exclude(study=study, scope="rater", target=other, reason="a test", author=owner).pk,
        "gold_id": known_answer.pk,
    }
