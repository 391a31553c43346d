"""claude-operator organisation: the options, and the process that keeps the history of an organisation."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import ipaddress
import os
import signal
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

from aiohttp import web, web_response

from claude_operator.core.organisation.polling import PERIOD
from claude_operator.core.spec.hosts import host_of, is_allowed
from claude_operator.core.spec.networks import ANYWHERE, rules_in_pod
from claude_operator.core.spec.site_options import HOST_OPTION, add_host_option, add_network_options
from claude_operator.log import Log
from claude_operator.organisation.client import Client
from claude_operator.organisation.keeper import Keeper
from claude_operator.organisation.page import make_app
from claude_operator.organisation.poller import Poller, Timing
from claude_operator.organisation.sqlite import backup, open_sqlite
from claude_operator.organisation.store import Store, StoreError

__all__ = ["add_arguments", "run"]

PORT = 9100

web_response.SERVER_SOFTWARE = "claude-operator"  # type: ignore[attr-defined]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the commands and their options."""
    commands = parser.add_subparsers(dest="organisation_command", required=True, metavar="COMMAND")
    serve = commands.add_parser("serve", help="poll the API, keep what it reports, and tell it")
    _add_serve_arguments(serve)
    copy = commands.add_parser("backup", help="copy an SQLite store, also one that is in use")
    copy.add_argument("--store", type=Path, required=True, metavar="FILE", help="the file that serve uses")
    copy.add_argument("--to", type=Path, required=True, metavar="FILE", help="the copy; one that exists is replaced")


def _add_serve_arguments(parser: argparse.ArgumentParser) -> None:
    where = parser.add_mutually_exclusive_group(required=True)
    where.add_argument("--store", type=Path, metavar="FILE", help="the SQLite file to keep it in")
    where.add_argument(
        "--store-url-file",
        type=Path,
        metavar="FILE",
        help="a file with the postgresql:// URL of a database to keep it in",
    )
    parser.add_argument(
        "--key-file", type=Path, required=True, metavar="FILE", help="the admin key; read before each request"
    )
    parser.add_argument("--base-url", default="https://api.anthropic.com", metavar="URL", help="default: %(default)s")
    parser.add_argument(
        "--reader-key-file",
        type=Path,
        metavar="FILE",
        help="what readers of /v1/ have to send as Authorization: Bearer; needed unless --host is a loopback address",
    )
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on (default: %(default)s)")
    parser.add_argument("--port", type=int, default=PORT, help="default: %(default)s")
    parser.add_argument(
        "--poll-seconds",
        type=float,
        default=PERIOD,
        metavar="SECONDS",
        help="from one request to the next (default: %(default)s); the API allows one a minute, less is for tests",
    )
    parser.add_argument("--log-format", choices=("json", "text"), default="text", help="default: %(default)s")
    add_network_options(parser, used="the process in a pod")
    add_host_option(parser, used="--base-url")
    parser.set_defaults(parser=parser)


def run(args: argparse.Namespace) -> int:
    """Run a command; 1 where it cannot do its work."""
    log = Log(sys.stdout, getattr(args, "log_format", "text"))
    try:
        if args.organisation_command == "backup":
            backup(args.store, args.to)
            log.event("copied", store=str(args.store), to=str(args.to))
            return 0
        _check(args)
        with contextlib.suppress(asyncio.CancelledError):
            asyncio.run(_serve(args, log))
    except (StoreError, OSError) as error:
        log.event("cannot run", "error", reason=str(error))
        return 1
    return 0


def _check(args: argparse.Namespace) -> None:
    """Refuse what cannot work."""
    if host_of(args.base_url) is None:
        args.parser.error(
            f"--base-url {args.base_url} is not an http:// or https:// URL; use e.g. https://api.anthropic.com"
        )
    if args.allowed_hosts and not is_allowed(args.base_url, args.allowed_hosts):
        args.parser.error(f"--base-url has a host that {HOST_OPTION} does not name; add it")
    if args.reader_key_file is None and not _is_loopback(args.host):
        args.parser.error("--reader-key-file is missing: give the file with the key that readers have to send")
    if not args.poll_seconds > 0:
        args.parser.error("--poll-seconds must be greater than 0; use e.g. 61")


async def _serve(args: argparse.Namespace, log: Log) -> None:
    task = asyncio.current_task()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, task.cancel if task else lambda: None)
    keeper = Keeper(_opener(args))
    rules = rules_in_pod(args.allowed_addresses, args.denied_addresses, os.environ)
    rules = ANYWHERE if _is_loopback(args.host) else rules  # on a laptop
    timing = Timing(period=args.poll_seconds)
    async with Client(args.base_url, rules) as client:
        key = partial(_read_text, args.key_file)
        poller = Poller(client, keeper, key, log, base_url=args.base_url, timing=timing)
        reader = partial(_read_text, args.reader_key_file) if args.reader_key_file else None
        app = make_app(poller, keeper, time.time, reader)
        runner = web.AppRunner(app, access_log=None, handle_signals=False, shutdown_timeout=1.0)
        await runner.setup()
        try:
            await web.TCPSite(runner, args.host, args.port).start()
            log.event("listening", port=int(runner.addresses[0][1]))
            await poller.run()
        finally:
            await runner.cleanup()
            await keeper.close()


def _opener(args: argparse.Namespace) -> Callable[[], Store]:
    if args.store:
        return partial(open_sqlite, args.store)

    def open_database() -> Store:
        from claude_operator.organisation.postgres import open_postgres  # only who uses it needs its driver

        url = _read_text(args.store_url_file)
        if url is None:
            raise StoreError(f"{args.store_url_file} has no URL: write postgresql://USER:PASSWORD@HOST/NAME into it")
        return open_postgres(url)

    return open_database


def _read_text(path: Path) -> str | None:
    """The content of a mounted file, None where there is none."""
    try:
        return path.read_text().strip() or None
    except (OSError, UnicodeDecodeError):
        return None


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
