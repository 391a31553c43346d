"""The content of an answer: a known answer, a classifier's choice, a tool's input, or a canned text."""

from __future__ import annotations

import itertools
import json
from dataclasses import dataclass
from typing import Any

from claude_operator.core.catalogue.table import Model
from claude_operator.simulator.classifier import classify, options
from claude_operator.simulator.draws import chance_of, uniform
from claude_operator.simulator.editor import edited, proposal
from claude_operator.simulator.grader import grades
from claude_operator.simulator.profile import Compiled, Profile
from claude_operator.simulator.request import Request, blocks_of, canonical
from claude_operator.simulator.tokens import characters_per_token, text_tokens

__all__ = ["Reply", "reply_to"]

CANNED = "This is the simulator: it has no answer of its own to that. "
_UNSURE = "I am not sure."
_MAX_SCHEMA_DEPTH = 6  # levels of a schema that are filled in


@dataclass(frozen=True, slots=True)
class Reply:
    """An answer's one block (none where the request warms the cache), its stop reason and its length.

    `right` says whether a question with a known answer got that answer; None for any other question.
    """

    text: str
    stop_reason: str
    output_tokens: int
    tool: str | None = None
    stop_sequence: str | None = None
    right: bool | None = None


def reply_to(request: Request, model: Model, scenario: Compiled, profile: Profile, asked: int = 0) -> Reply:
    """The answer to this request, which this prompt was asked `asked` times before.

    It is the same while the scenario is the same; with `difficulty` it is drawn anew each time.
    """
    known = _known_call(request, model, scenario, profile, asked)
    if known is not None:
        return _truncate(known, request, model)
    tool = _forced_tool(request)
    if tool is not None:
        return _truncate(_call(tool["name"], sample(tool.get("input_schema"))), request, model)
    if profile.tool_use is not None and _may_call(request, profile.tool_use.name):
        return _truncate(_call(profile.tool_use.name, profile.tool_use.input), request, model)
    schema = _format(request)
    if schema is not None and profile.grader is not None:
        vote = (scenario.seed, model.id, asked)
        found = grades(request.question, schema, scenario.answers, profile.grader, vote)
        if found is not None:
            return _truncate(Reply(json.dumps(found), "end_turn", 0), request, model)
    if schema is not None and profile.editor is not None:
        made = proposal(request.question, schema, profile.editor, (scenario.seed, model.id, asked))
        if made is not None:
            return _truncate(Reply(json.dumps(made), "end_turn", 0), request, model)
    if schema is not None and request.question not in scenario.answers:
        return _truncate(Reply(canonical(sample(schema)).decode(), "end_turn", 0), request, model)
    text, right = _answer(request, model, scenario, profile, asked)
    return _truncate(Reply(text, "end_turn", 0, right=right), request, model)


def sample(schema: Any, depth: int = _MAX_SCHEMA_DEPTH) -> Any:
    """A value of a JSON schema: its first enum value, its const, or the simplest of its type."""
    if not isinstance(schema, dict):
        return {}
    if "const" in schema:
        return schema["const"]
    if isinstance(schema.get("enum"), list) and schema["enum"]:
        return schema["enum"][0]
    kind = schema.get("type")
    kind = kind[0] if isinstance(kind, list) and kind else kind
    if kind in ("string", "integer", "number", "boolean", "null", "array"):
        simple: dict[str, Any] = {"string": "text", "integer": 1, "number": 1, "boolean": True, "array": []}
        return simple.get(kind)
    properties = schema.get("properties")
    if not isinstance(properties, dict) or not depth:
        return {}
    return {name: sample(part, depth - 1) for name, part in properties.items()}


