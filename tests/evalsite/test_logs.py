"""Log lines: what they belong to, and that no token, password or address of a person is ever among them (D5)."""

import logging
import os
import re
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings
from django.contrib.auth.tokens import default_token_generator
from django.test import Client
from django.urls import reverse
from django.utils.http import urlsafe_base64_encode

from arena import api_tokens, raters
from arena.models import Rater, Study
from arena.views.passes import address_with_pass
from evalsite.redaction import LONGEST_LINE, Redaction
from generation import log_context
from tests.arena.factories import make_study, make_user
from tests.arena.views.browsers import answers_to, joined_browser, open_ballot, vote_address
from tests.evalsite.log_lines import written
from tests.servers.addresses import free_port

PEER = "203.0.113.77"
DSN = "postgres://winrate:correct-horse@10.9.8.7:5432/winrate"

HIDDEN = {
    f"could not connect to {DSN}": "could not connect to postgres://[secret]@[address]:5432/winrate",
    "redis://:hunter22@cache.example.org:6379/0 is away": "redis://[secret]@cache.example.org:6379/0 is away",
    'server at "192.0.2.10", port 5432 failed': 'server at "[address]", port 5432 failed',
    "peer 2001:db8::17 and ::ffff:192.0.2.1 left": "peer [address] and [address] left",
    "Error handling request /join/q7-Zk_a/?lang=de": "Error handling request /join/[secret]/?[secret]",
    "GET /accounts/new/MQ/abc-def0123/": "GET /accounts/new/[secret]/",
    "GET /panel/mine/?PROLIFIC_PID=5f1e&STUDY_ID=2": "GET /panel/mine/?[secret]",
    "Authorization: Bearer winrate_abcdefghijklmnop0123": "Authorization: Bearer [secret]",
    "sessionid=abcd; csrftoken='x y'; k=1": "sessionid=[secret]; csrftoken=[secret]; k=1",
    '{"password": "correct horse"}': '{"password": [secret]}',
    "Key (token)=(0123456789abcdef0123456789abcdef) exists": "Key (token)=([secret]) exists",
    "mail to ada.lovelace@example.org bounced": "mail to [address] bounced",
    f"csrf_token: {'aB3' * 21}x, {'Z9' * 16}": "csrf_token: [secret], [secret]",
    "key AKIA-of-ours": "key [secret]",
}
KEPT = (
    "Listening at: http://127.0.0.1:8000 (17)",
    "psycopg 3.3.9, torch 2.13.0.1+cpu, 12:34:56 on 2026-11-26T03:59:12.601Z",
    "file 9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08 of commit "
    "0123456789abcdef0123456789abcdef01234567",
    "generation.tasks.generate_next/1a2b3c4d; is it so? yes=1",
    "gpu-host-3:4711 made 8 images of 512 x 512",
)


@pytest.mark.parametrize("text", HIDDEN)
def test_what_no_log_may_hold_is_taken_out(text: str) -> None:
    assert Redaction({"AKIA-of-ours", ""})(text) == HIDDEN[text]


@pytest.mark.parametrize("text", KEPT)
def test_what_helps_and_harms_nobody_stays(text: str) -> None:
    assert Redaction()(text) == text


def test_a_secret_of_this_process_is_hidden_wherever_it_stands() -> None:
    with written() as lines:
        try:
            raise ValueError(f"signed with {settings.SECRET_KEY}")
        except ValueError:
            logging.getLogger("anything").exception("it failed for %s", PEER)
    assert settings.SECRET_KEY not in lines.text and PEER not in lines.text
    (line,) = lines.objects()
    assert (line["message"], line["trace"].splitlines()[-1]) == (
        "it failed for [address]",
        "ValueError: signed with [secret]",
    )


def test_what_a_line_belongs_to_ends_with_the_work() -> None:
    with written() as lines:
        with log_context.work(task="t/1"):
            with log_context.work(recipe=3, jobs=[1, 2]):
                logging.getLogger("a").info("within")
            logging.getLogger("a").info("after")
        logging.getLogger("a").info("outside")
    carried = [{name: line.get(name) for name in ("task", "recipe", "jobs")} for line in lines.objects("a")]
    assert carried == [
        {"task": "t/1", "recipe": 3, "jobs": [1, 2]},
        {"task": "t/1", "recipe": None, "jobs": None},
        {"task": None, "recipe": None, "jobs": None},
    ]


