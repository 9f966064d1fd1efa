"""Published protocols as a start for a design, each with where it departs from its paper."""

from dataclasses import dataclass, field
from typing import Any, Final

from arena.criteria import PRESETS, CriterionSpec
from arena.pair_designs import AGAINST_BASELINE, ALL_PAIRS

ONE_IMAGE: Final = "Raters see one image a side."


@dataclass(frozen=True)
class Protocol:
    """What a study that follows a paper asks, and what it does otherwise.

    departs: every difference from the paper, and everything that the paper leaves open and is decided here
    """

    name: str
    title: str
    paper: str
    summary: str
    criteria: tuple[CriterionSpec, ...]
    design: dict[str, Any] = field(default_factory=dict)
    rater_rules: dict[str, Any] = field(default_factory=dict)
    sample: int | None = None
    departs: tuple[str, ...] = ()


_OWN_WORDS: Final = "The questions are in our words; put the paper's own in where you have them."

PROTOCOLS: Final[dict[str, Protocol]] = {
    protocol.name: protocol
    for protocol in (
        Protocol(
            name="sd3",
            title="SD3",
            paper="Esser et al. 2024, Scaling Rectified Flow Transformers, arXiv 2403.03206, section 5.3",
            summary="Every opponent against one baseline, three questions, about three votes a comparison.",
            criteria=PRESETS["sd3"],
            design={"pairs": AGAINST_BASELINE, "target_votes": 3},
            rater_rules={"repeat_share": 0.05},
            sample=128,
            departs=(
                "The paper does not say whether raters could call a tie; here they can, in every question.",
                "128 PartiPrompts and three votes are what the paper says of its DPO study; it prints no rater count, "
                "no intervals and no agreement for Fig. 7. Here all three are reported.",
                "The typography question is asked only where a prompt has text to render.",
                "One ballot in twenty is asked again to see whether raters agree with themselves; the paper says "
                "nothing of such checks.",
            ),
        ),
        Protocol(
            name="svd-add",
            title="SVD and ADD round robin",
            paper="Blattmann et al. 2023, arXiv 2311.15127, appendix E; Sauer et al. 2023, arXiv 2311.17042",
            summary="Every two contenders, three votes by different people, no ties, checks in between.",
            criteria=tuple(one for one in PRESETS["sd3_house"] if one.key in ("prompt-following", "aesthetics")),
            design={"pairs": ALL_PAIRS, "target_votes": 3},
            rater_rules={"gold_share": 0.1},
            departs=(
                "The questions are those that the same team printed a year later for SD3, because that wording is "
                "known exactly.",
                "Strengths are fitted by Bradley-Terry with clustered intervals; the papers report Elo (K = 1, start "
                "1000, mean of 1000 bootstraps over shuffled order).",
                "The papers speak of frequent attention checks and give no share: here one ballot in ten has a known "
                "answer, once somebody has reviewed such answers.",
            ),
        ),
        Protocol(
            name="dalle3",
            title="DALL-E 3",
            paper="Betker et al. 2023, Improving Image Generation with Better Captions",
            summary="Two choices, three votes a pair and question; style and coherence are judged without the caption.",
            criteria=(
                CriterionSpec(
                    key="style",
                    name="Style",
                    question="Which image do you prefer?",
                    allows_tie=False,
                    shows_prompt=False,
                ),
                CriterionSpec(
                    key="coherence",
                    name="Coherence",
                    question="Which image shows more coherent objects, such as could exist: bodies, faces, the "
                    "placement of things, text?",
                    allows_tie=False,
                    shows_prompt=False,
                ),
                CriterionSpec(
                    key="prompt-following",
                    name="Prompt following",
                    question="Which image corresponds better to the caption?",
                    allows_tie=False,
                ),
            ),
            design={"pairs": ALL_PAIRS, "target_votes": 3},
            departs=(
                _OWN_WORDS,
                "One rater answers all questions of a pair, those without the caption first, before it appears; in "
                "the paper each question was a task of its own.",
            ),
        ),
        Protocol(
            name="imagen",
            title="Imagen DrawBench",
            paper="Saharia et al. 2022, Photorealistic Text-to-Image Diffusion Models, arXiv 2205.11487",
            summary="Each opponent against one baseline, a middle choice, 25 raters, controls.",
            criteria=(
                CriterionSpec(
                    key="alignment", name="Alignment", question="Which image represents the text caption better?"
                ),
                CriterionSpec(key="fidelity", name="Fidelity", question="Which image is of higher quality?"),
            ),
            design={"pairs": AGAINST_BASELINE, "target_votes": 25},
            rater_rules={"gold_share": 0.1},
            departs=(
                f"{ONE_IMAGE} In the paper raters compared two sets of eight images.",
                _OWN_WORDS,
                "The paper's 25 raters judged each category; here 25 people judge each pair on each prompt.",
                "Control trials: the paper keeps raters with at least 80 % correct. Here one ballot in ten has a known "
                "answer, once reviewed, and who fails is flagged: excluding is a person's act, with its reason.",
                "The middle choice is a tie, which counts as half a win.",
            ),
        ),
        Protocol(
            name="glide",
            title="GLIDE",
            paper="Nichol et al. 2021, GLIDE, arXiv 2112.10741",
            summary="Every two contenders with ties; a tie is half a win; strengths on a logistic scale.",
            criteria=(
                CriterionSpec(
                    key="photorealism", name="Photorealism", question="Which image looks more like a photograph?"
                ),
                CriterionSpec(
                    key="caption-similarity",
                    name="Caption similarity",
                    question="Which image matches the caption better?",
                ),
            ),
            design={"pairs": ALL_PAIRS, "target_votes": 3},
            departs=(
                _OWN_WORDS,
                "The paper's “Elo” is the maximum of the same Bradley-Terry likelihood on the scale 400/ln 10; here "
                "strengths are natural log odds, with clustered intervals.",
                "Three votes for each pair and prompt are our choice.",
            ),
        ),
    )
}
