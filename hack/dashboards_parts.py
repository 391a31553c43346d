"""What a Grafana dashboard is made of, and PromQL that several of them have."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

Query = tuple[str, str]  # an expression and the legend of its series


@dataclass(frozen=True)
class Panel:
    """One panel. `unit` is Grafana's; `alarming` is the value from which a figure is red."""

    title: str
    about: str
    queries: tuple[Query, ...]
    unit: str = "short"
    kind: Literal["timeseries", "stat", "table"] = "timeseries"
    width: int = 12
    height: int = 8
    stacked: bool = False
    logarithmic: bool = False
    alarming: float | None = None


@dataclass(frozen=True)
class Row:
    """A heading over the panels that follow."""

    title: str


@dataclass(frozen=True)
class Dashboard:
    """One dashboard; `variables` are names and the queries of their values."""

    slug: str
    title: str
    about: str
    panels: tuple[Panel | Row, ...]
    variables: Mapping[str, str] = field(default_factory=dict)


CHOICE = {
    "namespace": "label_values(claude_operator_condition, namespace)",
    "name": 'label_values(claude_operator_condition{namespace=~"$namespace"}, name)',
}
ONE = 'namespace=~"$namespace", name=~"$name"'
RATE = "[$__rate_interval]"
EACH, WHO = "namespace, name", "{{namespace}}/{{name}}"  # a ClaudeDeployment, to sum by and as a legend


def rate(by: str, metric: str, more: str = "") -> str:
    """The sum of a counter's rates, of the chosen ClaudeDeployments."""
    return f"sum by ({by}) (rate({metric}{{{ONE}{more}}}{RATE}))"


def ratio(by: str, metric: str, part: str, whole: str = "") -> str:
    """A part of a counter's series over all of them: 0 where there is no such part, nothing where there is none."""
    every = rate(by, metric, whole)
    return f"({rate(by, metric, part)} or 0 * {every}) / {every}"


def quantile(share: float, by: str, metric: str, more: str = "") -> str:
    """A quantile of a histogram, of the chosen ClaudeDeployments."""
    return f"histogram_quantile({share}, {rate(f'{by}, le', f'{metric}_bucket', more)})"


def holding(type_: str, status: str) -> str:
    """How many have a condition with this status. Nothing, not 0, where no operator says how they are."""
    where = f'claude_operator_condition{{{ONE}, type="{type_}"'
    return f'sum(({where}, status="{status}"}}) or ({where}}} * 0))'


def figure(title: str, about: str, query: str, *, unit: str = "short", alarming: float | None = None) -> Panel:
    """A panel with one number."""
    return Panel(title, about, ((query, ""),), unit, "stat", width=4, height=4, alarming=alarming)
