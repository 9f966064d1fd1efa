"""What a fixture does where the program it needs cannot be had: a failure in CI, a skip on a person's machine."""

import os
from typing import NoReturn

import pytest


def is_ci() -> bool:
    """Whether this run decides about the code, so that nothing may be left out."""
    return os.environ.get("CI", "").lower() in ("1", "true", "yes")


def say_missing(what: str) -> NoReturn:
    """Fail in CI, skip elsewhere."""
    sentence = f"{what} cannot be had on this machine"
    if is_ci():
        pytest.fail(f"{sentence}, and in CI nothing may be skipped")
    pytest.skip(sentence)
