"""A study's automatic metrics beside what people prefer: contender by metric, and how the two go together."""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Final

from django.core.cache import cache
from django.db.models import Avg, Count, F, Q
from django.utils.text import slugify

from arena.fitted_pairs import FittedPairs
from arena.leaderboard import NOTHING, CriterionResults, Estimate, Row
from arena.measuring import prompts_digest_of
from arena.models import Contender, Study
from arena.supply import images_of
from generation.measuring import checker, clip, sets
from generation.models import Metric
from generation.provenance import digest_of

if TYPE_CHECKING:
    from arena.ranking.correlation import Correlation

TITLES: Final = {
    checker.OVERALL: "Picture checker",
    **{f"{checker.OVERALL}_{part}": f"Checker: {part}" for part in checker.PARTS},
    clip.SCORE: "CLIP score",
    sets.FRECHET: "CLIP-FD",
    sets.CMMD: "CMMD",
    sets.PRECISION: "Precision",
    sets.RECALL: "Recall",
}
_ORDER: Final = list(TITLES)
_METHOD: Final = 2
"""Of the correlation, as kept in the cache: raised when it changes."""
_KEPT_SECONDS: Final = 24 * 3600


@dataclass(frozen=True)
class MetricValue:
    """One contender's number. `error` is the standard error of a mean over images; None where there is none."""

    value: float
    error: float | None = None
    images: int | None = None

    @property
    def text(self) -> str:
        return f"{self.value:.4g}" if self.error is None else f"{_shown(self.value, self.error)}"


@dataclass(frozen=True)
class MetricColumn:
    """One metric by one source: its numbers by contender id. Parts are details of another metric."""

    key: str
    name: str
    title: str
    source: str
    values: Mapping[int, MetricValue]
    is_part: bool = False


@dataclass(frozen=True)
class MetricCorrelation:
    """How a metric goes with the strengths of one criterion. `found` is None where `reason` says why."""

    column: MetricColumn
    found: "Correlation | None"
    reason: str = ""

    @property
    def interval(self) -> Estimate:
        if self.found is None:
            return Estimate()
        low, high = (None if math.isnan(end) else end for end in (self.found.low, self.found.high))
        return Estimate(self.found.pearson, low, high)

    @property
    def spearman(self) -> Estimate:
        return Estimate(self.found.spearman, *(self.found.spearman_ends or ())) if self.found else Estimate()

    @property
    def kendall(self) -> Estimate:
        return Estimate(self.found.kendall, *(self.found.kendall_ends or ())) if self.found else Estimate()


@dataclass(frozen=True)
class MetricLine:
    """A contender with what people say of it, one share a criterion, and its numbers, one a column."""

    contender: Contender
    preferences: tuple[str, ...]
    cells: tuple[MetricValue | None, ...]

    @property
    def label(self) -> str:
        return self.contender.label


def columns_of(study: Study) -> tuple[MetricColumn, ...]:
    """All metrics of the live contenders over the study's images, and their training losses. Few queries, no N+1."""
    contenders = {contender.recipe_id: contender.pk for contender in study.contenders.filter(withdrawn_at__isnull=True)}
    found: dict[tuple[str, str], dict[int, MetricValue]] = {}
    of_images = (
        Metric.objects.filter(image__in=images_of(study), image__is_quarantined=False)
        .order_by()
        .values("image__recipe", "name", "source")
        .annotate(images=Count("pk"), mean=Avg("value"), square=Avg(F("value") * F("value")))
    )
    for each in of_images:
        value = MetricValue(each["mean"], _error(each["mean"], each["square"], each["images"]), each["images"])
        found.setdefault((each["name"], each["source"]), {})[contenders[each["image__recipe"]]] = value
    for metric in _metrics_of_recipes(study, list(contenders)):
        if metric.recipe_id is not None:
            target = found.setdefault((metric.name, metric.source), {})
            target[contenders[metric.recipe_id]] = MetricValue(metric.value)
    return tuple(_columns(found))


def loss_columns(rows: Sequence[Row]) -> tuple[MetricColumn, ...]:
    """Validation loss as a metric: one column a loss family, each checkpoint by its contender with the most steps.

    Fewer steps spoil the images and not the loss, and losses of different formulations do not compare. Families in
    which fewer than two losses differ are left out.
    """
    most: dict[int, Contender] = {}
    for row in rows:
        checkpoint = row.contender.recipe.checkpoint
        if checkpoint is None or checkpoint.validation_loss is None or row.is_withdrawn:
            continue
        before = most.get(checkpoint.pk)
        if before is None or _steps(row.contender) > _steps(before):
            most[checkpoint.pk] = row.contender
    families: dict[str, dict[int, MetricValue]] = {}
    for contender in most.values():
        checkpoint = contender.recipe.checkpoint
        if checkpoint is not None and checkpoint.validation_loss is not None:
            value = MetricValue(checkpoint.validation_loss)
            families.setdefault(checkpoint.loss_family, {})[contender.pk] = value
    return tuple(
        MetricColumn(
            key=slugify(f"validation-loss-{family}"),
            name="validation_loss",
            title=f"Validation loss ({family})" if family else "Validation loss",
            source="as told with the weights; each checkpoint at its most steps",
            values=values,
        )
        for family, values in sorted(families.items())
        if len({value.value for value in values.values()}) > 1
    )


