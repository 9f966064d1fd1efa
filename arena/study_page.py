"""The results page of a study as one value: how far it is, and for each criterion numbers, curves and charts."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

from django.db.models import Count, Q
from django.urls import reverse

from arena import counted_votes, external_contenders, judging, leaderboard, leaving_out, studies, targets, vote_roots
from arena.automatic_metrics import MetricLine
from arena.breakdowns import (
    Agreement,
    Breakdown,
    Divisions,
    agreement_of,
    breakdowns_of,
    divisions_of,
)
from arena.charts import (
    Chart,
    cost_chart,
    coverage,
    forest_chart,
    fronts_chart,
    hours,
    matrix_chart,
    shifts_chart,
    steps_chart,
)
from arena.charts.fronts import NAME as FRONTS
from arena.charts.words import plural
from arena.costs import Priced, priced
from arena.curves import Curve, seconds_an_image, step_curves
from arena.external_contenders import MissingImages
from arena.fitted_pairs import MOST_LISTED
from arena.front_sorting import FrontRow, Fronts, fronts_of
from arena.leaderboard import CriterionResults, Estimate, Observed, Row, StratumCount
from arena.live_progress import coverage_of, pace_of
from arena.metrics_report import MetricsReport, metrics_report
from arena.models import Study, VoteRoot
from arena.not_worse import Margin, margin_of
from arena.shift_curves import ShiftCurve, shift_curves
from arena.shortening import MOST_WHOLE, ShownBoard, first_and_found, found_rows, shown_boards, shown_curves
from arena.studies import Readiness
from arena.supply import asked_prompts
from arena.targets import TargetProgress
from arena.trust_panel import PolicyRow, TrustPanel, trust_panel
from generation import planning
from generation.models import Recipe
from generation.planning import RunProgress
from generation.provenance import digest_of


@dataclass(frozen=True)
class CriterionReport:
    """One criterion, ready to be shown. A chart is None where there is nothing to draw yet."""

    results: CriterionResults
    curves: tuple[Curve, ...]
    forest: Chart | None
    steps: Chart | None
    matrix: Chart | None
    shifts: Chart | None = None
    shift_curves: tuple[ShiftCurve, ...] = ()
    cost: Chart | None = None
    priced: tuple[Priced, ...] = ()
    trust: TrustPanel | None = None
    breakdowns: tuple[Breakdown, ...] = ()
    agreement: Agreement | None = None
    divisions: Divisions = Divisions()
    looked_for: str = ""
    """Part of a contender's name; its place is shown where the board is too long to be shown whole."""

    @cached_property
    def boards(self) -> tuple[ShownBoard, ...]:
        return shown_boards(self.results, self.looked_for)

    @property
    def shown_curves(self) -> tuple[Curve, ...]:
        return shown_curves(self.curves, self.looked_for)

    @property
    def shown_costs(self) -> tuple[Priced, ...]:
        """Of many contenders those on the front, which is what the table is about."""
        is_long = len(self.priced) > MOST_WHOLE
        return tuple(point for point in self.priced if not is_long or point.is_efficient or point.row.is_baseline)

    @property
    def shown_ties(self) -> tuple[PolicyRow, ...]:
        """How ties matter for the contenders that are shown."""
        shown = {line.row.label for board in self.boards for line in board.lines}
        rows = self.trust.ties.rows if self.trust and self.trust.ties else ()
        return tuple(row for row in rows if row.label in shown)

    @cached_property
    def found(self) -> Row | None:
        """Whom somebody looks for."""
        return next(iter(found_rows(self.results.rows, self.looked_for)), None)

    @property
    def duels(self) -> Iterator[tuple[Row, Estimate, Observed | None]]:
        """The contender looked for against each that is shown: who, how probably it is preferred, and what was seen."""
        if self.found is None:
            return
        one = self.found.contender
        for board in self.boards:
            for line in board.lines:
                if line.row.contender.pk != one.pk:
                    other = line.row.contender
                    yield line.row, self.results.between(one, other), self.results.observed(one, other)

    @property
    def charts(self) -> Iterator[Chart]:
        return (chart for chart in (self.forest, self.steps, self.shifts, self.cost, self.matrix) if chart)

    @property
    def leader(self) -> str:
        """Who is in front among the baseline's peers, and how sure that is, in a few words."""
        known = (row.label for row in self.results.rows if row.strength.value is not None)
        first, rivals = (self.trust.first, self.trust.rivals) if self.trust else ("", None)
        first = first or next(known, "")
        if not first:
            return "Nobody can be put in front yet"
        if rivals is None:
            return f"{first} leads; how surely is not known yet"
        if not rivals:
            return f"{first} is surely first"
        return f"{first} leads; {rivals[0] if len(rivals) == 1 else f'{len(rivals)} others'} may be first"

    @property
    def is_waiting(self) -> bool:
        """Votes are there, but the fit that counts them is still to come."""
        return not self.results.is_current


