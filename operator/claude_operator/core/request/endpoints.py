"""Which requests a gateway answers, and how: a positive list, so that no spelling of a path goes round a revision."""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import cache
from importlib import resources
from typing import Literal, NamedTuple
from urllib.parse import unquote

__all__ = ["Local", "Route", "local_answer", "route"]

Kind = Literal["messages", "count_tokens", "pass", "administer", "local", "unknown"]

_COMPOSED: dict[str, Kind] = {"/v1/messages": "messages", "/v1/messages/count_tokens": "count_tokens"}

_ADMINISTRATION = ("/v1/compliance/", "/v1/organizations/", "/v1/tunnels")
"""What manages the account: members, keys, limits, ways into the company's network. Only with a key of one's own."""

_BASE_URL = re.compile(r"^/+(?:v1/+)+")  # how a base URL with a slash or /v1 at its end begins each path
_ORIGIN = re.compile(r"^[a-zA-Z][a-zA-Z0-9+.-]*://[^/?#]*")
_ID = re.compile(r"[\x21-\x7e]+")
_NOT_IN_IDS = re.compile(r"[/\\%?#;\x00-\x1f\x7f]")
_OPENAI = re.compile(
    r"(chat/completions|completions|responses|embeddings|moderations|assistants|threads|fine_tuning/.*|images/.*|audio/.*"
    r"|realtime|engines/.*)$"
)
_NOT_IN_QUERIES = re.compile(r"[^\x21-\x22\x24-\x7e]")
_PREFIX = re.compile(r"(/[A-Za-z0-9_-]+)+")
_LONGEST = 200  # characters of a path that is quoted
_LONGEST_MEANT = 1000  # characters of a path that may stand for an endpoint

_SERVED = "POST /v1/messages, POST /v1/messages/count_tokens and the other endpoints of the Claude API"


class Local(NamedTuple):
    """An answer that needs no upstream."""

    status: int
    body: bytes


class Route(NamedTuple):
    """What becomes of a request. `target` is what goes upstream, `hint` tells an `unknown` one what to do instead."""

    kind: Kind
    target: str = ""
    hint: str = ""
    answer: Local = Local(404, b"")


def route(method: str, target: str) -> Route:
    """The way of a request by its method and its target as it was sent, query included.

    Paths are compared byte by byte. Two spellings come from a base URL with something at its end and are served as
    they are meant: slashes, and a doubled /v1. All others are unknown: what one server takes for two paths another
    may take for one.
    """
    path, separator, query = _ORIGIN.sub("", target).partition("?")
    path = path or "/"
    if local := local_answer(method, path):
        return Route("local", answer=local)
    known = _known(path)
    if known and method in _methods(known):
        kind = _COMPOSED.get(known, "administer" if known.startswith(_ADMINISTRATION) else "pass")
        return Route(kind, known + separator + _NOT_IN_QUERIES.sub(_encoded, query))
    return Route("unknown", hint=_hint(method, path, known))


def local_answer(method: str, path: str) -> Local | None:
    """What Claude Code asks its base URL beside the API: whether somebody is there, and to take its telemetry.

    What else it looks for under /api/ is absent here, as its own code expects of a gateway.
    """
    reads = method in ("GET", "HEAD")
    if reads and path in ("/api/hello", "/v1/oauth/hello"):
        return Local(200, b'{"message":"hello"}')
    if method == "HEAD" and path == "/":
        return Local(200, b"")
    if method == "POST" and path.startswith(("/api/event_logging/", "/api/eval/", "/api/claude_code/metrics")):
        return Local(200, b"{}")
    if path.startswith(("/api/claude_c", "/api/oauth/", "/api/eval/", "/api/model_selector/", "/mcp-registry/")):
        return Local(404, b"")
    return None


def _known(path: str) -> str:
    """The endpoint's path as the API's documentation writes it, empty where there is none."""
    plain = _BASE_URL.sub("/v1/", path)
    for candidate in (plain, plain.rstrip("/")):
        if _methods(candidate):
            return candidate
    return ""


def _methods(path: str) -> frozenset[str]:
    """The methods that a path takes, none where it is unknown."""
    if path in _COMPOSED:
        return frozenset(("POST",))
    segments = path.split("/")
    matches = (methods for pattern, methods in _passed().get(len(segments), ()) if _fits(segments, pattern))
    return frozenset().union(*matches)