def test_only_what_tells_nothing_may_be_noted() -> None:
    with pytest.raises(ValueError, match="log lines do not carry address"):
        log_context.note(address=PEER)


@pytest.mark.django_db
def test_a_vote_is_a_line_with_request_study_and_ballot(settings: Any) -> None:
    study = make_study(slug="hers", contenders=2, prompts=1)
    browser, _ = joined_browser(study)
    ballot = open_ballot(browser, study)
    with written() as lines:
        reply = browser.post(vote_address(study), answers_to(ballot))
    (line,) = lines.requests()
    assert line["milliseconds"] > 0
    assert {name: line[name] for name in ("level", "request", "study", "ballot", "route", "method", "status")} == {
        "level": "INFO",
        "request": reply.headers["X-Request-ID"],
        "study": "hers",
        "ballot": ballot.pk,
        "route": "arena:vote",
        "method": "POST",
        "status": 302,
    }


@pytest.mark.django_db
def test_a_token_in_the_place_of_a_name_is_in_no_field_and_our_proxys_id_is(client: Client, settings: Any) -> None:
    settings.TRUSTED_PROXIES = 1
    token, number = "0123456789abcdef" * 2, "fedcba9876543210" * 2  # nginx's $request_id is as long as a ballot's token
    with written() as lines:
        client.get(f"/studies/{token}/", headers={"X-Request-ID": number})
        logging.getLogger("a").info("took a while", extra={"route": f"/join/{token}/", "seconds": 1.5})
    assert token not in lines.text and lines.text.count(number) >= 2
    assert [line["study"] for line in lines.requests()] == ["[secret]"]
    assert [(line["route"], line["seconds"]) for line in lines.objects("a")] == [("/join/[secret]/", 1.5)]


@pytest.mark.parametrize(
    ("proxies", "told", "is_taken"),
    [
        (0, "from-anybody-1", False),
        (1, "from-our-proxy-1", True),
        (1, "short", False),
        (1, "a b\tc{}\"'<script>", False),
    ],
)
@pytest.mark.django_db
def test_a_request_keeps_the_id_of_our_own_proxy_only(
    client: Client, settings: Any, proxies: int, told: str, is_taken: bool
) -> None:
    settings.TRUSTED_PROXIES = proxies
    given = client.get("/accounts/login/", headers={"X-Request-ID": told}).headers["X-Request-ID"]
    assert (given == told) is is_taken
    assert re.fullmatch(r"[A-Za-z0-9._-]{8,64}", given)


def everybodys_ways(study: Study) -> list[str]:
    """Goes every way that carries something secret, well and wrongly; all that must not be found in the log."""
    ada = make_user("ada")
    ada.set_password("correct horse battery")
    ada.email = "ada.lovelace@example.org"
    ada.save()
    anybody = Client(REMOTE_ADDR=PEER, raise_request_exception=False)
    _, token = raters.invite(study=study)
    anybody.get(reverse("arena:join", args=[token]))
    anybody.post(reverse("arena:join", args=[token]))
    anybody.get(reverse("arena:join", args=[f"{token}x"]))
    rater = Rater.objects.latest("pk")
    ballot = open_ballot(anybody, study)
    anybody.post(vote_address(study), answers_to(ballot))
    anybody.get(f"/ballots/{ballot.token}/left.webp")
    anybody.get(f"/ballots/{'f' * 16}{'0' * 16}/left.webp")
    passed = address_with_pass(rater, vote_address(study))
    anybody.get(passed)
    anybody.get(f"{passed[:-20]}nowhere/")
    _, secret = api_tokens.create_token(user=ada, label="mine", scope="write")
    for given in (secret, f"{secret}x"):
        anybody.get("/api/v1/studies?token=" + given, headers={"Authorization": f"Bearer {given}"})
        anybody.post(f"/api/v1/{given}/", {"x": given}, headers={"Authorization": f"Bearer {given}"})
    link = default_token_generator.make_token(ada)
    anybody.get(f"/accounts/new/{urlsafe_base64_encode(str(ada.pk).encode())}/{link}/")
    for password in ("wrong horse battery", "correct horse battery"):
        anybody.post(reverse("arena:login"), {"username": "ada", "password": password})
    anybody.get("/", headers={"Host": "198.51.100.3"})
    anybody.get("/panel/hers/", {"PROLIFIC_PID": "5f1e77aa00bb11cc22dd33ee", "SESSION_ID": "abc123secret"})
    cookies = [morsel.value for morsel in anybody.cookies.values()]
    return [
        *(PEER, "198.51.100.3", token, ballot.token, secret, link, "horse battery", "ada.lovelace@example.org"),
        *("5f1e77aa00bb11cc22dd33ee", "abc123secret", rater.public_id, passed.split("/")[2], *cookies),
    ]


