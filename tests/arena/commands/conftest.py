"""The tiny pipeline of the generation tests, for commands that make images."""

from tests.generation.conftest import image_folder, own_models_root, tiny_model

__all__ = ["image_folder", "own_models_root", "tiny_model"]
