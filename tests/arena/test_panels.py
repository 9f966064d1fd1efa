"""Panels: who comes in, who is the same person, how it ends, and what a panel may tell us."""

import base64
import hashlib
import hmac
import json
import threading
import time
from datetime import timedelta
from typing import Any
from urllib.parse import urlencode

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from django.db import connection
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from arena import joining, panels, privacy, special_ballots, studies
from arena.models import Ballot, Provider, ProviderEvent, Rater, RaterIdentity, Study
from arena.panel_settings import PanelError, settings_of
from arena.panel_visits import PanelVisit, read_visit
from generation.models import Image
from tests.arena.factories import cast, make_study
from tests.arena.judged_study import add_gold_answers
from tests.arena.test_special_ballots import make_gold
from tests.arena.views.browsers import joined_browser, open_ballot, vote_address

pytestmark = pytest.mark.django_db

PROLIFIC = {"PROLIFIC_PID": "p" * 24, "STUDY_ID": "s1", "SESSION_ID": "e1"}
CODES = {"completed": "DONE1", "failed": "FAIL1", "screened_out": "OUT1"}
SCREENING = [{"key": "sight", "question": "Do you see colours?", "choices": ["yes", "no"], "allowed": ["yes"]}]
BACK = "https://app.prolific.com/submissions/complete?cc="


def prolific(study: Study, **settings: Any) -> Provider:
    return Provider.objects.create(
        study=study, kind=Provider.Kind.PROLIFIC, settings={"codes": CODES, **settings}, webhook_secret="shared"
    )


def link(study: Study, parameters: dict[str, str] = PROLIFIC) -> str:
    return f"{reverse('arena:join_from_panel', args=[study.slug])}?{urlencode(parameters)}"


def done_page(browser: Client, study: Study) -> str:
    return browser.get(reverse("arena:done", args=[study.slug])).content.decode()


def test_the_link_asks_for_consent_and_sets_nothing_before_it() -> None:
    study = make_study()
    prolific(study)
    browser = Client()
    page = browser.get(link(study))
    assert page.status_code == 200 and "I agree, begin" in page.content.decode()
    assert set(browser.cookies) == {"csrftoken"} and not Rater.objects.exists()


def test_the_same_person_is_the_same_rater_at_the_same_ballot_in_any_browser() -> None:
    study = make_study()
    prolific(study)
    first, second = Client(), Client()
    first.post(link(study))
    ballot = open_ballot(first, study)
    second.post(link(study, {**PROLIFIC, "SESSION_ID": "e2"}))
    assert open_ballot(second, study) == ballot
    identity = RaterIdentity.objects.get()
    assert (identity.external_id, identity.captured) == (
        PROLIFIC["PROLIFIC_PID"],
        {"STUDY_ID": "s1", "SESSION_ID": "e1"},  # an unsigned link replaces nothing
    )
    assert identity.rater.kind == Rater.Kind.PANEL and identity.rater.stratum == "people"
    assert first.get(link(study)).headers["Location"] == vote_address(study)


def test_who_knows_an_id_alone_sees_and_erases_nothing() -> None:
    study = make_study()
    prolific(study)
    own, again, stranger = Client(), Client(), Client()
    own.post(link(study))
    again.post(link(study))
    for _ in range(2):
        stranger.post(link(study, {**PROLIFIC, "SESSION_ID": "another"}))
    identity = RaterIdentity.objects.get()
    assert identity.captured["SESSION_ID"] == PROLIFIC["SESSION_ID"]
    address = reverse("arena:own_data", args=[study.slug])
    assert [browser.get(address).status_code for browser in (own, again, stranger)] == [200, 200, 403]
    assert stranger.post(address, {"sure": "yes"}).status_code == 403
    assert stranger.get(vote_address(study)).status_code == 200
    privacy.erase(rater=identity.rater)
    assert stranger.session["unproven"] == {}
    stranger.post(link(study, {**PROLIFIC, "PROLIFIC_PID": "n" * 24}))
    assert stranger.get(address).status_code == 200  # a new person there


def test_another_persons_link_in_the_same_browser_is_another_rater() -> None:
    study = make_study()
    prolific(study)
    browser = Client()
    browser.post(link(study))
    browser.post(link(study, {**PROLIFIC, "PROLIFIC_PID": "q" * 24}))
    assert Rater.objects.count() == 2


