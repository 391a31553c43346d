"""The ledger: every request that a customer would pay for, for `GET /-/ledger`."""

from __future__ import annotations

import hashlib
from collections import deque
from dataclasses import dataclass
from typing import Any

from claude_operator.core.catalogue.cost import cost_usd
from claude_operator.simulator.stream import Message

__all__ = ["Ledger", "Payment"]

_MOST = 100_000  # payments; the oldest go first


@dataclass(slots=True)
class Payment:
    """A request that was answered, in whole or in part. `complete`: its answer was sent to the end."""

    body: str
    model: str
    tokens: tuple[int, int]
    usd: float | None
    """At list price, None where there is none."""
    custom_id: str | None = None
    complete: bool = False


class Ledger:
    """Payments in their order since the start or the last reset."""

    def __init__(self, most: int = _MOST) -> None:
        self._payments: deque[Payment] = deque(maxlen=most)
        self._count = 0
        self.usd = 0.0
        """All of it at list price, as far as there is one."""

    def reset(self) -> None:
        """Begin at zero."""
        self._payments.clear()
        self._count = 0
        self.usd = 0.0

    def add(self, body: bytes, message: Message, custom_id: str | None = None) -> Payment:
        """Enter an answer to this body, as sent; the caller says later whether it got through."""
        usage = message.usage
        names = ("input_tokens", "cache_creation_input_tokens", "cache_read_input_tokens")
        tokens = (sum(usage[name] for name in names), usage["output_tokens"])
        usd = cost_usd(message.model, usage)
        payment = Payment(hashlib.sha256(body).hexdigest(), message.model.id, tokens, usd, custom_id)
        self._payments.append(payment)
        self._count += 1
        self.usd += usd or 0.0
        return payment

    def document(self) -> dict[str, Any]:
        """The ledger as JSON data; `dropped` are payments that are no longer listed."""
        return {
            "dropped": self._count - len(self._payments),
            "payments": [
                {
                    "body": one.body,
                    "model": one.model,
                    "inputTokens": one.tokens[0],
                    "outputTokens": one.tokens[1],
                    "costUSD": one.usd,
                    "customId": one.custom_id,
                    "complete": one.complete,
                }
                for one in self._payments
            ],
        }
