"""`eval run` with several candidates, and of an arm against itself."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from claude_operator.api.evals import EvalGate
from claude_operator.core.evals.gate import RunReason, shared_out
from claude_operator.core.evals.matrix import Row, cheapest, make_row, verdict
from claude_operator.core.evals.outcomes import Outcome
from claude_operator.core.evals.report import BASELINE, CANDIDATE, outcomes_of
from claude_operator.core.evals.runs import EXIT_CODES
from claude_operator.core.evals.selfcheck import SelfCheck, check_itself
from claude_operator.core.evals.sets import load_items
from claude_operator.evals.files import read_set
from claude_operator.evals.laptop import Ended, Options, Tell, Work, asking
from claude_operator.evals.plain import columns, dollars, line, points
from claude_operator.evals.stored import read_file

__all__ = ["check_report", "check_self", "matrix_code", "matrix_text", "run_matrix", "twice"]


async def run_matrix(work: Work, progress: Tell) -> list[tuple[Row, Ended]]:
    """Ask and judge all candidates, each with its share of alpha. Raises Infrastructure."""
    gate = shared_out(work.spec.gate, len(work.candidates))
    rows = []
    async with asking(work) as session:
        for candidate in work.candidates:
            ended = await session.judge(candidate, gate, progress)
            rows.append((_row(work, ended, gate), ended))
    return rows


def matrix_text(rows: Sequence[Row], baseline: str, partial: str) -> str:
    """All candidates as a table, and which to take."""
    heads = ["CANDIDATE", "PHASE", "POINTS", "AT LEAST", "COST AN ITEM", "COST", "AT MOST"]
    table = columns([heads, *([line(row.name, 40), row.result.phase, *_quality(row), *_cost(row)] for row in rows)])
    messages = "".join(f"{line(row.name, 40)}: {line(row.result.message, 1000)}\n" for row in rows)
    end = partial or verdict(rows, baseline)
    return f"{table}\n{messages}\n{end}\n"


def matrix_code(rows: Sequence[Row], partial: str) -> int:
    """0 where a candidate is to be taken, 100 where all failed, else 101."""
    if cheapest(rows) is not None and not partial:
        return EXIT_CODES["Passed"]
    return EXIT_CODES["Failed" if all(row.result.phase == "Failed" for row in rows) else "Inconclusive"]


def twice(work: Work) -> Work:
    """The candidate alone, asked twice as often as a run does."""
    execution = work.execution.model_copy(update={"epochs": 2 * work.execution.epochs})
    return replace(work, spec=work.spec.model_copy(update={"execution": execution}), baseline=None)


async def check_self(work: Work, times: int, progress: Tell) -> SelfCheck:
    """Ask the candidate twice as often as a run does, and judge its halves. Raises Infrastructure and ValueError."""
    async with asking(twice(work)) as session:
        ended = await session.judge(work.candidates[0], EvalGate(), progress)
    if not ended.run.graded or ended.result.reason is RunReason.BUDGET_REACHED:
        raise ValueError(ended.result.message)
    return check_itself(work.items, outcomes_of(ended.run.graded[0]), work.spec.gate, times=times)


def check_report(options: Options, path: str, times: int) -> SelfCheck:
    """The same with the answers of one arm in a report, the baseline's where there is one: nothing is asked.

    Raises ValueError.
    """
    spec, contents = read_set(options.set_file, options.jsonl, options.volume)
    report = read_file(path)
    if report.run.left_out:
        raise ValueError(f"{path} lacks some answers ({report.run.left_out}): take a whole report")
    arm = BASELINE if any(line.arm == BASELINE for line in report.outcomes) else CANDIDATE
    answers: dict[str, list[Outcome]] = {}
    for one in sorted(report.outcomes, key=lambda one: one.epoch):
        if one.arm == arm:
            answers.setdefault(one.id, []).append(one.outcome)
    items = [item for item in load_items(spec, contents) if item.id in answers]
    if not items:
        raise ValueError(f"{path} has answers to no item of {options.set_file}: give the report of a run of this set")
    return check_itself(items, answers, spec.gate, times=times)


def _row(work: Work, ended: Ended, gate: EvalGate) -> Row:
    graded = ended.run.graded
    arms = (outcomes_of(graded[0]), outcomes_of(graded[1])) if len(graded) > 1 else ({}, {})
    return make_row(ended.report.run.candidate, ended.result, work.items, arms, gate)


def _quality(row: Row) -> list[str]:
    if row.quality is None:
        return ["-", "-"]
    return [points(row.quality.difference), points(row.quality.lower)]


def _cost(row: Row) -> list[str]:
    if row.cost is None:
        return ["unknown", "-", "-"]
    return [dollars(row.cost.candidate), f"{100 * row.cost.difference:+.0f}%", f"{100 * row.cost.upper:+.0f}%"]
