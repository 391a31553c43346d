"""What is known of the children of one ClaudeDeployment."""

from __future__ import annotations

from dataclasses import dataclass, field

from claude_operator.core.reconcile.decision import Event
from claude_operator.kube.client import Object
from claude_operator.shell.contest import Contest

__all__ = ["Family", "Name"]

Name = tuple[str, str]
"""Kind and name of a child."""


@dataclass(slots=True)
class Family:
    """What is known of the children of one ClaudeDeployment."""

    uid: str
    free: bool = False
    """None of their names is taken."""
    further: set[Name] = field(default_factory=set)
    """Other names that turned out to be taken."""
    digest: bytes = b""
    """Of what was wanted when all of it was found to be so, and when that was."""
    since: float = 0.0
    wanted: dict[Name, Object] = field(default_factory=dict)
    """As last ensured."""
    uids: dict[Name, str] = field(default_factory=dict)
    looks: dict[Name, object] = field(default_factory=dict)
    """What an event has to look like to be no news."""
    doubted: set[Name] = field(default_factory=set)
    """To be looked at in the next pass."""
    admitted: dict[Name, bytes] = field(default_factory=dict)
    """What admission puts into a child each time it is taken out."""
    contests: dict[Name, Contest] = field(default_factory=dict)
    replicas: int | None = None
    """Gateway pods as last seen: where the Deployment is deleted, it comes back with as many."""
    config: Object | None = None
    """The gateways' ConfigMap as it was last written, None where that is not known."""
    writing: Object | None = None
    """As it is being written."""
    events: list[Event] = field(default_factory=list)
    """Not reported yet."""
