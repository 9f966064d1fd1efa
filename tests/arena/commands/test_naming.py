"""Commands that take somebody's name refuse one that nobody has, in the same words."""

import pytest
from django.core.management import CommandError, call_command

pytestmark = pytest.mark.django_db


@pytest.mark.parametrize(
    "command",
    [
        ("board", "create", "Weekly", "--study", "colours", "--criterion", "aesthetics"),
        ("study", "create", "design.json"),
        ("import_study", "bundle.zip"),
        ("import_images", "folder", "--prompts", "Mine"),
    ],
)
def test_an_owner_who_has_no_account_is_a_sentence(command: tuple[str, ...]) -> None:
    with pytest.raises(CommandError, match=r"There is no user 'eve'\."):
        call_command(*command, "--owner", "eve")
