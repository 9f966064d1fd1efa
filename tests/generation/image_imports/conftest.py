"""A prompt set, and an image store of each test's own."""

from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from generation.models import PromptSet
from generation.prompt_files import PromptRow
from generation.prompt_sets import save_prompt_set


@pytest.fixture(autouse=True)
def _own_store(image_folder: Path) -> None:
    """Nothing of other tests lies in it."""


MakePrompts = Callable[..., PromptSet]
TEXTS = ("a red fox", 'a sign that says "OPEN"', "two teapots on a shelf")


@pytest.fixture
def make_prompts(db: None) -> MakePrompts:
    """A function that saves a prompt set of these texts."""

    def make(texts: Sequence[str] = TEXTS, *, name: str = "Mine", ids: Sequence[str] = ()) -> PromptSet:
        rows = [PromptRow(text=text, metadata={"id": ids[at]} if ids else {}) for at, text in enumerate(texts)]
        return save_prompt_set(name=name, rows=rows)

    return make
