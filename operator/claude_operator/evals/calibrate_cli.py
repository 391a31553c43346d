"""`eval calibrate`: a grader against a person's labels."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from claude_operator.core.evals.calibration import (
    LLM_CHECKS,
    compare_labels,
    draw_labels,
    read_labels,
    sentence,
    write_labels,
)
from claude_operator.evals.stored import read_bytes, read_file

__all__ = ["add_calibrate", "run_calibrate"]

_BAD_INPUT = 1
_EPILOG = """examples:
  claude-operator eval calibrate labels.jsonl --report report.jsonl --draw 50    # write 50 answers to judge
  claude-operator eval calibrate labels.jsonl --report report.jsonl              # after writing true or false in each

exit codes: 0 done, 1 the files cannot be used, 2 wrong options"""


def add_calibrate(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Declare the options."""
    one = commands.add_parser(
        "calibrate",
        help="compare a grader with a person's labels",
        description="Compare the verdicts of a grader with those of a person, on the same answers: Cohen's kappa.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    one.add_argument("labels", type=Path, metavar="LABELS", help="JSON lines, true or false after holds in each")
    one.add_argument("--report", type=Path, required=True, metavar="REPORT", help="of the run that was graded")
    one.add_argument("--draw", type=int, metavar="N", help="write LABELS, with so many answers drawn at random")
    one.add_argument("--seed", default="0", help="of the draw (default: %(default)s)")
    one.add_argument(
        "--check",
        action="append",
        metavar="PATTERN",
        help=f"the checks to judge, with * and ? (default: {', '.join(LLM_CHECKS)})",
    )
    one.set_defaults(parser=one)


def run_calibrate(args: argparse.Namespace) -> int:
    """Draw labels, or compare them."""
    try:
        report = read_file(str(args.report))
        if args.draw is None:
            labels = read_labels(read_bytes(str(args.labels)), str(args.labels))
            sys.stdout.write(sentence(compare_labels(report, labels, str(args.labels))) + "\n")
            return 0
        drawn = draw_labels(report, args.check or LLM_CHECKS, max(1, args.draw), args.seed)
        _write_new(args.labels, write_labels(drawn))
    except ValueError as error:
        sys.stderr.write(f"claude-operator eval: {error}\n")
        return _BAD_INPUT
    sys.stdout.write(f"{args.labels}: {len(drawn)} answers; write true or false in place of null after holds\n")
    return 0


def _write_new(path: Path, data: bytes) -> None:
    """Never over a file that is there: it may hold an hour of somebody's work."""
    try:
        with path.open("xb") as file:
            file.write(data)
    except FileExistsError:
        raise ValueError(f"{path} is there already: give another name, or delete it") from None
    except OSError as error:
        raise ValueError(f"{path} cannot be written: {error.strerror}") from error
