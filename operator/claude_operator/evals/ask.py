"""One question to the Claude API: composed as the gateway composes it, sent and read through the Anthropic SDK."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Self, cast

import anthropic
import httpx2
import msgspec
from anthropic import AsyncAnthropic, AsyncStream

from claude_operator.core.evals.sets import Item
from claude_operator.core.request.compose import PreparedArm, compose
from claude_operator.core.request.outcomes import ApiError, of_error, read_error
from claude_operator.core.request.usage import merge_usage
from claude_operator.core.spec.networks import ANYWHERE, AddressRules
from claude_operator.core.spec.site_options import ALLOWED_OPTION
from claude_operator.evals.connect import http_client, was_refused

__all__ = ["Asker", "Infrastructure", "Rejected", "Reply"]

_SDK_RETRIES = 4
_BROKEN_STREAM_RETRIES = 2  # the SDK retries what fails before an answer begins, not an answer that breaks off
_CONNECT = 5.0  # seconds
_REJECTIONS = {400: "invalid_request_error", 404: "not_found_error", 413: "request_too_large"}
_LONGEST_MESSAGE = 500
_TRUE = msgspec.Raw(b"true")
_ADDRESS_REFUSED = (
    "leads to an address that eval Jobs do not connect to, such as a link-local or loopback one, the node's or the API"
    f" server's. Write another baseURL, or have the installer allow it with the operator's option {ALLOWED_OPTION}"
)


class Rejected(Exception):  # noqa: N818  (what the API did)
    """The API refuses the request itself: a retry would be refused too."""


class Infrastructure(Exception):  # noqa: N818  (where it lies)
    """The question could not be asked, or the answer is incomplete. It says nothing about the request."""


@dataclass(slots=True)
class Reply:
    """An answer: its text blocks joined, and its metadata."""

    text: str
    stop_reason: str
    model: str
    usage: dict[str, Any]


class Asker:
    """Asks one upstream with one key, connecting where `rules` permit.

    `timeout` and `pause` (the first wait after a broken answer) are in seconds.
    """

    def __init__(
        self,
        base_url: str,
        key: str,
        *,
        timeout: float,
        open_calls: int,
        rules: AddressRules = ANYWHERE,
        retries: int = _SDK_RETRIES,
        pause: float = 1.0,
    ) -> None:
        self._timeout, self._pause, self._url = timeout, pause, base_url
        self._total_timeout = timeout * (retries + 1)  # the SDK waits as long as retry-after says, even for hours
        self._client = AsyncAnthropic(
            api_key=key,
            base_url=base_url,
            max_retries=retries,
            timeout=anthropic.Timeout(timeout, connect=min(_CONNECT, timeout)),
            open_telemetry=False,
            http_client=http_client(rules, open_calls),
        )

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._client.close()

    async def ask(self, arm: PreparedArm, item: Item) -> Reply:
        """The arm's answer to an item; raises Rejected or Infrastructure."""
        body = {"messages": msgspec.Raw(item.messages), "stream": _TRUE}
        composed = compose(arm, body, subagent=item.subagent)
        headers = {"anthropic-beta": ",".join(composed.betas)} if composed.betas else {}
        for attempt in range(_BROKEN_STREAM_RETRIES + 1):
            try:
                return await self._ask_once(composed.body, headers)
            except _Broken as error:
                if attempt == _BROKEN_STREAM_RETRIES:
                    raise Infrastructure(f"no complete answer in {attempt + 1} attempts: {error}") from error
                await asyncio.sleep(self._pause * 2.0**attempt)
        raise AssertionError("unreachable")

    async def _ask_once(self, body: bytes, headers: dict[str, str]) -> Reply:
        try:
            async with asyncio.timeout(self._total_timeout):
                stream = await self._client.post(
                    "/v1/messages",
                    cast_to=cast("type[Any]", object),  # the events as plain JSON
                    content=body,
                    options={"headers": {"content-type": "application/json", **headers}},
                    stream=True,
                    stream_cls=AsyncStream[Any],
                )
        except TimeoutError as error:
            raise Infrastructure(
                f"{self._url} gave no answer within {self._total_timeout:g} s, retries included: check that it is up"
            ) from error
        except anthropic.APIStatusError as error:
            if 300 <= error.status_code < 400:
                raise Infrastructure(f"{self._url} redirects: write the address that it leads to as baseURL") from error
            raise _classify_status(error) from error
        except anthropic.AnthropicError as error:
            if was_refused(error):
                raise Infrastructure(f"{self._url} {_ADDRESS_REFUSED}") from error
            raise Infrastructure(f"{self._url} cannot be reached: {_first_line(error)}") from error
        try:
            async with asyncio.timeout(self._timeout), stream:
                if not stream.response.headers.get("content-type", "").startswith("text/event-stream"):
                    raise _classify_json(await stream.response.aread())
                return await _read(stream)
        except anthropic.APIStatusError as error:  # an event error within the answer
            raise _classify_event(error) from error
        except TimeoutError as error:
            raise Infrastructure(
                f"no complete answer within {self._timeout:g} s: raise the set's execution.timeout, or lower max_tokens"
            ) from error
        except (anthropic.AnthropicError, httpx2.HTTPError, OSError, ValueError) as error:
            raise _Broken(f"the answer broke off: {type(error).__name__}") from error


