"""claude-operator operator: the options, and the loop it runs on."""

from __future__ import annotations

import argparse
import asyncio
import gc
import json
import logging
import os
import re
import signal
import socket
import uuid
from pathlib import Path

from claude_operator.api.prices import PRICES_FILE
from claude_operator.core.render import API_SERVER_PORTS, NetworkRules, Site
from claude_operator.core.spec.policy import LABEL_USE, Policy
from claude_operator.core.spec.site_options import add_header_option, add_host_option, add_network_options
from claude_operator.core.usage.reading import READ_EVERY
from claude_operator.kube.client import KubeError
from claude_operator.log import FORMATS, configure
from claude_operator.shell.app import App, Settings
from claude_operator.shell.server import HEALTH_PORT

__all__ = ["add_arguments", "run"]

_log = logging.getLogger(__name__)

_SHORTEST = 5.0  # seconds between two readings of usage
_NAMESPACE = r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options; in a pod the variables of the chart stand in for most."""
    variables = os.environ
    parser.add_argument(
        "--image",
        default=variables.get("OPERATOR_IMAGE"),
        help="image of gateways and eval Jobs (default: the variable OPERATOR_IMAGE)",
    )
    parser.add_argument(
        "--image-pull-policy", default=variables.get("IMAGE_PULL_POLICY", "IfNotPresent"), help="default: %(default)s"
    )
    parser.add_argument(
        "--namespace",
        default=variables.get("POD_NAMESPACE", "default"),
        help="namespace of the Lease (default: the variable POD_NAMESPACE, else default)",
    )
    parser.add_argument(
        "--watch-namespace",
        action="append",
        default=[],
        metavar="NAMESPACE",
        help="work in this namespace alone, with rights in it alone; may be repeated (default: all namespaces)",
    )
    parser.add_argument("--lease", default="claude-operator", metavar="NAME", help="default: %(default)s")
    parser.add_argument(
        "--health-port", type=int, default=HEALTH_PORT, help="for probes and metrics (default: %(default)s)"
    )
    parser.add_argument(
        "--workers", type=int, default=16, help="passes that run at the same time (default: %(default)s)"
    )
    parser.add_argument(
        "--prometheus-address",
        metavar="URL",
        help="Prometheus for metrics that have no address of their own, for example http://prometheus.monitoring:9090",
    )
    add_network_options(parser, used="gateways, eval Jobs and queries to the Prometheus that a spec names")
    parser.add_argument(
        "--secrets-opt-in",
        action="store_true",
        help=f"use a Secret only if its label {LABEL_USE} names the use: upstream, env, tls, or several with dots",
    )
    add_host_option(parser, used="upstreams, MCP servers and Prometheus")
    add_header_option(parser)
    parser.add_argument(
        "--network-policies",
        action="store_true",
        help="make NetworkPolicies for gateways and eval Jobs (default: none)",
    )
    parser.add_argument(
        "--admin-from",
        metavar="JSON",
        help="who reaches the admin port of gateways: NetworkPolicyPeers as JSON (default: pods of any namespace)",
    )
    parser.add_argument(
        "--api-server-port",
        dest="api_server_ports",
        action="append",
        type=_port,
        metavar="PORT",
        help="a port of the API server, which NetworkPolicies let pods call everywhere; give it once for each"
        f" (default: {' and '.join(map(str, API_SERVER_PORTS))})",
    )
    parser.add_argument(
        "--prices",
        type=Path,
        metavar="FILE",
        help=f"the prices that you have negotiated, {PRICES_FILE} of a ConfigMap (default: the list prices)",
    )
    parser.add_argument(
        "--audited",
        action="store_true",
        help="an admission policy makes people who promote, abort, retry or drill write their own name (default: no)",
    )
    parser.add_argument(
        "--signatures-held",
        action="store_true",
        help="an admission policy makes people who sign an item of the checklist write their own user name (default:"
        " no, and no signature counts)",
    )
    parser.add_argument(
        "--usage-interval",
        type=float,
        default=READ_EVERY,
        metavar="SECONDS",
        help="seconds between two readings of what gateways have used, 5 to 60 (default: %(default)g)",
    )
    parser.add_argument("--log-format", choices=FORMATS, default="json", help="default: %(default)s")
    parser.add_argument("--log-level", default="INFO", help="DEBUG, INFO, WARNING or ERROR (default: %(default)s)")


def run(args: argparse.Namespace) -> int:
    """Work until SIGTERM or SIGINT. 0 after that, 1 where it cannot start."""
    try:
        configure(args.log_format, level=args.log_level)
    except ValueError as error:
        raise SystemExit(f"claude-operator operator: {error}") from None
    if not args.image:
        raise SystemExit(
            "claude-operator operator: the image for gateways is not known: write --image, or set OPERATOR_IMAGE"
        )
    if args.workers < 1:
        raise SystemExit(f"claude-operator operator: {args.workers} is too small for --workers: write 1 or more")
    if args.prometheus_address and not re.fullmatch(r"https?://[^\s/]\S*", args.prometheus_address):
        raise SystemExit(
            f"claude-operator operator: {args.prometheus_address!r} is not the address of Prometheus: write for example"
            " --prometheus-address=http://prometheus.monitoring:9090"
        )
    if "@" in (args.prometheus_address or ""):  # it is shown in conditions, next to what went wrong
        raise SystemExit("claude-operator operator: --prometheus-address holds a user or password: remove them")
    if not _SHORTEST <= args.usage_interval <= READ_EVERY:
        raise SystemExit(
            f"claude-operator operator: --usage-interval={args.usage_interval:g} is not between {_SHORTEST:g} and"
            f" {READ_EVERY:g}: write for example --usage-interval=10"
        )
    network = _network(args)
    for name in args.watch_namespace:
        if not re.fullmatch(_NAMESPACE, name):
            raise SystemExit(
                f"claude-operator operator: {name!r} is not the name of a namespace: write for example"
                " --watch-namespace=support"
            )
    policy = Policy(args.secrets_opt_in, tuple(args.allowed_hosts))
    settings = Settings(
        site=Site(
            args.image,
            args.image_pull_policy,
            tuple(map(str, args.allowed_addresses)),
            tuple(map(str, args.denied_addresses)),
            tuple(args.forwarded_headers),
            network,
            tuple(args.allowed_hosts),
        ),
        namespace=args.namespace,
        identity=f"{os.environ.get('POD_NAME') or socket.gethostname()}_{uuid.uuid4().hex[:8]}",
        lease_name=args.lease,
        health_port=args.health_port,
        workers=args.workers,
        prometheus_address=args.prometheus_address,
        policy=policy,
        namespaces=tuple(dict.fromkeys(args.watch_namespace)),
        audited=args.audited,
        authors_held=args.signatures_held,
        prices=args.prices,
        usage_interval=args.usage_interval,
    )
    # What was imported stays: without this each full collection looks at all of it and holds up every thread.
    gc.collect()
    gc.freeze()
    try:
        asyncio.run(_serve(settings))
    except (KubeError, OSError) as error:
        _log.error("the operator stops: %s", error)
        return 1
    return 0


def _port(text: str) -> int:
    if not text.isdecimal() or not 0 < int(text) < 65536:
        raise argparse.ArgumentTypeError(f"{text!r} is not a port; use e.g. {API_SERVER_PORTS[-1]}")
    return int(text)


def _network(args: argparse.Namespace) -> NetworkRules | None:
    if not args.network_policies:
        return None
    ports = tuple(dict.fromkeys(args.api_server_ports or API_SERVER_PORTS))
    if args.admin_from is None:
        return NetworkRules(api_server_ports=ports)
    try:
        peers = json.loads(args.admin_from)
    except ValueError:
        peers = None
    if not isinstance(peers, list) or not peers or not all(isinstance(one, dict) and one for one in peers):
        raise SystemExit(
            f"claude-operator operator: {args.admin_from!r} is not a list of NetworkPolicyPeers: write for example"
            """ --admin-from='[{"namespaceSelector": {}}]'"""
        )
    return NetworkRules(tuple(peers), ports)


async def _serve(settings: Settings) -> None:
    app = App(settings)
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, app.stop)
    await app.run()
