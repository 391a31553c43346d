"""What an eval really calls: MCP servers, and tools that the API itself runs. `evals.mcp: Off` leaves them out."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

import msgspec

from claude_operator.api.evals import EvalSetSpec
from claude_operator.api.gateway import Arm
from claude_operator.core.evals.items import Item
from claude_operator.core.text import count, join_names

__all__ = [
    "Called",
    "asked_at_most",
    "called",
    "calls_sentence",
    "epochs_at_most",
    "left_out_sentence",
    "without_calls",
]

_TOOLSET = "mcp_toolset"
_CODE = "code_execution_"
_NEVER_OUTSIDE = (
    *("bash_", "browser_", "computer_", "memory_", "text_editor_"),  # run by the client, that is by nobody in an eval
    *("advisor_", "tool_search_tool_"),  # another model, and the declared tools themselves
)
_MORE_EPOCHS = 4  # times the epochs of the set, where the gate may add some
_SHOWN = 64
_NOT_COUNTED = "one request may call a server several times"

Fields = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Called:
    """A server or tool that is called, in `requests` at most, and how often in one of them, if that is set."""

    kind: str
    name: str
    requests: int = 0
    max_uses: int | None = None

    @property
    def label(self) -> str:
        return f"{self.kind} {self.name[:_SHOWN]}"


def called(arms: Sequence[Arm], asked: Mapping[str, int]) -> tuple[Called, ...]:
    """What requests of these arms call; `asked` has how many each arm sends at most, by subagent (empty for none)."""
    found: dict[tuple[str, str], Called] = {}
    for arm in arms:
        for subagent, requests in asked.items():
            for one in _outside({**arm.request, **arm.subagents.get(subagent, {})}):
                before = found.get((one.kind, one.name), Called(one.kind, one.name))
                found[one.kind, one.name] = Called(one.kind, one.name, before.requests + requests, one.max_uses)
    return tuple(found.values())


def epochs_at_most(spec: EvalSetSpec) -> int:
    """How often an item is asked, at most."""
    return spec.execution.epochs * (_MORE_EPOCHS if spec.gate.on_inconclusive == "AddEpochs" else 1)


def asked_at_most(spec: EvalSetSpec, items: Iterable[Item]) -> dict[str, int]:
    """How many requests an arm sends at most, by subagent."""
    asked, times = Counter[str](), epochs_at_most(spec)
    for item in items:
        asked[item.subagent or ""] += times * item.max_turns
    return dict(asked)


def without_calls(arm: Arm) -> tuple[Arm, tuple[str, ...]]:
    """The arm without what would be called, and the names of that."""
    left_out = called([arm], dict.fromkeys(("", *arm.subagents), 0))
    if not left_out:
        return arm, ()
    request = _stripped(arm.request, arm.request)
    subagents = {name: _stripped(fields, {**arm.request, **fields}, request) for name, fields in arm.subagents.items()}
    bare = msgspec.structs.replace(arm, request=request, subagents=subagents)
    return bare, tuple(one.label for one in left_out)


def calls_sentence(found: Sequence[Called]) -> str:
    """A warning that names what is really called; empty where nothing is."""
    if not found:
        return ""
    parts = [
        f"the {one.label}"
        + (f" in at most {count(one.requests, 'request')}" if one.requests else "")
        + (f", {count(one.max_uses, 'time')} in each" if one.max_uses else "")
        for one in found
    ]
    several = any(not one.max_uses for one in found)
    return (
        f"this run really calls {join_names(parts)}{f' ({_NOT_COUNTED})' if several else ''}; evals.mcp: Off leaves"
        " them out"
    )


def left_out_sentence(names: Sequence[str]) -> str:
    """What was not asked; empty where nothing was left out."""
    if not names:
        return ""
    listed = join_names(f"the {name}" for name in names)
    return f"it was asked without {listed} (evals.mcp: Off), so nothing is known of what a change of them does"


def _outside(fields: Fields) -> Iterator[Called]:
    for server in _entries(fields, "mcp_servers"):
        yield Called("MCP server", str(server.get("name")))
    for tool in _entries(fields, "tools"):
        if _is_run_by_the_api(tool) and tool.get("type") != _TOOLSET:
            most = tool.get("max_uses")
            uses = most if isinstance(most, int) and most > 0 else None
            yield Called("server tool", str(tool.get("name") or tool.get("type")), max_uses=uses)


def _is_run_by_the_api(tool: Fields) -> bool:
    """Also a tool of a type that is not known: such a one may reach anything."""
    kind = tool.get("type")
    return kind not in (None, "custom") and not str(kind).startswith(_NEVER_OUTSIDE)


def _stripped(fields: Fields, whole: Fields, inherited: Fields = MappingProxyType({})) -> dict[str, Any]:
    """`fields`, all of a request or what a subagent has in place of `inherited`, without what `whole` calls.

    With it goes what the API takes only beside it: a choice of such a tool, the container of code, its callers.
    """
    kept = {name: value for name, value in fields.items() if name != "mcp_servers"}
    if isinstance(fields.get("tools"), list):
        kept["tools"] = [
            _without_callers(one) for one in fields["tools"] if not (isinstance(one, dict) and _is_run_by_the_api(one))
        ]
    tools = _entries(whole, "tools")
    left = {tool.get("name") for tool in tools if not _is_run_by_the_api(tool)}
    choice = whole.get("tool_choice")
    if isinstance(choice, dict) and (not left or ("name" in choice and choice["name"] not in left)):
        kept.pop("tool_choice", None)
        if "tool_choice" in inherited:
            kept["tool_choice"] = None  # or that would hold
    if any(str(tool.get("type")).startswith(_CODE) for tool in tools):
        kept.pop("container", None)
    return kept


def _without_callers(tool: Any) -> Any:
    """A tool without the callers that run in a container."""
    callers = tool.get("allowed_callers") if isinstance(tool, dict) else None
    if not isinstance(callers, list):
        return tool
    others = [one for one in callers if not str(one).startswith(_CODE)]
    kept = {name: value for name, value in tool.items() if name != "allowed_callers"}
    return {**kept, "allowed_callers": others} if others else kept


def _entries(fields: Fields, name: str) -> list[Fields]:
    found = fields.get(name)
    return [one for one in found if isinstance(one, dict)] if isinstance(found, list) else []
