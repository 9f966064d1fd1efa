"""Which scenes are trained on and which are held out."""

import numpy as np

from generation.scenes import caption_of, demo_scenes, held_out_scenes, random_scene
from generation.scenes.sampling import is_held_out
from generation.scenes.vocabulary import HELD_OUT_WORDS, TRAINING_WORDS


def test_training_never_sees_a_held_out_caption() -> None:
    rng = np.random.default_rng(0)
    seen = {caption_of(random_scene(rng)) for _ in range(3000)}
    assert seen.isdisjoint(caption_of(scene) for scene in held_out_scenes(300))


def test_no_held_out_word_is_a_training_word() -> None:
    assert set(HELD_OUT_WORDS).isdisjoint(TRAINING_WORDS)


def test_demo_prompts_are_held_out_and_a_third_of_them_have_text_to_render() -> None:
    scenes = demo_scenes(24)
    assert len({caption_of(scene) for scene in scenes}) == 24
    assert all(is_held_out(scene) for scene in scenes)
    assert sum(scene.sign is not None for scene in scenes) == 8


def test_the_demo_prompts_are_the_same_every_time() -> None:
    assert demo_scenes() == demo_scenes()
