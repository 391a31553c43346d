"""Follows a rollout to its end: a live view on a terminal, a line for each change elsewhere."""

from __future__ import annotations

import datetime as dt
import time
from collections.abc import Sequence
from dataclasses import dataclass, field

from rich.console import Group, RenderableType
from rich.live import Live
from rich.text import Text

from claude_operator.cli.cluster import Cluster
from claude_operator.cli.deployment import Phase, code_of, ended, phase_of, status_of, trial_of
from claude_operator.cli.events import Event
from claude_operator.cli.failure import Exit
from claude_operator.cli.kubectl import KubectlError, Object
from claude_operator.cli.terminal import Terminal
from claude_operator.cli.view.status import Facts, status_facts, status_view

__all__ = ["Followed", "follow"]

_EVERY = 1.0  # seconds between two looks


@dataclass
class Followed:
    """The rollout that is followed: the first one that was seen under way."""

    trial: str | None = None
    seen: set[tuple[str, str]] = field(default_factory=set)

    def code(self, obj: Object) -> Exit | None:
        """The exit code, None while it goes on. Another rollout that begins meanwhile does not count."""
        status = status_of(obj)
        if self.trial is None and phase_of(obj).name != "Unknown":  # else it is the trial of an older spec
            self.trial = trial_of(status)
        end = ended(status, self.trial) if self.trial else None
        if end is not None and end.outcome:
            return code_of(end.outcome)
        if self.trial is not None and trial_of(status) == self.trial:
            return Exit.REJECTED if phase_of(obj).name == "Rejected" else None
        return phase_of(obj).code

    def news(self, events: Sequence[Event]) -> list[Event]:
        """Events that were not seen before."""
        found = [one for one in events if (one.time, one.note) not in self.seen]
        self.seen |= {(one.time, one.note) for one in found}
        return found


def follow(cluster: Cluster, name: str, terminal: Terminal, timeout: float | None) -> tuple[Exit, Facts]:
    """Until the rollout ends; the exit code and what was seen last."""
    followed, end = Followed(), None if timeout is None else time.monotonic() + timeout
    obj, events = cluster.deployment(name), cluster.events(name)
    followed.news(events)  # of before
    screen = _Screen(terminal)
    with screen:
        while True:
            facts = status_facts(obj, events)
            code = followed.code(obj)
            screen.show(facts, phase_of(obj), followed.news(events))
            if code is not None:
                return code, facts
            if end is not None and time.monotonic() >= end:
                return Exit.TIMED_OUT, facts
            time.sleep(_EVERY if end is None else max(min(_EVERY, end - time.monotonic()), 0.0))
            try:
                obj, events = cluster.deployment(name), cluster.events(name)
                screen.blind = ""
            except KubectlError as error:
                if not error.is_passing:
                    raise
                screen.blind = str(error)


class _Screen:
    """What a person sees of it."""

    def __init__(self, terminal: Terminal) -> None:
        self._terminal, self._said = terminal, ""
        self.blind = ""
        """Why what is shown may be out of date; empty where it is not."""
        self._live = Live(console=terminal.console, auto_refresh=False, transient=True)

    def __enter__(self) -> None:
        if self._terminal.is_live:
            self._live.start()

    def __exit__(self, *_: object) -> None:
        if self._terminal.is_live:
            self._live.stop()

    def show(self, facts: Facts, phase: Phase, news: Sequence[Event]) -> None:
        """The view again, or what is new as lines."""
        now = dt.datetime.now(dt.UTC)
        if self._terminal.is_live:
            self._live.update(_stale(status_view(facts, now), self.blind), refresh=True)
            return
        for one in news:
            self._terminal.line(
                f"{one.time[11:19]}  {one.reason}: {one.note}", "yellow" if one.type == "Warning" else ""
            )
        said = f"cannot look: {self.blind}" if self.blind else f"{phase.name}: {phase.message}"
        if said != self._said:
            self._terminal.line(f"{now:%H:%M:%S}  {said}")
            self._said = said


def _stale(view: RenderableType, blind: str) -> RenderableType:
    if not blind:
        return view
    return Group(Text(f"This is what was seen last; it may be out of date: {blind}", style="bold yellow"), view)
