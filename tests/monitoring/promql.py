"""What PromQL names: enough of the language for the rules and dashboards of this repository."""

from __future__ import annotations

import re
from dataclasses import dataclass, field

_TEXT = r'"(?:[^"\\]|\\.)*"'
_TOKEN = re.compile(
    rf"""(?P<range>\[[^\]]*\])
    |(?P<braces>\{{(?:[^}}"]|{_TEXT})*\}})
    |(?P<text>{_TEXT})
    |\b(?:by|without|on|ignoring|group_left|group_right)\s*\((?P<labels>[^)]*)\)
    |(?P<call>[a-zA-Z_]\w*(?=\s*(?:\(|by\b|without\b)))
    |(?P<number>\d[\w.]*)
    |(?P<metric>[a-zA-Z_:][\w:]*)""",
    re.VERBOSE,
)
_MATCHER = re.compile(rf"(\w+)\s*(?:=~|!~|!=|=)\s*({_TEXT})")
_WORDS = {"and", "or", "unless", "bool", "offset"}


@dataclass
class Named:
    """Metrics with the labels that matchers ask of each, and the labels by which the expression groups and joins."""

    metrics: dict[str, set[str]] = field(default_factory=dict)
    grouped: set[str] = field(default_factory=set)
    values: set[tuple[str, str]] = field(default_factory=set)
    """(label, value) of the matchers without wildcards."""


def named(expr: str) -> Named:
    """What the expression names."""
    found, last = Named(), None
    for token in _TOKEN.finditer(expr):
        if token["metric"] and token["metric"] not in _WORDS:
            last = found.metrics.setdefault(token["metric"], set())
        elif token["braces"]:
            assert last is not None, f"no metric before {token['braces']}"
            for label, value in _MATCHER.findall(token["braces"]):
                last.add(label)
                found.values |= {(label, one) for one in value[1:-1].split("|") if re.fullmatch(r"\w+", one)}
        elif token["labels"] is not None:
            found.grouped |= {label.strip() for label in token["labels"].split(",") if label.strip()}
    return found


def labels_of_legend(legend: str) -> set[str]:
    """The labels that a legend of Grafana shows."""
    return set(re.findall(r"\{\{\s*(\w+)\s*\}\}", legend))
