"""Model cards: what a checkpoint is, what it was made of, and what it can do."""

# ruff: noqa: E501 - lines of the cards

from dataclasses import dataclass, field
from typing import Any

from generation.training.adapter import BATCH as ADAPTER_BATCH
from generation.training.adapter import PASTEL, RANK
from generation.training.evaluation import ATTRIBUTES, Quality
from generation.training.family import BATCH, SCENES, Member

_HEAD = """---
license: apache-2.0
library_name: diffusers
pipeline_tag: text-to-image
---
# {name}

"""

_FAMILY = """It draws 64 x 64 pictures of coloured shapes and signs and exists so that Winrate can be tried, and checked against a
known truth, on a CPU. Its autoencoder (f=4, 8 latent channels) and text encoders were trained first and are shared by
the whole family (`parts/`, linked from here).
"""

_WHAT = {
    "mmdit": "A Stable Diffusion 3 in miniature: the stock `StableDiffusion3Pipeline` with an MM-DiT, two CLIP text"
    " encoders that know the words of the captions but cannot spell, and a T5 encoder that can. The T5 encoder was"
    " dropped in 15 % of training, so it may be left out (`text_encoder_3`), as in SD3's ablation.",
    "unet": "Latent diffusion in miniature: the stock `StableDiffusionPipeline` with a UNet whose cross-attention sees"
    " one CLIP encoder. That encoder cannot spell, so signs show scribbles.",
}


@dataclass(frozen=True)
class Measured:
    """What the picture checker saw of a checkpoint.

    by_steps:   with the stored scheduler
    without_t5: by steps too, without the third text encoder; empty where there is none
    by_sampler: sampler -> steps -> quality, with other schedulers; empty where none was tried
    """

    by_steps: dict[int, Quality]
    without_t5: dict[int, Quality] = field(default_factory=dict)
    by_sampler: dict[str, dict[int, Quality]] = field(default_factory=dict)


def model_card(member: Member, facts: dict[str, Any], measured: Measured, *, examples: int) -> str:
    """The card of a checkpoint as Markdown."""
    sampling = (
        "guidance 3, explicit sigmas `linspace(1, 1/N, N)`, `max_sequence_length=18`"
        if member.formulation.startswith("rf")
        else "guidance 3, the stored scheduler with N steps (DDIM's update)"
    )
    return f"""{_HEAD.format(name=facts["name"])}{_WHAT[member.denoiser]}

{_FAMILY}
- **Formulation**: {facts["loss_family"]} (SD3, arXiv 2403.03206, section 3){_offset(member)}.
- **Data**: {SCENES:,} scenes drawn by `generation/scenes`, captions of its grammar. 5 % of all captions (chosen by hash)
  and all signs with the held-out words were never seen in training.
- **Budget**: {facts["training_step"] - facts.get("spelling", {}).get("steps", 0):,} steps of {BATCH} scenes on one CPU core; Muon and AdamW, constant learning rate
  {"with a cool-down over the last fifth" if member.cool_down and facts["name"] == member.name else "without a cool-down"},
  weights averaged over about the last tenth, 10 % caption dropout; `python manage.py train_demo_models {member.name}`.{_break(facts)}{_spelling(facts)}
- **Parameters**: {facts["parameters"] / 1e6:.1f} million in all parts.
- **Validation loss**: {facts["validation_loss"]} ({facts["loss_family"]}; eight noise levels equidistant in t without
  t = 1, averaged, on 256 held-out scenes; section 5.3). Comparable within this formulation only.
- **Sampling**: {sampling}.
- **Licence**: {facts["licence"]}, weights and data.

What the picture checker (`generation/scenes/checker`) sees on {examples} held-out captions, a quarter of them signs, at
guidance 3: the share of the captions naming it in which each is right; letters: the share of letters that read right.

{_table("steps", measured_rows(measured))}
{_by_sampler(measured)}"""


def measured_rows(measured: Measured) -> dict[str, Quality]:
    """The rows of the card's first table."""
    rows = {str(steps): quality for steps, quality in measured.by_steps.items()}
    return rows | {f"{steps}, without T5": quality for steps, quality in measured.without_t5.items()}


def _by_sampler(measured: Measured) -> str:
    if not measured.by_sampler:
        return ""
    rows = {
        f"{sampler}, {steps}": quality
        for sampler, by_steps in measured.by_sampler.items()
        for steps, quality in by_steps.items()
    }
    return f"""
The same captions and noise with other schedulers on the same betas, their timesteps spaced from the end ("trailing"):

{_table("sampler, steps", rows)}
"""


def _offset(member: Member) -> str:
    return f", with offset noise {member.offset_noise:g} in training" if member.offset_noise else ""


def _break(facts: dict[str, Any]) -> str:
    step = facts.get("optimiser_fresh_from")
    return (
        f"""
  At step {step:,} the run went on from the weights shipped until then (half precision) with fresh optimisers."""
        if step
        else ""
    )


def _spelling(facts: dict[str, Any]) -> str:
    told = facts.get("spelling")
    if not told:
        return ""
    return f"""
- **Spelling**: then, on one {told["device"]} (`train_demo_models spelling`), {told["t5_steps"]:,} steps of {told["batch"]:,} captions for a copy of
  the T5 encoder, which is this checkpoint's own, and {told["steps"]:,} steps of {told["batch"]:,} scenes for the transformer, of {told["scenes"]:,}
  fresh ones, 60 % of them signs. The autoencoder and the CLIP encoders stayed as they are."""


def adapter_card(member: Member, facts: dict[str, Any]) -> str:
    """The card of a LoRA adapter as Markdown."""
    return f"""{_HEAD.format(name=facts["name"])}A LoRA adapter (rank {RANK}, attention only) on `{facts["adapter_of"]}`: {member.what}. Register it by itself
(`python manage.py add_checkpoint {facts["name"]} {facts["name"]}`): its base is found beside it.

- **Formulation**: {facts["loss_family"]}, as its base.
- **Data**: scenes drawn by `generation/scenes`, every shade moved {PASTEL:.0%} of the way to white.
- **Budget**: {facts["training_step"] - facts.get("spelling", {}).get("steps", 0):,} steps of {ADAPTER_BATCH} scenes on one CPU core;
  `python manage.py train_demo_models {member.name}`.
- **Parameters**: {facts["adapter_parameters"]:,}, beside those of the base.
- **Sampling**: as its base: guidance 3, explicit sigmas `linspace(1, 1/N, N)`, `max_sequence_length=18`.
- **Licence**: {facts["licence"]}.
"""


def _table(first: str, rows: dict[str, Quality]) -> str:
    lines = [f"| {first} | {' | '.join(ATTRIBUTES)} |", "|---" * (len(ATTRIBUTES) + 1) + "|"]
    for name, measured in rows.items():
        lines.append(f"| {name} | " + " | ".join(_share(measured, attribute) for attribute in ATTRIBUTES) + " |")
    return "\n".join(lines)


def _share(measured: Quality, attribute: str) -> str:
    """A dash where no caption named it."""
    return f"{measured[attribute]:.0%}" if attribute in measured else "–"
