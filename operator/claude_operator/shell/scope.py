"""Where the operator works: in all namespaces, or in those that it was told, as far as it may read them."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from claude_operator.api.base import GROUP
from claude_operator.core.spec.definitions import APPLY_CRDS
from claude_operator.kube.client import Kube, KubeError
from claude_operator.kube.resources import NETWORK_POLICIES, Resource
from claude_operator.log import fields
from claude_operator.shell.handlers import WATCHED

__all__ = ["Scope", "ScopeChanged", "View", "view"]

_log = logging.getLogger(__name__)

_NONE = "claudeops.dev/deployment,!claudeops.dev/deployment"  # a selector that no object meets
_AGAIN = 0.5  # seconds until the kinds are asked for again
_LOOK = 10.0  # seconds between two looks at namespaces that cannot be read


class ScopeChanged(Exception):  # noqa: N818
    """A namespace can be read again: lead again, with it."""


class _Problem(NamedTuple):
    """Why a kind cannot be listed; `forbidden` where its rights are missing."""

    message: str
    forbidden: bool


@dataclass(frozen=True, slots=True)
class View:
    """What is watched: these kinds, in these namespaces, or in all where none are named."""

    kinds: tuple[Resource, ...]
    namespaces: tuple[str, ...] = ()


def view(namespaces: Sequence[str] = (), *, network_policies: bool = False) -> View:
    """What an operator with these options watches: it has rights to nothing else."""
    kinds = [kind for kind in WATCHED if kind.namespaced or not namespaces]
    return View(tuple(kind for kind in kinds if network_policies or kind != NETWORK_POLICIES), tuple(namespaces))


class Scope:
    """`view` with the namespaces of it that can be read, as last found."""

    def __init__(self, kube: Kube, wanted: View, on_away: Callable[[int], None] = lambda count: None) -> None:
        self.kube, self.view = kube, wanted
        self._kinds, self._named, self._on_away = wanted.kinds, wanted.namespaces, on_away
        self._away: tuple[str, ...] = ()

    async def until_served(self, tell: Callable[[str | None], None]) -> None:
        """Wait until all kinds that we watch can be listed: kopf would go without one forever, and say nothing.

        Of several namespaces one that may not be read holds up no other. `tell` gets what is waited for, and None.
        """
        logged = ""
        while True:
            problems = {one: found for one in self._named or (None,) if (found := await self._problem(one))}
            away = tuple(one for one, problem in problems.items() if one and problem.forbidden)
            waits_for = [one for one in problems if one not in away] or (list(problems) if away == self._named else [])
            problem = "; ".join(one.message for one in problems.values())
            if problem and problem != logged:
                what = "the kinds that are watched cannot be listed yet"
                if not waits_for:
                    what = "ClaudeDeployments in some namespaces are left alone until they can be read"
                _log.warning(what, extra=fields(error=problem))
            logged = problem
            if not waits_for:
                break
            tell(problem)
            await asyncio.sleep(_AGAIN)
        self._away = away
        self.view = View(self._kinds, tuple(one for one in self._named if one not in away))
        self._on_away(len(away))
        tell(None)

    async def keep(self) -> None:
        """Look forever at the namespaces that cannot be read; raises `ScopeChanged` once one can."""
        while True:
            await asyncio.sleep(_LOOK)
            for namespace in self._away:
                if await self._problem(namespace) is None:
                    raise ScopeChanged(f"namespace {namespace} can be read now")

    async def _problem(self, namespace: str | None) -> _Problem | None:
        for resource in self._kinds:
            try:
                await self.kube.list(resource, namespace, label_selector=_NONE)
            except KubeError as error:
                if error.not_found and resource.group == GROUP:
                    message = f"{resource.kind} is not installed; install the operator's CRDs: {APPLY_CRDS}"
                    return _Problem(message, forbidden=False)
                return _Problem(f"{resource.kind}: {error}", forbidden=error.status == 403)
        return None
