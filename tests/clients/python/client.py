"""What every client program does, with the Python SDK: prints one JSON object, an entry for each exercise that
is named."""

from __future__ import annotations

import json
import sys
from typing import Any

import anthropic
from anthropic import beta_tool
from pydantic import BaseModel

MODEL = "claude-haiku-5-5"
TOOL = {"name": "weather", "input_schema": {"type": "object", "properties": {"city": {"type": "string"}}}}


def asks(text: str) -> list[Any]:
    return [{"role": "user", "content": text}]


def message(client: anthropic.Anthropic) -> Any:
    raw = client.messages.with_raw_response.create(model=MODEL, max_tokens=99, messages=asks("Hello"))
    answer = raw.parse()
    return {
        "text": answer.content[0].text,
        "stop_reason": answer.stop_reason,
        "model": answer.model,
        "output_tokens": answer.usage.output_tokens,
        "request_id": answer._request_id,
        "revision": raw.headers["x-claude-revision"],
    }


def stream(client: anthropic.Anthropic) -> Any:
    with client.messages.stream(model=MODEL, max_tokens=99, messages=asks("Hello")) as events:
        text = "".join(events.text_stream)
        answer = events.get_final_message()
    return {"text": text, "stop_reason": answer.stop_reason, "output_tokens": answer.usage.output_tokens}


def tools(client: anthropic.Anthropic) -> Any:
    messages, calls = asks("How is the weather?"), []
    while True:
        answer = client.messages.create(model=MODEL, max_tokens=99, messages=messages, tools=[TOOL])
        used = [block for block in answer.content if block.type == "tool_use"]
        if not used:
            return {"calls": calls, "stop_reason": answer.stop_reason, "text": answer.content[0].text}
        calls += [{"name": block.name, "input": block.input} for block in used]
        results = [{"type": "tool_result", "tool_use_id": block.id, "content": "rain"} for block in used]
        messages += [{"role": "assistant", "content": answer.content}, {"role": "user", "content": results}]


def count(client: anthropic.Anthropic) -> Any:
    return client.messages.count_tokens(model=MODEL, messages=asks("Hello")).input_tokens


def absent(value: BaseModel, place: str = "") -> list[str]:
    """The keys that the SDK's types declare, and the answer lacks."""
    found = []
    for name in type(value).model_fields:
        if name not in value.model_fields_set:
            found.append(place + name)
        elif isinstance(inner := getattr(value, name), BaseModel):
            found += absent(inner, f"{place}{name}.")
    return found


def models(client: anthropic.Anthropic) -> Any:
    listed = list(client.models.list(limit=4))
    beta = list(client.beta.models.list(limit=1000))
    lacks = {key for model in [*listed, *beta] for key in absent(model)}
    return {"ids": [model.id for model in listed], "absent": sorted(lacks)}


def model(client: anthropic.Anthropic) -> Any:
    one = client.models.retrieve("claude-opus-5-5")
    assert one.capabilities is not None
    return {"id": one.id, "lifecycle": one.lifecycle, "thinks": one.capabilities.thinking.types.adaptive.supported}


def error(client: anthropic.Anthropic, text: str) -> Any:
    try:
        client.messages.create(model=MODEL, max_tokens=99, messages=asks(text))
    except anthropic.APIStatusError as wrong:
        return {"class": type(wrong).__name__, "status": wrong.status_code, "type": wrong.type}
    return None


def thread(client: anthropic.Anthropic) -> Any:
    held = client.beta.messages.thread(model=MODEL, max_tokens=99, system="Speak briefly.")
    first = held.send({"role": "user", "content": "Hello"})
    with held.stream({"role": "user", "content": "And again"}) as events:
        second = events.get_final_message()
    return {"turns": len(held.messages), "continues": held.previous_message_id == second.id != first.id}


def runner(client: anthropic.Anthropic) -> Any:
    """The SDK's own tool loop, which runs over a thread."""

    @beta_tool
    def weather(city: str) -> str:
        """The weather of a city."""
        return f"rain in {city}"

    run = client.beta.messages.tool_runner(
        model=MODEL, max_tokens=99, messages=asks("How is the weather?"), tools=[weather]
    )
    reasons = [answer.stop_reason for answer in run]
    return {"stop_reasons": reasons}


EXERCISES = {
    "message": message,
    "stream": stream,
    "tools": tools,
    "count": count,
    "models": models,
    "model": model,
    "rate_limit": lambda client: error(client, "Hit the rate limit"),
    "overload": lambda client: error(client, "Be overloaded"),
    "bad_request": lambda client: error(client, ""),
    "retried": lambda client: error(client.with_options(max_retries=1), "Be overloaded twice"),
    "wrong_key": lambda client: error(client.with_options(api_key="wrong", max_retries=2), "Who am I?"),
    "thread": thread,
    "runner": runner,
}


def main(*names: str) -> None:
    session = {"x-claude-session-id": "python-session"}
    with anthropic.Anthropic(max_retries=0, default_headers=session) as client:
        print(json.dumps({name: EXERCISES[name](client) for name in names}))


main(*sys.argv[1:])
