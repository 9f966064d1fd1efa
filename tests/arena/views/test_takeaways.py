"""The report, the bundle and the votes, taken away in the browser; only by whoever sees the study."""

import csv
import io
import zipfile

import pytest
from django.contrib.auth.models import User
from django.test import Client
from django.urls import reverse

from arena import fitting
from arena.models import AuditEvent, Study, Vote
from tests.arena.factories import cast, make_rater, make_study, make_user

pytestmark = pytest.mark.django_db


@pytest.fixture
def study() -> Study:
    study = make_study(contenders=2, prompts=3, owner=make_user())
    for _ in range(2):
        cast(make_rater(study), ballots=3)
    fitting.refit(study)
    return study


def take(study: Study, file: str, *, user: User | None = None) -> tuple[int, bytes]:
    client = Client()
    client.force_login(user or make_user())
    answer = client.post(reverse("arena:take", args=[study.slug]), {"file": file})
    body = b"".join(answer.streaming_content) if answer.streaming else answer.content  # type: ignore[attr-defined]
    return answer.status_code, body


def acts(study: Study) -> list[tuple[str, str]]:
    events = AuditEvent.objects.filter(study=study, actor__isnull=False).order_by("pk")
    return [(event.act, event.actor.get_username()) for event in events if event.actor][-1:]


@pytest.mark.once
def test_the_report_is_one_folder_in_a_zip(study: Study) -> None:
    status, body = take(study, "report.zip")
    assert status == 200
    names = zipfile.ZipFile(io.BytesIO(body)).namelist()
    assert f"{study.slug}-report/report.html" in names
    assert {name.rpartition(".")[2] for name in names} >= {"html", "svg", "pdf", "png", "csv", "txt", "tex", "json"}
    assert acts(study) == [("report taken", "ada")]


@pytest.mark.once
@pytest.mark.parametrize(("file", "pictures"), [("bundle.zip", 0), ("bundle-with-images.zip", 6)])
def test_a_bundle_with_and_without_images(study: Study, file: str, pictures: int) -> None:
    status, body = take(study, file)
    assert status == 200
    names = zipfile.ZipFile(io.BytesIO(body)).namelist()
    assert "votes.jsonl" in names and sum(name.startswith("images/") for name in names) == pictures
    assert acts(study) == [("study exported", "ada")]


def test_votes_as_a_table(study: Study) -> None:
    status, body = take(study, "votes.csv")
    rows = list(csv.DictReader(io.StringIO(body.decode())))
    assert status == 200 and len(rows) == Vote.objects.count() > 0
    assert acts(study) == [("votes exported", "ada")]


def test_a_file_that_is_not_there_or_not_yet_leads_back_with_a_sentence() -> None:
    draft = make_study(contenders=2, prompts=1, owner=make_user(), opened=False)
    for file, sentence in (("secret.txt", "not known here"), ("bundle.zip", "has not opened")):
        client = Client()
        client.force_login(make_user())
        answer = client.post(reverse("arena:take", args=[draft.slug]), {"file": file}, follow=True)
        assert answer.redirect_chain and sentence in answer.content.decode()


def test_a_stranger_takes_nothing(study: Study) -> None:
    assert take(study, "bundle.zip", user=make_user("eve"))[0] == 404
