"""What a ClaudeDeployment has used and paid, as the operator keeps it in the ConfigMap `<name>-usage`."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from claude_operator.core import names
from claude_operator.core.usage.state import Usages, decode

__all__ = ["Used", "used_of"]

Object = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Used:
    """Of one ClaudeDeployment. `kept` is None where nothing is known: `blind` says why, and it is not zero."""

    namespace: str
    name: str
    labels: Mapping[str, str] = field(default_factory=dict)
    kept: Usages | None = None
    blind: str = ""
    created: dt.datetime | None = None
    """When the ClaudeDeployment was made."""
    read: str = ""
    """Gateways that the operator read last, `2 of 3`; empty where it has not said."""
    note: str = ""
    """What the operator says is wrong with the record."""
    read_at: dt.datetime | None = None
    """When the operator read the gateways last, as far as its status says: figures that stay are not written again."""


def used_of(deployment: Object, config_map: Object | None) -> Used:
    """What is known of one."""
    metadata = deployment["metadata"]
    kept, blind = None, ""
    if config_map is None:
        blind = "the operator has recorded nothing yet: it is of an earlier version, or has not read a gateway"
    elif not names.is_controlled_by(config_map, metadata["uid"]):
        blind = f"the ConfigMap {names.usage_name(metadata['name'])} belongs to something else"
    else:
        found, blind = decode(config_map.get("binaryData") or {})
        kept = None if blind else found
    cost = (deployment.get("status") or {}).get("cost") or {}
    return Used(
        metadata["namespace"],
        metadata["name"],
        metadata.get("labels") or {},
        kept,
        blind,
        created=dt.datetime.fromisoformat(made) if (made := metadata.get("creationTimestamp")) else None,
        read=str(cost.get("gateways") or ""),
        note=str(cost.get("note") or ""),
        read_at=_moment(cost.get("at")),
    )


def _moment(text: object) -> dt.datetime | None:
    try:
        return dt.datetime.fromisoformat(str(text)).astimezone(dt.UTC) if text else None
    except (ValueError, OverflowError):
        return None
