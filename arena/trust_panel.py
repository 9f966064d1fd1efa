"""Can a result be trusted? What the worker found about that, as sentences and small tables for pages and reports."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from arena.charts.words import plural, rounded
from arena.leaderboard import CriterionResults, Estimate

Told = Mapping[str, Any]

_FEW_VOTES: Final = 10
_FEW_TO_FLIP: Final = 3
_MOST_FORETOLD: Final = 1_000_000
_UNITS: Final = {"vote": ("vote", "votes"), "rater": ("rater", "raters"), "prompt": ("prompt", "prompts")}
_POLICIES: Final = {
    "decisive": "Decisive votes only",
    "half": "Ties half a win",
    "davidson": "Davidson's model of ties",
}


@dataclass(frozen=True)
class Finding:
    """One line of the panel. is_worry: whether a reader should hesitate because of it."""

    question: str
    answer: str
    is_worry: bool


@dataclass(frozen=True)
class PolicyRow:
    """One contender under each way to count ties."""

    label: str
    is_baseline: bool
    shares: tuple[Estimate, ...]
    strengths: tuple[Estimate, ...]


@dataclass(frozen=True)
class TiePolicies:
    """The same votes with ties counted in several ways; `finding` says whether the first place depends on it."""

    names: tuple[str, ...]
    rows: tuple[PolicyRow, ...]
    finding: Finding


@dataclass(frozen=True)
class StopRule:
    """Whether voting may stop now, by intervals that hold however often one looks.

    votes_needed: more votes by raters like those so far until the first place is settled; None where that is unknown
    unlinked: contenders that no vote links to those it is about
    """

    settled: str | None
    raters: float
    apart: int
    pairs: int
    votes_needed: int | None
    unlinked: int = 0

    @property
    def is_within_reach(self) -> bool:
        """Whether the votes still needed are known and so few that foretelling them means anything."""
        return self.settled is None and self.votes_needed is not None and self.votes_needed <= _MOST_FORETOLD

    @property
    def sentence(self) -> str:
        pairs = f"{self.apart:,} of {self.pairs:,} pairs are told apart by intervals that hold at every look."
        if self.unlinked:
            pairs += f" No vote links {plural(self.unlinked, 'other contender')} to these: of them this says nothing."
        if self.settled is not None and self.unlinked:
            return f"{self.settled} is surely first of those that votes link, however often one has looked. {pairs}"
        if self.settled is not None:
            return f"{self.settled} is surely first, however often one has looked: voting may stop. {pairs}"
        if self.votes_needed is None:
            return f"No first place is sure yet, and votes are too few to say how many are missing. {pairs}"
        if not self.is_within_reach:
            more = f"even {_MOST_FORETOLD:,} more votes do not make it so: the first are too alike"
        else:
            more = f"about {rounded(self.votes_needed)} more votes make it so"
        return f"No first place is sure yet. If all stays as it looks, {more}. {pairs}"


@dataclass(frozen=True)
class TrustPanel:
    """Everything the panel shows of one criterion. stop is None where votes name no raters: the rule counts them."""

    findings: tuple[Finding, ...]
    ties: TiePolicies | None
    stop: StopRule | None
    first: str = ""
    rivals: tuple[str, ...] | None = None
    """Who else than the first may be first; None where intervals cannot tell yet."""

    @property
    def worries(self) -> int:
        return sum(finding.is_worry for finding in self.findings)

    @property
    def verdict(self) -> str:
        if not self.worries:
            return "Nothing here speaks against the numbers above."
        return "One thing to keep in mind." if self.worries == 1 else f"{self.worries} things to keep in mind."


def trust_panel(results: CriterionResults) -> TrustPanel | None:
    """None where the fit is of a version that did not look at this, or has no estimate."""
    told = _told(results)
    if told is None:
        return None
    labels = {row.contender.pk: row.label for row in results.rows}
    ties = _ties(results, told["ties"])
    findings = [
        _linked(results, told["pairs"]),
        _votes_per_pair(told["pairs"]),
        _side(results.left_share),
        _separable(told["separable"], labels),
        *(_flip(unit, told, labels) for unit in _UNITS),
    ]
    if ties is not None:
        findings.append(ties.finding)
    stop = _stop(results, told["stop"], labels)
    first, rivals = labels.get(told["separable"]["first"], ""), _rivals(told["separable"], labels)
    return TrustPanel(tuple(findings), ties, stop, first, rivals)


def _told(results: CriterionResults) -> Told | None:
    findings = results.fit.results.get("findings") if results.fit else None
    return findings["trust"] if findings else None


def _linked(results: CriterionResults, pairs: Told) -> Finding:
    question = "Do votes link all contenders?"
    if pairs["boards"] + pairs["alone"] <= 1:
        return Finding(question, f"Yes, all {len(results.rows)} stand on one board.", is_worry=False)
    parts = [f"{pairs['boards']} boards that no vote links"] if pairs["boards"] > 1 else []
    parts += [f"{pairs['alone']} compared with nobody"] if pairs["alone"] else []
    return Finding(question, f"No: {' and '.join(parts)}.", is_worry=True)


def _votes_per_pair(pairs: Told) -> Finding:
    never = pairs["possible"] - pairs["met"]
    answer = f"{pairs['fewest']:,} to {pairs['most']:,}, half of the pairs {pairs['median']:,.0f} or more"
    if never:
        answer += f"; {never:,} of {pairs['possible']:,} pairs never met and are known through others only"
    return Finding("How many votes has a pair?", f"{answer}.", is_worry=pairs["median"] < _FEW_VOTES)


def _side(left: Estimate) -> Finding:
    question = "Do raters favour a side?"
    if left.value is None:
        return Finding(question, "Not known: the votes cannot tell sides from contenders.", is_worry=True)
    if left.side is None:
        return Finding(
            question, f"The left one of two equals is taken {left.percent}; no interval yet.", is_worry=False
        )
    side = {0: "No sure lean", 1: "To the left", -1: "To the right"}[left.side]
    answer = f"{side}: the left one of two equals is taken {left.percent}. It is taken out of all numbers."
    return Finding(question, answer, is_worry=abs(left.value - 0.5) > 0.1 and left.side != 0)


def _separable(told: Told, labels: Mapping[int, str]) -> Finding:
    question = "Which contenders can be told apart?"
    if told["first"] is None or not told["pairs"]:
        return Finding(question, "None yet: intervals need more raters and prompts.", is_worry=True)
    answer = f"{told['apart']:,} of {told['pairs']:,} pairs, by intervals that hold for all pairs at once"
    first = labels.get(told["first"], "the first")
    rivals = _rivals(told, labels)
    if not rivals:
        return Finding(question, f"{answer}. {first} is surely first.", is_worry=False)
    return Finding(question, f"{answer}. Besides {first}, first may be {_some(rivals)}.", is_worry=told["apart"] == 0)


def _rivals(told: Told, labels: Mapping[int, str]) -> tuple[str, ...] | None:
    if told["first"] is None or not told["pairs"]:
        return None
    return tuple(labels[pk] for pk in told["may_be_first"] if pk in labels)


def _flip(unit: str, trust: Told, labels: Mapping[int, str]) -> Finding:
    one, many = _UNITS[unit]
    question = f"How many {many} hold up the first place?"
    if many in trust.get("unknown", ()):
        return Finding(question, f"Not known: the votes name no {many}.", is_worry=True)
    told = trust["flips"][unit]
    if told is None:
        return Finding(question, f"Leaving out {trust['searched']:.0%} of them found no other first.", is_worry=False)
    count, word = told["count"], one if told["count"] == 1 else many
    before, after = labels.get(told["before"], "the first"), labels.get(told["after"], "another")
    without = f"Without {count:,} {word} of {told['of']:,} ({_share(count, told['of'])})"
    answer = f"{without}, {after} would be first, not {before}."
    return Finding(question, answer, is_worry=count <= _FEW_TO_FLIP or count < 0.01 * told["of"])


def _ties(results: CriterionResults, told: Told | None) -> TiePolicies | None:
    if told is None or results.fit is None:
        return None
    place = {entry["id"]: index for index, entry in enumerate(results.fit.results["contenders"])}
    names = [name for name in _POLICIES if name in told]
    rows = [
        PolicyRow(
            label=row.label,
            is_baseline=row.is_baseline,
            shares=tuple(Estimate(*told[name]["against_baseline"][place[row.contender.pk]]) for name in names),
            strengths=tuple(Estimate(told[name]["log_strength"][place[row.contender.pk]]) for name in names),
        )
        for row in results.rows
        if row.contender.pk in place
    ]
    return TiePolicies(tuple(_POLICIES[name] for name in names), tuple(rows), _same_first(rows, len(names)))


def _same_first(rows: Sequence[PolicyRow], policies: int) -> Finding:
    question = "Does it matter how ties count?"
    first = [_strongest(rows, number) for number in range(policies)]
    if len(set(first)) == 1:
        return Finding(question, f"Not for the first place: {first[0]} in all {policies} ways.", is_worry=False)
    return Finding(question, f"Yes: first is {_some(list(dict.fromkeys(first)))}, by how ties count.", is_worry=True)


def _strongest(rows: Sequence[PolicyRow], number: int) -> str:
    known = [(row.strengths[number].value, row.label) for row in rows]
    return max(((value, label) for value, label in known if value is not None), default=(0.0, "nobody"))[1]


def _stop(results: CriterionResults, told: Told | None, labels: Mapping[int, str]) -> StopRule | None:
    if told is None:
        return None
    times = told["times"]
    needed = None if times is None else max(0, round(results.votes * (times - 1)))
    settled = labels.get(told["settled"]) if told["settled"] is not None else None
    return StopRule(settled, told["raters"] or 0.0, told["apart"], told["pairs"], needed, told.get("unlinked", 0))


def _share(count: int, of: int) -> str:
    share = 100 * count / of
    return f"{share:.0f} %" if share >= 1 else f"{share:.1g} %"


def _some(names: Sequence[str], most: int = 4) -> str:
    if len(names) > most + 1:
        return f"{', '.join(names[:most])} or {len(names) - most} others"
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} or {names[-1]}"
