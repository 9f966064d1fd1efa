"""The demo family: its members and their budgets. No torch: `--list` reads this table too."""

from dataclasses import dataclass, field
from typing import Final

BATCH = 64
AUTOENCODER_STEPS = 1_000
DECODER_STEPS = 1_500
TEXT_STEPS = 700
SCENES = 30_720
FORMULATION_STEPS = 1_000
COOL_DOWN = 0.2
LORA_STEPS = 800


@dataclass(frozen=True)
class Spelling:
    """How a member goes on to learn words on a graphics card: minutes there, weeks on a CPU."""

    t5_steps: int
    steps: int
    batch: int
    shards: int
    """Files of fresh scenes, each of `scenes`."""
    scenes: int = 2_048


@dataclass(frozen=True)
class Member:
    """One training run: what is trained under which formulation, for how many steps, and what is kept of it."""

    name: str
    denoiser: str
    formulation: str
    steps: int
    cool_down: float = 0.0
    earlier: dict[str, int] = field(default_factory=dict)
    """Names of earlier checkpoints of the same run, and their steps."""
    offset_noise: float = 0.0
    """Deviation of a constant added to each channel of the training noise (Guttenberg, "Diffusion with offset noise").
    LDM's schedule ends before pure noise; without it the mean colour is read off the noise instead of the caption."""
    base: str = ""
    """The member that a LoRA adapter is trained on."""
    spelling: Spelling | None = None
    what: str = ""


MEMBERS: Final[dict[str, Member]] = {
    member.name: member
    for member in (
        Member(
            name="tiny-sd3",
            denoiser="mmdit",
            formulation="rf/lognorm(0,1)",
            steps=6_000,
            cool_down=COOL_DOWN,
            earlier={"tiny-sd3-early": FORMULATION_STEPS, "tiny-sd3-mid": 2_500},
            spelling=Spelling(t5_steps=4_000, steps=11_000, batch=1_024, shards=320),
            what="the best of the family, and two earlier checkpoints of the same run",
        ),
        Member("tiny-sd3-rf", "mmdit", "rf", FORMULATION_STEPS, what="uniform timesteps instead of logit-normal ones"),
        Member(
            "tiny-sd3-eps", "mmdit", "eps/linear", FORMULATION_STEPS, what="predicts noise on LDM's linear schedule"
        ),
        Member("tiny-sd3-v", "mmdit", "v/cos", FORMULATION_STEPS, what="predicts v on the cosine schedule"),
        Member(
            name="tiny-ldm",
            denoiser="unet",
            formulation="eps/linear",
            steps=4_200,
            cool_down=COOL_DOWN,
            offset_noise=0.3,
            what="latent diffusion: a UNet with cross-attention to one CLIP encoder, which cannot spell",
        ),
        Member(
            name="tiny-sd3-pastel",
            denoiser="lora",
            formulation="rf/lognorm(0,1)",
            steps=LORA_STEPS,
            base="tiny-sd3",
            what="a LoRA adapter on tiny-sd3: everything in pastel shades",
        ),
    )
}