def _fits(segments: list[str], pattern: list[str]) -> bool:
    return all(
        segment == part or (part == "{id}" and _is_id(segment)) for segment, part in zip(segments, pattern, strict=True)
    )


def _is_id(segment: str) -> bool:
    """Whether no server can take a segment for anything but one segment, percent-encoded or not."""
    if not _ID.fullmatch(segment):
        return False
    plain = unquote(segment, errors="replace")
    return plain.strip(". ") != "" and not _NOT_IN_IDS.search(plain)


def _encoded(character: re.Match[str]) -> str:
    return "".join(f"%{byte:02X}" for byte in character[0].encode("utf-8", "surrogateescape"))


@cache
def _passed() -> dict[int, list[tuple[list[str], frozenset[str]]]]:
    """The endpoints that are passed through, by the number of their segments."""
    found: dict[int, list[tuple[list[str], frozenset[str]]]] = {}
    for line in resources.files(__package__).joinpath("endpoints.txt").read_text().splitlines():
        if line.startswith("#"):
            continue
        *methods, path = line.split()
        pattern = path.split("/")
        found.setdefault(len(pattern), []).append(
            (pattern, frozenset(methods) | ({"HEAD"} if "GET" in methods else set()))
        )
    return found


# ------------------------------------------------------------------------------ what to do instead


def _hint(method: str, path: str, known: str) -> str:
    """What is wrong with a request that is not served, and what to set."""
    if known:
        return f"{known} does not take {method}: use {' or '.join(sorted(_methods(known) - {'HEAD'}))}"
    shown = path[:_LONGEST].encode("utf-8", "replace").decode()
    if path.strip("/") in ("", "v1"):
        return f"this is a gateway for the Claude API: set its address as the base URL. It serves {_SERVED}"
    if (
        len(path) > _LONGEST_MEANT
    ):  # nobody's base URL: it is not looked at, which takes long, and is asked without a key
        return f"{shown}... is not an endpoint that the gateway knows: it serves {_SERVED}"
    plain = _BASE_URL.sub("/v1/", path)
    if plain == "/v1/complete":
        return "the gateway does not serve Text Completions: use POST /v1/messages"
    if _methods("/v1" + plain):
        return (
            f"{shown} has no /v1: set the base URL to the gateway's address followed by /v1, which this client"
            " does not add itself (most others, such as the Anthropic SDKs, do)"
        )
    meant = _meant(path)
    if meant and path.endswith(meant) and _PREFIX.fullmatch(path.removesuffix(meant)):
        return (
            f"{shown} is not an endpoint, {meant} is: set the base URL to the gateway's address alone, without a path"
        )
    if meant:
        return f"use {meant} instead of {shown}: the path must be spelled as in the API's documentation"
    if _OPENAI.search(path):
        return (
            f"{shown} belongs to OpenAI's API; the gateway speaks the Claude API: use an Anthropic client, which sends"
            " POST /v1/messages, with the gateway's address as the base URL"
        )
    return f"{shown} is not an endpoint that the gateway knows: it serves {_SERVED}"


def _meant(path: str) -> str:
    """The endpoint that a path probably stands for, empty where none is near."""
    segments = list(_segments(path))
    for begin in range(max(len(segments) - max(_passed()), 0), len(segments)):
        rest = segments[begin:]
        candidate = "/".join(["", *([] if rest[0] == "v1" else ["v1"]), *rest])
        if candidate != "/v1" and _methods(candidate):
            return candidate
    return ""


def _segments(path: str) -> Iterator[str]:
    """The segments of a path as the most lenient of servers would read them."""
    for _ in range(3):
        path = unquote(path, errors="replace")
    kept: list[str] = []
    for segment in re.split(r"[/\\]+", path.partition("?")[0].partition("#")[0]):
        name = segment.partition(";")[0].strip()
        if name == "..":
            del kept[-1:]
        elif name.strip("."):
            kept.append(name.rstrip(".").lower())
    while kept[:2] == ["v1", "v1"]:
        del kept[0]
    return iter(kept)
