"""`claude-operator eval import`: the options, and what is told."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from claude_operator.core.evals.runs import INFRASTRUCTURE_EXIT

__all__ = ["add_import", "run_import"]


def add_import(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Declare the command and its options."""
    taken = commands.add_parser(
        "import",
        help="turn a configuration of promptfoo into a ClaudeEvalSet",
        description="Turn a configuration of promptfoo into a ClaudeEvalSet, and name what cannot be taken.",
        epilog="exit codes: 0 written, 1 something is not taken (with --partial: nothing is), 2 wrong options",
    )
    taken.add_argument("config", type=Path, metavar="FILE", help="promptfooconfig.yaml, or a .json file")
    taken.add_argument("-o", "--output", dest="imported", type=Path, metavar="FILE", help="default: standard output")
    taken.add_argument("--partial", action="store_true", help="write what can be taken, and leave out the rest")
    taken.add_argument(
        "--root", type=Path, metavar="FOLDER", help="files are read in it and below (default: the configuration's)"
    )
    taken.add_argument("--grader", metavar="MODEL", help="the pinned model that grades llm-rubric and factuality")


def run_import(args: argparse.Namespace) -> int:
    """Import; the exit code says whether everything was taken."""
    from claude_operator.evals.importer import import_config

    try:
        found = import_config(args.config, args.root, args.grader)
    except ValueError as error:
        sys.stderr.write(f"claude-operator eval: {error}\n")
        return INFRASTRUCTURE_EXIT
    sys.stderr.write("".join(f"note: {one}\n" for one in found.hints))
    sys.stderr.write("".join(f"not taken: {one}\n" for one in found.not_taken))
    if not found.items or (found.not_taken and not args.partial):
        left = "correct this, or give --partial to leave it out" if found.items else "no test can be taken"
        sys.stderr.write(f"claude-operator eval: nothing is written: {left}\n")
        return INFRASTRUCTURE_EXIT
    if args.imported is None:
        sys.stdout.write(found.text)
        return 0
    try:
        args.imported.write_text(found.text, encoding="utf-8")
    except OSError as error:
        sys.stderr.write(f"claude-operator eval: {args.imported} cannot be written: {error.strerror}\n")
        return INFRASTRUCTURE_EXIT
    sys.stderr.write(f"{args.imported}: {found.items} {'item' if found.items == 1 else 'items'}\n")
    return 0
