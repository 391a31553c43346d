"""What clients get: what the gateways really serve, and whether most requests fail. Told by the gateways themselves."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping

from claude_operator.api.evidence import Recent
from claude_operator.core.text import count

__all__ = ["failing", "in_trouble", "nothing_served"]

_FEWEST = 3  # requests from which on a share is one

_CAUSES = {
    "error": "errors of the upstream or on the way to it",
    "overload": "429 or 529 of the upstream",
    "account": "an account that is empty or at its limit",
    "unserved": "refusals of the gateway itself",
}


def nothing_served(weights: Iterable[Mapping[str, int] | None]) -> bool:
    """Whether all say that they serve no revision; `weights` of each ready pod, None where it does not say."""
    shares = list(weights)
    return bool(shares) and all(one is not None and not any(one.values()) for one in shares)


def in_trouble(weights: Iterable[Mapping[str, int] | None], recents: Iterable[Recent | None]) -> bool:
    """Whether clients get nothing, or mostly failures."""
    return nothing_served(weights) or failing(recents) is not None


def failing(recents: Iterable[Recent | None]) -> str | None:
    """That more than half of the recent requests failed, and of what, as a sentence; None where they did not."""
    known = [one for one in recents if one is not None]
    requests, failed = sum(one.requests for one in known), sum(one.failed for one in known)
    if failed < _FEWEST or 2 * failed <= requests:
        return None
    causes: Counter[str] = Counter()
    for one in known:
        causes.update(one.causes)
    cause = max(causes, key=causes.__getitem__, default="")
    mostly = f", most of them by {_CAUSES.get(cause, cause)}" if cause else ""
    text = next((one.said for one in sorted(known, key=lambda one: -one.failed) if one.said), "")
    last = f" (last answer: {text})" if text else ""
    longest = max(one.seconds for one in known)
    return f"{failed:,} of {count(requests, 'request')} failed in the last {longest:g} s{mostly}{last}"
