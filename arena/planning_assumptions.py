"""What a plan assumes about raters and votes: the part of a design that no software can know."""

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any, Final

from arena.models import Study
from arena.refusals import StudyError

LONGEST_HYPOTHESES: Final = 10_000
LONGEST_PROTOCOL: Final = 40
RANGES: Final[dict[str, tuple[float, float]]] = {
    "raters": (3, 1_000_000),
    "seconds_per_ballot": (1, 3_600),
    "ties": (0, 0.95),
    "rho": (0, 0.9),
    "rater_rho": (0, 0.9),
    "power": (0.05, 0.9999),
    "level": (0.5, 0.9999),
    "margin": (0.005, 0.4),
}


@dataclass(frozen=True)
class Assumptions:
    """What the plan of a study takes for granted until its votes say otherwise.

    raters:             how many people will answer; None for so many that it does not matter
    seconds_per_ballot: median time for a ballot with all its questions
    ties:               share of votes that are ties
    rho:                correlation of votes on one pair and prompt; .44 was measured on TIFA160
    rater_rho:          correlation of one rater's votes on a pair
    power, level:       of the comparison of two contenders
    margin:             by how much more than half the most steps may win for fewer to be called not worse
    """

    raters: int | None = 20
    seconds_per_ballot: float = 15.0
    ties: float = 0.2
    rho: float = 0.45
    rater_rho: float = 0.1
    power: float = 0.8
    level: float = 0.95
    margin: float = 0.05

    @classmethod
    def from_json(cls, said: Mapping[str, Any]) -> "Assumptions":
        """Raises StudyError with the entry that it cannot read."""
        known = {field.name for field in fields(cls)}
        if unknown := sorted(set(said) - known):
            raise _refusal(f"has an unknown entry {str(unknown[0])[:40]!r}; known are {', '.join(sorted(known))}")
        for name, value in said.items():
            low, high = RANGES[name]
            if name == "raters" and value is None:
                continue
            if not isinstance(value, int | float) or isinstance(value, bool) or not math.isfinite(value):
                raise _refusal(f"{name} must be a number, not {str(value)[:40]!r}")
            if not low <= value <= high or (name == "raters" and value != int(value)):
                kind = "whole number" if name == "raters" else "number"
                raise _refusal(f"{name} must be a {kind} from {low:g} to {high:g}, not {value:g}")
        values = dict(said)
        if values.get("raters") is not None and "raters" in values:
            values["raters"] = int(values["raters"])
        return cls(**values)

    def to_json(self) -> dict[str, Any]:
        return asdict(self)


def assumptions_of(study: Study) -> Assumptions | None:
    """None for a study that was made without a plan."""
    said = study.design.get("planning")
    return None if said is None else Assumptions.from_json(said)


def check_assumptions(design: Mapping[str, Any]) -> None:
    """Whether a design's planning, hypotheses and protocol can be read. Raises StudyError."""
    planning = design.get("planning", {})
    if not isinstance(planning, dict):
        raise _refusal("must be an object such as {“raters”: 20}")
    read = Assumptions.from_json(planning)
    if read.rho + read.rater_rho >= 1:
        raise _refusal("rho and rater_rho must add up to less than 1")
    for name, longest in (("hypotheses", LONGEST_HYPOTHESES), ("protocol", LONGEST_PROTOCOL)):
        value = design.get(name, "")
        if not isinstance(value, str) or len(value) > longest:
            raise StudyError(
                f"The design's {name} must be a text of at most {longest:,} characters.",
                code=f"bad_{name}",
                field="design",
            )


def _refusal(sentence: str) -> StudyError:
    return StudyError(f"The design's planning: {sentence}.", code="bad_planning", field="planning")
