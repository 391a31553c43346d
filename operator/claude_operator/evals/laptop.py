"""`eval run -f`: the same run without Kubernetes, for a prompt that is being written, and in CI."""

from __future__ import annotations

import datetime as dt
import os
import tempfile
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import msgspec
import orjson

from claude_operator.api.base import seconds
from claude_operator.api.deployment import McpCalls
from claude_operator.api.evals import EvalExecution, EvalGate, EvalRunStatus, EvalSetSpec
from claude_operator.core.evals.budget import Estimate
from claude_operator.core.evals.choice import Choice, choose_items, failed_ids, never_passed
from claude_operator.core.evals.contents import Contents
from claude_operator.core.evals.conversations import explain_refused
from claude_operator.core.evals.gate import Result
from claude_operator.core.evals.outside import asked_at_most, called, calls_sentence
from claude_operator.core.evals.report import BASELINE, CANDIDATE, Report, RunLine, make_report
from claude_operator.core.evals.sets import Item, load_items
from claude_operator.core.request.compose import PreparedArm
from claude_operator.evals.arms import Arms, made_ready
from claude_operator.evals.ask import Asker
from claude_operator.evals.files import RequestFile, api_key, directory, read_request, read_set
from claude_operator.evals.keeping import Folder, Keeper
from claude_operator.evals.session import Run, evaluate, foresee
from claude_operator.evals.stored import read_file

__all__ = [
    "Ended",
    "Options",
    "Session",
    "Tell",
    "Work",
    "as_json",
    "asking",
    "calls_warning",
    "foresee_work",
    "load",
    "run_work",
]

_DEFAULT_URL = "https://api.anthropic.com"

Tell = Callable[[int, int], None]


@dataclass(frozen=True, slots=True)
class Options:
    """The files, addresses and choices that were given."""

    set_file: Path
    requests: tuple[Path, ...]
    baseline: Path | None = None
    models: tuple[str, ...] = ()
    jsonl: Path | None = None
    base_url: str | None = None
    upstream_key: Path = Path()
    env: Path = Path()
    epochs: int | None = None
    choice: Choice = field(default_factory=Choice)
    failed: Path | None = None
    keep: Path | None = None
    volume: Path | None = None
    """A folder in place of the set's volume."""
    max_cost: float | None = None
    """In place of execution.maxCostUSD."""
    mcp: McpCalls | None = None
    """In place of what the ClaudeDeployment of the first request says."""


@dataclass(frozen=True, slots=True)
class Work:
    """Everything that a run needs. `partial` says which part of the set it is, empty for the whole."""

    name: str
    spec: EvalSetSpec
    items: list[Item]
    candidates: tuple[PreparedArm, ...]
    baseline: PreparedArm | None
    base_url: str
    key: str
    partial: str = ""
    keep: Path | None = None
    left_out: tuple[str, ...] = ()
    """What all arms are asked without."""
    env: Mapping[str, str] = field(default_factory=dict, repr=False)
    """What `$(NAME)` stands for in another candidate."""

    @property
    def execution(self) -> EvalExecution:
        """How the questions are asked."""
        return self.spec.execution


@dataclass(frozen=True, slots=True)
class Ended:
    """What came of one candidate."""

    result: Result
    report: Report
    run: Run


def load(options: Options, variables: Mapping[str, str] = os.environ) -> Work:
    """Read the files; raises ValueError that names the file and says what to write instead."""
    spec, contents = read_set(options.set_file, options.jsonl, options.volume)
    try:
        items, partial = _items(spec, contents, options)
    except ValueError as error:
        raise ValueError(f"{options.jsonl or options.set_file}: {error}") from error
    given = {"epochs": options.epochs, "max_cost_usd": options.max_cost}
    execution = spec.execution.model_copy(update={name: value for name, value in given.items() if value is not None})
    spec = spec.model_copy(update={"execution": execution})
    requests = [read_request(path) for path in options.requests]
    baseline = read_request(options.baseline) if options.baseline else None
    env = {**variables, **directory(options.env)}
    key = api_key(options.upstream_key) or variables.get("ANTHROPIC_API_KEY")
    if not key:
        raise ValueError("no Claude API key: set ANTHROPIC_API_KEY or give --upstream-key-file")
    base_url = options.base_url or requests[0].base_url or variables.get("ANTHROPIC_BASE_URL") or _DEFAULT_URL
    mcp = options.mcp or requests[0].mcp
    ready = [made_ready(one.arm, mcp, env) for one in _with_models(requests, options.models)]
    arm, besides = made_ready(baseline.arm, mcp, env) if baseline else (None, ())
    asked = [one.arm for one in (*(one for one, _ in ready), arm) if one is not None]
    refused = explain_refused(items, asked, dt.datetime.now(dt.UTC).date())
    if refused:
        raise ValueError(f"{options.jsonl or options.set_file}: {refused}")
    return Work(
        name=options.set_file.stem,
        spec=spec,
        items=items,
        candidates=tuple(one for one, _ in ready),
        baseline=arm,
        base_url=base_url,
        key=key,
        partial=partial,
        keep=options.keep,
        left_out=tuple(dict.fromkeys([*(name for _, names in ready for name in names), *besides])),
        env=env,
    )


