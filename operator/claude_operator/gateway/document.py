"""A config as a source has read it, with what shows that the operator has written it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from claude_operator.api.gateway import CONFIG_KEY, FURTHER_KEYS

__all__ = ["Document"]


@dataclass(frozen=True, slots=True)
class Document:
    """Each is empty where it is not there; `egress` is of an operator that has one."""

    config: bytes
    signature: str = ""
    egress: str = ""
    egress_signature: str = ""
    prices: str = ""
    prices_signature: str = ""
    throttle: str = ""
    throttle_signature: str = ""
    drill: str = ""
    drill_signature: str = ""

    @classmethod
    def of(cls, config: bytes, further: Mapping[str, str]) -> Document:
        """The config, and what `further` has of `FURTHER_KEYS`."""
        return cls(config, *(further.get(key, "") for key in FURTHER_KEYS))

    @property
    def has_egress(self) -> bool:
        """Whether anything of an egress is there."""
        return bool(self.egress or self.egress_signature)

    @property
    def data(self) -> dict[str, str]:
        """As a ConfigMap's data, which signatures are made of."""
        config = self.config.decode("utf-8", "surrogateescape")
        further = (
            self.signature,
            self.egress,
            self.egress_signature,
            self.prices,
            self.prices_signature,
            self.throttle,
            self.throttle_signature,
            self.drill,
            self.drill_signature,
        )
        return {CONFIG_KEY: config, **dict(zip(FURTHER_KEYS, further, strict=True))}
