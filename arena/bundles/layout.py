"""What stands in a bundle: its files, the shape of every row, and how large things may be."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated, Any, Final, Literal

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field

from arena.refusals import Refusal

FORMAT: Final = "winrate study bundle"
VERSION: Final = 2

MANIFEST: Final = "manifest.json"
DESIGN: Final = "design.json"
RATERS: Final = "raters.jsonl"
IMAGES: Final = "images.jsonl"
BALLOTS: Final = "ballots.jsonl"
VOTES: Final = "votes.jsonl"
EXCLUSIONS: Final = "exclusions.jsonl"
RULE_TIES: Final = "rule_ties.jsonl"
ROOTS: Final = "roots.jsonl"
FITS: Final = "fits.jsonl"
GOLD: Final = "gold.jsonl"
CHECKS: Final = "checks.jsonl"
FLAGS: Final = "flags.jsonl"
METRICS: Final = "metrics.jsonl"
_FIRST: Final = (RATERS, IMAGES, BALLOTS, VOTES, EXCLUSIONS, RULE_TIES, ROOTS, FITS)
_SECOND: Final = (GOLD, CHECKS, FLAGS, METRICS)
TABLES_OF: Final = {1: _FIRST, 2: (*_FIRST, *_SECOND)}
"""The tables of each version of the format that can be read."""
TABLES: Final = TABLES_OF[VERSION]
PICTURES: Final = "images/"

# Some rows leave a few bytes each in memory while a bundle is read; these bound what they can come to.
MOST_PICTURES: Final = 500_000
MOST_BALLOTS: Final = 10_000_000
MOST_HEADS: Final = 2_000_000
"""Ends of chains that the roots of one bundle may name together."""
MOST_ROWS: Final = {
    RATERS: 1_000_000,
    IMAGES: 1_000_000,
    BALLOTS: MOST_BALLOTS,
    VOTES: 5 * MOST_BALLOTS,
    EXCLUSIONS: 1_000_000,
    RULE_TIES: 1_000_000,
    ROOTS: 100_000,
    FITS: 1_000,
    GOLD: 100_000,
    CHECKS: MOST_BALLOTS,
    FLAGS: 1_000_000,
    METRICS: 10_000_000,
}

Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
Place = Annotated[int, Field(ge=0, lt=5 * MOST_BALLOTS)]
"""Which row of another file, counted from 0."""
Text = Annotated[str, Field(max_length=20_000, pattern=r"^[^\x00]*$")]
Short = Annotated[str, Field(max_length=200, pattern=r"^[^\x00]*$")]
Number = Annotated[float, Field(allow_inf_nan=False)]
Id = Annotated[int, Field(ge=1, lt=2**63)]
# Near the first and the last year that a computer knows, another time zone is no date any more.
Moment = Annotated[AwareDatetime, Field(ge=datetime(1970, 1, 1, tzinfo=UTC), lt=datetime(2200, 1, 1, tzinfo=UTC))]
Stratum = Literal["people", "simulated", "anonymous"]


class BundleError(Refusal):
    """A bundle that cannot be written or taken; nothing of it was."""

    def __init__(self, sentence: str, *, code: str = "bad_bundle", field: str = "bundle") -> None:
        super().__init__(sentence, code=code, field=field)


class Row(BaseModel):
    """One line, with nothing in it that is not asked for."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)


class FileFacts(Row):
    """What the manifest says about one entry of the zip."""

    sha256: Sha256
    bytes: Annotated[int, Field(ge=0, lt=2**40)]
    rows: Annotated[int, Field(ge=0, lt=2**40)] | None = None


class Manifest(Row):
    """The table of contents. `public`: rounded times and no row numbers, so that the vote chains cannot be checked."""

    format: Literal["winrate study bundle"]
    version: int
    study: Short
    made_at: Moment
    public: bool
    pictures: bool
    versions: dict[str, str]
    files: dict[str, FileFacts]


