"""Questions that published studies asked, word for word, as data that a study can be built from."""

from dataclasses import dataclass, replace

from arena.models import Criterion


@dataclass(frozen=True)
class CriterionSpec:
    """One question before it belongs to a study; the fields are those of the Criterion row."""

    key: str
    name: str
    question: str
    allows_tie: bool = True
    allows_both_bad: bool = False
    shows_prompt: bool = True
    applies_to: str = Criterion.AppliesTo.ALL
    categories: tuple[str, ...] = ()


# Questions as printed in section 5.3 of arXiv 2403.03206. The paper does not say whether raters could call a tie, so
# the preset named after it allows one for every question: with few steps two contenders are often equally bad, and a
# forced choice would turn that into noise.
_SD3 = (
    CriterionSpec(
        key="prompt-following",
        name="Prompt following",
        question="Which image looks more representative to the text shown above and faithfully follows it?",
    ),
    CriterionSpec(
        key="aesthetics",
        name="Visual aesthetics",
        question="Given the prompt, which image is of higher-quality and aesthetically more pleasing?",
    ),
    CriterionSpec(
        key="typography",
        name="Typography",
        question=(
            "Which image more accurately shows/displays the text specified in the above description? "
            "More accurate spelling is preferred! Ignore other aspects."
        ),
        applies_to=Criterion.AppliesTo.HAS_TEXT,
    ),
)

PRESETS: dict[str, tuple[CriterionSpec, ...]] = {
    "sd3": _SD3,
    # The written protocol of the same team (arXiv 2311.15127, appendix E) has no ties.
    "sd3_house": tuple(replace(criterion, allows_tie=False) for criterion in _SD3),
}
