"""Where objects of the cluster name a model: requests, subagents and graders, and what calls were answered by."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal, NamedTuple

from claude_operator.api.evidence import OTHER
from claude_operator.api.lifecycle import PLATFORMS, Platform
from claude_operator.core import names
from claude_operator.core.usage.amounts import Key
from claude_operator.core.usage.ledger import Spend

__all__ = ["IN_USE", "Holding", "Measured", "Role", "Use", "serving", "set_uses", "uses"]

Object = Mapping[str, Any]
Role = Literal["spec", "stable", "canary", "former", "previous", "kept", "traffic", "set"]

IN_USE: frozenset[Role] = frozenset({"spec", "stable", "canary", "former", "traffic", "set"})
"""Roles of what is asked for, serves or grades now. `previous` and `kept` only serve again if somebody goes back."""
_ORDER: tuple[Role, ...] = ("spec", "stable", "canary", "former", "previous", "kept", "traffic", "set")
_REQUEST = "request"


class Holding(NamedTuple):
    """Who names the model: the spec, a revision by its role, live traffic, or an eval set."""

    role: Role
    revision: str = ""


class Measured(NamedTuple):
    """What gateways counted."""

    calls: int = 0
    last: dt.date | None = None

    def plus(self, calls: int, day: dt.date) -> Measured:
        """With some calls of a day."""
        return Measured(self.calls + calls, day if self.last is None else max(self.last, day))


@dataclass(frozen=True, slots=True)
class Use:
    """A place where a model is used.

    `where`: `request`, `subagent NAME`, `grader NAME` (of live answers) or `judge NAME` (of an eval set).
    """

    kind: Literal["ClaudeDeployment", "ClaudeEvalSet"]
    namespace: str
    name: str
    where: str
    model: str
    """As it is written there: an id or an alias."""
    platform: Platform = "ClaudeAPI"
    """Where the model is served; an eval set is asked wherever the ClaudeDeployments are that use it."""
    holdings: tuple[Holding, ...] = ()
    measured: Measured | None = None
    """None where no measure is known, which is not zero."""

    @property
    def is_in_use(self) -> bool:
        """Whether anything that is asked for, serves or grades names it."""
        return any(one.role in IN_USE for one in self.holdings)


@dataclass(slots=True)
class _Found:
    """Holdings by place and model, in the order in which they were found."""

    holdings: dict[tuple[str, str], list[Holding]] = field(default_factory=dict)

    def add(self, where: str, model: object, holding: Holding) -> None:
        if isinstance(model, str) and model:
            self.holdings.setdefault((where, model), []).append(holding)


def uses(
    deployment: Object,
    revisions: Iterable[Object],
    spend: Spend | None,
    since: dt.date,
    find_id: Callable[[str], str] = str,
) -> list[Use]:
    """Those of a ClaudeDeployment: of its spec, its live graders, its revisions, and calls since a day.

    `revisions`: those of all ClaudeDeployments of its namespace will do. `spend`: its usage record; None: not
    known. `find_id` gives the id of an alias, by which calls are counted.
    """
    found, spec = _Found(), _mapping(deployment.get("spec"))
    _add_content(found, spec, Holding("spec"))
    live = _mapping(_mapping(spec.get("evals")).get("live"))
    for grader in _objects(live.get("graders")):
        found.add(f"grader {grader.get('name')}", grader.get("model"), Holding("spec"))
    roles = _roles(_mapping(deployment.get("status")))
    for revision in revisions:
        name = str(revision["metadata"]["name"])
        if _is_of(revision, deployment):
            _add_content(found, _mapping(revision.get("spec")), Holding(roles.get(name, "kept"), name))
    metadata, platform = deployment["metadata"], _platform(spec)
    place = str(metadata["namespace"]), str(metadata["name"])
    made = [
        Use("ClaudeDeployment", *place, where, model, platform, _sorted(holdings))
        for (where, model), holdings in found.holdings.items()
    ]
    return made if spend is None else list(_with_calls(made, spend, since, find_id))


def set_uses(eval_set: Object) -> list[Use]:
    """Those of a ClaudeEvalSet: its graders."""
    metadata, found = eval_set["metadata"], _Found()
    for grader in _objects(_mapping(eval_set.get("spec")).get("graders")):
        found.add(f"judge {grader.get('name')}", grader.get("model"), Holding("set"))
    return [
        Use(
            "ClaudeEvalSet", str(metadata["namespace"]), str(metadata["name"]), where, model, holdings=_sorted(holdings)
        )
        for (where, model), holdings in found.holdings.items()
    ]


def serving(found: Iterable[Use]) -> list[Use]:
    """The same without revisions that are only kept."""
    left = (replace(use, holdings=tuple(one for one in use.holdings if one.role != "kept")) for use in found)
    return [use for use in left if use.holdings]


def _add_content(found: _Found, content: Object, holding: Holding) -> None:
    """Of a spec or a revision, which have the same fields. A subagent that names no model has that of the request."""
    found.add(_REQUEST, _mapping(content.get("request")).get("model"), holding)
    for name, subagent in _mapping(content.get("subagents")).items():
        found.add(f"subagent {name}", _mapping(_mapping(subagent).get("request")).get("model"), holding)


def _roles(status: Object) -> dict[str, Role]:
    """By revision, what it is now; the first that fits."""
    told: list[tuple[Role, object]] = [
        ("stable", status.get("stableRevision")),
        ("canary", status.get("canaryRevision")),
        ("former", _mapping(status.get("draining")).get("revision")),
        ("previous", _mapping(status.get("soak")).get("previous")),
        ("previous", _mapping(status.get("replaced")).get("revision")),
    ]
    roles: dict[str, Role] = {}
    for role, name in told:
        if isinstance(name, str) and name:
            roles.setdefault(name, role)
    return roles


def _is_of(revision: Object, deployment: Object) -> bool:
    """Whether the ClaudeDeployment owns it: one of the same name from before had other revisions."""
    mine, theirs = deployment["metadata"], revision["metadata"]
    return bool(theirs["namespace"] == mine["namespace"]) and names.is_controlled_by(revision, mine["uid"])


def _with_calls(made: Sequence[Use], spend: Spend, since: dt.date, find_id: Callable[[str], str]) -> Iterator[Use]:
    """With the calls of what serves. A model that answered and that nobody names is a use of its own."""
    serving = {one.revision for use in made for one in use.holdings if one.revision and one.role in IN_USE}
    places = {
        (one.revision, use.where, find_id(use.model)): use for use in made for one in use.holdings if one.revision
    }
    counted: dict[Use, Measured] = {}
    unnamed: dict[tuple[str, str], Measured] = {}
    for key, calls, day in _calls(spend, since):
        if key.revision not in serving or key.model == OTHER:
            continue
        where = f"subagent {key.subagent}" if key.subagent else _REQUEST
        answered = find_id(key.model)
        # A subagent without a model of its own has that of the request.
        use = places.get((key.revision, where, answered)) or places.get((key.revision, _REQUEST, answered))
        if use is not None:
            counted[use] = counted.get(use, Measured()).plus(calls, day)
        else:
            unnamed[where, key.model] = unnamed.get((where, key.model), Measured()).plus(calls, day)
    for use in made:
        has_calls = any(one.revision in serving for one in use.holdings)
        yield replace(use, measured=counted.get(use, Measured())) if has_calls else use
    for (where, model), measured in unnamed.items():
        yield replace(made[0], where=where, model=model, holdings=(Holding("traffic"),), measured=measured)


def _calls(spend: Spend, since: dt.date) -> Iterator[tuple[Key, int, dt.date]]:
    for day, rows in spend.days.items():
        date = dt.date.fromisoformat(day)
        if date >= since:
            for key, amounts in rows.items():
                yield key, amounts.calls, date


def _platform(spec: Object) -> Platform:
    named = _mapping(spec.get("upstream")).get("platform")
    return next((one for one in PLATFORMS if one == named), "ClaudeAPI")


def _sorted(holdings: Iterable[Holding]) -> tuple[Holding, ...]:
    return tuple(sorted(set(holdings), key=lambda one: (_ORDER.index(one.role), one.revision)))


def _mapping(value: Any) -> Object:
    return value if isinstance(value, Mapping) else {}


def _objects(value: Any) -> list[Object]:
    return [one for one in value if isinstance(one, Mapping)] if isinstance(value, Sequence) else []
