"""`eval samples`: live answers that have failed, as items of a ClaudeEvalSet for a person to complete."""

from __future__ import annotations

import argparse
import asyncio
import datetime as dt
import sys
import time
from collections.abc import Sequence
from typing import Any

import yaml

from claude_operator.api.live import MOST_KEPT
from claude_operator.core.names import failed_samples
from claude_operator.evals.live.failed import FailedSample, kept
from claude_operator.evals.live.store import samples_in
from claude_operator.evals.plain import line

__all__ = ["add_samples", "as_set", "run_samples"]

_BAD_INPUT = 1
_SHOWN = 100  # characters of a text in a line
_LONGEST = 1024  # characters of a description
_HEAD = """\
# Live answers that failed, as items. Look at each: is the answer really wrong? Then write what must hold instead,
# replace what names a person, and give it an id that says what it is about.
"""


def add_samples(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Declare the options."""
    one = commands.add_parser(
        "samples",
        help="print live answers that failed, as items of an eval set",
        description="Print the failed live answers that are kept (spec.evals.live.keepFailed), the newest first.",
        epilog="exit codes: 0 printed, 1 nothing is kept or it cannot be read, 2 wrong options",
    )
    one.add_argument("name", metavar="NAME", help="the ClaudeDeployment")
    one.add_argument("-n", "--namespace", help="of the ClaudeDeployment (default: as the kubeconfig says)")
    one.add_argument(
        "--output", choices=("text", "yaml"), default="text", help="a line each, or a ClaudeEvalSet (%(default)s)"
    )
    one.set_defaults(parser=one)


def run_samples(args: argparse.Namespace) -> int:
    """Read and print them."""
    from claude_operator.kube.errors import KubeError

    try:
        found = asyncio.run(_load(args.name, args.namespace))
    except (ValueError, KubeError) as error:
        sys.stderr.write(f"claude-operator eval: {error}\n")
        return _BAD_INPUT
    found.sort(key=lambda one: -one.at)
    sys.stdout.write(as_set(args.name, found) if args.output == "yaml" else "".join(map(_line, found)))
    return 0


async def _load(name: str, namespace: str | None) -> list[FailedSample]:
    from claude_operator.evals.stored import current_namespace
    from claude_operator.kube.client import Kube  # it takes long to import
    from claude_operator.kube.resources import SECRETS

    async with await Kube.from_environment() as kube:
        space = namespace or await current_namespace()
        secret = await kube.get(SECRETS, failed_samples(name), space)
    found = kept(samples_in((secret or {}).get("data") or {}), MOST_KEPT, time.time())
    if not found:
        raise ValueError(
            f"no failed answers of {name} are kept in the namespace {space}: they are where spec.evals.live.keepFailed"
            " is above 0 and a rollout has had some"
        )
    return found


def as_set(name: str, samples: Sequence[FailedSample]) -> str:
    """A ClaudeEvalSet without asserts, which nobody can run before a person has written them."""
    document = {
        "apiVersion": "claudeops.dev/v1alpha1",
        "kind": "ClaudeEvalSet",
        "metadata": {"name": f"{name}-failed"},
        "spec": {"tests": [_item(one) for one in samples]},
    }
    return _HEAD + yaml.safe_dump(document, sort_keys=False, allow_unicode=True, width=120)


def _item(one: FailedSample) -> dict[str, Any]:
    messages = one.messages
    only = messages[0] if len(messages) == 1 and isinstance(messages[0], dict) else {}
    plain = only.get("role") == "user" and isinstance(only.get("content"), str)
    return {
        "id": f"live-{one.id}",
        **({"input": only["content"]} if plain else {"messages": messages}),
        "assert": [],
        "metadata": {"revision": one.revision, "surface": one.surface, "date": _date(one)},
        "description": _described(one),
    }


def _described(one: FailedSample) -> str:
    """What was wrong with it, in no more characters than a description may have."""
    text = f"failed {one.failed}{f' ({one.reason})' if one.reason else ''}; the answer was: {one.answer}"
    return text if len(text) <= _LONGEST else f"{text[: _LONGEST - 1]}…"


def _line(one: FailedSample) -> str:
    cut = " (cut)" if one.cut else ""
    texts = (line(one.revision), line(one.surface), line(one.failed, _LONGEST))
    parts = (_date(one), *texts, f"{line(one.answer, _SHOWN + 1)}{cut}")
    return "  ".join(parts) + "\n"


def _date(one: FailedSample) -> str:
    return dt.datetime.fromtimestamp(one.at, dt.UTC).isoformat(timespec="seconds")
