"""claude-operator eval: the options, and the start of a run in a Job or on a laptop."""

from __future__ import annotations

import argparse
import asyncio
import logging
import os
import sys
from pathlib import Path

from claude_operator.api.gateway import ENV_DIR, UPSTREAM_KEY_FILE
from claude_operator.core.catalogue.cost import LIST_PRICES, Book
from claude_operator.core.catalogue.own_prices import parse_book
from claude_operator.core.evals.runs import INFRASTRUCTURE_EXIT
from claude_operator.core.spec.networks import rules_in_pod
from claude_operator.core.spec.site_options import PRICES_OPTION, add_host_option, add_network_options
from claude_operator.evals.calibrate_cli import add_calibrate, run_calibrate
from claude_operator.evals.importing.cli import add_import, run_import
from claude_operator.evals.improve_cli import add_improve, run_improve
from claude_operator.evals.laptop_options import add_laptop_options, check_laptop_options
from claude_operator.evals.samples_cli import add_samples, run_samples
from claude_operator.evals.show_cli import add_show, run_show
from claude_operator.evals.stopping import stoppable
from claude_operator.log import Log

__all__ = ["add_arguments", "run"]

_CANCEL_SECONDS = 30.0  # for one answer
_CODES = "exit codes: 0 passed, 100 failed, 101 inconclusive, 1 the run could not finish, 2 wrong options"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    commands = parser.add_subparsers(dest="eval_command", required=True, metavar="COMMAND")
    one = commands.add_parser(
        "run", help="ask, grade and judge", description="Ask an eval set, grade the answers, judge.", epilog=_CODES
    )
    mode = one.add_mutually_exclusive_group(required=True)
    mode.add_argument(
        "-f", "--file", type=Path, metavar="SET", help="a ClaudeEvalSet or its spec: a YAML file or a folder (laptop)"
    )
    mode.add_argument(
        "--run", metavar="NAME", dest="run_name", help="a ClaudeEvalRun, whose status is written (in a pod)"
    )
    add_laptop_options(one)
    pod = one.add_argument_group("in a pod")
    pod.add_argument("--namespace", help="of the ClaudeEvalRun; needed with --run")
    pod.add_argument(
        "--run-uid",
        default="",
        metavar="UID",
        help="the UID that the ClaudeEvalRun must have (default: any)",
    )
    pod.add_argument("--log-format", choices=("json", "text"), default="text", help="default: %(default)s")
    add_network_options(one, used="a run in a pod (on a laptop it may connect anywhere)")
    add_host_option(pod, used="the upstream and MCP servers of a run in a pod")
    pod.add_argument(
        PRICES_OPTION,
        type=_prices,
        default=LIST_PRICES,
        metavar="JSON",
        help="prices that hold instead of the list's, by model (default: the list prices)",
    )
    keys = one.add_argument_group("credentials", "files")
    keys.add_argument(
        "--upstream-key-file",
        type=Path,
        default=Path(UPSTREAM_KEY_FILE),
        help="the Claude API key (default: %(default)s; with -f also the variable ANTHROPIC_API_KEY)",
    )
    keys.add_argument(
        "--env-dir",
        type=Path,
        default=Path(ENV_DIR),
        help="a file for each $(NAME) (default: %(default)s; with -f also variables of that name)",
    )
    one.set_defaults(parser=one)
    _add_cancel(commands)
    add_import(commands)
    add_show(commands)
    add_calibrate(commands)
    add_samples(commands)
    add_improve(commands)


def _add_cancel(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Declare the options of the Job that cancels what a deleted run had under way."""
    one = commands.add_parser(
        "cancel",
        help="cancel Message Batches (in a pod)",
        description="Cancel Message Batches whose answers nobody reads.",
    )
    one.add_argument("batches", nargs="+", metavar="BATCH", help="ids of Message Batches")
    one.add_argument("--base-url", required=True, metavar="URL", help="the Messages API")
    one.add_argument("--log-format", choices=("json", "text"), default="text", help="default: %(default)s")
    one.add_argument("--upstream-key-file", type=Path, default=Path(UPSTREAM_KEY_FILE), help="default: %(default)s")
    add_network_options(one, used="it")
    add_host_option(one, used="the upstream")
    one.set_defaults(parser=one)


def run(args: argparse.Namespace) -> int:
    """Run the evals, or import a set; the exit code is the verdict."""
    if args.eval_command == "import":
        return run_import(args)
    logging.getLogger().setLevel(logging.WARNING)  # libraries log each request on lower levels
    if args.eval_command == "show":
        return run_show(args)
    if args.eval_command == "calibrate":
        return run_calibrate(args)
    if args.eval_command == "cancel":
        return _cancel(args)
    if args.eval_command == "samples":
        return run_samples(args)
    if args.eval_command == "improve":
        return run_improve(args)
    if args.run_name:
        if not args.namespace:
            args.parser.error("--run needs --namespace: the namespace of the ClaudeEvalRun")
        return _in_pod(args)
    check_laptop_options(args)
    from claude_operator.evals.laptop_cli import run_laptop

    return run_laptop(args)


def _prices(text: str) -> Book:
    try:
        return parse_book(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


def _cancel(args: argparse.Namespace) -> int:
    from claude_operator.core.spec.policy import Policy
    from claude_operator.evals.ask import Asker
    from claude_operator.evals.cancelling import cancel
    from claude_operator.evals.files import api_key

    log, key = Log(sys.stdout, args.log_format), api_key(args.upstream_key_file)
    problems = Policy(allowed_hosts=tuple(args.allowed_hosts)).host_problems([("--base-url", args.base_url)])
    if problems or not key:
        log.event("cannot cancel", "error", reason=problems[0].message if problems else "there is no API key")
        return INFRASTRUCTURE_EXIT
    rules = rules_in_pod(args.allowed_addresses, args.denied_addresses, os.environ)

    async def job() -> int:
        async with Asker(args.base_url, key, timeout=_CANCEL_SECONDS, open_calls=1, rules=rules) as asker:
            return await cancel(asker, args.batches, log)

    return asyncio.run(stoppable(job()))


def _in_pod(args: argparse.Namespace) -> int:
    # The Kubernetes client takes long to import, and a laptop has no use for it.
    from claude_operator.core.spec.policy import Policy
    from claude_operator.evals.inputs import JobPaths
    from claude_operator.evals.job import run_job
    from claude_operator.kube.client import Kube

    log = Log(sys.stdout, args.log_format)
    rules = rules_in_pod(args.allowed_addresses, args.denied_addresses, os.environ)
    paths = JobPaths(
        args.run_name,
        args.namespace,
        args.upstream_key_file,
        args.env_dir,
        args.run_uid,
        Policy(allowed_hosts=tuple(args.allowed_hosts)),
        prices=args.own_prices,
    )

    async def job() -> int:
        async with await Kube.from_environment() as kube:
            return await run_job(kube, paths, log, rules)

    try:
        return asyncio.run(stoppable(job()))
    except asyncio.CancelledError:  # before there was anything to stop
        return INFRASTRUCTURE_EXIT
    except Exception as error:
        log.event("cannot run", "error", reason=type(error).__name__)
        return INFRASTRUCTURE_EXIT
