"""claude-operator: one program, a command for every part."""

from __future__ import annotations

import argparse
import importlib
import sys
from collections.abc import Sequence

from claude_operator import __version__

COMMANDS = {
    "operator": ("claude_operator.shell.cli", "run the control plane"),
    "gateway": ("claude_operator.gateway.cli", "serve live traffic from a config file or a ConfigMap"),
    "eval": ("claude_operator.evals.cli", "ask and grade an eval set, as a Job or on a laptop"),
    "grade": ("claude_operator.evals.live.cli", "grade answers of live traffic that gateways have sampled"),
    "judge": ("claude_operator.replay.cli", "replay and plot the evidence of a rollout"),
    "organisation": ("claude_operator.organisation.cli", "keep the usage and cost of an organisation"),
    "simulator": ("claude_operator.simulator.cli", "a simulated Claude API for tests"),
    "crds": ("claude_operator.crds.cli", "write the CustomResourceDefinitions"),
}


def make_parser(argv: Sequence[str]) -> argparse.ArgumentParser:
    """The parser, with the options of the chosen command alone: no part pays for the imports of another."""
    parser = argparse.ArgumentParser(prog="claude-operator", description=__doc__)
    parser.add_argument("--version", action="version", version=f"claude-operator {__version__}")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    chosen = next((word for word in argv if not word.startswith("-")), None)
    for name, (module, summary) in COMMANDS.items():
        command = commands.add_parser(name, help=summary, description=summary[0].upper() + summary[1:] + ".")
        if name == chosen:
            part = importlib.import_module(module)
            part.add_arguments(command)
            command.set_defaults(run=part.run)
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; returns its exit code."""
    words = list(sys.argv[1:] if argv is None else argv)
    args = make_parser(words).parse_args(words)
    result: int = args.run(args)
    return result


if __name__ == "__main__":
    sys.exit(main())
