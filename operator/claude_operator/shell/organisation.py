"""ClaudeOrganizations: their history is run, read, and told. None of this concerns a pass of a ClaudeDeployment.

They are listed, not watched: without their definition, or the right to it, the operator works as before.
"""

from __future__ import annotations

import asyncio
import base64
import binascii
import logging
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass

from pydantic import ValidationError

from claude_operator.api.base import API_VERSION
from claude_operator.api.faults import first_fault
from claude_operator.api.organisation import OrganizationReason, OrganizationSpec, OrganizationStatus, SecretKey
from claude_operator.core import names, render
from claude_operator.core.catalogue.table import Model
from claude_operator.core.organisation.admin_key import Fault, key_fault, platform_fault, store_fault
from claude_operator.core.organisation.attribution import ApiKey, Holder
from claude_operator.core.organisation.conditions import Seen
from claude_operator.core.organisation.news import told_now
from claude_operator.core.organisation.pricing import rates_of
from claude_operator.core.organisation.reading import Reading
from claude_operator.core.organisation.status import changed, organization_status
from claude_operator.core.spec.policy import Policy, SecretUse
from claude_operator.core.usage.figures import are_fresh
from claude_operator.kube.client import Kube, KubeError, Object
from claude_operator.kube.resources import CLAUDE_ORGANIZATIONS, SECRETS
from claude_operator.log import fields
from claude_operator.shell.clock import Clock
from claude_operator.shell.events import Recorder
from claude_operator.shell.organisation_limits import OrganizationLimits
from claude_operator.shell.organisation_metrics import OrganizationMetrics
from claude_operator.shell.organisation_parts import HistoryParts
from claude_operator.shell.organisation_reader import history_url
from claude_operator.shell.references import read_secrets

__all__ = ["Organizations", "Place"]

_log = logging.getLogger(__name__)

_LOOK = 15.0  # seconds between two looks at them
_READ = 60.0  # seconds between two readings of a history that is well

Read = Callable[[str, str], Awaitable[Reading | None]]
"""What a history says, by its URL and the key to show."""
FindHolders = Callable[[Sequence[ApiKey]], Awaitable[Sequence[Holder] | None]]
"""All ClaudeDeployments, with the id of their API key where it is among these; None while not all are known."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where their history runs, and what the installer allows."""

    namespace: str
    site: render.Site
    policy: Policy


@dataclass(slots=True)
class _Known:
    """What was read last of one, and when."""

    reading: Reading | None = None
    at: float = 0.0


