"""The page about prompt files says what the code does."""

import re

from django.conf import settings

from generation.prompt_files import MOST_BYTES, MOST_PROMPTS
from generation.prompt_files.columns import COLUMNS
from generation.prompt_files.rows import LONGEST_METADATA, LONGEST_NAME, LONGEST_PROMPT, LONGEST_TARGET_TEXT
from generation.prompt_files.strict_json import DEEPEST

PAGE = (settings.BASE_DIR / "docs" / "prompt_files.md").read_text()


def test_every_column_name_is_documented_in_the_order_of_its_rank() -> None:
    table = PAGE.split("| meaning | columns |")[1].split("\n\n")[0]
    rows = [re.findall(r"`(\w+)`", line) for line in table.splitlines() if "`" in line]
    documented = [tuple(name.replace("_", "") for name in row) for row in rows]
    assert documented == list(COLUMNS.values())


def test_every_limit_is_documented() -> None:
    limits = " ".join(PAGE.split("## Limits")[1].split())
    for number in (MOST_PROMPTS, MOST_BYTES >> 20, LONGEST_PROMPT, LONGEST_NAME, LONGEST_TARGET_TEXT, LONGEST_METADATA):
        assert f"{number:,}" in limits
    assert f"nested {DEEPEST} levels deep" in limits
