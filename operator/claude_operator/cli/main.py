"""`kubectl claude`: its commands, how each of them ends, and the completions that kubectl asks for."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence

import click
from click.shell_completion import ShellComplete
from rich.console import Console
from rich.text import Text

from claude_operator import __version__
from claude_operator.cli.commands.advise import advise
from claude_operator.cli.commands.audit import audit_command
from claude_operator.cli.commands.checklist import checklist
from claude_operator.cli.commands.cost import cost
from claude_operator.cli.commands.drill import drill
from claude_operator.cli.commands.lint import lint
from claude_operator.cli.commands.organization import organization
from claude_operator.cli.commands.reading import diff, history, why
from claude_operator.cli.commands.spec import pause, resume, undo
from claude_operator.cli.commands.steering import abort, promote, retry
from claude_operator.cli.commands.watching import status
from claude_operator.cli.failure import Exit, Failure
from claude_operator.cli.view.paint import visible

__all__ = ["cli", "complete", "main", "run"]

_PROGRAM = "kubectl claude"
_NO_FILES = 4  # the directive of kubectl's completion: offer no names of files


@click.group(
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    epilog="Each command has help of its own: kubectl claude COMMAND --help",
)
@click.version_option(__version__, prog_name=_PROGRAM, message="%(prog)s %(version)s")
def cli() -> None:
    """Watch and steer rollouts of ClaudeDeployments.

    Cluster, user and namespace are those of kubectl: its kubeconfig, its current context, its flags.
    """


for _command in (
    status,
    cost,
    advise,
    lint,
    organization,
    audit_command,
    checklist,
    why,
    history,
    diff,
    promote,
    abort,
    retry,
    drill,
    pause,
    resume,
    undo,
):
    cli.add_command(_command)


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; returns its exit code."""
    words = list(sys.argv[1:] if argv is None else argv)
    try:
        code = cli.main(words, prog_name=_PROGRAM, standalone_mode=False)
    except click.ClickException as error:
        error.show()
        return error.exit_code
    except Failure as error:
        Console(stderr=True, highlight=False, soft_wrap=True).print(Text(f"error: {visible(str(error))}", style="red"))
        return error.code
    except (KeyboardInterrupt, click.Abort):
        return Exit.INTERRUPTED
    except BrokenPipeError:  # the reader has seen enough
        sys.stderr.close()
        return Exit.DONE
    return int(code or 0)


def complete(argv: Sequence[str] | None = None) -> int:
    """What `kubectl claude WORDS<Tab>` offers: kubectl runs `kubectl_complete-claude` for it and reads lines."""
    words = list(sys.argv[1:] if argv is None else argv) or [""]
    found = ShellComplete(cli, {}, _PROGRAM, "_UNUSED").get_completions(words[:-1], words[-1])
    for one in found:
        sys.stdout.write(f"{one.value}\t{one.help}\n" if one.help else f"{one.value}\n")
    sys.stdout.write(f":{_NO_FILES}\n")
    return Exit.DONE


def run() -> None:
    """Either of the two, in an archive with one entry: the script that starts it says which."""
    sys.exit(complete() if os.environ.pop("KUBECTL_CLAUDE_COMPLETE", "") else main())


if __name__ == "__main__":
    run()
