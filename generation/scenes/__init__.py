"""Captions <-> pictures for the demo: a small world of shapes and signs that a CPU-sized model can learn.

NumPy and Pillow only, so that the web process and the simulated raters can use it.
"""

from generation.scenes.checker import Findings, Seen, check, read
from generation.scenes.drawing import draw
from generation.scenes.grammar import CaptionError, Scene, SceneObject, Sign, caption_of, parse_caption
from generation.scenes.sampling import demo_scenes, held_out_scenes, random_scene

__all__ = [
    "CaptionError",
    "Findings",
    "Scene",
    "SceneObject",
    "Seen",
    "Sign",
    "caption_of",
    "check",
    "demo_scenes",
    "draw",
    "held_out_scenes",
    "parse_caption",
    "random_scene",
    "read",
]
