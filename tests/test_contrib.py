"""The dashboard and the alerts ask for figures that are really exported, in Prometheus' own grammar."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import promql_parser
import pytest
import yaml
from metrics_helpers import Scraped, scraped
from test_metrics import everything

from asrwatch.metrics.exposition import exposition

CONTRIB = Path(__file__).parent.parent / "contrib"
DASHBOARD = json.loads((CONTRIB / "grafana" / "asrwatch.json").read_text(encoding="utf-8"))
RULES = yaml.safe_load((CONTRIB / "prometheus" / "asrwatch.rules.yml").read_text(encoding="utf-8"))
FROM_PROMETHEUS = {"instance", "job", "le"}
"""Labels that the scrape adds; `le` is the buckets'."""


def everything_exported() -> Scraped:
    """All figures, the process's included."""
    return scraped(exposition(everything(), process=True).decode())


def panels() -> Iterator[dict[str, Any]]:
    """Every panel that shows something."""
    return (panel for panel in DASHBOARD["panels"] if panel["type"] != "row")


def queries() -> list[str]:
    """Every query of dashboard and alerts, Grafana's variables put in."""
    found = [target["expr"] for panel in panels() for target in panel["targets"]]
    found += [each["expr"] for each in DASHBOARD["annotations"]["list"]]
    for each in DASHBOARD["templating"]["list"]:
        if each["type"] == "query":
            found.append(re.sub(r"label_values\((.*), \w+\)", r"\1", each["definition"]))
    found += [rule["expr"] for group in RULES["groups"] for rule in group["rules"]]
    return [each.replace("$__rate_interval", "5m").replace("$", "") for each in found]


def selectors(node: Any) -> Iterator[Any]:
    """Every selector of a figure in a query."""
    if isinstance(node, promql_parser.VectorSelector):
        yield node
    for name in ("expr", "lhs", "rhs", "vector_selector", "param"):
        below = getattr(node, name, None)
        if below is not None:
            yield from selectors(below)
    for below in getattr(node, "args", None) or ():
        yield from selectors(below)


@pytest.mark.parametrize("query", sorted(set(queries())))
def test_queries_ask_for_what_there_is(query: str) -> None:
    """Each query is one to Prometheus, its names are exported, and so are the labels it chooses or sums by."""
    told = everything_exported()
    found = list(selectors(promql_parser.parse(query)))
    assert found
    for each in found:
        assert each.name in told.names(), each.name
        labels = {name for known in told.labels(each.name) for name in known} | FROM_PROMETHEUS
        chosen = {matcher.name for matcher in each.matchers.matchers}
        assert chosen <= labels, each.name
        grouped = re.findall(r"by \(([\w, ]+)\)", query)
        assert {name for group in grouped for name in group.split(", ")} <= labels, each.name


def test_counters_are_asked_for_their_growth() -> None:
    """What only grows is shown as a rate or an increase, never as it is."""
    counters = {
        name
        for name in everything_exported().names()
        if name.endswith(("_total", "_bucket", "_count", "_sum"))
    }
    for query in queries():
        for name in counters:
            for before in re.findall(rf"(.{{0,9}}){name}\b", query):
                assert before.endswith(("rate(", "increase(")), query


def test_every_figure_is_on_the_dashboard() -> None:
    """Nothing is exported that nobody would see, but for what describes the program."""
    asked = {each.name for query in queries() for each in selectors(promql_parser.parse(query))}
    shown = {re.sub(r"_(bucket|sum|count)$", "", name) for name in asked}
    told = {
        re.sub(r"_(bucket|sum|count)$", "", name)
        for name in everything_exported().names()
        if name.startswith("asrwatch_")
    }
    assert told - shown == {"asrwatch_build_info"}


def test_panels_stand_side_by_side() -> None:
    """Panels have their own numbers, and none covers another."""
    taken: set[tuple[int, int]] = set()
    numbers = [panel["id"] for panel in DASHBOARD["panels"]]
    assert len(numbers) == len(set(numbers))
    for panel in DASHBOARD["panels"]:
        place = panel["gridPos"]
        cells = {
            (x, y)
            for x in range(place["x"], place["x"] + place["w"])
            for y in range(place["y"], place["y"] + place["h"])
        }
        assert not cells & taken, panel["title"]
        assert place["x"] + place["w"] <= 24
        taken |= cells


def test_legends_name_labels_there_are() -> None:
    """What a legend names is a label that the figure has, or one it is summed by."""
    told = everything_exported()
    for panel in panels():
        for target in panel["targets"]:
            named = set(re.findall(r"{{(\w+)}}", target.get("legendFormat", "")))
            query = target["expr"].replace("$__rate_interval", "5m").replace("$", "")
            found = list(selectors(promql_parser.parse(query)))
            labels = {
                label for each in found for known in told.labels(each.name) for label in known
            }
            grouped = re.findall(r"by \(([\w, ]+)\)", query)
            if grouped:
                labels &= {name for group in grouped for name in group.split(", ")}
            assert named <= labels | {"instance"}, target


def test_alerts_say_what_to_do() -> None:
    """Every alert has a name of ours, a severity, a summary and a way on."""
    for group in RULES["groups"]:
        for rule in group["rules"]:
            assert rule["alert"].startswith("Asrwatch")
            assert rule["labels"]["severity"] in {"info", "warning", "critical"}
            assert set(rule["annotations"]) == {"summary", "description"}
            named = re.findall(r"\$labels\.(\w+)", " ".join(rule["annotations"].values()))
            told = everything_exported()
            found = list(selectors(promql_parser.parse(rule["expr"])))
            labels = {
                label for each in found for known in told.labels(each.name) for label in known
            }
            assert set(named) <= labels | FROM_PROMETHEUS