@dataclass(frozen=True)
class StudyPage:
    """Everything the page shows."""

    study: Study
    reports: tuple[CriterionReport, ...]
    fronts: Fronts | None
    fronts_chart: Chart | None
    metrics: MetricsReport | None
    counts: tuple[StratumCount, ...]
    excluded: int
    contenders: int
    withdrawn: int
    prompts: int
    images_made: int
    images_wanted: int
    images_failed: int
    seconds_left: float | None
    exclusion_alarm: str
    suspected: int
    root: VoteRoot | None
    targets: tuple[TargetProgress, ...]
    identical_pairs: int
    margin: Margin
    looked_for: str = ""
    gaps: tuple[MissingImages, ...] = ()
    """Contenders some of whose images nobody can be shown; empty where none is missing."""

    @property
    def ballots_at(self) -> str:
        """Address of the votes behind a number."""
        return reverse("arena:ballots", args=[self.study.slug])

    @property
    def images_at(self) -> str:
        """What stands before an image's number and ending in its address."""
        return reverse("arena:study_image", args=[self.study.slug, 0, "webp"]).removesuffix("0.webp")

    @property
    def votes(self) -> int:
        return sum(count.votes for count in self.counts)

    @property
    def votes_by_people(self) -> int:
        return sum(count.votes for count in self.counts if count.stratum != counted_votes.SIMULATED)

    @property
    def votes_in_words(self) -> str:
        """How many votes the numbers below rest on, and where the others are: the same count wherever it is told."""
        counted = sum(report.results.votes for report in self.reports)
        strata = counted_votes.counted_strata(self.study)
        undone = sum(count.undone for count in self.counts if count.stratum in strata)
        others = {"undone": undone, "excluded": self.excluded}
        told = ", ".join(f"{number:,} {word}" for word, number in others.items() if number > 0)
        return f"{plural(counted, 'vote')} counted{f' ({told})' if told else ''}"

    @property
    def simulated(self) -> StratumCount | None:
        return next((count for count in self.counts if count.stratum == counted_votes.SIMULATED), None)

    @property
    def raters_in_words(self) -> str:
        return leaderboard.raters_in_words(self.counts)

    @property
    def is_long(self) -> bool:
        """Whether there are too many contenders to show them all."""
        return any(len(report.results.rows) > MOST_WHOLE for report in self.reports)

    @property
    def has_found(self) -> bool:
        return any(report.found for report in self.reports)

    @property
    def omits_parts(self) -> bool:
        """Whether findings were left out of fits of so many contenders."""
        return any(not report.results.lists_pairs for report in self.reports)

    @property
    def most_listed(self) -> int:
        return MOST_LISTED

    @property
    def shown_fronts(self) -> Sequence[FrontRow]:
        return first_and_found(self.fronts.rows if self.fronts else (), self.looked_for)

    @property
    def shown_metrics(self) -> Sequence[MetricLine]:
        return first_and_found(self.metrics.lines if self.metrics else (), self.looked_for)

    @property
    def images_missing(self) -> int:
        return max(0, self.images_wanted - self.images_made)

    @property
    def target(self) -> TargetProgress | None:
        """Votes still needed, over all criteria; None where the study has no target."""
        return targets.over_all_criteria(self.targets)

    @property
    def counts_rule_ties(self) -> bool:
        """Whether pairs of identical images, which nobody is shown, count as ties."""
        return bool(self.study.design.get("counts_rule_ties", True))

    @property
    def is_moving(self) -> bool:
        """Whether the page can change by itself, so that looking again makes sense."""
        return self.study.state == Study.State.OPEN or self.images_missing > self.images_failed

    @property
    def has_results(self) -> bool:
        return any(report.results.votes for report in self.reports)

    @cached_property
    def stamp(self) -> str:
        """Differs as soon as anything on the page does, but for the time left."""
        shown = [[chart.digest for chart in report.charts] for report in self.reports]
        counts = [[count.stratum, count.votes, count.raters] for count in self.counts]
        notes = [[report.results.fit and report.results.fit.pk, report.results.is_current] for report in self.reports]
        needed = [[row.wanted, row.still_needed, row.out] for row in self.targets]
        order = [self.fronts_chart and self.fronts_chart.digest, self.fronts and self.fronts.is_current]
        metrics = self.metrics.shown if self.metrics else []
        trust = [self.exclusion_alarm, self.suspected, self.root and self.root.root]
        images = [
            self.images_made,
            self.images_wanted,
            self.images_failed,
            self.contenders,
            self.withdrawn,
        ]
        state = [self.prompts, self.study.state, self.study.counts_simulated, needed, self.identical_pairs]
        return digest_of([*state, shown, counts, notes, order, images, metrics, trust])[:20]


