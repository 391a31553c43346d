"""`eval run -f`: the same run without Kubernetes, for a prompt that is being written."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TextIO

import orjson

from claude_operator.api.base import seconds
from claude_operator.api.evals import EvalSetSpec, Scores
from claude_operator.core.catalogue.rules import takes
from claude_operator.core.evals.gate import Result
from claude_operator.core.evals.sets import Item, load_items
from claude_operator.core.request.compose import PreparedArm, prepare
from claude_operator.evals.ask import Asker
from claude_operator.evals.files import RequestFile, api_key, directory, read_request, read_set
from claude_operator.evals.session import Arms, Run, evaluate

__all__ = ["Options", "Work", "as_json", "as_text", "load", "run_work"]

_DEFAULT_URL = "https://api.anthropic.com"
_BAR_WIDTH = 30  # characters


@dataclass(frozen=True, slots=True)
class Options:
    """The files and addresses that were given."""

    set_file: Path
    request: Path
    baseline: Path | None
    jsonl: Path | None
    base_url: str | None
    upstream_key: Path
    env: Path


@dataclass(frozen=True, slots=True)
class Work:
    """Everything that a run needs."""

    spec: EvalSetSpec
    items: list[Item]
    arms: Arms
    base_url: str
    key: str


def load(options: Options, variables: Mapping[str, str] = os.environ) -> Work:
    """Read the files; raises ValueError that names the file and says what to write instead."""
    spec, contents = read_set(options.set_file, options.jsonl)
    try:
        items = load_items(spec, contents)
    except ValueError as error:
        raise ValueError(f"{options.jsonl or options.set_file}: {error}") from error
    request = read_request(options.request)
    baseline = read_request(options.baseline) if options.baseline else None
    env = {**variables, **directory(options.env)}
    arms = Arms(_prepared(request, env), _prepared(baseline, env) if baseline else None)
    key = api_key(options.upstream_key) or variables.get("ANTHROPIC_API_KEY")
    if not key:
        raise ValueError("no Claude API key: set ANTHROPIC_API_KEY or give --upstream-key-file")
    base_url = options.base_url or request.base_url or variables.get("ANTHROPIC_BASE_URL") or _DEFAULT_URL
    return Work(spec, items, arms, base_url, key)


def _prepared(file: RequestFile, env: Mapping[str, str]) -> PreparedArm:
    return prepare(file.arm, env, takes)


async def run_work(work: Work, bar: TextIO | None) -> Result:
    """Ask and judge, with a progress bar where there is a terminal. Raises Infrastructure."""
    execution = work.spec.execution

    def progress(done: int, total: int) -> None:
        if bar is not None:
            filled = _BAR_WIDTH * done // total
            bar.write(f"\r{'█' * filled}{'░' * (_BAR_WIDTH - filled)} {done}/{total}" + ("\n" if done == total else ""))
            bar.flush()

    async with Asker(
        work.base_url, work.key, timeout=seconds(execution.timeout), open_calls=execution.max_concurrency
    ) as asker:
        run = Run(execution, work.spec.graders or (), work.base_url, progress=progress, keep_text=True)
        return await evaluate(work.items, work.arms, asker.ask, work.spec.gate, run)


def as_json(result: Result) -> str:
    """The result in the fields of ClaudeEvalRun.status."""
    document: dict[str, Any] = {
        "phase": result.phase,
        "reason": result.reason,
        "message": result.message,
        "candidate": _dump(result.candidate),
        "baseline": _dump(result.baseline),
        "better": result.better,
        "worse": result.worse,
        "failedItems": [one.model_dump(by_alias=True, exclude_none=True) for one in result.failed_items],
    }
    kept = {name: value for name, value in document.items() if value is not None}
    return orjson.dumps(kept, option=orjson.OPT_INDENT_2).decode()


def as_text(result: Result) -> str:
    """The scores as a table, the failed items, and the verdict last."""
    lines: list[list[str]] = []
    arms = [
        (name, scores) for name, scores in (("candidate", result.candidate), ("baseline", result.baseline)) if scores
    ]
    if arms:
        lines.append(["ARM", "PASSED", "RATE", "REFUSED", "INPUT", "OUTPUT", "COST"])
        lines += [[name, *_format_scores(scores)] for name, scores in arms]
    text = _table(lines)
    if result.failed_items:
        rows = [["FAILED", "CRITICAL", "BASELINE", "CHECK"]]
        passed = {True: "passed", False: "failed", None: "-"}
        rows += [
            [one.id, "yes" if one.critical else "", passed[one.baseline_passed], one.assertion]
            for one in result.failed_items
        ]
        text += "\n" + _table(rows)
    return f"{text}\n{result.message}\n" if text else f"{result.message}\n"


def _dump(scores: Scores | None) -> dict[str, Any] | None:
    return scores.model_dump(by_alias=True, exclude_none=True) if scores else None


def _format_scores(scores: Scores) -> list[str]:
    cost = "unknown" if scores.cost_usd is None else f"${scores.cost_usd:.{4 if scores.cost_usd >= 0.01 else 6}f}"
    return [
        f"{scores.passed}/{scores.items}",
        f"{scores.pass_rate:.1%}",
        str(scores.refused),
        str(scores.input_tokens),
        str(scores.output_tokens),
        cost,
    ]


def _table(rows: list[list[str]]) -> str:
    """Columns of equal width, two spaces apart."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    padded = ("  ".join(value.ljust(width) for value, width in zip(row, widths, strict=True)).rstrip() for row in rows)
    return "".join(f"{line}\n" for line in padded)
