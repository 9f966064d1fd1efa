"""What the fits of a study say, ready to be read: by pages, charts and exports."""

import math
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from django.db.models import Count, Exists, OuterRef, QuerySet

from arena import counted_votes, fitting
from arena.fitted_pairs import MOST_LISTED, FittedPairs
from arena.models import Ballot, Contender, Criterion, Fit, Rater, Study, Vote

NOTHING = "–"


@dataclass(frozen=True)
class Estimate:
    """A number and its 95 % interval. No value: it does not exist yet. No ends: there is no interval yet."""

    value: float | None = None
    low: float | None = None
    high: float | None = None

    @property
    def percent(self) -> str:
        """As a share: "62 % (57-67)"."""
        if self.value is None:
            return NOTHING
        if self.low is None or self.high is None:
            return f"{_percentage(self.value)} %"
        return f"{_percentage(self.value)} % ({100 * self.low:.0f}-{100 * self.high:.0f})"

    @property
    def whole_percent(self) -> str:
        """The share alone: "62 %"."""
        return NOTHING if self.value is None else f"{_percentage(self.value)} %"

    @property
    def number(self) -> str:
        """To two decimals: "0.41 (0.12 to 0.70)". Not a dash between the ends, because they can be negative."""
        if self.value is None:
            return NOTHING
        if self.low is None or self.high is None:
            return f"{self.value:.2f}"
        return f"{self.value:.2f} ({self.low:.2f} to {self.high:.2f})"

    def side_of(self, level: float) -> int | None:
        """1 or -1 where the whole interval lies above or below the level, 0 where it does not; None without one."""
        if self.low is None or self.high is None:
            return None
        return int(self.low > level) - int(self.high < level)

    @property
    def side(self) -> int | None:
        """Which side of an even chance the interval lies on."""
        return self.side_of(0.5)


@dataclass(frozen=True)
class Outcomes:
    """How probably a contender wins, ties and loses against the baseline."""

    win: Estimate
    tie: Estimate
    loss: Estimate

    @property
    def percents(self) -> str:
        """Win, tie and loss alone: "48 / 20 / 32 %"."""
        shares = (each.value for each in (self.win, self.tie, self.loss))
        return " / ".join(NOTHING if share is None else _percentage(share) for share in shares) + " %"


@dataclass(frozen=True)
class Row:
    """One contender under one criterion.

    outcomes: by the likelier model of ties; None where nobody tied, or it cannot be compared with the baseline
    board:    number of the contenders that votes link it with; None where the fit does not know it
    tier:     within its board, 1 for the best and all that may be as good
    flags:    what is special about its estimate, such as "firth"
    """

    contender: Contender
    is_baseline: bool
    against_baseline: Estimate
    outcomes: Outcomes | None
    strength: Estimate
    board: int | None
    rank_low: int | None
    rank_high: int | None
    tier: int | None
    flags: tuple[str, ...]
    votes: int
    wins: int
    ties: int
    losses: int
    note: str

    @property
    def label(self) -> str:
        return self.contender.label

    @property
    def is_withdrawn(self) -> bool:
        return self.contender.withdrawn_at is not None

    @property
    def is_penalised(self) -> bool:
        """Whether its strength is finite only by Firth's penalty."""
        return "firth" in self.flags

    @property
    def ranks(self) -> str:
        """As a range: "2-4"; one place alone where the range has only one."""
        if self.rank_low is None or self.rank_high is None:
            return NOTHING
        return str(self.rank_low) if self.rank_low == self.rank_high else f"{self.rank_low}-{self.rank_high}"


@dataclass(frozen=True)
class Observed:
    """What raters said of a pair: the share of one of the two, ties counted half, and the votes."""

    share: float
    votes: int


