"""Decodes a client's body, in one place, so that any fault in it is the client's."""

from __future__ import annotations

from multidict import MultiMapping

from claude_operator.api.gateway import MIB
from claude_operator.core.request.json_body import BodyError, JsonObject, decode_object
from claude_operator.core.request.json_size import holds_more_values
from claude_operator.gateway.errors import Refused

__all__ = ["decode", "too_deep"]


def decode(data: bytearray, headers: MultiMapping[str], values: int) -> JsonObject:
    """The body's top-level fields; `values` is how many it may have in all. Raises Refused."""
    if headers.get("content-encoding", "identity").strip().lower() not in ("", "identity"):
        raise Refused(400, "invalid_request_error", "send the body without a content-encoding")
    if len(data) > MIB and holds_more_values(data, values):
        raise Refused(
            413,
            "request_too_large",
            f"the body has more JSON values than fit into the gateway's memory (at most {values}): "
            "raise spec.gateway.resources.limits.memory",
        )
    try:
        return decode_object(data)
    except BodyError as error:
        raise Refused(400, "invalid_request_error", str(error)) from None


def too_deep() -> Refused:
    """The answer to a body that can be decoded but is nested too deeply to be composed."""
    return Refused(400, "invalid_request_error", "the body is nested too deeply")
