"""Write the chart's Grafana dashboards from dashboards_*.py: `python hack/dashboards.py`, `--check` compares."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent))

from dashboards_organisation import ORGANIZATION
from dashboards_parts import Dashboard, Panel, Row
from dashboards_rollouts import ROLLOUTS
from dashboards_system import GATEWAYS, OPERATOR
from dashboards_usage import COST, LATENCY

DASHBOARDS = (ROLLOUTS, COST, LATENCY, GATEWAYS, OPERATOR, ORGANIZATION)
FOLDER = Path(__file__).parent.parent / "charts/claude-operator/dashboards"
_COLUMNS = 24  # of Grafana's grid
_SOURCE = {"type": "prometheus", "uid": "${datasource}"}
_SCHEMA = 39  # of Grafana 10 and later; newer ones migrate it


def files() -> dict[str, str]:
    """The dashboards by the names of their files."""
    return {f"{one.slug}.json": json.dumps(document(one), indent=1, ensure_ascii=False) + "\n" for one in DASHBOARDS}


def document(dashboard: Dashboard) -> dict[str, Any]:
    """A dashboard as Grafana imports it."""
    return {
        "uid": f"claude-{dashboard.slug}",
        "title": f"Claude / {dashboard.title}",
        "description": dashboard.about,
        "tags": ["claude-operator"],
        "schemaVersion": _SCHEMA,
        "editable": True,
        "graphTooltip": 1,
        "refresh": "30s",
        "time": {"from": "now-6h", "to": "now"},
        "timezone": "",
        "links": [
            {"type": "dashboards", "tags": ["claude-operator"], "title": "Claude", "asDropdown": True, "keepTime": True}
        ],
        "templating": {"list": list(_variables(dashboard))},
        "annotations": {"list": []},
        "panels": list(_panels(dashboard)),
    }


def _variables(dashboard: Dashboard) -> Iterator[dict[str, Any]]:
    yield {"name": "datasource", "label": "Data source", "type": "datasource", "query": "prometheus", "current": {}}
    for name, query in dashboard.variables.items():
        yield {
            "name": name,
            "label": name.capitalize(),
            "type": "query",
            "datasource": _SOURCE,
            "query": {"query": query, "refId": name},
            "definition": query,
            "refresh": 2,
            "sort": 1,
            "multi": True,
            "includeAll": True,
            "allValue": ".*",
            "current": {"text": ["All"], "value": ["$__all"]},
        }


def _panels(dashboard: Dashboard) -> Iterator[dict[str, Any]]:
    x = y = height = number = 0
    for one in dashboard.panels:
        number += 1
        if isinstance(one, Row):
            x, y, height = 0, y + height, 1
            grid = {"x": 0, "y": y, "w": _COLUMNS, "h": 1}
            yield {"id": number, "type": "row", "title": one.title, "collapsed": False, "gridPos": grid, "panels": []}
            x, y, height = 0, y + 1, 0
            continue
        if x + one.width > _COLUMNS:
            x, y, height = 0, y + height, 0
        grid = {"x": x, "y": y, "w": one.width, "h": one.height}
        x, height = x + one.width, max(height, one.height)
        yield {"id": number, "gridPos": grid} | _panel(one)


def _panel(panel: Panel) -> dict[str, Any]:
    instant = panel.kind != "timeseries"
    targets = [
        {
            "refId": chr(ord("A") + index),
            "datasource": _SOURCE,
            "expr": expr,
            "legendFormat": legend,
            "instant": instant,
            "range": not instant,
            **({"format": "table"} if panel.kind == "table" else {}),
        }
        for index, (expr, legend) in enumerate(panel.queries)
    ]
    defaults: dict[str, Any] = {"unit": panel.unit, **_LIMITS.get(panel.unit, {"min": 0})}
    if panel.kind == "timeseries":
        defaults["custom"] = _drawing(panel)
    if panel.alarming is not None:
        steps = [{"color": "green", "value": None}, {"color": "red", "value": panel.alarming}]
        defaults["thresholds"] = {"mode": "absolute", "steps": steps}
    shown: dict[str, Any] = {
        "type": panel.kind,
        "title": panel.title,
        "description": panel.about,
        "datasource": _SOURCE,
        "fieldConfig": {"defaults": defaults, "overrides": []},
        "options": _OPTIONS[panel.kind],
        "targets": targets,
    }
    if panel.kind == "table":
        hidden = dict.fromkeys(("Time", "Value", "__name__", "instance", "job", "pod", "service", "endpoint"), True)
        hidden["container"] = True
        shown["transformations"] = [{"id": "organize", "options": {"excludeByName": hidden}}]
    return shown


_LIMITS: Mapping[str, Mapping[str, Any]] = {"percentunit": {"min": 0, "max": 1}, "percent": {"min": 0, "max": 100}}
_OPTIONS: Mapping[str, Mapping[str, Any]] = {
    "timeseries": {
        "legend": {"displayMode": "list", "placement": "bottom", "showLegend": True},
        "tooltip": {"mode": "multi", "sort": "desc"},
    },
    "stat": {"reduceOptions": {"calcs": ["lastNotNull"]}, "colorMode": "value", "graphMode": "none"},
    "table": {"showHeader": True, "sortBy": []},
}


def _drawing(panel: Panel) -> dict[str, Any]:
    scale = {"type": "log", "log": 10} if panel.logarithmic else {"type": "linear"}
    return {
        "lineWidth": 1,
        "fillOpacity": 25 if panel.stacked else 5,
        "showPoints": "never",
        "spanNulls": False,
        "stacking": {"mode": "normal" if panel.stacked else "none"},
        "scaleDistribution": scale,
    }


def main() -> None:
    """Write them, or say which differ."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true", help="write nothing; fail where a file differs")
    arguments = parser.parse_args()
    wanted = files()
    found = {path.name: path.read_text() for path in FOLDER.glob("*.json")}
    different = sorted(name for name in wanted.keys() | found.keys() if wanted.get(name) != found.get(name))
    if arguments.check:
        sys.exit(f"run `python hack/dashboards.py`: {', '.join(different)} differ" if different else 0)
    FOLDER.mkdir(exist_ok=True)
    for name in different:
        if name in wanted:
            (FOLDER / name).write_text(wanted[name])
        else:
            (FOLDER / name).unlink()


if __name__ == "__main__":
    main()
