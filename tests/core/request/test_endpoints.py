"""Which paths are composed, passed through, answered here, or refused with a hint."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import anthropic
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.counting import calls_of

from claude_operator.core.request.endpoints import Route, route

RESOURCES = Path(anthropic.__file__).parent / "resources"
CALL = re.compile(r'self\._(get|post|put|patch|delete|get_api_list)\(\s*(?:path_template\(\s*)?f?"(/v1/[^"]*)"')


def sdk_calls() -> Iterator[tuple[str, str]]:
    for file in sorted(RESOURCES.rglob("*.py")):
        for verb, path in CALL.findall(file.read_text()):
            yield ("GET" if verb == "get_api_list" else verb.upper()), re.sub(r"\{\w+\}", "some-id_01.v2:x", path)


def test_every_endpoint_of_the_sdk_is_served() -> None:
    calls = set(sdk_calls())
    assert len(calls) > 250
    for method, path in calls:
        kind = {"/v1/messages": "messages", "/v1/messages/count_tokens": "count_tokens"}.get(path.partition("?")[0])
        other = "administer" if path.split("/")[2] in ("organizations", "compliance", "tunnels") else "pass"
        assert route(method, path) == Route(kind or other, path), (method, path)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("method", "target", "expected"),
    [
        ("POST", "/v1/messages", Route("messages", "/v1/messages")),
        ("POST", "/v1/messages?beta=true", Route("messages", "/v1/messages?beta=true")),
        ("POST", "/v1/messages?beta=true?x=/v1/files", Route("messages", "/v1/messages?beta=true?x=/v1/files")),
        ("POST", "/v1/messages?a#b\udce9 c", Route("messages", "/v1/messages?a%23b%E9%20c")),
        ("POST", "/v1/v1/messages", Route("messages", "/v1/messages")),
        ("POST", "//v1/messages", Route("messages", "/v1/messages")),
        ("POST", "//v1//messages", Route("messages", "/v1/messages")),
        ("POST", "/v1//v1/messages/", Route("messages", "/v1/messages")),
        ("POST", "/v1/messages/count_tokens/", Route("count_tokens", "/v1/messages/count_tokens")),
        ("POST", "http://gateway:8080/v1/messages?a=b", Route("messages", "/v1/messages?a=b")),
        ("GET", "/v1/models", Route("pass", "/v1/models")),
        ("GET", "/v1/organizations/users", Route("administer", "/v1/organizations/users")),
        ("GET", "//v1/v1/organizations/users/", Route("administer", "/v1/organizations/users")),
        ("POST", "/v1/tunnels", Route("administer", "/v1/tunnels")),
        ("POST", "/v1/tunnels/t/reveal_token", Route("administer", "/v1/tunnels/t/reveal_token")),
        ("GET", "/v1/compliance/review/cases", Route("administer", "/v1/compliance/review/cases")),
        ("HEAD", "/v1/models", Route("pass", "/v1/models")),
        ("GET", "/v1/v1/models/claude-opus-5-5", Route("pass", "/v1/models/claude-opus-5-5")),
        ("GET", "/v1/messages/batches/b%20c/results", Route("pass", "/v1/messages/batches/b%20c/results")),
    ],
)
def test_served(method: str, target: str, expected: Route) -> None:
    assert route(method, target) == expected


@pytest.mark.parametrize(
    ("method", "target", "hint"),
    [
        ("POST", "/v1/%6Dessages", "use /v1/messages instead of /v1/%6Dessages"),
        ("POST", "/v1%2Fmessages", "use /v1/messages instead of"),
        ("POST", "/v1/%256Dessages", "use /v1/messages instead of"),
        ("POST", "/v1/./messages", "use /v1/messages instead of"),
        ("POST", "/v1/../v1/messages", "use /v1/messages instead of"),
        ("POST", "/v1/files/../messages", "use /v1/messages instead of"),
        ("POST", "/v1/messages;a=b", "use /v1/messages instead of"),
        ("POST", "/v1/messages.", "use /v1/messages instead of"),
        ("POST", "/v1/messages%20", "use /v1/messages instead of"),
        ("POST", "/v1/messages%00", "is not an endpoint"),
        ("POST", "/V1/messages", "use /v1/messages instead of"),
        ("POST", "/v1/MESSAGES", "use /v1/messages instead of"),
        ("POST", "/v1\\messages", "use /v1/messages instead of"),
        ("POST", "/v1/messages%3Fbeta=true", "use /v1/messages instead of"),
        ("POST", "/v1/messages#x", "use /v1/messages instead of"),
        ("POST", "/v2/messages", "use /v1/messages instead of"),
        ("GET", "/v1/files/%2e%2e", "is not an endpoint"),
        ("GET", "/v1/models/..%2Fmessages", "use /v1/messages instead of"),
        ("GET", "/v1/models/a%5Cb", "is not an endpoint"),
        ("GET", "/v1/models/a%253Fb", "use /v1/models/a instead of"),
        ("GET", "/v1/models/a;b", "use /v1/models/a instead of"),
        ("GET", "/v1/models/\udce9", "is not an endpoint"),
        ("POST", "/messages", "set the base URL to the gateway's address followed by /v1"),
        ("GET", "/models", "set the base URL to the gateway's address followed by /v1"),
        ("POST", "/api/v1/messages", "set the base URL to the gateway's address alone, without a path"),
        ("POST", "/anthropic/v1/messages", "set the base URL to the gateway's address alone, without a path"),
        ("POST", "/v1/chat/completions", "belongs to OpenAI's API"),
        ("POST", "/chat/completions", "belongs to OpenAI's API"),
        ("POST", "/v1/responses", "belongs to OpenAI's API"),
        ("POST", "/openai/v1/embeddings", "belongs to OpenAI's API"),
        ("POST", "/v1/complete", "use POST /v1/messages"),
        ("GET", "/v1/messages", "/v1/messages does not take GET: use POST"),
        ("OPTIONS", "/v1/messages", "/v1/messages does not take OPTIONS: use POST"),
        ("DELETE", "/v1/files", "/v1/files does not take DELETE: use GET or POST"),
        ("POST", "/v1/models", "/v1/models does not take POST: use GET"),
        ("GET", "/", "set its address as the base URL"),
        ("POST", "/v1/", "set its address as the base URL"),
        ("OPTIONS", "*", "is not an endpoint"),
        ("CONNECT", "api.anthropic.com:443", "is not an endpoint"),
        ("GET", "/health", "is not an endpoint"),
    ],
)
def test_refused_with_a_hint(method: str, target: str, hint: str) -> None:
    found = route(method, target)
    assert found.kind == "unknown"
    assert hint in found.hint
    assert found.target == ""


@pytest.mark.parametrize(
    ("method", "target", "status"),
    [
        ("HEAD", "/", 200),
        ("HEAD", "/api/hello", 200),
        ("GET", "/api/hello?x=1", 200),
        ("GET", "http://gateway/api/hello", 200),
        ("POST", "/api/event_logging/batch", 200),
        ("POST", "/api/event_logging/v2/batch", 200),
        ("POST", "/api/claude_code/metrics", 200),
        ("POST", "/api/eval/sdk-key", 200),
        ("GET", "/api/claude_code/settings", 404),
        ("GET", "/api/claude_code/policy_limits", 404),
        ("GET", "/api/claude_cli/bootstrap?entrypoint=sdk-cli", 404),
        ("GET", "/api/oauth/profile", 404),
        ("GET", "/mcp-registry/v0/servers?version=latest", 404),
    ],
)
def test_what_claude_code_asks_beside_the_api(method: str, target: str, status: int) -> None:
    found = route(method, target)
    assert (found.kind, found.answer.status) == ("local", status)


PARTS = (
    *(
        "v1",
        "V1",
        "messages",
        "%6Dessages",
        "Messages",
        "count_tokens",
        "batches",
        "files",
        "models",
        "skills",
        "x",
        "é",
    ),
    *("/", "//", "/", "/", "\\", "%2F", "%5C", "%252F", ".", "..", "%2e", ";a=b", "?", "#", "%3F", "%00", " ", "%20"),
    *("http://host", "@", ":", "\udcff"),
)
SPELLINGS = st.lists(st.sampled_from(PARTS), max_size=10).map("".join)


@given(st.sampled_from(["POST", "GET", "HEAD", "DELETE", "PUT"]), SPELLINGS)
def test_no_spelling_is_passed_through_that_a_server_may_read_as_a_composed_path(method: str, target: str) -> None:
    found = route(method, target)
    if found.kind == "pass":
        path = found.target.partition("?")[0]
        assert re.fullmatch(r"(/[\x21-\x7e]+)+", path)
        assert not re.search(r"//|/\.+(/|$)|%2e|%2f|%5c|%25|%3f|%00|[\\;#?]", path, re.IGNORECASE)
        assert not re.fullmatch(r"/v1/messages(/count_tokens)?/?", path, re.IGNORECASE)
    if found.kind in ("messages", "count_tokens"):
        assert method == "POST"
        assert found.target.partition("?")[0] in ("/v1/messages", "/v1/messages/count_tokens")
    assert "\n" not in found.hint


@pytest.mark.parametrize(
    "unit",
    ["/a", "/", "/v1", "/v1/", "%2525", "/../a", "\\", "/v1/messages/", "/;", "/audio/", "/fine_tuning/", "/v1/files/"],
)
def test_a_long_path_is_not_looked_at_for_long(unit: str) -> None:
    """Before any key is asked for: 60 KB of /a once took nine seconds."""
    path = "/x" + unit * (60_000 // len(unit))
    assert calls_of(lambda: route("GET", path)) < 200
    assert route("GET", path).hint.startswith("/x")
    assert calls_of(lambda: route("GET", path[:900])) < 5000
