"""docs/recruiting.md: its settings are ones that the product takes."""

import json
import re
from pathlib import Path

import pytest
from django.conf import settings

from arena.designs import checked_rater_rules
from arena.models import Provider
from arena.panel_settings import settings_of
from arena.phase_rules import PHASE_RULES

PAGE = (Path(settings.BASE_DIR) / "docs" / "recruiting.md").read_text(encoding="utf-8")


def blocks(kind: str) -> list[str]:
    return re.findall(rf"^```json{kind}\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)


def test_the_rater_rules_shown_are_complete_and_taken() -> None:
    (text,) = blocks("")
    rules = json.loads(text)
    assert checked_rater_rules(rules) == rules and set(rules) == PHASE_RULES | {"ballots_per_rater"}


@pytest.mark.parametrize("kind", ["prolific", "generic"])
def test_the_panel_settings_shown_are_taken(kind: str) -> None:
    (text,) = blocks(f" {kind}")
    assert settings_of(Provider(kind=kind, settings=json.loads(text))).codes["completed"]
