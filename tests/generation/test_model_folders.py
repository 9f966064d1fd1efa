"""What is not plainly safe is refused, by looking alone: nothing in a model folder is ever run."""

import json
import pickle
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from pytest_django.fixtures import Settings
from safetensors.numpy import save_file

from generation.errors import GenerationError
from generation.model_folders import FolderFacts, folder_of, hash_file, inspect, verify
from tests.generation.model_files import write_model


@pytest.fixture
def root(tmp_path: Path, settings: Settings) -> Path:
    folder = tmp_path / "models"
    folder.mkdir()
    settings.MODELS_ROOT = folder
    return folder


def test_a_safe_folder_is_hashed_and_counted(root: Path) -> None:
    folder = write_model(root / "good")
    (folder / "README.md").write_text("A card.")
    paths = [path for path in folder.rglob("*") if path.is_file()]
    assert inspect("good") == FolderFacts(
        pipeline_class="StableDiffusion3Pipeline",
        file_hashes={path.relative_to(folder).as_posix(): hash_file(path) for path in paths},
        size_bytes=sum(path.stat().st_size for path in paths),
        parameters=12,
    )


def test_a_variant_of_the_weights_is_not_counted_twice(root: Path) -> None:
    folder = write_model(root / "good")
    save_file({"w": np.zeros(12, np.float16)}, folder / "transformer" / "diffusion_pytorch_model.fp16.safetensors")
    assert inspect("good").parameters == 12


@pytest.mark.parametrize("source", ["..", "../outside", "a/../../outside", "/etc", "", ".", "a\\..\\b", "a\0b", "link"])
def test_sources_outside_the_models_root_are_refused(source: str, root: Path) -> None:
    write_model(root.parent / "outside")
    (root / "link").symlink_to(root.parent / "outside")
    with pytest.raises(GenerationError, match="models root"):
        folder_of(source)


def test_a_missing_folder_is_named(root: Path) -> None:
    with pytest.raises(GenerationError, match="There is no folder 'nowhere' below the models root"):
        folder_of("nowhere")


