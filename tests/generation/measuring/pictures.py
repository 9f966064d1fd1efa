"""Image rows with a real picture in the store."""

import io

import numpy as np
from PIL import Image as Pictures

from generation import image_store
from generation.models import Image, Recipe
from generation.provenance import digest_of, pixels_digest, request_digest, text_digest
from tests.generation.rows import make_recipe


def make_image(text: str, pixels: np.ndarray, *, sample: int = 0, recipe: Recipe | None = None) -> Image:
    """An image of a uint8 picture (h, w, 3)."""
    recipe = recipe or make_recipe()
    height, width, _ = pixels.shape
    file = io.BytesIO()
    Pictures.fromarray(pixels).save(file, format="PNG")
    return Image.objects.create(
        recipe=recipe,
        prompt_text=text,
        prompt_digest=text_digest(text),
        sample=sample,
        request_digest=request_digest(recipe_digest=recipe.digest, prompt_text=text, sample=sample),
        file_sha256=image_store.put(file.getvalue(), suffix=".png"),
        pixels_sha256=pixels_digest(pixels.tobytes(), width=width, height=height),
        width=width,
        height=height,
        size_bytes=len(file.getvalue()),
        provenance={},
        provenance_digest=digest_of({}),
    )