@asynccontextmanager
async def asking(work: Work) -> AsyncIterator[Session]:
    """Ask from here on. Answers are kept in `work.keep`, else for this time alone."""
    execution = work.execution
    with tempfile.TemporaryDirectory() as folder:
        keeper = Keeper(Folder(work.keep or Path(folder)))
        async with Asker(
            work.base_url, work.key, timeout=seconds(execution.timeout), open_calls=execution.max_concurrency
        ) as asker:
            yield Session(work, asker, keeper)


@dataclass(slots=True)
class Session:
    """Asks one candidate after the other; what they share, such as the baseline's answers, is paid once."""

    work: Work
    asker: Asker
    keeper: Keeper
    paid: float = 0.0
    tokens: int = 0

    async def judge(self, candidate: PreparedArm, gate: EvalGate, progress: Tell) -> Ended:
        """Ask and judge. Raises Infrastructure."""
        work = self.work
        run = Run(
            work.execution,
            work.spec.graders or (),
            work.base_url,
            self.keeper,
            self.paid,
            self.tokens,
            keep_text=True,
            progress=progress,
        )
        result = await evaluate(work.items, Arms(candidate, work.baseline, work.left_out), self.asker.ask, gate, run)
        self.paid, self.tokens = run.budget.paid, run.budget.tokens
        result = never_passed(result, work.partial)
        return Ended(result, _report(work, candidate, result, run), run)


async def run_work(work: Work, progress: Tell) -> Ended:
    """Ask and judge the only candidate. Raises Infrastructure."""
    async with asking(work) as session:
        return await session.judge(work.candidates[0], work.spec.gate, progress)


def calls_warning(work: Work) -> str:
    """A sentence that names the MCP servers and server tools that are really called; empty where none are."""
    arms = [one.arm for one in (*work.candidates, work.baseline) if one is not None]
    return calls_sentence(called(arms, asked_at_most(work.spec, work.items)))


async def foresee_work(work: Work) -> Estimate:
    """What it would cost to ask all candidates in the planned epochs; the baseline is asked once."""
    keeper = Keeper(Folder(work.keep)) if work.keep else None
    expected, baseline = Estimate(), work.baseline
    for candidate in work.candidates:
        run = Run(work.execution, work.spec.graders or (), work.base_url, keeper)
        expected += await foresee(work.items, Arms(candidate, baseline), run)
        baseline = None
    return expected


def as_json(result: Result) -> str:
    """The result in the fields of ClaudeEvalRun.status."""
    return orjson.dumps(_status(result), option=orjson.OPT_INDENT_2).decode() + "\n"


def _status(result: Result) -> dict[str, Any]:
    return EvalRunStatus(**result.fields).model_dump(by_alias=True, exclude_none=True, exclude_unset=True, mode="json")


def _report(work: Work, candidate: PreparedArm, result: Result, run: Run) -> Report:
    line = RunLine(
        set=work.name,
        candidate=candidate.arm.revision,
        baseline=work.baseline.arm.revision if work.baseline else None,
        phase=result.phase,
        reason=str(result.reason),
        message=result.message,
        gate=work.spec.gate.model_dump(by_alias=True, exclude_none=True, mode="json"),
        result=_status(result) | ({"graders": _graders(work)} if work.spec.graders else {}),
        partial=work.partial,
    )
    arms = dict(zip((CANDIDATE, BASELINE), run.graded, strict=False))
    return make_report(line, work.items, arms, keep_text=True)


def _graders(work: Work) -> list[str]:
    return [f"{one.name}: {one.model}" for one in work.spec.graders or ()]


def _items(spec: EvalSetSpec, contents: Contents, options: Options) -> tuple[list[Item], str]:
    """The items to ask, and what to say where these are not all."""
    choice = options.choice
    if options.failed is not None:
        choice = replace(choice, failed=failed_ids(read_file(str(options.failed))))
    return choose_items(load_items(spec, contents), choice)


def _with_models(requests: Sequence[RequestFile], models: Sequence[str]) -> list[RequestFile]:
    """Each request, or with models each request on each of them, named by what tells them apart."""
    if not models:
        return list(requests)
    made = []
    for one in requests:
        for model in models:
            name = model if len(requests) == 1 else f"{one.arm.revision}/{model}"
            arm = msgspec.structs.replace(one.arm, revision=name, request={**one.arm.request, "model": model})
            made.append(replace(one, arm=arm))
    return made