@pytest.mark.django_db
def test_whatever_people_do_no_token_password_or_address_is_logged(monkeypatch: pytest.MonkeyPatch) -> None:
    study = make_study(slug="hers", contenders=2, prompts=2)
    with written() as lines:
        secrets = everybodys_ways(study)

        def fail(*_: object, **__: object) -> None:
            raise RuntimeError(f'connection to server at "10.9.8.7" failed: {DSN}')

        monkeypatch.setattr("arena.views.home.render", fail)
        browser = Client(REMOTE_ADDR=PEER, raise_request_exception=False)
        page = browser.get("/", headers={"X-Forwarded-For": PEER, "Cookie": "sessionid=abcdef"})
    assert page.status_code == 500
    found = [secret for secret in (*secrets, "10.9.8.7", "correct-horse") if secret and secret in lines.text]
    assert found == []
    assert {line["route"] for line in lines.requests()} >= {"arena:join", "arena:vote", "arena:login", "none"}
    number = page.headers["X-Request-ID"]
    assert number in page.content.decode()
    assert [line["level"] for line in lines.objects("django.request") if line.get("request") == number] == ["ERROR"]


@pytest.mark.django_db
def test_a_fault_of_the_api_can_be_found_in_the_log(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object, **__: object) -> None:
        raise RuntimeError(DSN)

    _, secret = api_tokens.create_token(user=make_user("ada"), label="mine", scope="write")
    monkeypatch.setattr("arena.api.prompt_sets.visible_sets", fail)
    with written() as lines:
        reply = Client().get("/api/v1/prompt-sets", headers={"Authorization": f"Bearer {secret}"})
    number = reply.headers["X-Request-ID"]
    assert (reply.status_code, reply.json()["detail"]) == (
        500,
        f"This is a fault of ours: it is in the server's log under {number}.",
    )
    (line,) = lines.objects("arena.api.problems")
    assert (line["request"], "correct-horse" in lines.text, "RuntimeError" in line["trace"]) == (
        number,
        False,
        True,
    )


@pytest.mark.once
def test_gunicorns_own_lines_are_ours_too(tmp_path: Path) -> None:
    port = free_port()
    log = tmp_path / "web.log"
    command = [sys.executable, "-m", "gunicorn", "evalsite.wsgi", "--bind", f"127.0.0.1:{port}", "--log-level", "info"]
    command += ["--config", "python:evalsite.gunicorn_hooks", "--no-control-socket"]
    variables = {"WINRATE_DATA_DIR": str(tmp_path), "WINRATE_LOG_FORMAT": "json", "WINRATE_HASHED_STATIC": "off"}
    with log.open("w") as output:
        server = subprocess.Popen(
            command, cwd=settings.BASE_DIR, env={**os.environ, **variables}, stdout=output, stderr=output
        )
    try:
        for _ in range(200):
            try:
                with socket.create_connection(("127.0.0.1", port), timeout=5) as caller:
                    caller.sendall(b"GARBAGE /join/abcdefgh0123/?a=b\r\n\r\n")
                    assert b"400" in caller.recv(100)
                break
            except OSError:
                time.sleep(0.1)
    finally:
        server.send_signal(signal.SIGTERM)
        server.wait(timeout=20)
    lines = [line for line in log.read_text().splitlines() if line.startswith("{")]
    refused = [line for line in lines if "Invalid" in line]
    assert refused and "abcdefgh0123" not in log.read_text() and '"logger": "gunicorn.error"' in refused[0]


def test_a_strangers_long_line_costs_no_more_than_ours() -> None:
    redact = Redaction()
    for word in ("x" * 40_000, "x?" * 20_000, "a@" * 20_000, "eyJ-" * 10_000, "://" + "a:" * 20_000):
        assert len(redact(word)) < LONGEST_LINE + 100 and redact(word).endswith("[cut]")
    assert redact("first\nada@example.org " + "x" * 5_000) == "first\n[address] [cut]"
