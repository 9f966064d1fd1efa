"""A study's results as a folder to keep: one self-contained page, figures, their data, a table, methods text."""

import base64
import errno
import json
import tempfile
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from django.contrib.auth.models import User
from django.contrib.staticfiles import finders
from django.template.loader import render_to_string
from django.utils import timezone
from django.utils.safestring import SafeString, mark_safe

from arena.audit import note
from arena.charts import Chart, render
from arena.charts.rendering import CONTENT_TYPES, data_of
from arena.curves import Curve
from arena.latex_table import latex_table
from arena.leaderboard import CriterionResults, Estimate
from arena.methods_text import MethodsText, methods_text
from arena.models import Study
from arena.study_page import StudyPage, study_page

PAGE: Final = "report.html"
SUMMARY: Final = "results.json"


@dataclass(frozen=True)
class Figure:
    """A chart, drawn into the page itself."""

    chart: Chart
    address: SafeString


@dataclass(frozen=True)
class Written:
    """What was written where, and the summary that also lies there as JSON."""

    folder: Path
    files: tuple[str, ...]
    summary: dict[str, Any]


def write_report(study: Study, folder: Path) -> Written:
    """Fill a folder, made where it is missing. Files of an earlier report are replaced, others stay."""
    page = study_page(study)
    results = [report.results for report in page.reports]
    methods, table = methods_text(study, results), latex_table(results, label=study.slug)
    charts = list(charts_of(page))
    summary = summary_of(page)
    files: dict[str, bytes] = {
        f"figures/{chart.name}.{suffix}": data_of(chart) if suffix == "csv" else render(chart, suffix=suffix)
        for chart in charts
        for suffix in (*CONTENT_TYPES, "csv")
    }
    files["methods.txt"] = methods.text.encode()
    if table:
        files["table.tex"] = table.encode()
    files[SUMMARY] = f"{json.dumps(summary, ensure_ascii=False, indent=2)}\n".encode()
    files[PAGE] = html_of(page, charts, methods, table).encode()
    for name, data in files.items():
        target = folder / name
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(data)
    return Written(folder, tuple(sorted(files)), summary)


def write_report_zip(study: Study, path: Path, *, actor: User | None = None) -> Written:
    """The same as one zip with a folder in it. It is noted down who took it."""
    with tempfile.TemporaryDirectory() as folder:
        written = write_report(study, Path(folder))
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
            for name in written.files:
                archive.write(written.folder / name, f"{study.slug}-report/{name}")
    note(study, actor, "report taken", files=len(written.files))
    return written


def charts_of(page: StudyPage) -> Iterator[Chart]:
    """Every chart that the page shows."""
    for report in page.reports:
        yield from report.charts
    if page.fronts_chart:
        yield page.fronts_chart
    if page.metrics:
        yield from page.metrics.charts


def html_of(page: StudyPage, charts: list[Chart], methods: MethodsText, table: str) -> str:
    """One page that needs nothing beside it: pictures stand in it, and there is no script."""
    figures = {chart.name: Figure(chart, _address(chart)) for chart in charts}
    others = [own for report in page.reports for own in report.charts]
    context = {
        "page": page,
        "style": _style(),
        "sections": [(report, [figures[chart.name] for chart in report.charts]) for report in page.reports],
        "others": [figures[chart.name] for chart in charts if chart not in others],
        "methods": methods,
        "table": table,
        "made_at": timezone.now(),
    }
    return render_to_string("arena/report.html", context)


def summary_of(page: StudyPage) -> dict[str, Any]:
    """The numbers of every criterion, for programs."""
    return {
        "study": page.study.slug,
        "name": page.study.name,
        "state": page.study.state,
        "frozen_digest": page.study.frozen_digest,
        "criteria": [
            {**_criterion(report.results), "steps": [_steps(curve) for curve in report.curves]}
            for report in page.reports
        ],
    }


def _criterion(results: CriterionResults) -> dict[str, Any]:
    return {
        "criterion": results.criterion.key,
        "votes": results.votes,
        "raters": results.raters,
        "prompts": results.prompts,
        "simulated_votes": results.simulated_votes,
        "is_current": results.is_current,
        "baseline": results.baseline.label if results.baseline else None,
        "warnings": [*results.not_comparable, *results.unbounded, *results.warnings],
        "contenders": [
            {
                "label": row.label,
                "preferred_to_baseline": _ends(row.against_baseline),
                "log_strength": _ends(row.strength),
                "ranks": [row.rank_low, row.rank_high],
                "tier": row.tier,
                "votes": row.votes,
            }
            for row in results.rows
        ],
    }


def _steps(curve: Curve) -> dict[str, Any]:
    """The fewest steps not worse than the most, by the planned margin; the most themselves where no fewer are."""
    told, most = curve.fewest, curve.reference.steps
    return {
        "curve": curve.name,
        "most_steps": most,
        "margin": told.margin if told else None,
        "fewest_steps_not_worse": (told.steps or most) if told else None,
    }


def _ends(estimate: Estimate) -> dict[str, float | None]:
    return {"estimate": estimate.value, "low": estimate.low, "high": estimate.high}


def _style() -> SafeString:
    """The page's own looks, put into it as it is written."""
    found = finders.find("arena/report.css")
    if not isinstance(found, str):
        raise FileNotFoundError(errno.ENOENT, "the report's style sheet is missing from this installation")
    return mark_safe(f"<style>{Path(found).read_text()}</style>")  # noqa: S308 our own file


def _address(chart: Chart) -> SafeString:
    picture = base64.b64encode(render(chart, suffix="svg")).decode()
    return mark_safe(f"data:image/svg+xml;base64,{picture}")  # noqa: S308 base64 has no letter that HTML minds
