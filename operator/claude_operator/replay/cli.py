"""claude-operator judge: the options of `replay` and `plot`."""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from claude_operator.core.judge.ledger.lines import Header, Line, LineError, parse
from claude_operator.core.judge.ledger.points import of_replay, read_points
from claude_operator.replay.plot import plot
from claude_operator.replay.replay import replay
from claude_operator.replay.source import Source, read

__all__ = ["add_arguments", "run"]

_BAD_INPUT = 2
_LEDGER = (
    "file with one tick a line, - for standard input, or a ledger as `kubectl get configmap"
    " <revision>-<attempt>-ledger -o json` or -o yaml prints it"
)
_EPILOG = """a line of input, every number what that tick added; lines of the same t are strata of one tick:
  {"t": 5, "weight": 0.01, "metrics": {"errors": {"stable": [500, 2], "canary": [5, 1]}}}
errors, refusals, maxTokens, contextWindow, toolUse, latencyBudget, cacheMiss, judgeFail, hung and overloads are
[requests, bad ones]; timeToFirstToken, timePerOutputToken, duration, cost and outputTokens are
  {"count": 3, "lnSum": 1.2, "lnSumSq": 0.9, "buckets": [0, 2, 1]}

"""
_REPLAY = """a line of output a tick: t, weight, evidence (by metric), total, threshold, verdict, leading

examples:
  claude-operator judge replay ticks.jsonl
  kubectl get configmap support-7b9e21c3d4-1-ledger -o json | claude-operator judge replay -
  claude-operator judge replay ledger.json --alpha 0.001 --set metrics.errors.maxIncrease=10%

exit codes: 0 whatever the verdict, 2 bad input; with --exit-code 1 for Fail"""
_PLOT = """the SVG follows the reader's light or dark theme

examples:
  claude-operator judge plot ledger.json -o rollout.svg
  claude-operator judge plot ticks.jsonl --set metrics.cost.weight=0.5 > rollout.svg

exit codes: 0 done, 2 bad input"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    commands = parser.add_subparsers(dest="judge_command", required=True, metavar="COMMAND")
    one = commands.add_parser(
        "replay",
        help="judge recorded ticks again, by the same plan or another",
        description="Judge recorded ticks again: a line of JSON for each.",
        epilog=_EPILOG + _REPLAY,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    _shared(one)
    one.add_argument("--beyond", action="store_true", help="keep counting after Fail, which is otherwise final")
    one.add_argument("--exit-code", action="store_true", help="exit with 1 where the last verdict is Fail")
    other = commands.add_parser(
        "plot",
        help="draw weight and evidence over time",
        description="Draw weight and evidence over time, as an SVG.",
        epilog=_EPILOG + _PLOT,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    _shared(other)
    other.add_argument("-o", "--output", type=Path, metavar="FILE", help="where to write (default: standard output)")
    other.add_argument("--title", help="default: the deployment and the revision, where the ledger names them")


def _shared(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("ticks", metavar="TICKS", help=_LEDGER)
    parser.add_argument(
        "--alpha", type=_rate, help="chance of a false rollback: Fail from a total of 1/ALPHA on (default: the plan's)"
    )
    parser.add_argument(
        "--set",
        action="append",
        default=[],
        metavar="PATH=VALUE",
        dest="overrides",
        help="a field of the plan's analysis, for example metrics.errors.maxIncrease=10%%, metrics.cost.weight=0.3,"
        " metrics.refusals.mode=DryRun, falseRollbackRate=0.05; may be repeated",
    )


def _rate(text: str) -> float:
    try:
        rate = float(text)
    except ValueError:
        rate = 0.0
    if not 0.0 < rate < 1.0:
        raise argparse.ArgumentTypeError(f"{text} is not a probability: write for example 0.01")
    return rate


def run(args: argparse.Namespace) -> int:
    """Replay or plot; 2 for bad input."""
    try:
        return _replay(args) if args.judge_command == "replay" else _plot(args)
    except BrokenPipeError:  # the reader has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except LineError as error:
        _note(f"{args.ticks}: {error}")
    except OSError as error:
        _note(f"{error.filename}: {error.strerror}")
    except ValueError as error:
        _note(str(error))
    return _BAD_INPUT


def _replay(args: argparse.Namespace) -> int:
    verdict = ""
    for tick in _replayed(read(args.ticks), args, beyond=args.beyond):
        sys.stdout.write(f"{json.dumps(tick)}\n")
        verdict = tick["verdict"]
    sys.stdout.flush()
    return 1 if args.exit_code and verdict == "Fail" else 0


def _replayed(source: Source, args: argparse.Namespace, *, beyond: bool = False) -> Iterator[dict[str, Any]]:
    return replay(
        source.lines,
        alpha=args.alpha,
        overrides=args.overrides,
        beyond=beyond,
        say=lambda note: _note(f"{args.ticks}: {note}"),
    )


def _note(text: str) -> None:
    sys.stderr.write(f"claude-operator judge: {text}\n")


def _plot(args: argparse.Namespace) -> int:
    source = read(args.ticks)
    parsed = list(parse(source.lines))
    header = next((one for one in parsed if isinstance(one, Header)), None)
    # The points show the whole rollout, but only of how it was judged.
    if source.points and not args.overrides and (args.alpha is None or not parsed):
        points = read_points(source.points)
        threshold = 1.0 / (args.alpha or (header.analysis.false_rollback_rate if header else 0.01))
        said = [one.judged for one in parsed if isinstance(one, Line) and one.judged]
    else:
        said = list(_replayed(source, args))
        points, threshold = of_replay(said), said[-1]["threshold"] if said else 0.0
    leading = said[-1].get("leading") if said else None
    title = args.title if args.title is not None else _title(header)
    picture = plot(points, threshold=threshold, leading=leading, title=title)
    if args.output:
        args.output.write_text(picture, encoding="utf-8")
    else:
        sys.stdout.write(picture)
        sys.stdout.flush()
    return 0


def _title(header: Header | None) -> str:
    if header is None:
        return ""
    attempt = f", attempt {header.attempt}" if header.attempt > 1 else ""
    return f"{header.deployment}: {header.revision} against {header.stable}{attempt}"
