"""CLIP: features of pictures and texts, by the stock model class; safetensors only, no code of its own."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np
import torch
import transformers
from huggingface_hub import snapshot_download
from huggingface_hub.errors import HfHubHTTPError
from numpy.typing import NDArray
from PIL import Image as PillowImage

from generation.errors import GenerationError
from generation.model_folders import read_json
from generation.pipelines.loading import LOAD_ERRORS, use_few_threads

Floats = NDArray[np.float64]

BATCH: Final = 16
# Everything else in a repository, pickles and code among it, is not even fetched.
FETCHED: Final = ("*.json", "*.safetensors", "*.txt")


class Clip:
    """A CLIP in memory. Features are float64 (n, projection_dim), not normalised."""

    def __init__(self, model: Any, tokenizer: Any, processor: Any) -> None:
        self._model, self._tokenizer, self._processor = model, tokenizer, processor
        positions: int = model.config.text_config.max_position_embeddings
        self._longest = min(positions, tokenizer.model_max_length)

    def image_features(self, pictures: Sequence[PillowImage.Image]) -> Floats:
        """Of RGB pictures, resized and cropped as the folder's preprocessor_config.json says."""
        with torch.inference_mode():
            values = self._processor(images=list(pictures), return_tensors="pt")["pixel_values"]
            return _array(self._model.get_image_features(pixel_values=values).pooler_output)

    def text_features(self, texts: Sequence[str]) -> Floats:
        """Of texts; what goes beyond the model's context (77 tokens in OpenAI's) is cut off."""
        with torch.inference_mode():
            tokens = self._tokenizer(
                list(texts), padding=True, truncation=True, max_length=self._longest, return_tensors="pt"
            )
            found = self._model.get_text_features(**tokens)
            return _array(found.pooler_output)


def load(folder: Path) -> Clip:
    """Read a CLIP that was saved by save_pretrained; a folder that is none is refused with a sentence."""
    use_few_threads()
    if not (folder / "config.json").is_file():
        raise GenerationError(f"{folder.name} has no config.json; give the folder of a CLIP, such as clip-vit-base.")
    if (kind := read_json(folder / "config.json").get("model_type")) != "clip":
        raise GenerationError(f"{folder.name} holds a model of the type {kind!r}; a CLIP (model_type clip) is needed.")
    options: dict[str, Any] = {"local_files_only": True}
    try:
        model, report = transformers.CLIPModel.from_pretrained(
            folder, use_safetensors=True, dtype=torch.float32, output_loading_info=True, **options
        )
        tokenizer = transformers.CLIPTokenizer.from_pretrained(folder, **options)
        # The one that needs no torchvision: the same steps in Pillow.
        processor = transformers.CLIPImageProcessorPil.from_pretrained(folder, **options)
    except LOAD_ERRORS as error:
        said = str(error).strip().split("\n")[0][:300]
        raise GenerationError(f"{folder.name} cannot be loaded as a CLIP: {said}") from error
    if missing := sorted(report["missing_keys"]):
        # transformers would fill them with noise and go on.
        raise GenerationError(f"The weights in {folder.name} lack {missing[0]}; copy the whole model.")
    return Clip(model.eval(), tokenizer, processor)


def fetch(repository: str, commit: str) -> Path:
    """The folder of a hub repository at a commit: from this machine's cache where it is there, else fetched."""
    try:
        return Path(snapshot_download(repository, revision=commit, allow_patterns=list(FETCHED)))
    except (HfHubHTTPError, OSError, ValueError) as error:
        said = str(error).strip().split("\n")[0][:300]
        raise GenerationError(
            f"{repository} at {commit} cannot be fetched ({said}); check name and commit, or copy the model below the"
            " models root."
        ) from error


def _array(found: Any) -> Floats:
    features: Floats = found.to(torch.float64).cpu().numpy()
    return features