def study_page(study: Study, *, margin: Margin | None = None, looked_for: str = "") -> StudyPage:
    """Read it all; the number of queries depends neither on contenders nor on votes.

    margin: by how much fewer steps may lose; the planned one where none is given
    looked_for: part of a contender's name, whose place is shown on long boards
    """
    margin = margin or margin_of(study)
    images = studies.readiness(study)
    run = planning.progress_of(study.run) if study.run else None
    reports = tuple(_with_findings(study, list(_reports(study, margin)), looked_for))
    fronts = _fronts(study, [report.results for report in reports])
    is_live = Q(withdrawn_at__isnull=True)
    counts = leaderboard.vote_counts(study)
    contenders = study.contenders.aggregate(live=Count("pk", filter=is_live), withdrawn=Count("pk", filter=~is_live))
    return StudyPage(
        study=study,
        reports=reports,
        fronts=fronts,
        fronts_chart=fronts_chart(fronts),
        metrics=_metrics(study, reports),
        counts=counts,
        excluded=_excluded(study, reports, counts),
        contenders=contenders["live"],
        withdrawn=contenders["withdrawn"],
        prompts=asked_prompts(study).count(),
        images_made=images.made,
        images_wanted=images.wanted,
        images_failed=run.failed if run else 0,
        seconds_left=run.seconds_left if run else None,
        exclusion_alarm=leaving_out.exclusion_alarm(study),
        suspected=judging.suspected(study),
        root=vote_roots.newest_root(study),
        targets=tuple(targets.progress_of(study)),
        identical_pairs=study.rule_ties.count(),
        margin=margin,
        looked_for=looked_for,
        gaps=_gaps(study, images, run),
    )


def _excluded(study: Study, reports: Sequence[CriterionReport], counts: Sequence[StratumCount]) -> int:
    """Votes that exclusions keep from the fits shown; asked only where answers stand that these do not count.

    Known answers, repeats and qualification are such answers too, and nobody excluded them.
    """
    if not all(report.results.is_current or report.results.fit is None for report in reports):
        return 0
    strata = counted_votes.counted_strata(study)
    standing = sum(count.votes for count in counts if count.stratum in strata)
    is_all = standing == sum(report.results.votes for report in reports)
    return 0 if is_all else counted_votes.excluded_count(study)


def _gaps(study: Study, images: Readiness, run: RunProgress | None) -> tuple[MissingImages, ...]:
    """Images that nobody is making: those of services always, our own once the run is through."""
    if not images.made or images.made - images.quarantined >= images.wanted:
        return ()
    is_being_made = run is not None and run.left > 0
    return tuple(
        gap
        for gap in external_contenders.missing_images(study)
        if gap.contender.recipe.kind == Recipe.Kind.EXTERNAL or not is_being_made
    )


def chart_of(study: Study, name: str, *, margin: Margin | None = None) -> Chart | None:
    """A chart by its name, such as "forest-aesthetics"; None where there is none of that name or not yet."""
    if name == hours.NAME:
        return hours.hours_chart(pace_of(study))
    if name == coverage.NAME:
        return coverage.coverage_chart(coverage_of(study))
    if name == FRONTS:
        return fronts_chart(_fronts(study, leaderboard.results_of(study)))
    reports = tuple(_reports(study, margin or margin_of(study)))
    if found := next((chart for report in reports for chart in report.charts if chart.name == name), None):
        return found
    metrics = _metrics(study, reports)
    return next((chart for chart in metrics.charts if chart.name == name), None) if metrics else None


def _metrics(study: Study, reports: tuple[CriterionReport, ...]) -> MetricsReport | None:
    curves = reports[0].curves if reports else ()
    return metrics_report(study, [report.results for report in reports], curves)


def _fronts(study: Study, results: Sequence[CriterionResults]) -> Fronts | None:
    """Of the fits that are shown; nothing where nothing is counted any more."""
    fits = {one.criterion.pk: one.fit for one in results if one.fit}
    return fronts_of(study, fits) if any(fit.vote_count for fit in fits.values()) else None


def _with_findings(study: Study, reports: Sequence[CriterionReport], looked_for: str) -> Iterator[CriterionReport]:
    """What the worker found beyond the estimates, with the prompts and images that it is about."""
    results = [report.results for report in reports]
    divisions = divisions_of(results, study)
    for report in reports:
        own, key = report.results, report.results.criterion.key
        yield replace(
            report,
            trust=trust_panel(own),
            breakdowns=breakdowns_of(own),
            agreement=agreement_of(own),
            divisions=divisions[key],
            looked_for=looked_for,
        )


def _reports(study: Study, margin: Margin) -> Iterator[CriterionReport]:
    seconds = seconds_an_image(study)
    for results in leaderboard.results_of(study):
        curves = step_curves(results, seconds=seconds, margin=margin.value)
        shifts, points = shift_curves(results), priced(results, seconds)
        yield CriterionReport(
            results=results,
            curves=curves,
            forest=forest_chart(results),
            steps=steps_chart(results, curves, margin),
            matrix=matrix_chart(results),
            shifts=shifts_chart(results, shifts),
            shift_curves=shifts,
            cost=cost_chart(results, points),
            priced=points,
        )
