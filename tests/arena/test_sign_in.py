"""Tries to sign in are counted for accounts and networks (RELIABILITY A14: at most five a minute)."""

from datetime import timedelta

import pytest
from django.contrib.auth.hashers import MD5PasswordHasher
from django.contrib.auth.models import User
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from arena import minute_counts
from arena.models import MinuteCount
from tests.arena.factories import make_user

pytestmark = pytest.mark.django_db
RIGHT = "correct horse battery"
LOGIN = reverse("arena:login")


def try_to(name: str, password: str, *, address: str = "192.0.2.7", browser: Client | None = None) -> int:
    answer = (browser or Client()).post(LOGIN, {"username": name, "password": password}, REMOTE_ADDR=address)
    return answer.status_code


@pytest.fixture(autouse=True)
def _one_minute(monkeypatch: pytest.MonkeyPatch) -> None:
    """Tries of a test fall into one minute, whatever the clock says."""
    now = timezone.now().replace(second=1)
    monkeypatch.setattr(timezone, "now", lambda: now)


@pytest.fixture
def ada() -> None:
    user = make_user("ada")
    user.set_password(RIGHT)
    user.save()


@pytest.mark.parametrize("name", ["ada", "nobody"])
def test_the_sixth_try_within_a_minute_is_not_looked_at_whether_the_account_exists_or_not(ada: None, name: str) -> None:
    assert [try_to(name, "wrong", address=f"198.51.{i}.1") for i in range(6)] == [200] * 5 + [429]
    page = Client().post(LOGIN, {"username": name, "password": RIGHT}, REMOTE_ADDR="203.0.113.1")
    assert page.status_code == 429 and "Wait a minute" in page.content.decode()


def test_another_account_is_not_held_up_and_the_next_minute_is_free(ada: None, monkeypatch: pytest.MonkeyPatch) -> None:
    for _ in range(6):
        try_to("bob", "wrong")
    assert try_to("ada", RIGHT) == 302
    for _ in range(6):
        try_to("ada", "wrong")
    later = timezone.now() + timedelta(minutes=1)
    monkeypatch.setattr(timezone, "now", lambda: later)
    assert try_to("ada", RIGHT) == 302


def test_one_network_cannot_try_many_accounts(ada: None) -> None:
    tried = [try_to(f"guess{i}", "wrong", address=f"192.0.2.{i}") for i in range(21)]
    assert tried == [200] * 20 + [429]
    assert try_to("ada", RIGHT, address="192.0.2.99") == 429
    assert try_to("ada", RIGHT, address="198.51.100.1") == 302


def test_who_knows_the_password_uses_up_no_tries(ada: None) -> None:
    assert [try_to("ada", RIGHT) for _ in range(8)] == [302] * 8
    assert set(MinuteCount.objects.values_list("number", flat=True)) == {0}


def test_the_admins_own_login_is_counted_too(ada: None) -> None:
    for _ in range(5):
        try_to("ada", "wrong")
    page = Client().post("/admin/login/", {"username": "ada", "password": RIGHT}, REMOTE_ADDR="198.51.100.1")
    assert page.status_code == 200 and "_auth_user_id" not in Client().session


def test_neither_names_nor_addresses_are_kept_and_counts_go_after_an_hour(
    ada: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    try_to("ada", "wrong")
    rows = list(MinuteCount.objects.values("code", "number"))
    assert len(rows) == 2 and not any("ada" in row["code"] or "192" in row["code"][:3] for row in rows)
    assert minute_counts.forget_old() == 0
    later = timezone.now() + timedelta(hours=2)
    monkeypatch.setattr(timezone, "now", lambda: later)
    assert minute_counts.forget_old() == 2


@pytest.mark.parametrize("name", ["ada", "nobody", "disabled"])
def test_an_account_that_is_not_there_takes_the_same_work_and_gets_the_same_answer(
    ada: None, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Work is counted, not timed: one password is hashed, whoever is named."""
    User.objects.create_user("disabled", password=RIGHT, is_active=False)
    hashed: list[str] = []
    encode = MD5PasswordHasher.encode

    def counted(self: MD5PasswordHasher, password: str, salt: str) -> str:
        hashed.append(password)
        return encode(self, password, salt)

    monkeypatch.setattr(MD5PasswordHasher, "encode", counted)
    password = RIGHT if name == "disabled" else "wrong"  # the right one does not tell that an account is disabled
    page = Client().post(LOGIN, {"username": name, "password": password})
    assert hashed == [password]
    assert page.status_code == 200 and "Name and password do not match." in page.content.decode()
