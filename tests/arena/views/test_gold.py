"""The page of known answers: proposed, reviewed in sight of the images, retired; by owners alone."""

import pytest
from django.test import Client
from django.urls import reverse

from arena.models import Gold, Study, StudyMember
from tests.arena import factories

pytestmark = pytest.mark.django_db


@pytest.fixture
def study() -> Study:
    return factories.make_study(contenders=3, prompts=2, with_text=0)


def client_of(name: str) -> Client:
    client = Client()
    client.force_login(factories.make_user(name))
    return client


def address(name: str, study: Study, *rest: object) -> str:
    return reverse(f"arena:{name}", args=[study.slug, *rest])


PROPOSAL = {"prompt": "0", "first": "0", "second": "2", "answer.aesthetics": "second", "answer.prompt-following": ""}


def test_a_pair_is_proposed_reviewed_and_retired(study: Study) -> None:
    client = client_of("ada")
    client.post(address("propose_gold", study), PROPOSAL)
    gold = Gold.objects.get()
    assert gold.answers == {"aesthetics": "second"} and gold.reviewed_at is None
    page = client.get(address("gold", study)).content.decode()
    assert "Waits for a review" in page and "The rater rules set no" in page
    image = client.get(address("gold_image", study, gold.pk, "first"))
    assert image.status_code == 200 and image.headers["Content-Type"] == "image/webp"
    client.post(address("decide_gold", study), {"gold": gold.pk})
    gold.refresh_from_db()
    assert gold.reviewer == factories.make_user("ada") and gold.retired_at is None
    client.post(address("decide_gold", study), {"gold": gold.pk, "retire": "yes"})
    assert Gold.objects.filter(pk=gold.pk, retired_at__isnull=False).exists()
    acts = study.audit_events.filter(act__startswith="gold").values_list("act", flat=True)
    assert list(acts) == ["gold retired", "gold reviewed", "gold proposed"]


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"answer.aesthetics": ""}, "Give the answer to at least one question."),
        ({"second": "0"}, "Choose two different contenders."),
    ],
)
def test_a_refused_proposal_says_why(study: Study, change: dict[str, str], sentence: str) -> None:
    page = client_of("ada").post(address("propose_gold", study), {**PROPOSAL, **change}, follow=True)
    assert sentence in page.content.decode() and not Gold.objects.exists()


def test_others_see_nothing_and_analysts_decide_nothing(study: Study) -> None:
    client_of("ada").post(address("propose_gold", study), PROPOSAL)
    gold = Gold.objects.get()
    StudyMember.objects.create(study=study, user=factories.make_user("bob"), role=StudyMember.Role.ANALYST)
    for name, seen, decided in (("eve", 404, 404), ("bob", 200, 403)):
        client = client_of(name)
        assert client.get(address("gold", study)).status_code == seen
        assert client.get(address("gold_image", study, gold.pk, "second")).status_code == seen
        assert client.post(address("decide_gold", study), {"gold": gold.pk}).status_code == decided
        assert client.post(address("propose_gold", study), PROPOSAL).status_code == decided
    gold.refresh_from_db()
    assert gold.reviewed_at is None


@pytest.mark.once
@pytest.mark.parametrize("said", ["", "x", "9" * 30, "-1"])
def test_nonsense_instead_of_a_number_is_not_found(study: Study, said: str) -> None:
    assert client_of("ada").post(address("decide_gold", study), {"gold": said}).status_code == 404
