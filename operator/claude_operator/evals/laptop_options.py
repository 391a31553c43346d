"""The options of a run on a laptop or in CI. What they are for is imported when it is needed: the SDK takes long."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path

from claude_operator.evals.show_cli import add_file_options

__all__ = ["add_laptop_options", "check_laptop_options", "number"]

_SELF = 200  # comparisons of an arm with itself
_MOST_EPOCHS = 50


def add_laptop_options(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    laptop = parser.add_argument_group("laptop and CI")
    laptop.add_argument(
        "--request",
        type=Path,
        action="append",
        metavar="FILE",
        help="what to evaluate: a ClaudeDeployment, a ClaudeRevision or a request; several: the cheapest that is as"
        " good as --baseline is named",
    )
    laptop.add_argument("--model", action="append", metavar="MODEL", help="in place of the request's; several as above")
    laptop.add_argument("--baseline", type=Path, metavar="FILE", help="what to compare it with, as --request")
    laptop.add_argument("--jsonl", type=Path, metavar="FILE", help="the items of a set with a dataset")
    laptop.add_argument(
        "--volume", type=Path, metavar="FOLDER", help="the content of dataset.volume (default: the set's folder)"
    )
    laptop.add_argument(
        "--base-url",
        help="the Messages API (default: as --request says, ANTHROPIC_BASE_URL, https://api.anthropic.com)",
    )
    laptop.add_argument("--epochs", type=number(1, _MOST_EPOCHS), metavar="N", help="in place of execution.epochs")
    laptop.add_argument(
        "--keep", type=Path, metavar="FOLDER", help="keep answers here, and pay for none that is here already"
    )
    laptop.add_argument(
        "--mcp",
        choices=("real", "off"),
        help="off: ask without MCP servers and server tools (default: spec.evals.mcp of --request, else real)",
    )
    laptop.add_argument(
        "--self",
        dest="itself",
        type=number(1, 10_000),
        nargs="?",
        const=_SELF,
        metavar="N",
        help="ask --request twice as often, and say how often the gate fails one half against the other",
    )
    laptop.add_argument(
        "--from",
        dest="from_report",
        type=Path,
        metavar="REPORT",
        help="with --self: compare the answers of an earlier run, the baseline's where it had one, and ask nothing",
    )
    laptop.add_argument(
        "--max-cost",
        type=_amount,
        metavar="USD",
        help="ask nothing if the estimate is higher, and stop there (in place of execution.maxCostUSD)",
    )
    laptop.add_argument("-o", "--output", choices=("text", "json"), default="text", help="default: %(default)s")
    part = parser.add_argument_group("a part of the set", "no verdict for the gate: what would pass is inconclusive")
    part.add_argument(
        "--filter",
        action="append",
        default=[],
        metavar="PATTERN",
        help="items whose id fits, with * and ?; key=pattern: those with such metadata; several: any of them",
    )
    part.add_argument("--sample", type=number(1, 1_000_000), metavar="N", help="so many items, drawn by --seed")
    part.add_argument("--seed", default="0", help="default: %(default)s")
    part.add_argument("--failed", type=Path, metavar="REPORT", help="items that failed in this report")
    files = parser.add_argument_group("files", "with questions and answers; one for each of several candidates")
    files.add_argument("--report", type=Path, metavar="FILE", help="write the report, for `eval show` and --failed")
    add_file_options(files)


def check_laptop_options(args: argparse.Namespace) -> None:
    """End the program where options do not go together."""
    if args.from_report and not args.itself:
        args.parser.error("--from belongs to --self: it compares the answers of an earlier run with themselves")
    if args.from_report and args.request:
        args.parser.error("--from asks nothing: leave out --request")
    if args.from_report and (args.filter or args.sample or args.failed):
        args.parser.error("--from compares the whole report: leave out --filter, --sample and --failed")
    if not args.request and not args.from_report:
        args.parser.error("-f needs --request: the file with the request to evaluate")
    several = len(args.request or ["a report's"]) * len(args.model or ["the request's"]) > 1
    if several and not args.baseline:
        args.parser.error("several candidates need --baseline: what they are compared with")
    if args.itself and (several or args.baseline):
        args.parser.error("--self compares one --request with itself: leave out --baseline and the others")


def number(least: int, most: int) -> Callable[[str], int]:
    """Reads a whole number of an option."""

    def read(text: str) -> int:
        if not text.isascii() or not text.isdigit() or not least <= int(text) <= most:
            raise argparse.ArgumentTypeError(f"{text!r} must be a whole number from {least} to {most:,}")
        return int(text)

    return read


def _amount(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if not 0 <= value <= 1_000_000:
        raise argparse.ArgumentTypeError(f"{text!r} is not an amount in US dollars; write for example 2.50")
    return value
