"""A study's design as a JSON file: what the designer exports, the command line reads, and people put beside a paper."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any, Final

from django.contrib.auth.models import User

from arena.contender_wishes import Wish, wish_of_contender, wishes_of
from arena.criteria import PRESETS, CriterionSpec
from arena.designs import checked_design, checked_rater_rules
from arena.display import DisplayRule
from arena.models import Criterion, Study
from arena.refusals import StudyError
from generation.models import PromptSet
from generation.prompt_files import PromptFileError
from generation.prompt_files.strict_json import parse_strictly
from generation.prompt_sampling import SampleError, SampleRule

FORMAT: Final = "winrate-design"
VERSION: Final = 1
MOST_BYTES: Final = 2 * 1024 * 1024
MOST_CRITERIA: Final = 12
LONGEST_QUESTION: Final = 2_000
RESERVED_SLUGS: Final = frozenset({"new", "demo"})
KNOWN: Final = frozenset(
    {"format", "version", "slug", "name", "description", "prompts", "contenders", "sweeps", "labels", "baseline"}
    | {"criteria", "design", "rater_rules", "display_rule"}
)
_SLUG: Final = re.compile(r"[-a-zA-Z0-9_]{1,100}")


@dataclass(frozen=True)
class PlannedStudy:
    """A design that was read and checked; no row of it is stored yet.

    prompt_set: None only for a draft that keeps the prompts it has
    """

    slug: str
    name: str
    description: str
    prompt_set: PromptSet | None
    rule: SampleRule
    wishes: tuple[Wish, ...]
    criteria: tuple[CriterionSpec, ...]
    design: dict[str, Any] = field(default_factory=dict)
    rater_rules: dict[str, Any] = field(default_factory=dict)
    display_rule: dict[str, Any] | None = None


def read_design(data: bytes) -> dict[str, Any]:
    """The file as JSON, read strictly. Raises StudyError that names the line."""
    if len(data) > MOST_BYTES:
        raise _refusal(f"The design is larger than {MOST_BYTES // 2**20} MB.", "file")
    try:
        said = parse_strictly(data.decode("utf-8-sig"))
    except UnicodeDecodeError as error:
        raise _refusal(f"The design is not UTF-8: byte {error.start} cannot be read.", "file") from error
    except PromptFileError as error:
        place = f" in line {error.line}" if error.line else ""
        raise _refusal(f"The design cannot be read{place}: {error.reason}; {error.remedy}.", "file") from error
    if not isinstance(said, dict) or said.get("format", FORMAT) != FORMAT:
        raise _refusal(f'A design is a JSON object with "format": "{FORMAT}".', "format")
    if said.get("version", VERSION) != VERSION:
        raise _refusal(f"This is version {str(said['version'])[:20]} of the format; known is {VERSION}.", "version")
    return said


def planned_study(
    said: Mapping[str, Any],
    *,
    owner: User | None,
    keeps_prompts: bool = False,
    kept_recipes: frozenset[str] = frozenset(),
) -> PlannedStudy:
    """The design with everything in it found and checked. Without an owner, everything on the site may be used.

    keeps_prompts: the design may leave the prompts out, because a draft has them already
    kept_recipes:  digests of those that the draft has already, whoever they belong to
    Raises StudyError with the entry that is wrong.
    """
    if unknown := sorted(set(said) - KNOWN):
        raise _refusal(
            f"The design has an unknown entry {str(unknown[0])[:40]!r}; known are {', '.join(sorted(KNOWN))}.",
            str(unknown[0])[:40],
        )
    slug, name = _text(said, "slug", 100), _text(said, "name", 200)
    if not _SLUG.fullmatch(slug) or slug in RESERVED_SLUGS:
        raise _refusal(
            f"A short name has 1 to 100 letters, digits, - and _ and is not “new” or “demo”; {slug!r} cannot be one.",
            "slug",
        )
    if not name:
        raise _refusal("The study has no name: give one.", "name")
    prompts = said.get("prompts")
    prompt_set, rule = (None, SampleRule()) if prompts is None and keeps_prompts else _prompts(prompts, owner)
    design = checked_design(_object(said, "design"))
    design.pop("analysis", None)  # written at the opening, never taken from a file
    display_rule = said.get("display_rule")
    return PlannedStudy(
        slug=slug,
        name=name,
        description=_text(said, "description", 10_000),
        prompt_set=prompt_set,
        rule=rule,
        wishes=wishes_of(said, owner=owner, kept=kept_recipes),
        criteria=criteria_of(said.get("criteria", "sd3")),
        design=design,
        rater_rules=checked_rater_rules(_object(said, "rater_rules")),
        display_rule=None if display_rule is None else DisplayRule.from_json(_object(said, "display_rule")).to_json(),
    )


def criteria_of(said: Any) -> tuple[CriterionSpec, ...]:
    """The questions: the name of a published list, or one object a question. Raises StudyError."""
    if isinstance(said, str):
        if said not in PRESETS:
            raise _refusal(f"There is no list of questions {said[:40]!r}; known are {', '.join(PRESETS)}.", "criteria")
        return PRESETS[said]
    if not isinstance(said, list) or not 1 <= len(said) <= MOST_CRITERIA:
        raise _refusal(f"“criteria” must be a list of 1 to {MOST_CRITERIA} questions.", "criteria")
    found = tuple(_criterion(row, number) for number, row in enumerate(said, start=1))
    keys = [one.key for one in found]
    if twice := next((key for key in keys if keys.count(key) > 1), None):
        raise _refusal(f"Two questions have the key {twice!r}: rename one.", "criteria")
    return found


def design_file_of(study: Study) -> dict[str, Any]:
    """The design file that would make this study again, on this site or on another that has its prompts and weights."""
    sampling = study.design.get("sampling", {})
    prompts = {key: value for key, value in sampling.items() if key in ("set", "version", "digest", "sample")}
    contenders = study.contenders.select_related("recipe__checkpoint", "recipe__schedule").order_by("position")
    design = {key: value for key, value in study.design.items() if key not in ("analysis", "sampling", "unknown")}
    return {
        "format": FORMAT,
        "version": VERSION,
        "slug": study.slug,
        "name": study.name,
        "description": study.description,
        **({"prompts": prompts} if prompts else {}),
        "contenders": [wish_of_contender(one) for one in contenders],
        "criteria": [_criterion_to_json(one) for one in study.criteria.order_by("position")],
        "design": design,
        "rater_rules": study.rater_rules,
        "display_rule": study.display_rule,
    }


def sampling_of(prompt_set: PromptSet, rule: SampleRule) -> dict[str, Any]:
    """How a study's prompts were drawn, as its design keeps it."""
    return {
        "set": prompt_set.name,
        "version": prompt_set.version,
        "digest": prompt_set.digest,
        "sample": rule.to_json(),
    }


