"""Which ClaudeDeployment's gateways use which API key: told by each pass, and looked for by the key's hint."""

from __future__ import annotations

import asyncio
import base64
import binascii
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from claude_operator.api.deployment import KeyRef
from claude_operator.core.organisation.attribution import ApiKey, Holder, key_of
from claude_operator.core.organisation.holders import holder_of
from claude_operator.core.reconcile.observation import Observation
from claude_operator.core.usage.state import UsageState
from claude_operator.kube.client import Kube, KubeError
from claude_operator.kube.resources import SECRETS

__all__ = ["Holders"]

_AGAIN = 300.0  # seconds until a key is compared with the hints again
_PATIENCE = 300.0  # seconds after which those are left out that never had a pass which could read them


@dataclass(frozen=True, slots=True)
class _Known:
    """What the last pass of a ClaudeDeployment saw."""

    namespace: str
    name: str
    key: str | None
    secret: KeyRef | None
    usage: UsageState | None


class Holders:
    """By UID of the ClaudeDeployment. Of a key nothing is kept but the id that it was found to have."""

    def __init__(self, kube: Kube, clock: Callable[[], float]) -> None:
        self._kube, self._clock = kube, clock
        self._known: dict[str, _Known] = {}
        self._living: set[str] | None = None
        """All that there are; None before the first list."""
        self._since = clock()
        self._sums: dict[str, tuple[object, Holder]] = {}
        self._found: dict[tuple[str, str, str], tuple[float, Sequence[ApiKey], str]] = {}

    def note(self, seen: Observation) -> None:
        """A pass has seen this."""
        metadata, upstream = seen.owner["metadata"], seen.spec.upstream if seen.spec else None
        before = self._known.get(metadata["uid"])
        if upstream is None and before is None:
            return
        key, secret = (upstream.api_key_id, upstream.api_key_secret_ref) if upstream else (None, None)
        if upstream is None and before is not None:  # a spec that cannot be read: what serves is as it was
            key, secret = before.key, before.secret
        self._known[metadata["uid"]] = _Known(metadata["namespace"], metadata["name"], key, secret, seen.usage)

    def forget(self, live: set[str]) -> None:
        """Drop those that no longer exist; `live` are the UIDs of all others."""
        self._living = live
        self._known = {uid: one for uid, one in self._known.items() if uid in live}
        self._sums = {uid: one for uid, one in self._sums.items() if uid in live}

    async def of(self, keys: Sequence[ApiKey]) -> list[Holder] | None:
        """All ClaudeDeployments, with the id of their key where it is among these; None while not all are known."""
        late = self._clock() - self._since >= _PATIENCE
        if self._living is None or not (late or self._living <= self._known.keys()):
            return None
        ids = {one.id for one in keys}
        found = []
        for uid, one in sorted(self._known.items(), key=lambda item: (item[1].namespace, item[1].name)):
            # An id that is none of these hides no key from the organisation's budget.
            key = one.key if one.key in ids else await self._hinted(one, keys)
            found.append((uid, one, key or ""))
        # Forty days of many of them take a while to add up, and others want the loop.
        return await asyncio.to_thread(lambda: [self._holder(*each) for each in found])

    def _holder(self, uid: str, one: _Known, key: str) -> Holder:
        """With the sums of before where nothing was counted since. Called in another thread, one at a time."""
        # Clients' own keys, and a key that the spec names and the organisation does not have.
        elsewhere = not key and (one.secret is None or one.key is not None)
        state = (one.usage and (one.usage.spend, one.usage.coverage), key, elsewhere)
        known = self._sums.get(uid)
        if known is None or known[0] != state:
            holder = replace(holder_of(one.namespace, one.name, key, one.usage), uid=uid, elsewhere=elsewhere)
            known = self._sums[uid] = (state, holder)
        return known[1]

    async def _hinted(self, one: _Known, keys: Sequence[ApiKey]) -> str:
        if one.secret is None or not keys:
            return ""
        place = (one.namespace, one.secret.name, one.secret.key)
        known = self._found.get(place)
        if known is not None and known[1] == keys and self._clock() - known[0] < _AGAIN:
            return known[2]
        try:
            secret = await self._kube.get(SECRETS, one.secret.name, one.namespace)
            data = ((secret or {}).get("data") or {}).get(one.secret.key) or ""
            key = key_of(base64.b64decode(data, validate=True).decode().strip(), keys)
        except (KubeError, binascii.Error, ValueError):
            return ""
        live = {(each.namespace, each.secret.name, each.secret.key) for each in self._known.values() if each.secret}
        self._found = {where: what for where, what in self._found.items() if where in live}
        self._found[place] = (self._clock(), keys, key)
        return key
