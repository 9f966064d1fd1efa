"""A criterion's results by parts, ready to be read: categories, strata, agreement, prompts that divide."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from arena.leaderboard import CriterionResults, Estimate, Row
from arena.models import Contender, Study, StudyPrompt
from generation.models import Image

Told = Mapping[str, Any]

TITLES: Final = {
    "category": "By category",
    "challenge": "By challenge",
    "stratum": "By kind of rater",
    "exclusions": "With and without exclusions",
}
_CLEAR: Final = 0.05


@dataclass(frozen=True)
class Part:
    """One category or stratum: how much was counted, and each contender against the baseline in the order of rows."""

    name: str
    votes: int
    raters: int
    prompts: int
    shares: tuple[Estimate, ...]


@dataclass(frozen=True)
class Breakdown:
    """A criterion by one grouping. `rows` are the contenders but the baseline, strongest overall first."""

    key: str
    title: str
    rows: tuple[Row, ...]
    parts: tuple[Part, ...]
    overall: Part
    finding: str

    @property
    def lines(self) -> list[tuple[Row, Estimate, list[Estimate]]]:
        """The table line by line: contender, overall, each part."""
        return [
            (row, self.overall.shares[place], [part.shares[place] for part in self.parts])
            for place, row in enumerate(self.rows)
        ]


@dataclass(frozen=True)
class Agreement:
    """How far raters agree on the same pair and prompt."""

    units: int
    same: str
    by_chance: str
    nominal: Estimate
    ordinal: Estimate
    ceiling: float | None


@dataclass(frozen=True)
class HardPrompt:
    """A prompt on which raters agree least."""

    text: str
    votes: int
    same: str
    pairs: int
    ties: int
    both_bad: int


@dataclass(frozen=True)
class Disagreement:
    """Two images of one prompt on which raters contradict one another; images are None where none can be shown."""

    prompt_id: int
    text: str
    one: Contender
    other: Contender
    for_one: int
    neither: int
    for_other: int
    one_image: int | None
    other_image: int | None


@dataclass(frozen=True)
class Divisions:
    """What divides raters under one criterion."""

    hardest: tuple[HardPrompt, ...] = ()
    disagreements: tuple[Disagreement, ...] = ()


def breakdowns_of(results: CriterionResults) -> tuple[Breakdown, ...]:
    """Empty where the fit looked at no parts."""
    views = _findings(results).get("views", {})
    return tuple(_breakdown(results, key, title, views[key]) for key, title in TITLES.items() if key in views)


def agreement_of(results: CriterionResults) -> Agreement | None:
    """None where nobody answered what another did."""
    told = _findings(results).get("agreement")
    if not told:
        return None
    nominal, ordinal = (
        Estimate(told[metric]["alpha"], told[metric]["low"], told[metric]["high"]) for metric in ("nominal", "ordinal")
    )
    same, chance = (Estimate(told[name]).whole_percent for name in ("same", "expected_by_chance"))
    return Agreement(told["units"], same, chance, nominal, ordinal, told["ceiling"])


def divisions_of(results: Sequence[CriterionResults], study: Study) -> dict[str, Divisions]:
    """By criterion key, with the first sample's images; two queries for all."""
    told = {one.criterion.key: _findings(one).get("prompts") or {} for one in results}
    divided = [each for own in told.values() for each in own.get("disagreements", ())]
    hard = [each for own in told.values() for each in own.get("hardest", ())]
    texts = _texts(study, {each["prompt"] for each in (*divided, *hard)})
    contenders = {row.contender.pk: row.contender for one in results for row in one.rows}
    images = _images(divided, texts, contenders)
    return {
        key: Divisions(
            hardest=tuple(_hard(each, texts) for each in own.get("hardest", ()) if each["prompt"] in texts),
            disagreements=tuple(
                _disagreement(each, texts, contenders, images)
                for each in own.get("disagreements", ())
                if each["prompt"] in texts and all(pk in contenders for pk in each["pair"])
            ),
        )
        for key, own in told.items()
    }


def _findings(results: CriterionResults) -> Told:
    findings: Told | None = results.fit.results.get("findings") if results.fit else None
    return findings or {}


def _breakdown(results: CriterionResults, key: str, title: str, told: Told) -> Breakdown:
    fitted = results.fit.results["contenders"] if results.fit else []
    place = {entry["id"]: index for index, entry in enumerate(fitted)}
    rows = tuple(row for row in results.rows if not row.is_baseline and row.contender.pk in place)
    parts = tuple(
        Part(
            name=part["name"],
            votes=part["votes"],
            raters=part["raters"],
            prompts=part["prompts"],
            shares=tuple(Estimate(*part["against_baseline"][place[row.contender.pk]]) for row in rows),
        )
        for part in told["parts"]
    )
    whole = tuple(row.against_baseline for row in rows)
    overall = Part("overall", results.votes, results.raters, results.prompts, whole)
    return Breakdown(key, title, rows, parts, overall, _finding(key, told.get("interaction")))


def _finding(key: str, tested: Told | None) -> str:
    if tested is None or tested["p"] is None:
        return ""
    plural = {"category": "categories", "challenge": "challenges"}.get(key, "parts")
    p = "p < 0.001" if tested["p"] < 0.001 else f"p = {tested['p']:.3f}"
    if tested["p"] < _CLEAR:
        return f"How contenders compare depends on the {key} ({p}, {tested['parts']} {plural})."
    return f"No sure sign that differences between contenders depend on the {key} ({p}, {tested['parts']} {plural})."


def _texts(study: Study, prompts: set[int]) -> dict[int, tuple[str, str]]:
    """Text and its digest by study prompt id."""
    if not prompts:
        return {}
    rows = StudyPrompt.objects.filter(study=study, pk__in=prompts).order_by()
    return {pk: (text, digest) for pk, text, digest in rows.values_list("pk", "prompt__text", "prompt__text_digest")}


def _hard(each: Told, texts: Mapping[int, tuple[str, str]]) -> HardPrompt:
    return HardPrompt(
        text=texts[each["prompt"]][0],
        votes=each["votes"],
        same=Estimate(each["same"]).whole_percent,
        pairs=each["pairs"],
        ties=each["ties"],
        both_bad=each["both_bad"],
    )


def _images(
    pairs: Sequence[Told], texts: Mapping[int, tuple[str, str]], contenders: Mapping[int, Contender]
) -> dict[tuple[int, str], int]:
    """The first image by recipe and text digest."""
    recipes = {contenders[pk].recipe_id for each in pairs for pk in each["pair"] if pk in contenders}
    digests = {texts[each["prompt"]][1] for each in pairs if each["prompt"] in texts}
    if not recipes or not digests:
        return {}
    found = Image.objects.filter(recipe__in=recipes, prompt_digest__in=digests, sample=0, is_quarantined=False)
    return {(recipe, digest): pk for pk, recipe, digest in found.values_list("pk", "recipe", "prompt_digest")}


def _disagreement(
    each: Told,
    texts: Mapping[int, tuple[str, str]],
    contenders: Mapping[int, Contender],
    images: Mapping[tuple[int, str], int],
) -> Disagreement:
    text, digest = texts[each["prompt"]]
    one, other = (contenders[pk] for pk in each["pair"])
    for_one, neither, for_other = each["answers"]
    return Disagreement(
        prompt_id=each["prompt"],
        text=text,
        one=one,
        other=other,
        for_one=for_one,
        neither=neither,
        for_other=for_other,
        one_image=images.get((one.recipe_id, digest)),
        other_image=images.get((other.recipe_id, digest)),
    )
