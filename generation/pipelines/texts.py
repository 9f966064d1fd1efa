"""Prompts are encoded once, each alone, and kept: steps, schedules and samples of a prompt share its encoding.

Alone, because an encoder's matrix kernels depend on the size of the batch: so an encoding depends on nothing but its
prompt, and pictures are bit-equal whether it came from memory or not.
"""

from collections import OrderedDict
from collections.abc import Hashable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Final

import torch

from generation.pipelines.loading import LoadedPipeline

Tensors = dict[str, torch.Tensor]
NEGATIVE: Final = "negative_"


@dataclass(frozen=True)
class Encoding:
    """What `encode_prompt` of a pipeline class returns, by the names under which a call takes it, and what it asks."""

    returns: tuple[str, ...]
    options: tuple[str, ...] = ()
    """Call options that it takes too."""
    repeats: tuple[str, ...] = ()
    """Arguments that take the prompt once more, one for each further encoder."""
    needs_guidance_flag: bool = True
    negative_when: str = ""
    """The call option above 1 that lets the negative prompt count, where guidance does not."""
    fixed: tuple[tuple[str, Any], ...] = ()


_PAIRS: Final = ("prompt_embeds", "negative_prompt_embeds")
_POOLED: Final = (*_PAIRS, "pooled_prompt_embeds", "negative_pooled_prompt_embeds")
_MASKED: Final = (
    *("prompt_embeds", "prompt_attention_mask"),
    *("negative_prompt_embeds", "negative_prompt_attention_mask"),
)
ENCODINGS: Final[dict[str, Encoding]] = {
    "StableDiffusion3Pipeline": Encoding(
        returns=_POOLED, options=("clip_skip", "max_sequence_length"), repeats=("prompt_2", "prompt_3")
    ),
    "StableDiffusionPipeline": Encoding(returns=_PAIRS, options=("clip_skip",)),
    "StableDiffusionXLPipeline": Encoding(returns=_POOLED, options=("clip_skip",)),
    "FluxPipeline": Encoding(
        returns=("prompt_embeds", "pooled_prompt_embeds", ""),
        options=("max_sequence_length",),
        repeats=("prompt_2",),
        needs_guidance_flag=False,
        negative_when="true_cfg_scale",
    ),
    "PixArtSigmaPipeline": Encoding(
        returns=_MASKED, options=("max_sequence_length",), fixed=(("clean_caption", False),)
    ),
}


class TextCache:
    """Encodings of prompts within a budget of bytes, the least recently used out first. One per process and thread."""

    def __init__(self, *, budget_bytes: int) -> None:
        self.budget_bytes = budget_bytes
        self.size_bytes = 0
        self._held: OrderedDict[Hashable, Tensors] = OrderedDict()

    def get(self, key: Hashable) -> Tensors | None:
        """The encoding under a key, where it is held."""
        if key in self._held:
            self._held.move_to_end(key)
        return self._held.get(key)

    def keep(self, key: Hashable, tensors: Tensors) -> None:
        """Hold an encoding; one that is larger than the whole budget is not held."""
        if key in self._held or (size := _bytes_of(tensors)) > self.budget_bytes:
            return
        self._held[key] = tensors
        self.size_bytes += size
        while self.size_bytes > self.budget_bytes:
            _, leaving = self._held.popitem(last=False)
            self.size_bytes -= _bytes_of(leaving)

    def clear(self) -> None:
        """Let all go."""
        self._held.clear()
        self.size_bytes = 0

    def __len__(self) -> int:
        return len(self._held)


@dataclass(frozen=True)
class Texts:
    """What is to be encoded: prompts that share everything else."""

    prompts: tuple[str, ...]
    negative_prompt: str
    guidance: float
    call_options: dict[str, Any]
    adapters: tuple[tuple[str, float], ...]
    """Names and weights of the adapters that act: an adapter may change the text encoders."""


