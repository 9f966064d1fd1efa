"""Sessions are found as long as they stand, and no longer."""

from datetime import timedelta

import pytest
from django.conf import settings
from django.contrib.sessions.models import Session
from django.utils import timezone

from evalsite.kept_sessions import SessionStore

pytestmark = pytest.mark.django_db


def test_a_session_is_read_until_it_expires_or_ends() -> None:
    assert SessionStore.__module__ == settings.SESSION_ENGINE
    kept = SessionStore()
    kept["raters"] = {"1": "a"}
    kept.save()
    assert SessionStore(kept.session_key).get("raters") == {"1": "a"}
    Session.objects.update(expire_date=timezone.now() - timedelta(seconds=1))
    assert SessionStore(kept.session_key).get("raters") is None
    assert SessionStore("0" * 32).get("raters") is None
    kept.save()
    kept.flush()
    assert not Session.objects.exists()