class CheckpointRow(Row):
    name: Annotated[str, Field(pattern=r"^[-\w]{1,100}$")]
    source: Annotated[str, Field(max_length=500)]
    revision: Annotated[str, Field(max_length=40)]
    pipeline_class: Annotated[str, Field(max_length=100)]
    adapters: list[Any]
    base: Annotated[str, Field(max_length=500)]
    file_hashes: dict[str, Any]
    size_bytes: Annotated[int, Field(ge=0, lt=2**63)] | None
    licence: Short
    loss_family: Annotated[str, Field(max_length=100)]
    validation_loss: Number | None
    training_step: Annotated[int, Field(ge=0, lt=2**63)] | None
    parameters: Annotated[int, Field(ge=0, lt=2**63)] | None


class ScheduleRow(Row):
    scheduler_class: Annotated[str, Field(max_length=100)]
    options: dict[str, Any]
    steps: Annotated[int, Field(ge=1, lt=2**31)]
    shift: Number | None
    sigmas: list[Number] | None


class RecipeRow(Row):
    name: Short
    kind: Literal["generated", "external"]
    digest: Sha256
    guidance: Number
    width: Annotated[int, Field(ge=1, le=65_536)]
    height: Annotated[int, Field(ge=1, le=65_536)]
    dtype: Annotated[str, Field(max_length=10)]
    negative_prompt: Text
    call_options: dict[str, Any]
    without: list[Any]
    batch_mode: Annotated[str, Field(max_length=10)]
    resolved_sigmas: list[Number] | None
    resolved_timesteps: list[Number] | None
    evaluations: Annotated[int, Field(ge=0, lt=2**31)] | None
    notes: Text
    checkpoint: CheckpointRow | None
    schedule: ScheduleRow | None


class ContenderRow(Row):
    label: Short
    is_baseline: bool
    withdrawn_at: Moment | None
    recipe: RecipeRow


class CriterionRow(Row):
    key: Annotated[str, Field(pattern=r"^[-\w]{1,50}$")]
    name: Annotated[str, Field(max_length=100)]
    question: Text
    allows_tie: bool
    allows_both_bad: bool
    shows_prompt: bool
    applies_to: Literal["all", "has_text", "categories"]
    categories: list[Short]


class PromptRow(Row):
    text: Text
    category: Short
    challenge: Short
    target_text: Text | None
    tags: list[Any]
    metadata: dict[str, Any]
    stratum: Short
    criteria: list[Place]


class Change(Row):
    """What an amendment says happened to a contender, which is named by its place."""

    act: Short
    label: Short = ""
    recipe: Short = ""
    contender: Place | None = None


class AmendmentRow(Row):
    change: Change
    reason: Text
    at: Moment


class Design(Row):
    """What was asked of people about which contenders, as it was frozen."""

    slug: Annotated[str, Field(pattern=r"^[-\w]{1,100}$")]
    name: Short
    description: Text
    design: dict[str, Any]
    display_rule: dict[str, Any]
    rater_rules: dict[str, Any]
    counts_simulated: bool
    state: Literal["open", "paused", "closed"]
    frozen_digest: Sha256
    opened_at: Moment | None
    closed_at: Moment | None
    study_id: Id | None = None
    criteria: Annotated[list[CriterionRow], Field(max_length=100)]
    criteria_ids: list[Id] = []
    contenders: list[ContenderRow]
    contender_ids: list[Id] = []
    prompts: list[PromptRow]
    prompt_ids: list[Id] = []
    prompt_sets: list[dict[str, Any]]
    amendments: list[AmendmentRow]


class RaterLine(Row):
    rater: Annotated[str, Field(pattern=r"^[0-9a-f]{16}$")]
    kind: Literal["invited", "signed_in", "anonymous", "panel", "simulated"]
    joined_at: Moment
    traits: dict[str, Any] = {}
    id: Id | None = None