@dataclass(frozen=True)
class TieModels:
    """Both models of ties on the same votes; `model` is the likelier one, by which outcomes are told."""

    model: str
    log_likelihoods: Mapping[str, float]

    @property
    def sentence(self) -> str:
        names = {"davidson": "Davidson", "rao-kupper": "Rao-Kupper"}
        both = ", ".join(f"{names[each]} {value:,.1f}" for each, value in self.log_likelihoods.items())
        return f"Ties by {names[self.model]}'s model; log-likelihoods: {both}"


@dataclass(frozen=True)
class Board:
    """Contenders that votes link with one another, from strongest to weakest."""

    title: str
    rows: tuple[Row, ...]


@dataclass(frozen=True)
class CriterionResults:
    """What the newest fit of a criterion says.

    Rows run board by board, the baseline's first, and in each from strongest to weakest, as do the matrix's both ways.
    not_comparable says why boards stand apart, unbounded why some strengths are finite by a penalty alone; left_share
    is how probably the left one of two equals is chosen, without a value where no side bias was fitted.
    """

    criterion: Criterion
    fit: Fit | None
    is_current: bool
    rows: tuple[Row, ...]
    not_comparable: tuple[str, ...]
    unbounded: tuple[str, ...]
    warnings: tuple[str, ...]
    left_share: Estimate
    tie_models: TieModels | None
    votes: int
    raters: int
    prompts: int
    simulated_votes: int
    rule_ties: int
    both_bad: int
    skips: int

    @property
    def baseline(self) -> Row | None:
        return next((row for row in self.rows if row.is_baseline), None)

    @property
    def apart(self) -> tuple[Row, ...]:
        """Contenders that cannot be compared with the baseline yet."""
        return tuple(row for row in self.rows if not row.is_baseline and row.against_baseline.value is None)

    @property
    def boards(self) -> tuple[Board, ...]:
        """The rows of each board; contenders that were compared with nobody stand together at the end."""
        groups: dict[int | None, list[Row]] = {}
        for row in self.rows:
            groups.setdefault(row.board if row.strength.value is not None else None, []).append(row)
        linked = [tuple(rows) for board, rows in groups.items() if board is not None]
        titles = [
            f"Board {number} of {len(linked)}, which no vote links with the others"
            for number in range(1, len(linked) + 1)
        ]
        boards = [Board(title if len(linked) > 1 else "", rows) for title, rows in zip(titles, linked, strict=True)]
        if None in groups:
            boards.append(Board("Compared with nobody yet" if linked else "", tuple(groups[None])))
        return tuple(boards)

    @property
    def pairs_apart(self) -> tuple[int, int] | None:
        """How many pairs intervals that hold for all at once tell apart, and of how many; None where not known."""
        findings = (self.fit.results.get("findings") if self.fit else None) or {}
        told = findings.get("trust", {}).get("separable")
        return (told["apart"], told["pairs"]) if told and told["pairs"] else None

    @property
    def people_votes(self) -> int:
        return self.votes - self.simulated_votes

    @property
    def simulated_share(self) -> float:
        return self.simulated_votes / self.votes if self.votes else 0.0

    @property
    def rows_with_cells(self) -> Iterator[tuple[Row, tuple[Estimate, ...]]]:
        """The matrix line by line, for tables."""
        return zip(self.rows, self.matrix, strict=True)

    @property
    def lists_pairs(self) -> bool:
        """Whether contenders are few enough for every pair to have its place on the page."""
        return len(self.rows) <= MOST_LISTED

    @property
    def pair_count(self) -> int:
        return len(self.rows) * (len(self.rows) - 1) // 2

    @cached_property
    def matrix(self) -> tuple[tuple[Estimate, ...], ...]:
        """How probably the contender of the line is preferred to that of the column."""
        return tuple(tuple(self.between(row.contender, other.contender) for other in self.rows) for row in self.rows)

    def between(self, one: Contender, other: Contender) -> Estimate:
        """The probability that one is preferred to the other."""
        return Estimate() if self._pairs is None else Estimate(*self._pairs.share(one.pk, other.pk))

    def observed(self, one: Contender, other: Contender) -> Observed | None:
        """What raters said of these two, without ties by rule; None where the fit does not know them."""
        told = None if self._pairs is None else self._pairs.seen(one.pk, other.pk)
        if told is None:
            return None
        wins, losses, ties = told
        votes = wins + losses + ties
        return Observed((wins + ties / 2) / votes if votes else 0.5, votes)

    @cached_property
    def _pairs(self) -> FittedPairs | None:
        return FittedPairs(self.fit.results) if self.fit else None