class Organizations:
    """Looks at all of them again and again. `place` is called at each look: addresses that are denied change."""

    def __init__(
        self,
        kube: Kube,
        parts: HistoryParts,
        read: Read,
        find_holders: FindHolders,
        *,
        place: Callable[[], Place],
        models: Callable[[], Mapping[str, Model]],
        clock: Clock,
        metrics: OrganizationMetrics,
        recorder: Recorder,
    ) -> None:
        self._kube, self._parts, self._read, self._find_holders = kube, parts, read, find_holders
        self._place, self._models, self._clock, self._metrics = place, models, clock, metrics
        self._recorder = recorder
        self._known: dict[str, _Known] = {}
        self._problem = ""
        self.limits = OrganizationLimits()
        self.wake: Callable[[], None] = lambda: None
        """Called where another limit holds for some ClaudeDeployment."""

    async def run(self) -> None:
        """Look forever. Afterwards another replica shows what is known."""
        try:
            while True:
                await self.look()
                await asyncio.sleep(_LOOK)
        finally:
            self._metrics.keep(set())

    async def look(self) -> None:
        """One look at all of them; what goes wrong with one keeps none of the others."""
        try:
            found = await self._kube.list(CLAUDE_ORGANIZATIONS)
        except KubeError as error:
            self._tell("" if error.not_found else f"ClaudeOrganizations cannot be listed: {error}")
            if error.status in (403, 404):  # there are none for this operator
                self._concern(set(), self.limits.state())
            return
        self._tell("")
        before = self.limits.state()
        living = [one for one in found if not one["metadata"].get("deletionTimestamp")]
        self._known = {uid: self._known.get(uid, _Known()) for one in living if (uid := one["metadata"]["uid"])}
        self._metrics.keep({one["metadata"]["name"] for one in living})
        for one in living:
            try:
                await self._one(one)
            except KubeError as error:
                where = {"organization": one["metadata"]["name"]}
                _log.warning("a ClaudeOrganization was not looked at", extra=fields(**where, error=str(error)))
        self._concern(set(self._known), before)

    def _concern(self, living: set[str], before: object) -> None:
        """The limits are as they were found, of these; wake who is concerned in another way than before."""
        self.limits.looked(living)
        if self.limits.state() != before:
            self.wake()

    async def _one(self, owner: Object) -> None:
        place, known = self._place(), self._known[owner["metadata"]["uid"]]
        metadata, now = owner["metadata"], self._clock.now()
        spec, fault = _parse(owner)
        key_wrong = None
        if spec is not None:
            fault, key_wrong = await self._faults(spec, place)
        if fault is None and key_wrong is None and spec is not None:
            fault = await self._parts.ensure(owner, spec, place.site)
            reading = await self._reading(owner, known)
        else:
            await self._parts.stop(owner)
            reading = known.reading = None
        seen = Seen(
            now=now,
            generation=metadata.get("generation", 0),
            fault=fault,
            key_fault=key_wrong,
            started=reading is not None or await self._parts.started(owner),
            reading=reading,
            budget=spec.budget if spec else None,
            holders=await self._find_holders(reading.keys if reading else ()),
        )
        self.limits.note(metadata["uid"], metadata["name"], seen.budget, seen)
        before = _status(owner)
        # A month of many keys takes a while to add up, and others want the loop.
        models = self._models()
        after = await asyncio.to_thread(organization_status, seen, rates_of(models), before, models)
        self._metrics.show(metadata["name"], seen, after)
        due = before.figures_at is None or not are_fresh(before.figures_at, now)
        if changed(before, after) or (due and after != before):
            await self._write(metadata["name"], after)
            if (news := told_now(before.budget_told, after.budget_told, after.conditions)) is not None:
                reason, note = news
                await self._recorder.emit(owner, type="Warning", reason=reason, note=note, action=reason)

    async def _reading(self, owner: Object, known: _Known) -> Reading | None:
        """What the history says; asked again once a minute where it is well."""
        at = self._clock.monotonic()
        if known.reading is None or known.reading.why or at - known.at >= _READ:
            url = history_url(owner["metadata"]["name"], self._place().namespace)
            known.reading = await self._read(url, await self._parts.page_key(owner))
            known.at = at
        return known.reading

    async def _faults(self, spec: OrganizationSpec, place: Place) -> tuple[Fault | None, Fault | None]:
        """What keeps the history from running, and what is wrong with the key."""
        if (fault := platform_fault(spec.base_url)) is not None:
            return None, fault
        if (problem := place.policy.host_problem(("spec.baseURL", spec.base_url))) is not None:
            return (OrganizationReason.HOST_NOT_ALLOWED, problem.message), None
        ref, url = spec.admin_key_secret_ref, spec.history.postgres_url_secret_ref
        uses = [SecretUse("spec.adminKeySecretRef", ref.name, ref.key, "admin")]
        uses += [SecretUse("spec.history.postgresURLSecretRef", url.name, url.key, "admin")] if url else []
        for problem in await read_secrets(self._kube, place.policy, place.namespace, uses):
            return (OrganizationReason(problem.reason), problem.message), None
        store = store_fault(await self._value(place, url)) if url else None
        return store, key_fault(await self._value(place, ref))

    async def _value(self, place: Place, ref: SecretKey) -> str:
        found = await self._kube.get(SECRETS, ref.name, place.namespace)
        data = ((found or {}).get("data") or {}).get(ref.key) or ""
        try:
            return base64.b64decode(data, validate=True).decode().strip()
        except (binascii.Error, ValueError):
            return ""

    async def _write(self, name: str, status: OrganizationStatus) -> None:
        body = {
            "apiVersion": API_VERSION,
            "kind": CLAUDE_ORGANIZATIONS.kind,
            "metadata": {"name": name},
            "status": status.model_dump(by_alias=True, exclude_none=True, mode="json"),
        }
        await self._kube.apply(CLAUDE_ORGANIZATIONS, body, field_manager=names.FIELD_MANAGER, subresource="status")

    def _tell(self, problem: str) -> None:
        if problem and problem != self._problem:
            _log.warning("ClaudeOrganizations are left alone", extra=fields(error=problem))
        self._problem = problem


def _parse(owner: Object) -> tuple[OrganizationSpec | None, Fault | None]:
    try:
        return OrganizationSpec.model_validate(owner["spec"]), None
    except ValidationError as error:
        return None, (OrganizationReason.INVALID_SPEC, first_fault(error, "spec"))


def _status(owner: Object) -> OrganizationStatus:
    """As it is stored; one that cannot be read is written anew."""
    try:
        return OrganizationStatus.model_validate(owner.get("status") or {})
    except ValidationError:
        return OrganizationStatus()