@pytest.mark.django_db(transaction=True)
def test_eight_visits_at_once_make_one_rater() -> None:
    study = make_study()
    visit = PanelVisit(kind="prolific", external_id="p1")
    start, found, problems = threading.Barrier(8), [], []

    def enter() -> None:
        start.wait()
        try:
            found.append(joining.join_from_panel(study, visit, network="192.0.2.0/24").pk)
        except Exception as problem:  # noqa: BLE001 -- whatever it is, the test must show it
            problems.append(problem)
        finally:
            connection.close()

    threads = [threading.Thread(target=enter) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert problems == [] and len(set(found)) == 1 and Rater.objects.count() == 1


def test_each_ending_has_its_own_code_and_none_is_shown_before_the_end() -> None:
    study = make_study(ballots_per_rater=2, rules={"screening": SCREENING})
    prolific(study)
    finished, out = Client(), Client()
    finished.post(link(study))
    out.post(link(study, {**PROLIFIC, "PROLIFIC_PID": "q" * 24}))
    for browser, answer in ((finished, "yes"), (out, "no")):
        assert not any(code in done_page(browser, study) for code in CODES.values())
        browser.post(reverse("arena:screening", args=[study.slug]), {"sight": answer})
    assert not any(code in done_page(finished, study) for code in CODES.values())
    cast(RaterIdentity.objects.get(external_id=PROLIFIC["PROLIFIC_PID"]).rater, ballots=2)
    assert f'href="{BACK}DONE1"' in done_page(finished, study)
    page = done_page(out, study)
    assert f'href="{BACK}OUT1"' in page and "DONE1" not in page


def test_who_does_not_qualify_gets_the_failed_code() -> None:
    first, second = "colours-0, 1 steps", "colours-0, 2 steps"
    task = {"prompt": 2, "left": first, "right": second, "answers": {"aesthetics": "left"}}
    study = make_study(rules={"qualification": {"tasks": [task], "attempts": 1}})
    prolific(study)
    browser = Client()
    browser.post(link(study))
    browser.post(reverse("arena:qualification", args=[study.slug]))
    cast(Rater.objects.get(), lambda ballot, _: "right" if ballot.left_contender.label == first else "left")
    assert f'href="{BACK}FAIL1"' in done_page(browser, study)


@pytest.mark.parametrize(
    ("missed", "bar", "code"),
    [(0, 0.75, "DONE1"), (1, 1.0, "DONE1"), (2, 0.75, "FAIL1"), (2, 0.5, "DONE1"), (2, None, "DONE1")],
)
def test_whoever_misses_too_many_known_answers_gets_the_failed_code_at_the_end_only(
    missed: int, bar: float | None, code: str
) -> None:
    """One slip is forgiven whatever the bar. Four known answers, of which `missed` are missed."""
    study = make_study(contenders=2, prompts=12, with_text=0, rules={"gold_share": 0.1, "gold_bar": bar})
    prolific(study)
    browser = Client()
    browser.post(link(study))
    rater = Rater.objects.get()
    known = make_gold(study)
    add_gold_answers(rater, known, asked=4, right=4 - missed)
    Ballot.objects.filter(rater=rater, purpose="gold").update(left_image=known.first_image)
    cast(rater, ballots=1)
    assert not any(word in done_page(browser, study) for word in CODES.values())
    cast(rater, ballots=12)
    page = done_page(browser, study)
    assert f'href="{BACK}{code}"' in page and "pairs compared" in page


def test_nobody_but_a_panel_hears_of_known_answers() -> None:
    study = make_study(contenders=2, prompts=2, with_text=0, rules={"gold_bar": 1.0})
    browser, rater = joined_browser(study)
    add_gold_answers(rater, make_gold(study), asked=4, right=0)
    cast(rater, ballots=9)
    assert special_ballots.has_failed_gold(rater) and "known answers" not in done_page(browser, study)


def test_an_uploaded_image_that_never_comes_keeps_nobody_from_their_code() -> None:
    study = make_study(contenders=2, prompts=3, with_text=0)
    prolific(study)
    Image.objects.filter(prompt_text=study.study_prompts.get(position=2).prompt.text).earliest("pk").delete()
    browser = Client()
    browser.post(link(study))
    assert len(cast(Rater.objects.get(), ballots=9)) == 2
    long_ago = timezone.now() - timedelta(minutes=11)
    Study.objects.update(opened_at=long_ago)
    assert "DONE1" not in done_page(browser, study)  # images came a moment ago, so more may come
    Image.objects.update(created_at=long_ago)
    assert f'href="{BACK}DONE1"' in done_page(browser, study)


def test_no_code_while_the_study_is_paused() -> None:
    study = make_study(ballots_per_rater=2)
    prolific(study)
    browser = Client()
    browser.post(link(study))
    cast(Rater.objects.get(), ballots=1)
    studies.pause_study(study, actor=None)
    assert "DONE1" not in done_page(browser, study)


@pytest.mark.parametrize(
    "parameters", [{}, {"PROLIFIC_PID": ""}, {"PROLIFIC_PID": "x" * 201}, {"PROLIFIC_PID": "a\x00b"}]
)
def test_a_link_without_a_usable_id_lets_nobody_in(parameters: dict[str, str]) -> None:
    study = make_study(images=False)
    prolific(study)
    assert Client().post(link(study, parameters)).status_code == 400
    assert not Rater.objects.exists()


def test_a_study_without_a_panel_has_no_such_door() -> None:
    assert Client().get(link(make_study(images=False))).status_code == 404


def test_a_closed_study_takes_nobody_from_a_panel() -> None:
    study = make_study(images=False)
    prolific(study)
    studies.close_study(study, actor=None)
    assert Client().post(link(study)).status_code == 410
    assert not Rater.objects.exists()


# --- signed links -----------------------------------------------------------------------------------------------------
@pytest.fixture(scope="module")
def key() -> rsa.RSAPrivateKey:
    return rsa.generate_private_key(public_exponent=65537, key_size=2048)


def jwks_of(key: rsa.RSAPrivateKey) -> dict[str, Any]:
    public = json.loads(jwt.algorithms.RSAAlgorithm.to_jwk(key.public_key()))
    return {"keys": [{**public, "kid": "k1", "alg": "RS256", "use": "sig"}]}


def signed(key: Any, *, algorithm: str = "RS256", **claims: Any) -> str:
    said = {"exp": time.time() + 60, "aud": "vote.example.org", "prolific": {**PROLIFIC, "workspace_id": "w"}, **claims}
    return jwt.encode(
        {name: value for name, value in said.items() if value is not None},
        key,
        algorithm=algorithm,
        headers={"kid": "k1"},
    )


def test_a_signed_link_lets_its_person_in(key: rsa.RSAPrivateKey) -> None:
    study = make_study(images=False)
    prolific(study, jwks=jwks_of(key), audience="vote.example.org")
    assert Client().post(link(study, {**PROLIFIC, "prolific_token": signed(key)})).status_code == 302
    assert RaterIdentity.objects.get().external_id == PROLIFIC["PROLIFIC_PID"]


def test_an_unsigned_forged_old_or_foreign_signature_lets_nobody_in(key: rsa.RSAPrivateKey) -> None:
    provider = Provider(kind="prolific", settings={"jwks": jwks_of(key), "audience": "vote.example.org"})
    settings = settings_of(provider)
    other = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    tokens = {
        "unsigned": "",
        "nonsense": "a.b.c",
        "another key": signed(other),
        "old": signed(key, exp=time.time() - 60),
        "without end": signed(key, exp=None),
        "another site": signed(key, aud="evil.example.org"),
        "another person": signed(key, prolific={**PROLIFIC, "PROLIFIC_PID": "q"}),
        "no ids": signed(key, prolific=None),
        "public key as secret": signed("n" * 64, algorithm="HS256"),
        "none": jwt.encode(
            {"exp": time.time() + 60, "aud": "vote.example.org", "prolific": PROLIFIC}, "", algorithm="none"
        ),
    }
    for name, token in tokens.items():
        with pytest.raises(PanelError) as refused:
            read_visit(settings, {**PROLIFIC, "prolific_token": token})
        assert refused.value.code in ("bad_signature", "signed_for_another"), name
    assert read_visit(settings, {**PROLIFIC, "prolific_token": signed(key)}).external_id == PROLIFIC["PROLIFIC_PID"]


# --- the panel's messages ---------------------------------------------------------------------------------------------
def send(study: Study, *, key: str = "shared", age: int = 0, event: str = "ev1", body: bytes | None = None) -> Any:
    message = {"event_type": "submission.status.change", "resource_id": "e1", "status": "RETURNED"}
    data = json.dumps(message).encode() if body is None else body
    timestamp = str(int(time.time()) - age)
    mac = hmac.new(key.encode(), timestamp.encode() + data, hashlib.sha256).digest()
    headers = {
        "X-Prolific-Request-Timestamp": timestamp,
        "X-Prolific-Request-Signature": base64.b64encode(mac).decode(),
        "X-Event-Id": event,
    }
    address = reverse("arena:panel_messages", args=[study.slug])
    return Client(enforce_csrf_checks=True).post(address, data, content_type="application/json", headers=headers)


def test_returned_work_is_freed_once_and_answers_stay() -> None:
    study = make_study()
    provider = prolific(study)
    browser = Client()
    browser.post(link(study))
    rater = Rater.objects.get()
    cast(rater, ballots=1)
    open_ballot(browser, study)
    waiting = Ballot.objects.filter(rater=rater, state=Ballot.State.OPEN).count()
    assert waiting >= 1 and send(study).json() == {"done": f"{waiting} freed"}
    assert not Ballot.objects.filter(rater=rater, state=Ballot.State.OPEN).exists() and rater.votes.exists()
    open_ballot(browser, study)
    assert send(study).json() == {"done": "already received"}
    assert Ballot.objects.filter(rater=rater, state=Ballot.State.OPEN).exists()
    assert ProviderEvent.objects.filter(provider=provider).count() == 1


def test_a_message_that_is_not_the_panels_does_nothing() -> None:
    study = make_study(images=False)
    prolific(study)
    assert [send(study, key="guessed").status_code, send(study, age=301).status_code] == [403, 403]
    assert [send(study, event="").status_code, send(study, body=b"[]").status_code] == [400, 400]
    assert send(study, body=b"\xff").status_code == 400
    assert send(study, body=b"x" * 70_000).status_code == 413
    assert Client().get(reverse("arena:panel_messages", args=[study.slug])).status_code == 405
    assert Client().post(reverse("arena:panel_messages", args=["no-such-study"])).status_code == 404
    Provider.objects.update(webhook_secret="")
    assert send(study, key="").status_code == 403
    assert not ProviderEvent.objects.exists()


# --- other panels -----------------------------------------------------------------------------------------------------
def test_a_generic_panel_gets_its_code_and_its_own_ids_back_percent_encoded() -> None:
    study = make_study(ballots_per_rater=1)
    settings = {
        "id_param": "participantId",
        "capture_params": ["projectId"],
        "codes": {"completed": "C 1"},
        "redirect_url": "https://panel.example.org/back?p={projectId}&w={worker_id}&c={code}",
    }
    Provider.objects.create(study=study, kind=Provider.Kind.GENERIC, settings=settings)
    browser = Client()
    browser.post(link(study, {"participantId": "a&b=c//evil.org", "projectId": "7", "ignored": "x"}))
    rater = Rater.objects.get()
    cast(rater, ballots=1)
    assert panels.way_back(rater, "completed") == (
        "C 1",
        "https://panel.example.org/back?p=7&w=a%26b%3Dc%2F%2Fevil.org&c=C%201",
    )
    assert panels.way_back(rater, "failed") == ("", "")
    assert "C 1" in done_page(browser, study)


@pytest.mark.parametrize(
    ("kind", "settings", "words"),
    [
        ("generic", {}, "“id_param” must be a text"),
        ("generic", {"id_param": "id", "redirect_url": "http://panel.example.org/"}, "must begin with https"),
        ("generic", {"id_param": "id", "redirect_url": "https://{worker_id}/"}, "a fixed host"),
        ("generic", {"id_param": "id", "redirect_url": "https://good.example.org@evil.example.org/"}, "a fixed host"),
        ("generic", {"id_param": "id", "redirect_url": "javascript:alert(1)"}, "must begin with https"),
        ("generic", {"id_param": "id", "redirect_url": "https://panel.example.org/{0.__class__}"}, "placeholder"),
        ("generic", {"id_param": "id", "redirect_url": "https://panel.example.org/{code.__class__}"}, "placeholder"),
        ("generic", {"id_param": "id", "redirect_url": "https://panel.example.org/{"}, "cannot be read"),
        ("generic", {"id_param": "id", "capture_params": ["a b"]}, "“capture_params” must be"),
        ("prolific", {"codes": {"done": "X"}}, "“codes” must map"),
        ("prolific", {"jwks": {"keys": []}, "audience": "a"}, "“jwks” must be"),
        ("prolific", {"jwks": {"keys": [{}]}}, "“audience” must be a text"),
        ("prolific", {"redirect_url": "https://evil.example.org/"}, "Unknown entry 'redirect_url'"),
        ("mturk", {"codes": {}}, "Unknown entry 'codes'"),
    ],
)
def test_a_panels_wrong_setting_is_named(kind: str, settings: dict[str, Any], words: str) -> None:
    with pytest.raises(PanelError) as refused:
        settings_of(Provider(kind=kind, settings=settings))
    assert words in refused.value.sentence
