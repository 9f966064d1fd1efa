"""A tiny StableDiffusion3Pipeline on disk, made once, and a models root and image store of each test's own."""

import shutil
from pathlib import Path
from typing import Any

import pytest
from pytest_django.fixtures import Settings


@pytest.fixture(autouse=True)
def _the_broker_is_what_the_settings_say(monkeypatch: pytest.MonkeyPatch) -> None:
    # Celery prefers this variable to its own configuration, so a test could not choose another broker.
    monkeypatch.delenv("CELERY_BROKER_URL", raising=False)


@pytest.fixture(scope="session")
def tiny_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A saved pipeline whose picture depends on prompt, noise and every step. Read it, never change it."""
    torch = pytest.importorskip("torch")
    from generation.training.components import build_pipeline

    torch.manual_seed(7)
    pipeline: Any = build_pipeline(layers=1, heads=2)
    for parameter in pipeline.transformer.parameters():
        # The builder sets modulation and output to zero, where training begins; untrained, it would draw plain noise.
        if not parameter.any():
            torch.nn.init.normal_(parameter, std=0.2)
    folder = tmp_path_factory.mktemp("models") / "tiny"
    pipeline.save_pretrained(folder, safe_serialization=True)
    return folder


@pytest.fixture
def models_root(tiny_model: Path, settings: Settings) -> Path:
    """The models root that holds `tiny`, shared by all tests: for reading."""
    settings.MODELS_ROOT = tiny_model.parent
    return tiny_model.parent


@pytest.fixture(scope="session")
def family_folders(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A models root with a tiny pipeline of every family. Read it, never change it."""
    pytest.importorskip("torch")
    from tests.generation import tiny_families

    root = tmp_path_factory.mktemp("families")
    for name in tiny_families.BUILDERS:
        tiny_families.save(name, root / name)
    return root


@pytest.fixture
def families_root(family_folders: Path, settings: Settings) -> Path:
    """The models root that holds every family, shared by all tests: for reading."""
    settings.MODELS_ROOT = family_folders
    return family_folders


@pytest.fixture
def own_models_root(tiny_model: Path, tmp_path: Path, settings: Settings) -> Path:
    """A models root with a copy of `tiny` that the test may spoil."""
    root = tmp_path / "models"
    shutil.copytree(tiny_model, root / "tiny")
    settings.MODELS_ROOT = root
    return root


@pytest.fixture
def image_folder(tmp_path: Path, settings: Settings) -> Path:
    """An empty image store of this test's own."""
    folder = tmp_path / "images"
    settings.STORAGES = settings.STORAGES | {
        "images": {"BACKEND": "generation.image_store.AtomicFileSystemStorage", "OPTIONS": {"location": str(folder)}}
    }
    return folder
