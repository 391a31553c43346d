"""Which of the gateways' configs is believed: what the operator has signed, and nothing older than what is served.

The ConfigMap decides where a rollout stands and how the last one ended, and people may be allowed to write it who may
not write a ClaudeDeployment.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import msgspec

from claude_operator.api.gateway import (
    CONFIG_KEY,
    DRILL_KEY,
    EGRESS_KEY,
    PRICES_KEY,
    SIGNATURE_KEY,
    THROTTLE_KEY,
    Egress,
    Fault,
    GatewayConfig,
    Throttle,
    parse_config,
    parse_drill,
    parse_egress,
    parse_prices,
    parse_throttle,
    with_drill,
    with_egress,
    with_prices,
    with_throttle,
)
from claude_operator.api.prices import TokenPrices
from claude_operator.api.status import DeploymentStatus
from claude_operator.core.names import gateway_name
from claude_operator.core.operator_key import (
    are_prices_signed,
    is_drill_signed,
    is_egress_signed,
    is_signed,
    is_throttle_signed,
)
from claude_operator.core.reconcile.observation import GatewayView

__all__ = ["Believed", "KeyOf", "Known", "believe_config", "least_generation"]

KeyOf = Callable[[str], bytes]
"""The operator's key for the gateways of the ClaudeDeployment with a UID, empty where there is none yet."""


@dataclass(frozen=True, slots=True)
class Known:
    """What is known besides the ConfigMap."""

    uid: str
    """Of the ClaudeDeployment."""
    last: Callable[[], GatewayConfig | None] = lambda: None
    """Gives what this process has written last."""
    least: int = 0
    """The generation that a config has at least, by all that was seen."""
    unsigned: bool = False
    """The pods are of a version that asks for no signature, so that an operator of that version may have written it."""
    orphan: bool = False
    """The ConfigMap is of an earlier life of the ClaudeDeployment."""


@dataclass(frozen=True, slots=True)
class Believed:
    """What the gateways were told last, as far as it is known."""

    config: GatewayConfig | None
    stored: bool = False
    """Exactly this is in the cluster, and signed, all that stands beside it too."""
    doubt: str = ""
    """Why what is in the cluster is not believed."""
    old: bool = False
    """It is not because it is an old one, or because this look at it was."""


def believe_config(config_map: Mapping[str, Any], key_of: KeyOf, known: Known) -> Believed:
    """The config in the ConfigMap where the operator has written it, else what is known of it.

    Nothing of a rollout is lost by an upgrade: what an operator before signatures wrote holds until the pods ask for
    them. Nor by a ClaudeDeployment that was made again, by a restore say: what was signed for it under its old UID
    holds until it is signed again.
    """
    data, metadata = config_map.get("data") or {}, config_map["metadata"]
    mine = _has_signed(key_of(known.uid), data)
    if not mine and not known.unsigned and not known.orphan:  # nothing of it is parsed
        return _doubted(known, _not_signed(data))
    try:
        found = parse_config(data.get(CONFIG_KEY, ""))
    except ValueError as error:
        return _doubted(known, f"cannot be read: {error}")
    whose = (gateway_name(found.deployment.name), found.deployment.namespace)
    before = known.orphan and whose == (metadata["name"], metadata["namespace"])
    if not mine and not (before and _has_signed(key_of(found.deployment.uid), data)):
        return Believed(with_egress(found, Egress())) if known.unsigned else _doubted(known, _not_signed(data))
    if found.generation < known.least:
        what = f"generation {found.generation}, where {known.least} was written before"
        return replace(_doubted(known, f"is an old one ({what})"), old=True)
    key = key_of(known.uid)
    egress, prices, throttle = _egress(key, data), _prices(key, data), _throttle(key, data)
    drill = _drill(key, data)
    if egress is not None and prices is not None and throttle is not None:
        whole = with_drill(with_throttle(with_prices(with_egress(found, egress), prices), throttle), drill)
        return Believed(whole, stored=mine)
    last = known.last()
    if prices is None:
        prices = last.own_prices if last is not None else {}
    if throttle is None:
        throttle = last.throttle if last is not None else msgspec.UNSET
    found = with_drill(with_throttle(with_prices(found, prices), throttle), drill)
    # The same again needs no new generation.
    same = egress is None and last is not None and with_egress(found, last.limits) == last
    return Believed(last if same else with_egress(found, egress or Egress()))


def _has_signed(key: bytes, data: Mapping[str, str]) -> bool:
    return bool(key) and is_signed(key, data)


def _egress(key: bytes, data: Mapping[str, str]) -> Egress | None:
    """The egress beside the config; None where an operator before it wrote the config, or somebody has changed it."""
    if not key or not is_egress_signed(key, data):
        return None
    try:
        return parse_egress(data.get(EGRESS_KEY, ""))
    except ValueError:
        return None


def _prices(key: bytes, data: Mapping[str, str]) -> Mapping[str, TokenPrices] | None:
    """The prices beside the config; None where an operator before them wrote it, or somebody has changed them."""
    if not key or not are_prices_signed(key, data):
        return None
    try:
        return parse_prices(data.get(PRICES_KEY, ""))
    except ValueError:
        return None


def _throttle(key: bytes, data: Mapping[str, str]) -> Throttle | msgspec.UnsetType | None:
    """What is refused; None where an operator before it wrote the config, or somebody has changed it."""
    if not key or not is_throttle_signed(key, data):
        return None
    try:
        return parse_throttle(data.get(THROTTLE_KEY, ""))
    except ValueError:
        return None


def _drill(key: bytes, data: Mapping[str, str]) -> Fault | msgspec.UnsetType:
    """What is failed on purpose. What nobody has signed is no drill, for the gateways neither."""
    if not key or not is_drill_signed(key, data):
        return msgspec.UNSET
    try:
        return parse_drill(data.get(DRILL_KEY, "{}"))
    except ValueError:
        return msgspec.UNSET


def _not_signed(data: Mapping[str, str]) -> str:
    what = "its signature is wrong" if data.get(SIGNATURE_KEY) else "it has no signature"
    return f"was not written by the operator ({what})"


def _doubted(known: Known, doubt: str) -> Believed:
    last = known.last()
    return Believed(last if last is not None and last.generation >= known.least else None, doubt=doubt)


def least_generation(status: DeploymentStatus, gateway: GatewayView) -> int:
    """The generation of a config that was surely written: status is one ahead at most, pods never are."""
    recorded = status.gateway.config_generation - 1 if status.gateway else 0
    return max([recorded, *(pod.generation or 0 for pod in gateway.pods)])
