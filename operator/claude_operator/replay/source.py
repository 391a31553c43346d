"""Where ticks are read: a file, standard input, or a ledger's ConfigMap as kubectl prints it."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from claude_operator.core.judge.ledger.config_map import EARLIER, POINTS, TICKS

__all__ = ["Source", "read"]

_KUBECTL = "kubectl get configmap <revision>-<attempt>-ledger -o json"


@dataclass(frozen=True, slots=True)
class Source:
    """Lines of ticks, and the points of the whole rollout where there are any."""

    lines: list[str]
    points: str = ""


def read(path: str) -> Source:
    """From a path, or `-` for standard input; raises `ValueError` and `OSError`."""
    try:
        text = sys.stdin.read() if path == "-" else Path(path).read_text(encoding="utf-8")
    except UnicodeDecodeError:
        raise ValueError("this is not text: write one tick a line, as JSON") from None
    document = _document(text)
    if document is None:
        lines = text.splitlines()
        if lines and lines[0].lstrip().startswith("["):
            return Source([], text)
        return Source(lines)
    return _of_config_map(document)


def _document(text: str) -> Mapping[str, Any] | None:
    """The ConfigMap that `text` is; None where it is lines."""
    start = text.lstrip()[:1]
    try:
        document = json.loads(text) if start == "{" else None if start in ("", "[") else yaml.safe_load(text)
    except (ValueError, RecursionError, yaml.YAMLError):
        return None
    return document if isinstance(document, dict) and "kind" in document else None


def _of_config_map(document: Mapping[str, Any]) -> Source:
    kind, data = document["kind"], document.get("data")
    if kind != "ConfigMap":
        raise ValueError(f"this is a {kind}: write one ledger, for example with {_KUBECTL}")
    if not isinstance(data, dict) or TICKS not in data:
        raise ValueError(f"this ConfigMap has no {TICKS}, so it is not a ledger: write one with {_KUBECTL}")
    pages = [str(data.get(EARLIER) or ""), str(data[TICKS] or "")]
    return Source([line for page in pages for line in page.splitlines()], str(data.get(POINTS) or ""))