class _Broken(Exception):  # noqa: N818  (as Infrastructure)
    """An answer began and did not end: asking again can help."""


async def _read(stream: AsyncStream[Any]) -> Reply:
    """Join an answer's events; usage is cumulative, so the last value of each field that is not null counts."""
    reply, text = Reply("", "", "", {}), []
    async for event in stream:
        match event.get("type"):
            case "message_start":
                message = event["message"]
                reply.model = str(message.get("model") or "")
                merge_usage(reply.usage, message.get("usage") or {})
            case "content_block_start" if event["content_block"].get("type") == "text":
                text.append(event["content_block"].get("text") or "")
            case "content_block_delta" if event["delta"].get("type") == "text_delta":
                text.append(event["delta"]["text"])
            case "message_delta":
                reply.stop_reason = event["delta"].get("stop_reason") or reply.stop_reason
                merge_usage(reply.usage, event.get("usage") or {})
            case "message_stop":
                reply.text = "".join(text)
                return reply
            case _:
                pass
    raise _Broken("the answer ended without message_stop")


def _classify_status(error: anthropic.APIStatusError) -> Exception:
    """The exception for a refused call. Only the API's own envelope says something about the request; a proxy's 404
    does not."""
    error_body, status = _parse_error(error), error.status_code
    outcome = of_error(status, error_body)
    if outcome == "account":
        return _account_problem(error_body)
    if outcome == "error" and error_body.type and status in _REJECTIONS:
        return Rejected(f"{_first_line(error)} ({status} {error_body.type})")
    return Infrastructure(f"the Claude API answers {status}: {_first_line(error)}")


def _classify_event(error: anthropic.APIStatusError) -> Exception:
    """The exception for an error event within the answer."""
    return _classify_error(_parse_error(error), _first_line(error))


def _classify_json(body: bytes) -> Exception:
    """The exception for an answer of status 200 that is not a stream, although one was requested."""
    try:
        answer = msgspec.json.decode(body)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        answer = None
    error_body = read_error(answer.get("error")) if isinstance(answer, dict) else ApiError()
    return _classify_error(error_body, _shorten(error_body.message) or "it is not an event stream")


def _classify_error(error_body: ApiError, line: str) -> Exception:
    """The exception for an error: after an overload, or anything else that may pass, asking again can help."""
    if of_error(200, error_body) == "account":
        return _account_problem(error_body)
    if error_body.type in _REJECTIONS.values():
        return Rejected(f"{line} ({error_body.type})")
    return _Broken(f"the answer broke off: {line}")


def _account_problem(error_body: ApiError) -> Infrastructure:
    return Infrastructure(
        f"the account is empty or at its limit: {_shorten(error_body.message) or error_body.type}; add credits or raise"
        " the limit in the Claude Console"
    )


def _parse_error(error: anthropic.APIStatusError) -> ApiError:
    return read_error(error.body.get("error") if isinstance(error.body, dict) else None)


def _first_line(error: Exception) -> str:
    """The API's own message, else the error's, on one line."""
    if not isinstance(error, anthropic.APIStatusError):
        return _shorten(str(error))
    return _shorten(_parse_error(error).message) or "without the error envelope of the Claude API"


def _shorten(message: str) -> str:
    return " ".join(message.split())[:_LONGEST_MESSAGE]