def _prompts(said: Any, owner: User | None) -> tuple[PromptSet, SampleRule]:
    if not isinstance(said, dict) or not isinstance(said.get("set"), str):
        raise _refusal(
            '“prompts” must be an object such as {"set": "PartiPrompts", "sample": {"count": 128}}.', "prompts"
        )
    if unknown := sorted(set(said) - {"set", "version", "digest", "sample"}):
        raise _refusal(f"“prompts” has an unknown entry {str(unknown[0])[:40]!r}.", "prompts")
    visible = PromptSet.objects.whole() if owner is None else PromptSet.objects.visible_to(owner)
    versions = visible.filter(name=said["set"]).order_by("-version")
    version = said.get("version")
    if version is not None:
        if not isinstance(version, int) or isinstance(version, bool) or not 0 < version < 2**31:
            raise _refusal("The version of a prompt set must be a whole number above 0.", "prompts")
        versions = versions.filter(version=version)
    found = versions.first()
    if found is None:
        which = f"{said['set'][:80]!r}" + (f" in version {version}" if version is not None else "")
        raise _refusal(f"There is no prompt set {which}: import it first, or name another.", "prompts")
    if said.get("digest", found.digest) != found.digest:
        raise _refusal(
            f"The prompts of “{found}” are not those that the design names: their content differs.", "prompts"
        )
    sample = said.get("sample", {})
    if not isinstance(sample, dict):
        raise _refusal('“sample” must be an object such as {"count": 128, "seed": 1}.', "prompts")
    try:
        return found, SampleRule.from_json(sample)
    except SampleError as error:
        raise _refusal(str(error), "prompts") from error


def _criterion(row: Any, number: int) -> CriterionSpec:
    place = f"Question {number}"
    known = {one.name for one in fields(CriterionSpec)}
    if not isinstance(row, dict) or (unknown := sorted(set(row) - known)):
        extra = f" has an unknown entry {str(unknown[0])[:40]!r}" if isinstance(row, dict) else " is no object"
        raise _refusal(f"{place}{extra}; known are {', '.join(sorted(known))}.", "criteria")
    for name, longest in (("key", 50), ("name", 100), ("question", LONGEST_QUESTION)):
        value = row.get(name)
        if not isinstance(value, str) or not value.strip() or len(value) > longest:
            raise _refusal(f"{place} needs a {name} of 1 to {longest} characters.", "criteria")
    if not _SLUG.fullmatch(row["key"]):
        raise _refusal(f"{place}: a key has letters, digits, - and _ only, not {row['key'][:50]!r}.", "criteria")
    for name in ("allows_tie", "allows_both_bad", "shows_prompt"):
        if not isinstance(row.get(name, True), bool):
            raise _refusal(f"{place}: {name} must be true or false.", "criteria")
    applies_to, categories = row.get("applies_to", "all"), row.get("categories", [])
    if applies_to not in Criterion.AppliesTo.values:
        raise _refusal(f"{place}: applies_to must be one of {', '.join(Criterion.AppliesTo.values)}.", "criteria")
    if not isinstance(categories, list) or not all(isinstance(one, str) for one in categories):
        raise _refusal(f"{place}: categories must be a list of texts.", "criteria")
    if (applies_to == Criterion.AppliesTo.CATEGORIES) != bool(categories):
        raise _refusal(f"{place}: name categories where it applies to some, and only there.", "criteria")
    return CriterionSpec(**{**row, "question": row["question"].strip(), "categories": tuple(categories)})


def _criterion_to_json(criterion: Criterion) -> dict[str, Any]:
    return {one.name: getattr(criterion, one.name) for one in fields(CriterionSpec)}


def _text(said: Mapping[str, Any], name: str, longest: int) -> str:
    value = said.get(name, "")
    if not isinstance(value, str) or len(value) > longest:
        raise _refusal(f"The design's {name} must be a text of at most {longest:,} characters.", name)
    return value.strip()


def _object(said: Mapping[str, Any], name: str) -> dict[str, Any]:
    value = said.get(name, {})
    if not isinstance(value, dict):
        raise _refusal(f"“{name}” must be an object.", name)
    return value


def _refusal(sentence: str, field_name: str) -> StudyError:
    return StudyError(sentence, code="bad_design", field=field_name)
