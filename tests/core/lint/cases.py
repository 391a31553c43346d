"""ClaudeDeployments and ClaudeEvalSets as files, for tests of lint."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from typing import Any

import yaml

from claude_operator.api.base import API_VERSION
from claude_operator.core.lint.finding import Finding
from claude_operator.core.lint.lint import Report, lint
from claude_operator.core.lint.sources import Source

OPUS, SONNET, HAIKU = "claude-opus-5-5", "claude-sonnet-5-5", "claude-haiku-5-5"
TODAY = dt.date(2026, 11, 23)


def request(**fields: Any) -> dict[str, Any]:
    """A request that is fine, with other fields; None leaves one out."""
    made = {"model": OPUS, "max_tokens": 1024, "system": [{"type": "text", "text": "Be brief."}], **fields}
    return {name: value for name, value in made.items() if value is not None}


def deployment(spec: Mapping[str, Any] | None = None, **fields: Any) -> dict[str, Any]:
    """A ClaudeDeployment with a key; `fields` are those of its request."""
    base = {"request": request(**fields), "upstream": {"apiKeySecretRef": {"name": "anthropic", "key": "api-key"}}}
    return {
        "apiVersion": API_VERSION,
        "kind": "ClaudeDeployment",
        "metadata": {"name": "support", "namespace": "shop"},
        "spec": {**base, **(spec or {})},
    }


def config_map(name: str, **data: str) -> dict[str, Any]:
    """A ConfigMap of the same namespace."""
    return {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": name, "namespace": "shop"},
        "data": data,
    }


def eval_set(**spec: Any) -> dict[str, Any]:
    """A ClaudeEvalSet of the same namespace."""
    metadata = {"name": "support-set", "namespace": "shop"}
    return {"apiVersion": API_VERSION, "kind": "ClaudeEvalSet", "metadata": metadata, "spec": spec}


def text_of(*objects: Any) -> str:
    """A file."""
    return yaml.safe_dump_all(objects, sort_keys=False, allow_unicode=True)


def linted(*objects: Any, today: dt.date = TODAY) -> Report:
    """Objects in one file."""
    return lint([Source("app.yaml", text_of(*objects))], today)


def told(report: Report) -> list[tuple[str, str, str]]:
    """(check, level, path) of each finding."""
    return [(one.check, one.level.value, one.path) for one in report.findings]


def only(report: Report) -> Finding:
    """The one finding that there is."""
    (finding,) = report.findings
    return finding
