"""claude-operator gateway: the options, and the loop it runs on."""

from __future__ import annotations

import argparse
import asyncio
import logging
import os
import signal
import socket
import sys
from pathlib import Path

import prometheus_client

from claude_operator.api.gateway import (
    ADMIN_PORT,
    CLIENT_DIR,
    CONFIG_DIR,
    CONFIG_KEY,
    ENV_DIR,
    MEMORY,
    OPERATOR_DIR,
    POD_NAME,
    SERVICE_PORT,
    TLS_CERTIFICATE,
    TLS_KEY,
    UPSTREAM_KEY_FILE,
)
from claude_operator.core.spec.networks import AddressRules, rules_in_pod
from claude_operator.core.spec.site_options import EGRESS_OPTION, add_header_option, add_network_options
from claude_operator.gateway.credentials import CredentialFiles
from claude_operator.gateway.descriptors import raise_limit
from claude_operator.gateway.memory import return_freed_memory
from claude_operator.gateway.service import Service, Settings
from claude_operator.gateway.source import ApiServer, ConfigMapSource, FileSource, Source
from claude_operator.log import Log

__all__ = ["add_arguments", "run", "settings_of"]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    source = parser.add_argument_group("config", "one of the two")
    one = source.add_mutually_exclusive_group(required=True)
    one.add_argument("--config", type=Path, metavar="FILE", help="serve this config.json, and follow its changes")
    one.add_argument("--configmap", metavar="NAME", help="serve this ConfigMap's key config.json (in a pod)")
    source.add_argument("--namespace", help="of the ConfigMap; default: the pod's own")
    source.add_argument(
        "--config-dir", type=Path, default=Path(CONFIG_DIR), help="the ConfigMap as a mount, read until the first list"
    )
    source.add_argument(
        EGRESS_OPTION,
        action="store_true",
        help="with --configmap: wait for a config that says where secret values may go, as this operator's do",
    )
    listen = parser.add_argument_group("ports")
    listen.add_argument("--host", default="0.0.0.0", help="address to listen on (default: %(default)s)")  # noqa: S104
    listen.add_argument("--port", type=int, default=SERVICE_PORT, help="for clients (default: %(default)s)")
    listen.add_argument(
        "--admin-port", type=int, default=ADMIN_PORT, help="for evidence, metrics and probes (default: %(default)s)"
    )
    keys = parser.add_argument_group("credentials", "files, read again when they change")
    keys.add_argument(
        "--upstream-key-file",
        type=Path,
        default=Path(UPSTREAM_KEY_FILE),
        help="the Claude API key (default: %(default)s; with --config also the variable ANTHROPIC_API_KEY)",
    )
    keys.add_argument(
        "--env-dir",
        type=Path,
        default=Path(ENV_DIR),
        help="a file for each $(NAME) (default: %(default)s; with --config also variables of the config's env)",
    )
    keys.add_argument(
        "--client-dir",
        type=Path,
        default=Path(CLIENT_DIR),
        help="ANTHROPIC_API_KEY and ANTHROPIC_API_KEY_PREVIOUS, the keys of clients (default: %(default)s)",
    )
    keys.add_argument(
        "--operator-dir",
        type=Path,
        default=Path(OPERATOR_DIR),
        help="operator-key, which the operator proves it has, and grader-key, for graders (default: %(default)s)",
    )
    add_network_options(parser, used="the gateway with --configmap (with --config it may connect anywhere)")
    add_header_option(parser)
    listen.add_argument(
        "--tls-dir",
        type=Path,
        metavar="DIR",
        help=f"serve clients by TLS, with {TLS_CERTIFICATE} and {TLS_KEY} of this folder, read again when they change",
    )
    parser.add_argument(
        "--memory-bytes",
        type=_memory,
        default=MEMORY,
        metavar="BYTES",
        help="memory that the process may use; calls beyond it get 529 with retry-after (default: %(default)s)",
    )
    parser.add_argument("--log-format", choices=("json", "text"), default="text", help="default: %(default)s")
    parser.add_argument(
        "--drain-seconds",
        type=float,
        default=30.0,
        help="after SIGTERM, the longest wait for calls in flight (default: %(default)g)",
    )
    parser.add_argument(
        "--settle-seconds",
        type=float,
        default=3.0,
        help="of these, how long new connections are still taken while Endpoints follow (default: %(default)g)",
    )


def _memory(text: str) -> int:
    """A number of bytes."""
    if not text.isdecimal() or int(text) <= 0:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number of bytes; use e.g. {MEMORY}")
    return int(text)


def run(args: argparse.Namespace) -> int:
    """Serve until SIGTERM or SIGINT. 0 after a drain, 1 where it cannot start."""
    return_freed_memory()
    log = Log(sys.stdout, args.log_format)
    log.adopt(logging.getLogger())
    prometheus_client.disable_created_metrics()  # type: ignore[no-untyped-call]
    try:
        with asyncio.Runner(loop_factory=_loop_factory()) as runner:
            runner.run(_serve(args, log))
    except (OSError, RuntimeError) as error:
        log.event("cannot start", "error", reason=str(error))
        return 1
    return 0


async def _serve(args: argparse.Namespace, log: Log) -> None:
    service = Service(settings_of(args), _source(args, log), _files(args), log)
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, service.stop)
    await service.run()


def settings_of(args: argparse.Namespace) -> Settings:
    """The settings that the options make. On a laptop nothing is refused unasked: people run simulators on loopback."""
    allowed, denied = args.allowed_addresses, args.denied_addresses
    laptop = AddressRules(tuple(allowed), tuple(denied), special=False)
    return Settings(
        host=args.host,
        port=args.port,
        admin_port=args.admin_port,
        drain_seconds=args.drain_seconds,
        settle_seconds=args.settle_seconds,
        memory=args.memory_bytes,
        descriptors=raise_limit(),
        addresses=laptop if args.config else rules_in_pod(allowed, denied, os.environ),
        forwarded_headers=tuple(args.forwarded_headers),
        tls=args.tls_dir,
        signed_egress=args.signed_egress,
        pod=os.environ.get(POD_NAME) or socket.gethostname(),
    )


def _source(args: argparse.Namespace, log: Log) -> Source:
    if args.config:
        return FileSource(args.config, log)
    server = ApiServer.of_pod()
    namespace = args.namespace or server.namespace()
    return ConfigMapSource(namespace, args.configmap, server, args.config_dir / CONFIG_KEY, log)


def _files(args: argparse.Namespace) -> CredentialFiles:
    """In a pod the files alone count; on a laptop variables stand in for what is missing."""
    variables = os.environ if args.config else {}
    return CredentialFiles(
        upstream_key=args.upstream_key_file,
        env=args.env_dir,
        client=args.client_dir,
        operator=args.operator_dir,
        fallback_key=variables.get("ANTHROPIC_API_KEY"),
        fallback_env=variables,
        on_a_laptop=bool(args.config),
    )


def _loop_factory() -> type[asyncio.AbstractEventLoop] | None:
    """uvloop where it exists (not on Windows)."""
    try:
        import uvloop
    except ImportError:
        return None
    return uvloop.Loop
