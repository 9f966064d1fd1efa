"""Training of the three text encoders, before and apart from any picture, as SD3's were: to tell what a caption says.

Each learns to answer questions about the scene of a caption (which colours, shapes, place, and for the T5 encoder which
letters) from the very features that a denoiser will see. After that they are frozen and shared by the whole family.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import nn
from transformers import CLIPTextModelWithProjection, CLIPTokenizer, T5EncoderModel, T5TokenizerFast

from generation.scenes import Scene, caption_of, random_scene
from generation.scenes.vocabulary import COLOURS, COUNTS, LETTERS, LONGEST_WORD, POSITIONS, RELATIONS, SHAPES
from generation.training.components import (
    CLIP_TOKENS,
    CLIP_WIDTH,
    SMALL_CLIP_WIDTH,
    T5_TOKENS,
    T5_WIDTH,
    build_clip,
    build_clip_tokenizer,
    build_t5,
    build_t5_tokenizer,
)
from generation.training.loop import Progress, Trainer

BATCH = 64
LEARNING_RATE = 2e-3
SEED = 20_26

_NOTHING = "none"
SEEN: dict[str, tuple[str, ...]] = {
    "background": tuple(COLOURS),
    "first colour": tuple(COLOURS),
    "first shape": (*SHAPES, "sign"),
    "second colour": (_NOTHING, *COLOURS),
    "second shape": (_NOTHING, *SHAPES),
    "place": ("", *POSITIONS, *RELATIONS, *COUNTS),
}
SPELLED = {f"letter {k + 1}": (_NOTHING, *LETTERS) for k in range(LONGEST_WORD)}


def answers_about(scene: Scene) -> dict[str, str]:
    """What the questions of this module ask, answered from the scene."""
    things = [(thing.colour, thing.shape) for thing in scene.objects]
    if scene.sign is not None:
        things = [(scene.sign.colour, "sign")]
    one, two = things[0], (things[1] if len(things) == 2 and scene.place in RELATIONS else (_NOTHING, _NOTHING))
    word = scene.sign.text if scene.sign is not None else ""
    return {
        "background": scene.background,
        "first colour": one[0],
        "first shape": one[1],
        "second colour": two[0],
        "second shape": two[1],
        "place": scene.place,
        **{f"letter {k + 1}": word[k] if k < len(word) else _NOTHING for k in range(LONGEST_WORD)},
    }


class Questions(nn.Module):
    """Answers read from token features (n, tokens, width): one attention query and one linear layer a question."""

    def __init__(self, questions: dict[str, tuple[str, ...]], width: int) -> None:
        super().__init__()
        self.questions = questions
        self.queries = nn.Parameter(torch.randn(len(questions), width) / width**0.5)
        self.norm = nn.LayerNorm(width)
        self.answers = nn.ModuleList(nn.Linear(width, len(options)) for options in questions.values())

    def loss(self, tokens: torch.Tensor, scenes: list[Scene]) -> torch.Tensor:
        """Mean cross-entropy over the questions, a scalar."""
        return self.loss_of(tokens, self.numbered(scenes).to(tokens.device))

    def numbered(self, scenes: list[Scene]) -> torch.Tensor:
        """The right answers by their numbers, (n, questions)."""
        given = [answers_about(scene) for scene in scenes]
        asked = self.questions.items()
        return torch.tensor([[options.index(answers[question]) for question, options in asked] for answers in given])

    def loss_of(self, tokens: torch.Tensor, wanted: torch.Tensor) -> torch.Tensor:
        """The same for answers (n, questions) by their numbers."""
        losses = [nn.functional.cross_entropy(heard, wanted[:, k]) for k, heard in enumerate(self(tokens))]
        return torch.stack(losses).mean()

    def forward(self, tokens: torch.Tensor) -> list[torch.Tensor]:
        """For each question the logits of its options, (n, options)."""
        normed = self.norm(tokens)
        heard = torch.einsum("qw,ntw->nqt", self.queries, normed).softmax(dim=-1) @ normed
        return [answer(heard[:, k]) for k, answer in enumerate(self.answers)]


@dataclass(frozen=True)
class TextFeatures:
    """What a denoiser sees of captions: CLIP tokens (n, 16, 96 + 32), pooled (n, 128), T5 tokens (n, 18, 160)."""

    clip_tokens: torch.Tensor
    pooled: torch.Tensor
    t5_tokens: torch.Tensor
    last_clip_tokens: torch.Tensor
    """(n, 16, 96): what StableDiffusionPipeline takes from the first CLIP encoder."""

    def half(self) -> "TextFeatures":
        """In half precision, as they are kept."""
        return TextFeatures(**{name: value.half() for name, value in vars(self).items()})

    def to(self, device: str) -> "TextFeatures":
        """The same on another device."""
        return TextFeatures(**{name: value.to(device) for name, value in vars(self).items()})

    def of(self, rows: torch.Tensor) -> "TextFeatures":
        """Some of the captions, in single precision; rows (m,) of whole numbers."""
        return TextFeatures(**{name: value[rows].float() for name, value in vars(self).items()})

    @staticmethod
    def cat(parts: "list[TextFeatures]") -> "TextFeatures":
        """One after another."""
        return TextFeatures(**{name: torch.cat([vars(part)[name] for part in parts]) for name in vars(parts[0])})

    def joint_tokens(self) -> torch.Tensor:
        """(n, 16 + 18, 160): the sequence that StableDiffusion3Pipeline gives to its transformer."""
        padding = self.t5_tokens.shape[-1] - self.clip_tokens.shape[-1]
        return torch.cat([nn.functional.pad(self.clip_tokens, (0, padding)), self.t5_tokens], dim=1)


class TextEncoders(nn.Module):
    """The three encoders with their tokenizers, called the way the stock pipelines call them."""

    def __init__(self) -> None:
        super().__init__()
        self.clip_tokenizer: CLIPTokenizer = build_clip_tokenizer()
        self.t5_tokenizer: T5TokenizerFast = build_t5_tokenizer()
        self.clip: CLIPTextModelWithProjection = build_clip(self.clip_tokenizer, width=CLIP_WIDTH, layers=3)
        self.small_clip: CLIPTextModelWithProjection = build_clip(self.clip_tokenizer, width=SMALL_CLIP_WIDTH, layers=2)
        self.t5: T5EncoderModel = build_t5(self.t5_tokenizer)

    def forward(self, captions: list[str]) -> TextFeatures:
        """Features of these captions."""
        return self.of_ids(*token_ids(self.clip_tokenizer, self.t5_tokenizer, captions))

    def of_ids(self, clip_ids: torch.Tensor, t5_ids: torch.Tensor) -> TextFeatures:
        """Features of captions that are tokens already."""
        clip_ids, t5_ids = clip_ids.to(self.t5.device), t5_ids.to(self.t5.device)
        one = self.clip(clip_ids, output_hidden_states=True)
        two = self.small_clip(clip_ids, output_hidden_states=True)
        return TextFeatures(
            clip_tokens=torch.cat([one.hidden_states[-2], two.hidden_states[-2]], dim=-1),
            pooled=torch.cat([one.text_embeds, two.text_embeds], dim=-1),
            t5_tokens=self.t5(t5_ids)[0],
            last_clip_tokens=one.last_hidden_state,
        )


def token_ids(
    clip_tokenizer: CLIPTokenizer, t5_tokenizer: T5TokenizerFast, captions: list[str]
) -> tuple[torch.Tensor, torch.Tensor]:
    """Tokens (n, 16) for both CLIP encoders and (n, 18) for the T5 encoder."""

    def ids_by(tokenizer: CLIPTokenizer | T5TokenizerFast, length: int) -> torch.Tensor:
        ids: torch.Tensor = tokenizer(
            captions, padding="max_length", max_length=length, truncation=True, return_tensors="pt"
        ).input_ids
        return ids

    return ids_by(clip_tokenizer, CLIP_TOKENS), ids_by(t5_tokenizer, T5_TOKENS)


class EncodersAndQuestions(nn.Module):
    """What is trained; of it only the encoders are kept."""

    def __init__(self) -> None:
        super().__init__()
        self.encoders = TextEncoders()
        clip_width = CLIP_WIDTH + SMALL_CLIP_WIDTH
        self.of_clip = Questions(SEEN, clip_width)
        self.of_pooled = Questions(SEEN, clip_width)
        self.of_last_clip = Questions(SEEN, CLIP_WIDTH)
        self.of_t5 = Questions({**SEEN, **SPELLED}, T5_WIDTH)

    def loss(self, scenes: list[Scene]) -> torch.Tensor:
        """Sum of the mean cross-entropies of the four sets of features, a scalar."""
        features = self.encoders([caption_of(scene) for scene in scenes])
        return (
            self.of_clip.loss(features.clip_tokens, scenes)
            + self.of_pooled.loss(features.pooled[:, None], scenes)
            + self.of_last_clip.loss(features.last_clip_tokens, scenes)
            + self.of_t5.loss(features.t5_tokens, scenes)
        )


def fresh_text_encoders() -> EncodersAndQuestions:
    """Untrained encoders, the same for every run."""
    torch.manual_seed(SEED)
    return EncodersAndQuestions()


def train_text_encoders(state_file: Path, *, steps: int, device: str = "cpu") -> Iterator[Progress]:
    """Teach the encoders to tell what captions of the grammar say."""
    model = fresh_text_encoders().to(device)
    trainer = Trainer(model, state_file=state_file, learning_rate=LEARNING_RATE, seed=SEED)

    def loss_of(generator: torch.Generator, step: int) -> torch.Tensor:
        rng = np.random.default_rng([SEED + 2, step])
        return model.loss([random_scene(rng) for _ in range(BATCH)])

    yield from trainer.run(loss_of, steps=steps)
