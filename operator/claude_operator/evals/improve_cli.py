"""`eval improve`: the options. What they are for is imported when it is needed: the SDK takes long."""

from __future__ import annotations

import argparse
import asyncio
import sys
from pathlib import Path

from claude_operator.api.gateway import ENV_DIR, UPSTREAM_KEY_FILE
from claude_operator.core.evals.checks import why_unpinned
from claude_operator.core.evals.runs import EXIT_CODES, INFRASTRUCTURE_EXIT
from claude_operator.evals.laptop_options import number
from claude_operator.evals.progress import Progress
from claude_operator.evals.stopping import stoppable

__all__ = ["add_improve", "run_improve"]

_EDITOR = "claude-opus-5-5"
_MOST_ROUNDS, _MOST_CANDIDATES = 10, 10
_EPILOG = """examples:
  claude-operator eval improve -f set.yaml --request cld.yaml -o patch.yaml
  claude-operator eval improve -f set.yaml --request cld.yaml --rounds 2 --candidates 4 --max-cost 5 -o patch.yaml

exit codes: 0 a better prompt was written, 100 no proposal is shown to be better, 101 the same, and the cost ended it
early, 1 it could not finish, 2 wrong options"""


def add_improve(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Declare the options."""
    one = commands.add_parser(
        "improve",
        help="have a model propose a better prompt",
        description="Have a model edit the system prompt by what it fails, judge each proposal by the gate and by items"
        " that the model never saw, and write the best that is better as a patch to review. Nothing is applied.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    one.add_argument("-f", "--file", type=Path, required=True, metavar="SET", help="as for `eval run`")
    one.add_argument(
        "--request", type=Path, required=True, metavar="FILE", help="a ClaudeDeployment or a request with the prompt"
    )
    one.add_argument("-o", "--output", type=Path, required=True, metavar="PATCH", help="where the patch is written")
    one.add_argument("--jsonl", type=Path, metavar="FILE", help="the items of a set with a dataset")
    one.add_argument("--epochs", type=number(1, 50), metavar="N", help="in place of execution.epochs")
    plan = one.add_argument_group("the search")
    plan.add_argument("--editor", default=_EDITOR, metavar="MODEL", help="a pinned model (default: %(default)s)")
    plan.add_argument("--rounds", type=number(1, _MOST_ROUNDS), default=3, metavar="N", help="default: %(default)s")
    plan.add_argument(
        "--candidates",
        type=number(1, _MOST_CANDIDATES),
        default=3,
        metavar="K",
        help="proposals a round (default: %(default)s); each is tested with alpha / (K x N)",
    )
    plan.add_argument(
        "--max-cost",
        type=_dollars,
        metavar="USD",
        help="for editor, answers and graders (default: execution.maxCostUSD)",
    )
    plan.add_argument("--keep", type=Path, metavar="FOLDER", help="keep answers here, and pay for none that is here")
    calls = one.add_argument_group("the API")
    calls.add_argument("--base-url", help="as for `eval run`")
    calls.add_argument("--upstream-key-file", type=Path, default=Path(UPSTREAM_KEY_FILE), help="or ANTHROPIC_API_KEY")
    calls.add_argument("--env-dir", type=Path, default=Path(ENV_DIR), help="a file for each $(NAME), or variables")
    one.set_defaults(parser=one)


def run_improve(args: argparse.Namespace) -> int:
    """Search, and write what was found; the exit code says whether there is something."""
    from claude_operator.evals.ask import Infrastructure

    try:
        return _search(args)
    except (ValueError, Infrastructure) as error:
        kept = "" if args.keep else "; with --keep FOLDER nothing is paid twice"
        hint = kept if isinstance(error, Infrastructure) else ""
        sys.stderr.write(f"claude-operator eval: {error}{hint}\n")
    except asyncio.CancelledError:
        sys.stderr.write("claude-operator eval: stopped\n")
    return INFRASTRUCTURE_EXIT


def _search(args: argparse.Namespace) -> int:
    from claude_operator.evals.files import read_prompt
    from claude_operator.evals.improve import Improvement, Plan, improve
    from claude_operator.evals.improved import patch_files, summary
    from claude_operator.evals.laptop import Options, asking, calls_warning, load

    if why := why_unpinned(args.editor):
        raise ValueError(f"--editor: {why}")
    if args.output.exists():
        raise ValueError(f"{args.output} is there already: give another name, or delete it")
    if not args.output.parent.is_dir():
        raise ValueError(f"{args.output} cannot be written: there is no folder {args.output.parent}")
    work = load(
        Options(
            args.file,
            (args.request,),
            jsonl=args.jsonl,
            base_url=args.base_url,
            upstream_key=args.upstream_key_file,
            env=args.env_dir,
            epochs=args.epochs,
            keep=args.keep,
        )
    )
    if warning := calls_warning(work):
        sys.stderr.write(f"warning: {warning}, also each time that a proposal is judged\n")
    prompt = read_prompt(args.request)
    most = work.execution.max_cost_usd if args.max_cost is None else args.max_cost
    plan = Plan(args.editor, most, args.rounds, args.candidates)

    async def search() -> Improvement:
        async with asking(work) as session:
            return await improve(work, prompt, plan, session.asker.ask, session.keeper, _watch)

    ended = asyncio.run(stoppable(search()))
    files = patch_files(args.output, prompt, ended, plan)
    all_written = True
    for path, text in files.items():
        try:
            _write_new(path, text)
        except ValueError as error:  # it is paid for
            all_written = False
            sys.stderr.write(f"claude-operator eval: {error}: it is on standard output\n")
            sys.stdout.write(f"---\n{text}")
    sys.stdout.write(summary(ended, plan, list(files)))
    if not all_written:
        return INFRASTRUCTURE_EXIT
    if ended.best is not None:
        return EXIT_CODES["Passed"]
    return EXIT_CODES["Inconclusive" if ended.ended_early else "Failed"]


def _watch(what: str) -> Progress:
    sys.stderr.write(f"{what}\n")
    return Progress(sys.stderr)


def _write_new(path: Path, text: str) -> None:
    try:
        with path.open("x", encoding="utf-8") as file:
            file.write(text)
    except OSError as error:
        raise ValueError(f"{path} cannot be written: {error.strerror}") from error


def _dollars(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if not 0 <= value <= 1_000_000:
        raise argparse.ArgumentTypeError(f"{text!r} must be US dollars, from 0 to 1,000,000")
    return value
