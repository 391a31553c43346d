"""A config as a source has read it, with what shows that the operator has written it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from claude_operator.api.gateway import (
    CONFIG_KEY,
    EGRESS_KEY,
    EGRESS_SIGNATURE_KEY,
    PRICES_KEY,
    PRICES_SIGNATURE_KEY,
    SIGNATURE_KEY,
)

__all__ = ["FURTHER_KEYS", "Document"]

FURTHER_KEYS = (SIGNATURE_KEY, EGRESS_KEY, EGRESS_SIGNATURE_KEY, PRICES_KEY, PRICES_SIGNATURE_KEY)
"""Keys of the ConfigMap that stand beside the config."""


@dataclass(frozen=True, slots=True)
class Document:
    """Each is empty where it is not there; `egress` is of an operator that has one."""

    config: bytes
    signature: str = ""
    egress: str = ""
    egress_signature: str = ""
    prices: str = ""
    prices_signature: str = ""

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
        return {CONFIG_KEY: config, **dict(zip(FURTHER_KEYS, self._further, strict=True))}

    @property
    def _further(self) -> tuple[str, ...]:
        return self.signature, self.egress, self.egress_signature, self.prices, self.prices_signature
