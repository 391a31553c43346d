"""`eval run -f`: a run on a laptop or in CI, and what it prints."""

from __future__ import annotations

import argparse
import asyncio
import json
import re
import sys
from pathlib import Path

from claude_operator.core.evals.choice import Choice
from claude_operator.core.evals.matrix import cheapest
from claude_operator.core.evals.runs import EXIT_CODES, INFRASTRUCTURE_EXIT
from claude_operator.core.evals.selfcheck import sentence
from claude_operator.evals.ask import Infrastructure
from claude_operator.evals.laptop import Options, Work, as_json, calls_warning, foresee_work, load, run_work
from claude_operator.evals.plain import dollars
from claude_operator.evals.progress import Progress
from claude_operator.evals.several import check_report, check_self, matrix_code, matrix_text, run_matrix, twice
from claude_operator.evals.show import as_text
from claude_operator.evals.show_cli import Files, write_files
from claude_operator.evals.stopping import stoppable

__all__ = ["run_laptop"]


def run_laptop(args: argparse.Namespace) -> int:
    """Run the evals; the exit code is the verdict."""
    options = Options(
        args.file,
        tuple(args.request or ()),
        args.baseline,
        tuple(args.model or ()),
        args.jsonl,
        args.base_url,
        args.upstream_key_file,
        args.env_dir,
        args.epochs,
        Choice(tuple(args.filter), args.sample, args.seed),
        args.failed,
        args.keep,
        args.volume,
        args.max_cost,
        args.mcp and args.mcp.capitalize(),
    )
    try:
        if args.from_report:
            sys.stdout.write(sentence(check_report(options, str(args.from_report), args.itself)) + "\n")
            return 0
        work = load(options)
        _announce(twice(work) if args.itself else work, args.max_cost)
        if args.itself:
            return _run_self(work, args.itself)
        return _run_several(work, args) if len(work.candidates) > 1 else _run_one(work, args)
    except (ValueError, Infrastructure) as error:
        sys.stderr.write(f"claude-operator eval: {error}\n")
    except asyncio.CancelledError:
        sys.stderr.write("claude-operator eval: stopped\n")
    return INFRASTRUCTURE_EXIT


def _announce(work: Work, most: float | None) -> None:
    """Say what the run will cost and what it really calls; raises ValueError where it would cost more than `most`."""
    if warning := calls_warning(work):
        sys.stderr.write(f"warning: {warning} (--mcp off)\n")
    expected = asyncio.run(foresee_work(work))
    more = work.baseline is not None and work.spec.gate.on_inconclusive == "AddEpochs"
    helps = "; up to 4 times as much where the gate asks for more epochs" if more and expected.requests else ""
    sys.stderr.write(f"estimated cost: {expected}{helps}\n")
    if most is not None and expected.tokens:
        raise ValueError(
            f"about {expected.tokens:,} tokens are of models without a price, so --max-cost cannot be kept: nothing was"
            " asked; leave it out, and set execution.maxTokens in the set"
        )
    if most is not None and expected.usd > most:
        raise ValueError(
            f"the run would cost about {dollars(expected.usd)}, more than --max-cost {most:g}: nothing was asked"
        )


def _run_one(work: Work, args: argparse.Namespace) -> int:
    ended = asyncio.run(stoppable(run_work(work, Progress(sys.stderr))))
    write_files(ended.report, Files(args.html, args.junit, args.report))
    sys.stdout.write(as_json(ended.result) if args.output == "json" else as_text(ended.report))
    return EXIT_CODES[ended.result.phase]


def _run_several(work: Work, args: argparse.Namespace) -> int:
    ended = asyncio.run(stoppable(run_matrix(work, Progress(sys.stderr))))
    for row, one in ended:
        write_files(one.report, Files(*(_named(path, row.name) for path in (args.html, args.junit, args.report))))
    rows = [row for row, _ in ended]
    baseline = work.baseline.arm.revision if work.baseline else ""
    if args.output == "json":
        found = cheapest(rows)
        document = {
            "cheapest": found.name if found and not work.partial else None,
            "candidates": [{"name": row.name, **json.loads(as_json(row.result))} for row in rows],
        }
        sys.stdout.write(json.dumps(document, indent=2) + "\n")
    else:
        sys.stdout.write(matrix_text(rows, baseline, work.partial))
    return matrix_code(rows, work.partial)


def _run_self(work: Work, times: int) -> int:
    found = asyncio.run(stoppable(check_self(work, times, Progress(sys.stderr))))
    sys.stdout.write(sentence(found) + "\n")
    return 0


def _named(path: Path | None, candidate: str) -> Path | None:
    """`report.html` as `report-<candidate>.html`."""
    name = re.sub(r"[^\w.-]+", "-", candidate)
    return path and path.with_name(f"{path.stem}-{name}{path.suffix}")
