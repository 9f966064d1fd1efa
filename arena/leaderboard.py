"""What the fits of a study say, ready to be read: by pages, charts and exports."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from django.db.models import Count

from arena import counted_votes, fitting
from arena.models import Contender, Criterion, Fit, Study, Vote

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
class Row:
    """One contender under one criterion."""

    contender: Contender
    is_baseline: bool
    against_baseline: Estimate
    strength: Estimate
    rank_low: int | None
    rank_high: int | None
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
    def ranks(self) -> str:
        """As a range: "2-4"; one place alone where the range has only one."""
        if self.rank_low is None or self.rank_high is None:
            return NOTHING
        return str(self.rank_low) if self.rank_low == self.rank_high else f"{self.rank_low}-{self.rank_high}"


@dataclass(frozen=True)
class CriterionResults:
    """What the newest fit of a criterion says. Rows run from strongest to weakest, as do the matrix's both ways."""

    criterion: Criterion
    fit: Fit | None
    is_current: bool
    rows: tuple[Row, ...]
    matrix: tuple[tuple[Estimate, ...], ...]
    not_comparable: tuple[str, ...]
    warnings: tuple[str, ...]
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
    def people_votes(self) -> int:
        return self.votes - self.simulated_votes

    @property
    def simulated_share(self) -> float:
        return self.simulated_votes / self.votes if self.votes else 0.0

    @property
    def rows_with_cells(self) -> Iterator[tuple[Row, tuple[Estimate, ...]]]:
        """The matrix line by line, for tables."""
        return zip(self.rows, self.matrix, strict=True)

    def between(self, one: Contender, other: Contender) -> Estimate:
        """The probability that one is preferred to the other."""
        place = {row.contender.pk: index for index, row in enumerate(self.rows)}
        return self.matrix[place[one.pk]][place[other.pk]]


@dataclass(frozen=True)
class StratumCount:
    """How much one kind of rater has done in a study."""

    stratum: str
    votes: int
    raters: int


def vote_counts(study: Study) -> tuple[StratumCount, ...]:
    """Answers so far by stratum, whether or not they are counted; people first."""
    found = (
        Vote.objects.answers()
        .filter(study=study)
        .values("stratum")
        .annotate(votes=Count("pk"), raters=Count("rater", distinct=True))
    )
    counts = [StratumCount(each["stratum"], each["votes"], each["raters"]) for each in found]
    return tuple(sorted(counts, key=lambda count: (count.stratum != counted_votes.PEOPLE, count.stratum)))


def results_of(study: Study) -> tuple[CriterionResults, ...]:
    """The newest results of every criterion, in the order of the criteria."""
    contenders = list(study.contenders.select_related("recipe__checkpoint", "recipe__schedule"))
    current = fitting.current_fits(study)
    newest = fitting.newest_fits(study)
    return tuple(
        _results(criterion, current.get(criterion.pk) or newest.get(criterion.pk), contenders, criterion.pk in current)
        for criterion in study.criteria.all()
    )


def _results(criterion: Criterion, fit: Fit | None, contenders: list[Contender], is_current: bool) -> CriterionResults:
    if fit is None:
        rows = tuple(_row(contender, {}, Estimate(), is_baseline=contender.is_baseline) for contender in contenders)
        matrix = tuple(tuple(Estimate() for _ in rows) for _ in rows)
        return CriterionResults(criterion, None, False, rows, matrix, (), (), 0, 0, 0, 0, 0, 0, 0)
    results = fit.results
    place = {entry["id"]: index for index, entry in enumerate(results["contenders"])}
    against = {entry["id"]: _estimate(entry) for entry in results["against_baseline"]}
    rows = tuple(
        _row(
            contender,
            results["contenders"][place[contender.pk]] if contender.pk in place else {},
            against.get(contender.pk, Estimate()),
            is_baseline=contender.pk == results["baseline"],
        )
        for contender in contenders
    )
    rows = tuple(sorted(rows, key=_from_strongest))
    return CriterionResults(
        criterion=criterion,
        fit=fit,
        is_current=is_current,
        rows=rows,
        matrix=_matrix(rows, place, results["win_probability"]),
        not_comparable=tuple(results["not_comparable"]),
        warnings=tuple(results["warnings"]),
        votes=fit.vote_count,
        raters=fit.rater_count,
        prompts=fit.prompt_count,
        simulated_votes=results["simulated_votes"],
        rule_ties=results["rule_ties"],
        both_bad=results["both_bad"],
        skips=results["skips"],
    )


def _row(contender: Contender, entry: Mapping[str, Any], against: Estimate, *, is_baseline: bool) -> Row:
    return Row(
        contender=contender,
        is_baseline=is_baseline,
        against_baseline=against,
        strength=Estimate(entry.get("log_strength"), entry.get("low"), entry.get("high")),
        rank_low=entry.get("rank_low"),
        rank_high=entry.get("rank_high"),
        votes=entry.get("votes", 0),
        wins=entry.get("wins", 0),
        ties=entry.get("ties", 0),
        losses=entry.get("losses", 0),
        note=entry.get("note", "no votes yet"),
    )


def _from_strongest(row: Row) -> tuple[bool, float, int]:
    strength = row.strength.value
    return strength is None, 0.0 if strength is None else -strength, row.contender.position


def _matrix(
    rows: tuple[Row, ...], place: Mapping[int, int], stored: Mapping[str, Any]
) -> tuple[tuple[Estimate, ...], ...]:
    def cell(one: Row, other: Row) -> Estimate:
        if one.contender.pk not in place or other.contender.pk not in place:
            return Estimate()
        i, j = place[one.contender.pk], place[other.contender.pk]
        return Estimate(stored["estimate"][i][j], stored["low"][i][j], stored["high"][i][j])

    return tuple(tuple(cell(one, other) for other in rows) for one in rows)


def _estimate(entry: Mapping[str, Any]) -> Estimate:
    return Estimate(entry["estimate"], entry["low"], entry["high"])


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