class Canary:
    """Unpickling it makes a file."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Callable[..., None], tuple[Path]]:
        return Path.touch, (self.path,)


@pytest.mark.parametrize("name", ["pytorch_model.bin", "model.ckpt", "model.pt", "model.pth", "model.pkl", "model.PT"])
def test_pickles_are_refused_and_never_opened(name: str, root: Path, tmp_path: Path) -> None:
    folder = write_model(root / "bad")
    canary = tmp_path / "canary"
    (folder / "transformer" / name).write_bytes(pickle.dumps(Canary(canary)))
    with pytest.raises(GenerationError, match=f"transformer/{name} is refused: only safetensors"):
        inspect("bad")
    assert not canary.exists()


@pytest.mark.parametrize("name", ["pipeline.py", "code.so", "weights.npz", "weights.h5", "run.sh", "noending"])
def test_code_and_unknown_files_are_refused(name: str, root: Path) -> None:
    (write_model(root / "bad") / name).write_text("")
    with pytest.raises(GenerationError, match=f"{name} is refused"):
        inspect("bad")


def link_out(folder: Path) -> None:
    (folder / "config.json").symlink_to("/etc/hostname")


def link_to_folder(folder: Path) -> None:
    (folder / "vae").symlink_to(folder / "transformer")


def drop_weights(folder: Path) -> None:
    (folder / "transformer" / "diffusion_pytorch_model.safetensors").unlink()


def cut_weights(folder: Path) -> None:
    weights = folder / "transformer" / "diffusion_pytorch_model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-1])


def lie_about_the_header(folder: Path) -> None:
    weights = folder / "transformer" / "diffusion_pytorch_model.safetensors"
    weights.write_bytes((2**60).to_bytes(8, "little") + weights.read_bytes()[8:])


def rename_a_pickle(folder: Path) -> None:
    weights = folder / "transformer" / "diffusion_pytorch_model.safetensors"
    weights.write_bytes(pickle.dumps({"weight": [0.0] * 1000}))


def ask_for_code(folder: Path) -> None:
    (folder / "transformer" / "config.json").write_text(json.dumps({"auto_map": {"AutoModel": "evil.Model"}}))


def break_the_index(folder: Path) -> None:
    (folder / "model_index.json").write_text("{")


def nest_the_index(folder: Path) -> None:
    (folder / "model_index.json").write_text("[" * 100_000)


def empty_the_index(folder: Path) -> None:
    (folder / "model_index.json").write_text("[]")


def drop_the_index(folder: Path) -> None:
    (folder / "model_index.json").unlink()


def drop_a_component(folder: Path) -> None:
    (folder / "scheduler" / "scheduler_config.json").unlink()


@pytest.mark.parametrize(
    ("spoil", "sentence"),
    [
        (link_out, r"config\.json is a link out of the models root"),
        (link_to_folder, "vae is a link to a folder"),
        (drop_weights, "transformer/ has no safetensors weights"),
        (cut_weights, "not a whole safetensors file"),
        (lie_about_the_header, "not a whole safetensors file"),
        (rename_a_pickle, "not a whole safetensors file"),
        (ask_for_code, r"transformer/config\.json asks for code of its own"),
        (break_the_index, r"model_index\.json in 'bad' is not valid JSON"),
        (nest_the_index, r"model_index\.json in 'bad' is not valid JSON"),
        (empty_the_index, r"model_index\.json in 'bad' is not a JSON object"),
        (drop_the_index, r"There is no model_index\.json"),
        (drop_a_component, "names scheduler, but the folder has no scheduler/"),
    ],
)
def test_spoilt_folders_are_refused_with_the_file_named(
    spoil: Callable[[Path], None], sentence: str, root: Path
) -> None:
    spoil(write_model(root / "bad"))
    with pytest.raises(GenerationError, match=sentence):
        inspect("bad")


@pytest.mark.parametrize(
    ("index", "sentence"),
    [
        ({"_class_name": "OsPipeline"}, "'OsPipeline' is not supported; choose StableDiffusion3Pipeline"),
        ({"_class_name": ["pipeline.py", "Mine"]}, "is not supported"),
        ({"_class_name": None}, "is not supported"),
        ({"transformer": ["os", "system"]}, "takes transformer from 'os'; only classes of diffusers and transformers"),
        ({"transformer": ["diffusers.utils", "x"]}, "takes transformer from 'diffusers.utils'"),
        ({"transformer": ["diffusers", "utils.x"]}, "takes transformer from 'diffusers'"),
        ({"transformer": ["diffusers"]}, "gives transformer as"),
        ({"transformer": ["diffusers", 3]}, "gives transformer as"),
        ({"safety_checker": ["diffusers", "X"]}, "names safety_checker, but the folder has no safety_checker/"),
    ],
)
def test_indexes_that_name_other_classes_are_refused(index: dict[str, object], sentence: str, root: Path) -> None:
    write_model(root / "bad", **index)
    with pytest.raises(GenerationError, match=sentence):
        inspect("bad")


def test_links_inside_the_models_root_are_followed(root: Path) -> None:
    folder = write_model(root / "good")
    weights = folder / "transformer" / "diffusion_pytorch_model.safetensors"
    (root / "blobs").mkdir()
    weights.rename(root / "blobs" / "abc")
    weights.symlink_to(root / "blobs" / "abc")
    assert inspect("good").parameters == 12


def test_a_changed_folder_is_noticed_but_a_mended_card_is_not(root: Path) -> None:
    folder = write_model(root / "good")
    (folder / "README.md").write_text("A card.")
    hashes = inspect("good").file_hashes
    (folder / "README.md").write_text("A better card.")
    (folder / "checkpoint.json").write_text("{}")
    verify("good", hashes)
    (folder / "transformer" / "config.json").write_text('{"changed": true}')
    with pytest.raises(GenerationError, match=r"transformer/config\.json in 'good' is not what it was"):
        verify("good", hashes)
    (folder / "extra.json").write_text("{}")
    with pytest.raises(GenerationError, match=r"extra\.json in 'good' is not what it was"):
        verify("good", hashes)
