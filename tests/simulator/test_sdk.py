"""The anthropic SDK against the simulator."""

from __future__ import annotations

import datetime
import typing
from collections.abc import AsyncIterator

import anthropic
import pytest
from anthropic.types import AnthropicBetaParam
from pydantic import BaseModel
from tests.simulator.harness import Running

KNOWN_BETAS = typing.get_args(typing.get_args(AnthropicBetaParam)[1])

HELLO = [{"role": "user", "content": "Hello"}]


@pytest.fixture
async def client(api: Running) -> AsyncIterator[anthropic.AsyncAnthropic]:
    async with anthropic.AsyncAnthropic(base_url=api.url, api_key="sk-test", max_retries=0) as client:
        yield client


async def test_a_message(client: anthropic.AsyncAnthropic) -> None:
    message = await client.messages.create(model="claude-haiku-5-5", max_tokens=50, messages=HELLO)
    assert message.content[0].text.startswith("This is the simulator")
    assert message._request_id is not None
    assert message.usage.cache_creation is not None
    assert message.usage.service_tier == "standard"


async def test_a_stream(client: anthropic.AsyncAnthropic) -> None:
    async with client.messages.stream(model="claude-opus-5-5", max_tokens=50, messages=HELLO) as stream:
        text = "".join([piece async for piece in stream.text_stream])
        message = await stream.get_final_message()
    assert message.content[0].text == text
    assert message.stop_reason == "end_turn"
    assert message.usage.output_tokens > 10


async def test_models_and_counting(client: anthropic.AsyncAnthropic) -> None:
    models = [model async for model in client.models.list(limit=5)]
    assert len(models) == 19
    assert (await client.models.retrieve("claude-opus-5-5")).lifecycle == "active"
    counted = await client.messages.count_tokens(model="claude-haiku-5-5", messages=HELLO)
    assert counted.input_tokens > 1


def missing(value: object, where: str) -> list[str]:
    """The fields that a type of the SDK declares and an answer did not bring, at any depth."""
    if not isinstance(value, BaseModel):
        return []
    absent = [f"{where}.{name}" for name in type(value).model_fields if name not in value.model_fields_set]
    inner = [missing(getattr(value, name), f"{where}.{name}") for name in type(value).model_fields]
    return absent + [name for names in inner for name in names]


async def test_models_have_every_field_that_the_sdk_declares(client: anthropic.AsyncAnthropic) -> None:
    for api in (client.models, client.beta.models):
        page = await api.list(limit=1000, lifecycle=["active", "deprecated", "retired"])
        assert len(page.data) > 19
        assert missing(page, "page") == []
        for model in [*page.data, await api.retrieve("claude-opus-5-5")]:
            assert missing(model, model.id) == []
            type(model).model_validate(model.model_dump())  # the SDK itself reads without checking
            assert isinstance(model.created_at, datetime.datetime)
            assert model.capabilities.context_management.compact_20260112.supported in (True, False)
            assert model.capabilities.server_tools.web_search.supported in (True, False)


async def test_answers_have_every_field_that_the_sdk_declares(client: anthropic.AsyncAnthropic) -> None:
    message = await client.messages.create(model="claude-haiku-5-5", max_tokens=50, messages=HELLO)
    type(message).model_validate(message.model_dump())


@pytest.mark.parametrize("beta", [*KNOWN_BETAS, "claude-code-20250219", "oauth-2025-04-20"])
async def test_every_beta_that_clients_send_is_taken(client: anthropic.AsyncAnthropic, beta: str) -> None:
    message = await client.beta.messages.create(
        model="claude-haiku-5-5", max_tokens=9, messages=HELLO, betas=[beta, "claude-code-20250219"]
    )
    assert message.usage.output_tokens == 9


async def test_mcp_with_its_beta(client: anthropic.AsyncAnthropic) -> None:
    message = await client.beta.messages.create(
        model="claude-haiku-5-5",
        max_tokens=9,
        messages=HELLO,
        betas=["mcp-client-2025-11-20"],
        mcp_servers=[{"type": "url", "name": "shop", "url": "https://shop.example/mcp"}],
        tools=[{"type": "mcp_toolset", "mcp_server_name": "shop"}],
    )
    assert message.usage.output_tokens == 9


@pytest.mark.parametrize(
    ("scenario", "expected"),
    [
        ("{defaults: {errorRate: 1, latency: {median: 0s}}}", anthropic.InternalServerError),
        ("{defaults: {rateLimitRate: 1}}", anthropic.RateLimitError),
        ("{defaults: {overloadRate: 1}}", anthropic.InternalServerError),
    ],
)
async def test_errors(api: Running, client: anthropic.AsyncAnthropic, scenario: str, expected: type[Exception]) -> None:
    await api.steer(scenario)
    with pytest.raises(expected):
        await client.messages.create(model="claude-haiku-5-5", max_tokens=9, messages=HELLO)


async def test_a_rule_is_a_bad_request(client: anthropic.AsyncAnthropic) -> None:
    with pytest.raises(anthropic.BadRequestError, match="temperature: Extra inputs") as caught:
        await client.messages.create(
            model="claude-haiku-5-5", max_tokens=9, messages=HELLO, extra_body={"temperature": 1}
        )
    assert caught.value.request_id is not None
    with pytest.raises(anthropic.NotFoundError):
        await client.messages.create(model="gpt-9", max_tokens=9, messages=HELLO)