@dataclass(frozen=True)
class StratumCount:
    """How much one kind of rater has done in a study."""

    stratum: str
    votes: int
    raters: int
    undone: int = 0


def vote_counts(study: Study) -> tuple[StratumCount, ...]:
    """Answers so far by stratum, whether or not they are counted; people first.

    Undone ones are taken off, and raters counted from their own rows: joined and told apart, a million votes take
    seconds.
    """
    answers = Vote.objects.answers().filter(study=study)
    votes, taken_back = _by_stratum(answers), Counter[str]()
    if undone := list(study.ballots.filter(state=Ballot.State.SUPERSEDED).values_list("pk", flat=True)):
        for start in range(0, len(undone), 500):
            taken_back.update(_by_stratum(answers.filter(ballot__in=undone[start : start + 500])))
        votes.subtract(taken_back)
    voted = Exists(Vote.objects.answers().standing().filter(rater=OuterRef("pk")))
    by_kind = study.raters.filter(voted).order_by().values_list("kind").annotate(number=Count("pk"))
    raters: Counter[str] = Counter()
    for kind, number in by_kind:
        raters[Rater(kind=kind).stratum] += number
    counts = [
        StratumCount(stratum, number, raters[stratum], taken_back[stratum])
        for stratum, number in votes.items()
        if number or taken_back[stratum]
    ]
    return tuple(sorted(counts, key=lambda count: (count.stratum != counted_votes.PEOPLE, count.stratum)))


def _by_stratum(votes: QuerySet[Vote]) -> Counter[str]:
    return Counter(dict(votes.order_by().values_list("stratum").annotate(number=Count("pk"))))


def results_of(study: Study) -> tuple[CriterionResults, ...]:
    """The newest results of every criterion, in the order of the criteria."""
    contenders = list(study.contenders.select_related("recipe__checkpoint", "recipe__schedule"))
    criteria = list(study.criteria.all())
    current = fitting.current_fits(study)
    # A fit is large: the newest are read only where one is not current.
    newest = fitting.newest_fits(study) if any(criterion.pk not in current for criterion in criteria) else {}
    return tuple(
        _results(criterion, current.get(criterion.pk) or newest.get(criterion.pk), contenders, criterion.pk in current)
        for criterion in criteria
    )


def _results(criterion: Criterion, fit: Fit | None, contenders: list[Contender], is_current: bool) -> CriterionResults:
    if fit is None:
        rows = tuple(_row(contender, {}, {}, is_baseline=contender.is_baseline) for contender in contenders)
        return CriterionResults(criterion, None, False, rows, (), (), (), Estimate(), None, 0, 0, 0, 0, 0, 0, 0)
    results = fit.results
    place = {entry["id"]: index for index, entry in enumerate(results["contenders"])}
    against = {entry["id"]: entry for entry in results["against_baseline"]}
    rows = tuple(
        _row(
            contender,
            results["contenders"][place[contender.pk]] if contender.pk in place else {},
            against.get(contender.pk, {}),
            is_baseline=contender.pk == results["baseline"],
        )
        for contender in contenders
    )
    rows = _in_order(rows)
    return CriterionResults(
        criterion=criterion,
        fit=fit,
        is_current=is_current,
        rows=rows,
        not_comparable=tuple(results["not_comparable"]),
        unbounded=tuple(results.get("unbounded", ())),
        warnings=tuple(results["warnings"]),
        left_share=_left_share(results.get("side_bias")),
        tie_models=_tie_models(results.get("ties")),
        votes=fit.vote_count,
        raters=fit.rater_count,
        prompts=fit.prompt_count,
        simulated_votes=results["simulated_votes"],
        rule_ties=results["rule_ties"],
        both_bad=results["both_bad"],
        skips=results["skips"],
    )


