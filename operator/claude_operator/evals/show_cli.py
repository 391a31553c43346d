"""`eval show`: the report of a run, from the cluster or a file, as text, JSON, HTML or JUnit XML."""

from __future__ import annotations

import argparse
import sys
from dataclasses import dataclass
from pathlib import Path

import msgspec

from claude_operator.core.evals.report import Report, write_report
from claude_operator.core.evals.summary import summarise
from claude_operator.evals.html import as_html
from claude_operator.evals.junit import as_junit
from claude_operator.evals.show import as_text
from claude_operator.evals.stored import load_report

__all__ = ["Files", "add_file_options", "add_show", "run_show", "write_files"]

_BAD_INPUT = 1
_EPILOG = """examples:
  claude-operator eval show triage-5f6d8c1a2b-1
  claude-operator eval show report.jsonl --html report.html

exit codes: 0 whatever the verdict, 1 there is no such report, 2 wrong options"""


@dataclass(frozen=True, slots=True)
class Files:
    """Files to write beside what is printed; None for those not asked for."""

    html: Path | None = None
    junit: Path | None = None
    report: Path | None = None


def add_show(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Declare the options."""
    one = commands.add_parser(
        "show",
        help="show the report of a run",
        description="Show the report of a run: the arms, what changed, failed checks, slices, the verdict.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    one.add_argument(
        "report", metavar="RUN|FILE", help="a ClaudeEvalRun, a file of `eval run --report`, or - for input"
    )
    one.add_argument("-n", "--namespace", help="of the ClaudeEvalRun (default: as the kubeconfig says)")
    one.add_argument("--json", action="store_true", help="print what is shown as JSON")
    add_file_options(one)
    one.set_defaults(parser=one)


def add_file_options(parser: argparse._ActionsContainer) -> None:
    """Declare the files that a report can be written to."""
    parser.add_argument("--html", type=Path, metavar="FILE", help="write one page with the items side by side")
    parser.add_argument("--junit", type=Path, metavar="FILE", help="write JUnit XML, for a CI server")


def run_show(args: argparse.Namespace) -> int:
    """Read the report and show it."""
    from claude_operator.kube.errors import KubeError

    try:
        report = load_report(args.report, args.namespace)
        write_files(report, Files(args.html, args.junit))
    except (ValueError, KubeError) as error:
        sys.stderr.write(f"claude-operator eval: {error}\n")
        return _BAD_INPUT
    sys.stdout.write(as_json(report) if args.json else as_text(report))
    return 0


def as_json(report: Report) -> str:
    """The run and its summary."""
    shown = {"run": report.run, "summary": summarise(report)}
    return msgspec.json.format(msgspec.json.encode(shown), indent=2).decode() + "\n"


def write_files(report: Report, files: Files) -> None:
    """Write what was asked for; raises ValueError that names the file."""
    texts = ((files.html, as_html), (files.junit, as_junit))
    for path, make in texts:
        if path is not None:
            _write(path, make(report).encode())
    if files.report is not None:
        _write(files.report, write_report(report))


def _write(path: Path, data: bytes) -> None:
    try:
        path.write_bytes(data)
    except OSError as error:
        raise ValueError(f"{path} cannot be written: {error.strerror}") from error
