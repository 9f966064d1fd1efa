"""The study page's section on automatic metrics as one value: table, correlations, charts, decrease over steps."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from arena.automatic_metrics import (
    MetricColumn,
    MetricCorrelation,
    MetricLine,
    columns_of,
    correlations_of,
    lines_of,
    loss_columns,
)
from arena.charts import Chart, scatter_chart
from arena.clip_decrease import ClipDecrease, clip_decreases
from arena.curves import Curve
from arena.leaderboard import CriterionResults
from arena.models import Study
from generation.measuring import clip


@dataclass(frozen=True)
class DrawnCorrelation:
    """A metric against one criterion, with its chart where there is one."""

    correlation: MetricCorrelation
    chart: Chart | None


@dataclass(frozen=True)
class CriterionMetrics:
    """All metrics against one criterion."""

    results: CriterionResults
    drawn: tuple[DrawnCorrelation, ...]

    @property
    def warnings(self) -> tuple[str, ...]:
        """What a reader must know, each once, with the metrics it is about where it is not about all."""
        said: dict[str, list[str]] = {}
        found = [each.correlation for each in self.drawn if each.correlation.found]
        for one in found:
            for sentence in one.found.warnings if one.found else ():
                said.setdefault(sentence, []).append(one.column.title)
        return tuple(
            sentence if len(titles) == len(found) else f"{', '.join(titles)}: {sentence}"
            for sentence, titles in said.items()
        )

    @property
    def whole(self) -> tuple[DrawnCorrelation, ...]:
        return tuple(each for each in self.drawn if each.chart and not each.correlation.column.is_part)

    @property
    def parts(self) -> tuple[DrawnCorrelation, ...]:
        return tuple(each for each in self.drawn if each.chart and each.correlation.column.is_part)


@dataclass(frozen=True)
class MetricsReport:
    """Everything the section shows."""

    columns: tuple[MetricColumn, ...]
    lines: tuple[MetricLine, ...]
    criteria: tuple[CriterionMetrics, ...]
    decreases: tuple[ClipDecrease, ...]
    has_siblings: bool
    """Whether contenders share a checkpoint, so that they say less than so many independent ones."""

    @property
    def charts(self) -> Iterator[Chart]:
        return (each.chart for criterion in self.criteria for each in criterion.drawn if each.chart)

    @property
    def shown(self) -> list[object]:
        """What can change, as plain JSON, for the page's stamp."""
        cells = [[cell.text if cell else None for cell in line.cells] for line in self.lines]
        levels = [[decrease.source, *(level.text for level in decrease.levels)] for decrease in self.decreases]
        return [[column.key for column in self.columns], cells, [chart.digest for chart in self.charts], levels]


def metrics_report(study: Study, results: Sequence[CriterionResults], curves: Sequence[Curve]) -> MetricsReport | None:
    """None where nothing was measured and no losses are known. The number of queries is the same for any study size."""
    if not results:
        return None
    measured = columns_of(study)
    columns = (*measured, *loss_columns(results[0].rows))
    if not columns:
        return None
    criteria = []
    for each in results:
        correlations = correlations_of(each, columns)
        if correlations:
            drawn = tuple(DrawnCorrelation(found, scatter_chart(each, found)) for found in correlations)
            criteria.append(CriterionMetrics(each, drawn))
    is_scored = any(column.name == clip.SCORE for column in measured)
    checkpoints = [row.contender.recipe.checkpoint_id for row in results[0].rows if row.contender.recipe.checkpoint_id]
    return MetricsReport(
        columns=columns,
        lines=lines_of(results, columns),
        criteria=tuple(criteria),
        decreases=clip_decreases(study, curves) if is_scored else (),
        has_siblings=len(set(checkpoints)) < len(checkpoints),
    )