# A fit of the first version has `group` for `board`, and neither tiers, flags, outcomes, side bias nor models of ties.
def _row(contender: Contender, entry: Mapping[str, Any], against: Mapping[str, Any], *, is_baseline: bool) -> Row:
    return Row(
        contender=contender,
        is_baseline=is_baseline,
        against_baseline=_estimate(against),
        outcomes=_outcomes(against.get("outcomes")),
        strength=Estimate(entry.get("log_strength"), entry.get("low"), entry.get("high")),
        board=entry.get("board", entry.get("group")),
        rank_low=entry.get("rank_low"),
        rank_high=entry.get("rank_high"),
        tier=entry.get("tier"),
        flags=tuple(entry.get("flags", ())),
        votes=entry.get("votes", 0),
        wins=entry.get("wins", 0),
        ties=entry.get("ties", 0),
        losses=entry.get("losses", 0),
        note=entry.get("note", "no votes yet"),
    )


def _in_order(rows: tuple[Row, ...]) -> tuple[Row, ...]:
    """The baseline's board first, then the larger ones; contenders without a strength last."""
    sizes = Counter(row.board for row in rows if row.strength.value is not None)
    first = next((row.board for row in rows if row.is_baseline and row.strength.value is not None), None)

    def place(row: Row) -> tuple[bool, bool, int, int, float, int]:
        strength, board = row.strength.value, row.board
        if strength is None or board is None:
            return True, True, 0, 0, 0.0, row.contender.position
        return False, board != first, -sizes[board], board, -strength, row.contender.position

    return tuple(sorted(rows, key=place))


def _estimate(entry: Mapping[str, Any]) -> Estimate:
    return Estimate(entry.get("estimate"), entry.get("low"), entry.get("high"))


def _outcomes(stored: Mapping[str, Any] | None) -> Outcomes | None:
    return Outcomes(*(Estimate(*stored[name]) for name in ("win", "tie", "loss"))) if stored else None


def _left_share(stored: Mapping[str, Any] | None) -> Estimate:
    """The log odds of the side bias as a probability."""
    if stored is None:
        return Estimate()
    ends = (stored["estimate"], stored["low"], stored["high"])
    return Estimate(*(None if end is None else 1 / (1 + math.exp(-end)) for end in ends))


def _tie_models(stored: Mapping[str, Any] | None) -> TieModels | None:
    return TieModels(stored["model"], stored["log_likelihoods"]) if stored else None


def _percentage(share: float) -> str:
    """Never 0 or 100 for a share that is neither: the model cannot say "always"."""
    if 0.995 <= share < 1:
        return ">99"
    if 0 < share < 0.005:
        return "<1"
    return f"{100 * share:.0f}"


def raters_in_words(counts: tuple[StratumCount, ...]) -> str:
    """Like "1,204 votes by 31 people, 800 votes by 20 simulated raters"."""
    words = {
        counted_votes.PEOPLE: ("person", "people"),
        counted_votes.SIMULATED: ("simulated rater", "simulated raters"),
        counted_votes.ANONYMOUS: ("anonymous rater", "anonymous raters"),
    }
    parts = []
    for count in counts:
        one, many = words.get(count.stratum, ("rater", "raters"))
        votes = "1 vote" if count.votes == 1 else f"{count.votes:,} votes"
        parts.append(f"{votes} by {count.raters:,} {one if count.raters == 1 else many}")
    return ", ".join(parts)
