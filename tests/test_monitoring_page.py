"""The page on watching a site and its alarms are held to the metrics that exist."""

import re
from pathlib import Path
from typing import Any

import yaml
from django.conf import settings
from django.urls import resolve

from arena.timetable import PERIODS
from evalsite.metrics.catalogue import CATALOGUE, as_markdown

DOCS = Path(settings.BASE_DIR) / "docs"
PAGE = (DOCS / "monitoring.md").read_text()
KNOWN = {one.name: one for one in CATALOGUE}
METRIC = re.compile(r"\bwinrate_[a-z_]+")


def rules() -> list[dict[str, Any]]:
    groups = yaml.safe_load((DOCS / "alarms.yml").read_text())["groups"]
    return [rule for group in groups for rule in group["rules"]]


def base_of(name: str) -> str:
    """A histogram's series are named after it."""
    return re.sub(r"_(bucket|sum|count)$", "", name) if name not in KNOWN else name


def test_the_table_of_metrics_is_the_one_in_the_code() -> None:
    shown = [line for line in PAGE.splitlines() if re.match(r"\| (metric|`winrate_\w+`) \|", line)]
    wanted = [line for line in as_markdown().splitlines() if not line.startswith("|---")]
    assert shown == wanted, f"paste this into docs/monitoring.md:\n{as_markdown()}"


def test_names_follow_prometheus() -> None:
    assert [one.name for one in CATALOGUE if (one.kind == "counter") != one.name.endswith("_total")] == []
    assert [one.name for one in CATALOGUE if not one.meaning.endswith(".")] == []


def test_every_alarm_asks_for_metrics_and_labels_that_exist() -> None:
    for rule in rules():
        names = METRIC.findall(rule["expr"])
        assert names or 'up{job="winrate"}' in rule["expr"], rule["alert"]
        assert [name for name in names if base_of(name) not in KNOWN] == [], rule["alert"]
        for name, inner in re.findall(r"\b(winrate_[a-z_]+)\{([^}]*)\}", rule["expr"]):
            labels = re.findall(r"(\w+)\s*[=!]~?", inner)
            assert set(labels) <= {*KNOWN[base_of(name)].labels, "le"}, rule["alert"]


def test_every_alarm_says_how_urgent_it_is_and_stands_on_the_page() -> None:
    told = re.findall(r"^\| ([A-Z]\w+) \|", PAGE, re.MULTILINE)
    assert [rule["alert"] for rule in rules()] == told
    for rule in rules():
        assert rule["labels"]["severity"] in ("page", "ticket", "info") and rule["annotations"]["summary"], rule
        assert rule["expr"].count("(") == rule["expr"].count(")"), rule["alert"]


def test_probes_are_no_requests_of_people() -> None:
    """A load balancer's probes answer 503 by design, and on a quiet site they outnumber everybody."""
    (expression,) = [rule["expr"] for rule in rules() if rule["alert"] == "RequestsFail"]
    left_out = re.findall(r'route!~"([^"]*)"', expression)
    assert len(left_out) == expression.count("winrate_requests_total") == 2 and len(set(left_out)) == 1
    assert {resolve(f"/{name}").view_name for name in ("healthz", "readyz", "metrics")} == set(left_out[0].split("|"))


def test_tasks_that_alarms_name_are_sent() -> None:
    named = {task for rule in rules() for task in re.findall(r'task="arena\.tasks\.(\w+)"', rule["expr"])}
    assert named and named - set(PERIODS) == set()


def test_what_the_page_names_exists() -> None:
    names = set(METRIC.findall(PAGE)) - {"winrate_token"}
    assert {name for name in names if name not in KNOWN} == set()
    assert set(re.findall(r"`(WINRATE_\w+)`", PAGE)) - set(settings.SETTINGS_TABLE) == set()