class ImageLine(Row):
    contender: Place
    prompt_text: Text
    sample: Annotated[int, Field(ge=0, lt=2**31)]
    seed: Annotated[int, Field(ge=0, lt=2**63)] | None
    file_sha256: Sha256
    pixels_sha256: Sha256
    width: Annotated[int, Field(ge=1, le=65_536)]
    height: Annotated[int, Field(ge=1, le=65_536)]
    seconds: Number | None
    provenance: dict[str, Any]
    is_quarantined: bool
    id: Id | None = None


class BallotLine(Row):
    rater: Place
    prompt: Place
    left: Place
    right: Place
    left_image: Place | None
    right_image: Place | None
    stratum: Stratum
    purpose: Literal["ordinary", "gold", "repeat", "qualification"]
    origin: Literal["issued", "imported"]
    rule: Annotated[str, Field(max_length=30)]
    probability: Annotated[float, Field(ge=0, le=1)] | None
    position: Annotated[int, Field(ge=0, lt=2**31)]
    state: Literal["open", "answered", "expired", "superseded"]
    issued_at: Moment
    shown_at: Moment | None
    answered_at: Moment | None
    supersedes: Place | None
    id: Id | None = None


class VoteLine(Row):
    ballot: Place
    criterion: Place
    choice: Literal["left", "right", "tie", "both_bad", "skip"]
    skip_reason: Short = ""
    cast_at: Moment
    milliseconds: Annotated[int, Field(ge=0, lt=2**31)] | None = None
    sequence: Annotated[int, Field(ge=0, lt=2**31)]
    hash: Annotated[str, Field(pattern=r"^([0-9a-f]{64})?$")] | None = None
    id: Id | None = None


class ExclusionLine(Row):
    """`reason`: only in bundles for researchers, since version 2."""

    scope: Literal["vote", "ballot", "rater", "image"]
    target: Place
    at: Moment
    reason: Text = ""


class RuleTieLine(Row):
    prompt: Place
    low: Place
    high: Place
    weight: Annotated[float, Field(gt=0, le=1e9, allow_inf_nan=False)]


class RootLine(Row):
    root: Sha256
    heads: dict[Annotated[str, Field(pattern=r"^[0-9]{1,18}$")], Annotated[int, Field(ge=0, lt=2**31)]]
    votes: Annotated[int, Field(ge=0)]
    at: Moment


class FitLine(Row):
    """A fit of the site that made the bundle. `is_current`: it saw the very votes of the bundle."""

    criterion: Place
    is_current: bool
    options: dict[str, Any]
    strata: list[str]
    vote_count: int
    rater_count: int
    prompt_count: int
    code_version: Short
    results: dict[str, Any]


class GoldLine(Row):
    """A pair of images with known answers. Who proposed and reviewed it stays on its site."""

    prompt: Place
    first_image: Place
    second_image: Place
    answers: dict[Annotated[str, Field(max_length=50)], Literal["first", "second", "tie"]]
    reviewed_at: Moment | None
    retired_at: Moment | None


class CheckLine(Row):
    """What the answers on a ballot were held against: a known answer, or the ballot that it repeats."""

    ballot: Place
    gold: Place | None = None
    repeats: Place | None = None


class FlagLine(Row):
    """A suspicion of the machine, on a rater or on a cohort of raters."""

    rater: Place | None
    cohort: Annotated[str, Field(max_length=60, pattern=r"^[^\x00]*$")]
    criterion: Place | None
    kind: Annotated[str, Field(max_length=30, pattern=r"^[^\x00]*$")]
    p: Number
    statistic: dict[str, Any]
    sentence: Text
    found_at: Moment
    faded_at: Moment | None
    dismissed_at: Moment | None


class MetricLine(Row):
    """An automatic number about an image, or about a contender over images."""

    image: Place | None = None
    contender: Place | None = None
    name: Annotated[str, Field(min_length=1, max_length=60, pattern=r"^[^\x00]*$")]
    value: Number
    source: Annotated[str, Field(min_length=1, max_length=300, pattern=r"^[^\x00]*$")]
    prompts_digest: Annotated[str, Field(pattern=r"^([0-9a-f]{64})?$")] = ""
    basis: Annotated[str, Field(pattern=r"^([0-9a-f]{64})?$")] = ""
