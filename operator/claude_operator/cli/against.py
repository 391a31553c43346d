"""What an edit is compared with: other files, a revision, or what the cluster has now with its live sessions."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from claude_operator.cli.cluster import CLD, Cluster
from claude_operator.cli.failure import Exit, Failure
from claude_operator.cli.files import read_files
from claude_operator.core.catalogue.cost import LIST_PRICES, Book
from claude_operator.core.lint.against import Side
from claude_operator.core.lint.price import NO_SESSIONS, Sessions, measured
from claude_operator.core.lint.sources import Found, Objects, read_sources

__all__ = ["LIVE", "Earlier", "earlier_of", "side_of"]

LIVE = "live"


@dataclass(frozen=True, slots=True)
class Earlier:
    """One ClaudeDeployment as it was."""

    name: str
    """What it is called in the report."""
    side: Side
    sessions: Sessions = NO_SESSIONS
    book: Book = field(default_factory=lambda: LIST_PRICES)


def earlier_of(found: Sequence[Found], against: str, cluster: Cluster) -> list[tuple[Found, Earlier]]:
    """Each of these ClaudeDeployments with what it is compared with; those that are new are left out."""
    if not found:
        raise Failure("--against compares ClaudeDeployments, and there is none in the files", Exit.USAGE)
    if against == LIVE:
        pairs = ((one, _live(one, cluster)) for one in found)
        return [(one, earlier) for one, earlier in pairs if earlier is not None]
    if against == "-" or Path(against).exists():
        sources, broken = read_files([against])
        if broken:
            raise Failure(f"{against} {broken[0][1]}", Exit.USAGE)
        return _of_files(found, read_sources(sources), "standard input" if against == "-" else against)
    if "/" in against or against.endswith((".yaml", ".yml", ".json")):
        raise Failure(f"--against: there is no file {against}", Exit.USAGE)
    if len(found) > 1:
        raise Failure("--against REVISION goes with one ClaudeDeployment: name a file, or live", Exit.USAGE)
    return [(found[0], _revision(found[0], against, cluster))]


def side_of(found: Found, objects: Objects) -> Side:
    """A ClaudeDeployment as the files have it."""
    return Side(found.spec, objects.prompts(_prompt_keys(found.spec), found))


def _of_files(found: Sequence[Found], objects: Objects, where: str) -> list[tuple[Found, Earlier]]:
    olds = objects.of_kind("ClaudeDeployment")
    pairs = []
    for one in found:
        named = [old for old in olds if old.name == one.name and _is_near(old, one)]
        chosen = named or (olds if len(found) == len(olds) == 1 else [])  # it may have been renamed
        if chosen:
            pairs.append((one, Earlier(where, side_of(chosen[0], objects))))
    if not pairs:
        raise Failure(f"--against: {where} has none of these ClaudeDeployments", Exit.USAGE)
    return pairs


def _is_near(old: Found, new: Found) -> bool:
    return not old.namespace or not new.namespace or old.namespace == new.namespace


def _live(found: Found, cluster: Cluster) -> Earlier | None:
    """As the cluster has it, None where it does not."""
    there = cluster.within(found.namespace)
    obj = there.kubectl.find(CLD, found.name)
    if obj is None:
        return None
    prompts = there.prompts(_prompt_keys(obj["spec"]))
    return Earlier(LIVE, Side(obj["spec"], prompts), _sessions(there, obj), there.prices(obj))


def _revision(found: Found, name: str, cluster: Cluster) -> Earlier:
    there = cluster.within(found.namespace)
    side = Side(there.revision(name)["spec"])
    obj = there.kubectl.find(CLD, found.name)
    if obj is None:
        return Earlier(name, side)
    return Earlier(name, side, _sessions(there, obj), there.prices(obj))


def _sessions(cluster: Cluster, obj: Mapping[str, Any]) -> Sessions:
    """Of the last hour; not known where the operator has recorded nothing."""
    (used,) = cluster.usages([obj["metadata"]["name"]])
    if used.kept is None:
        return replace(NO_SESSIONS, source=f"not known: {used.blind}")
    stable = (obj.get("status") or {}).get("stableRevision")
    return measured(used.kept.cache, stable, dt.datetime.now(dt.UTC))


def _prompt_keys(spec: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Of a spec that may have any shape."""
    sources = spec.get("promptFrom")
    keys = []
    for source in sources if isinstance(sources, list) else ():
        reference = source.get("configMapKeyRef") if isinstance(source, Mapping) else None
        if isinstance(reference, Mapping):
            keys.append((str(reference.get("name")), str(reference.get("key"))))
    return keys
