"""A tiny CLIP on disk, made once, and images of drawn scenes in a store of the test's own."""

from pathlib import Path

import pytest
from pytest_django.fixtures import Settings

from tests.generation.tiny_clip import save_clip


@pytest.fixture(scope="session")
def clip_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A saved CLIP in a models root. Read it, never change it."""
    pytest.importorskip("torch")
    return save_clip(tmp_path_factory.mktemp("clips") / "tiny-clip")


@pytest.fixture
def clip_root(clip_folder: Path, settings: Settings) -> Path:
    """The models root that holds `tiny-clip`: for reading."""
    settings.MODELS_ROOT = clip_folder.parent
    return clip_folder.parent