def encoded(loaded: LoadedPipeline, texts: Texts, *, held: TextCache) -> Tensors:
    """The arguments of a call that stand in place of its prompts, (prompts, ...) each."""
    encoding = ENCODINGS[loaded.source.pipeline_class]
    options = {name: texts.call_options[name] for name in encoding.options if name in texts.call_options}
    shared = (loaded.source, texts.adapters, tuple(sorted(options.items())))
    with_negative = _heeds_negative(loaded.pipe, texts, encoding)
    negative: Tensors = {}
    if with_negative:
        key = (*shared, NEGATIVE, texts.negative_prompt)
        negative = held.get(key) or _encode_negative(loaded, texts, encoding, options)
        held.keep(key, negative)
    rows: dict[str, Tensors] = {}
    for prompt in dict.fromkeys(texts.prompts):
        key = (*shared, "", prompt)
        rows[prompt] = held.get(key) or _encode(loaded, prompt, encoding, options, negative)
        held.keep(key, rows[prompt])
    in_order = [rows[prompt] | negative for prompt in texts.prompts]
    return {name: torch.cat([row[name] for row in in_order]) for name in in_order[0]}


def _heeds_negative(pipe: Any, texts: Texts, encoding: Encoding) -> bool:
    if encoding.negative_when:
        return bool(texts.call_options.get(encoding.negative_when, 1) > 1)
    # The pipeline's own rule, where it has one: it reads the guidance of the call that comes.
    pipe._guidance_scale = texts.guidance
    return bool(getattr(pipe, "do_classifier_free_guidance", texts.guidance > 1))


def _encode_negative(loaded: LoadedPipeline, texts: Texts, encoding: Encoding, options: dict[str, Any]) -> Tensors:
    if not encoding.needs_guidance_flag:
        # FLUX encodes both alike.
        both = _encode(loaded, texts.negative_prompt, encoding, options, {})
        return {f"{NEGATIVE}{name}": tensor for name, tensor in both.items()}
    arguments = {"do_classifier_free_guidance": True, "negative_prompt": texts.negative_prompt}
    both = _called(loaded, texts.prompts[0], encoding, options | arguments)
    return {name: tensor for name, tensor in both.items() if name.startswith(NEGATIVE)}


def _encode(
    loaded: LoadedPipeline, prompt: str, encoding: Encoding, options: dict[str, Any], negative: Tensors
) -> Tensors:
    arguments = dict(options)
    if encoding.needs_guidance_flag:
        # With the negative's encoding at hand, only the prompt is encoded.
        arguments |= {**negative, "do_classifier_free_guidance": bool(negative)}
    both = _called(loaded, prompt, encoding, arguments)
    return {name: tensor for name, tensor in both.items() if not name.startswith(NEGATIVE)}


def _called(loaded: LoadedPipeline, prompt: str, encoding: Encoding, arguments: dict[str, Any]) -> Tensors:
    pipe = loaded.pipe
    with _with_text_model(pipe.text_encoder):
        values = pipe.encode_prompt(
            prompt=prompt,
            **dict.fromkeys(encoding.repeats, prompt),
            # Not asked of the pipeline: it looks through all modules for hooks, which takes as long as the encoding.
            device=torch.device(loaded.source.device),
            num_images_per_prompt=1,
            **dict(encoding.fixed),
            **arguments,
        )
    named = zip(encoding.returns, values, strict=True)
    return {name: value for name, value in named if name and value is not None}


@contextmanager
def _with_text_model(encoder: Any) -> Iterator[None]:
    """A CLIP encoder as diffusers 0.42 reads it: for `clip_skip` it asks for `text_model.final_layer_norm`.

    transformers 5 has put that layer on the encoder itself. Set past the module's own bookkeeping, in which an encoder
    that is part of itself would never end.
    """
    is_flat = hasattr(encoder, "final_layer_norm") and not hasattr(encoder, "text_model")
    if is_flat:
        vars(encoder)["text_model"] = encoder
    try:
        yield
    finally:
        if is_flat:
            del vars(encoder)["text_model"]


def _bytes_of(tensors: Tensors) -> int:
    return sum(tensor.numel() * tensor.element_size() for tensor in tensors.values())