def lines_of(results: Sequence[CriterionResults], columns: Sequence[MetricColumn]) -> tuple[MetricLine, ...]:
    """The table, in the order of the first criterion."""
    rows = [{row.contender.pk: row for row in each.rows} for each in results]
    ordered = [row.contender for row in results[0].rows if not row.is_withdrawn] if results else []
    return tuple(
        MetricLine(
            contender=contender,
            preferences=tuple(_preference(own[contender.pk]) for own in rows),
            cells=tuple(column.values.get(contender.pk) for column in columns),
        )
        for contender in ordered
    )


def correlations_of(results: CriterionResults, columns: Iterable[MetricColumn]) -> tuple[MetricCorrelation, ...]:
    """Each metric against the log strengths of the baseline's board, or of the largest where there is no baseline."""
    rows = board_of(results)
    if len(rows) < 3:
        return ()
    return tuple(_correlation(results, rows, column) for column in columns)


def board_of(results: CriterionResults) -> list[Row]:
    """The contenders whose strengths can be compared with one another."""
    board = results.rows[0].board if results.rows else None
    return [row for row in results.rows if row.strength.value is not None and row.board == board]


def _correlation(results: CriterionResults, rows: Sequence[Row], column: MetricColumn) -> MetricCorrelation:
    rows = [row for row in rows if row.contender.pk in column.values]
    strengths = [row.strength.value for row in rows]
    values = [column.values[row.contender.pk].value for row in rows]
    sizes = [_size(row.contender) for row in rows]
    if len(rows) < 3:
        return MetricCorrelation(column, None, f"needs three contenders that have both, there are {len(rows)}")
    if len(set(values)) == 1 or len(set(strengths)) == 1:
        return MetricCorrelation(column, None, "needs numbers that differ between contenders")
    told = [strengths, _covariance(results, rows), values, sizes if all(sizes) else None]
    key = f"metric-correlation-{_METHOD}-{digest_of(told)}"
    kept: dict[str, Any] | None = cache.get(key)
    if kept is None:
        kept = _correlated(*told)
        cache.set(key, kept, _KEPT_SECONDS)
    return MetricCorrelation(column, _revived(kept))


def _correlated(strengths: Any, covariance: Any, values: Any, sizes: Any) -> dict[str, Any]:
    # SciPy takes longer to load than most pages to make: only a process that correlates should pay for it.
    import numpy as np

    from arena.ranking.correlation import correlate

    found = correlate(
        np.array(strengths, dtype=float),
        np.array(covariance, dtype=float),
        np.array(values, dtype=float),
        sizes=None if sizes is None else np.array(sizes, dtype=float),
    )
    return asdict(found)


def _revived(kept: Mapping[str, Any]) -> "Correlation":
    from arena.ranking.correlation import Correlation

    return Correlation(**kept)


def _covariance(results: CriterionResults, rows: Sequence[Row]) -> list[list[float]]:
    """Of the rows' strengths, as fitted. Fits made before it was kept have only their own errors."""
    ids = [row.contender.pk for row in rows]
    stored = FittedPairs(results.fit.results).covariance(ids) if results.fit else None
    if stored is not None:
        return stored
    fitted = results.fit.results if results.fit else {}
    errors = {entry["id"]: entry.get("standard_error") or 0.0 for entry in fitted.get("contenders", ())}
    return [[errors[one] ** 2 if one == other else 0.0 for other in ids] for one in ids]


def _metrics_of_recipes(study: Study, recipes: Sequence[int]) -> Iterable[Metric]:
    """Those over other prompts than the study's stay out; imported ones may not say over which they are."""
    found = list(Metric.objects.filter(Q(recipe__in=recipes)).order_by("measured_at", "pk"))
    if not any(metric.prompts_digest for metric in found):
        return found
    own = prompts_digest_of(study)
    # The study's own last: it wins where the same number is there over all images too.
    return sorted((metric for metric in found if metric.prompts_digest in ("", own)), key=lambda m: m.prompts_digest)


def _columns(found: Mapping[tuple[str, str], Mapping[int, MetricValue]]) -> Iterable[MetricColumn]:
    names = [name for name, _ in found]
    keys = sorted(found, key=lambda key: (_ORDER.index(key[0]) if key[0] in _ORDER else len(_ORDER), key))
    for name, source in keys:
        is_alone = names.count(name) == 1
        yield MetricColumn(
            key=slugify(name) if is_alone else f"{slugify(name)}-{digest_of(source)[:6]}",
            name=name,
            title=TITLES.get(name, name) if is_alone else f"{TITLES.get(name, name)} by {source}",
            source=source,
            values=found[name, source],
            is_part=name.startswith(f"{checker.OVERALL}_") and name in TITLES,
        )


def _error(mean: float, square: float, images: int) -> float | None:
    """Standard error of a mean from mean, mean square and number."""
    if images < 2:
        return None
    return math.sqrt(max(0.0, square - mean**2) / (images - 1))


def _shown(value: float, error: float) -> str:
    """As many decimals as the error has to say: "27.31 ± 0.12"."""
    decimals = 2 if error == 0 else min(6, max(0, 1 - math.floor(math.log10(error))))
    return f"{value:.{decimals}f} ± {error:.{decimals}f}"


def _preference(row: Row) -> str:
    if row.is_baseline:
        return "baseline"
    return row.against_baseline.percent if row.against_baseline.value is not None else NOTHING


def _steps(contender: Contender) -> int:
    schedule = contender.recipe.schedule
    return schedule.steps if schedule else 0


def _size(contender: Contender) -> int | None:
    checkpoint = contender.recipe.checkpoint
    return checkpoint.parameters if checkpoint else None