def _known_call(request: Request, model: Model, scenario: Compiled, profile: Profile, asked: int) -> Reply | None:
    """The next of the calls that a known answer begins with; where the prompt is wrong, another one."""
    question = request.question
    calls, made = scenario.calls.get(question, ()), request.calls_answered
    tools = [tool for tool in request.body.get("tools", []) if "input_schema" in tool]
    choice = request.body.get("tool_choice", {})
    allowed = {tool["name"] for tool in tools} if choice.get("type") != "tool" else {choice.get("name")}
    if made >= len(calls) or calls[made].name not in allowed or choice.get("type") == "none":
        return None
    call = calls[made]
    if _is_right(request, model, scenario.seed, profile, asked):
        return _call(call.name, call.input)
    others = [tool for tool in tools if tool["name"] in allowed]
    wrong = next((tool for tool in others if tool["name"] != call.name), others[0] if others else None)
    return _call(wrong["name"], sample(wrong.get("input_schema"))) if wrong else None


def _is_right(request: Request, model: Model, seed: int, profile: Profile, asked: int) -> bool:
    """Whether the prompt answers right this time.

    What `accuracy` takes away is a property of the prompt: it stays the same. `difficulty` is a property of the
    question, and by its chance each answer is drawn anew.
    """
    question, prompt = request.question, edited(request.system, profile.accuracy, profile.editor)
    if not prompt.knows(question) and uniform("right", seed, model.id, prompt.text, question) >= prompt.accuracy:
        return False
    again = ("again", seed, model.id, request.system, question, asked)
    return not profile.difficulty or uniform(*again) < chance_of(question, profile.difficulty, seed)


def _answer(
    request: Request, model: Model, scenario: Compiled, profile: Profile, asked: int
) -> tuple[str, bool | None]:
    """The text, and whether it is right."""
    question, system = request.question, request.system
    if question in scenario.answers:
        best, others = scenario.answers[question], scenario.distinct
    elif choices := options(system):
        best, others = classify(choices, question), choices
    else:
        size = profile.output_tokens * characters_per_token(model)
        return "".join(itertools.islice(itertools.cycle(CANNED), size)).strip(), None
    if _is_right(request, model, scenario.seed, profile, asked):
        return best, True
    if profile.wrong_answer is not None:
        return profile.wrong_answer, False
    wrong = [other for other in others if other != best] or [_UNSURE]
    return wrong[int(uniform("which", scenario.seed, model.id, system, question) * len(wrong))], False


def _call(tool: str, value: Any) -> Reply:
    return Reply(canonical(value).decode(), "tool_use", 0, tool=tool)


def _may_call(request: Request, tool: str) -> bool:
    """Whether the request offers this tool and does not contain a call's result, so that a loop of calls ends."""
    offered = any(each.get("name") == tool for each in request.body.get("tools", []))
    last = blocks_of(request.body["messages"][-1]["content"])
    answered = any(block.get("type") == "tool_result" for block in last)
    return offered and not answered and request.body.get("tool_choice", {}).get("type") != "none"


def _forced_tool(request: Request) -> dict[str, Any] | None:
    choice = request.body.get("tool_choice", {})
    tools = [tool for tool in request.body.get("tools", []) if "input_schema" in tool]
    if choice.get("type") == "any":
        return tools[0] if tools else None
    if choice.get("type") == "tool":
        return next((tool for tool in tools if tool["name"] == choice.get("name")), None)
    return None


def _format(request: Request) -> Any:
    form = request.body.get("output_config", {}).get("format")
    return form.get("schema", {}) if isinstance(form, dict) else None


def _truncate(reply: Reply, request: Request, model: Model) -> Reply:
    """End at the first stop sequence and at max_tokens, and count."""
    text, reason, sequence = reply.text, reply.stop_reason, None
    if reply.tool is None:
        for candidate in request.body.get("stop_sequences", []):
            if candidate in text:
                text, reason, sequence = text[: text.index(candidate)], "stop_sequence", candidate
    limit = request.body["max_tokens"]
    if text_tokens(text, model) > limit:
        text, reason, sequence = text[: limit * characters_per_token(model)], "max_tokens", None
    if limit == 0:
        reason = "max_tokens"
    return Reply(text, reason, text_tokens(text, model), reply.tool, sequence, reply.right)
