"""The SDKs of four languages through the gateway, before the simulator: each runs the same exercises."""

from __future__ import annotations

import pytest
from tests.clients import packages
from tests.clients.conftest import installed
from tests.clients.stage import CLIENT_KEY, REVISIONS, TEXT, TODAY, UPSTREAM_KEY, Ran, Stage

from claude_operator.simulator.lives import Lives
from claude_operator.simulator.models import list_models

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1800)]  # the first run installs

EXERCISES = (
    *("message", "stream", "tools", "count", "models", "model"),
    *("rate_limit", "overload", "bad_request", "retried", "wrong_key"),
)
# What each calls the errors; Go has one type for all.
ERRORS = {
    "python": ("RateLimitError", "OverloadedError", "BadRequestError", "AuthenticationError"),
    "typescript": ("RateLimitError", "OverloadedError", "BadRequestError", "AuthenticationError"),
    "go": ("*apierror.Error",) * 4,
    "java": ("RateLimitException", "OverloadedException", "BadRequestException", "UnauthorizedException"),
}
COMPOSED = ("/v1/messages", "/v1/messages/count_tokens")


@pytest.fixture(scope="module", params=list(ERRORS))
def language(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(scope="module")
def command(language: str, request: pytest.FixtureRequest) -> list[str]:
    if language == "go":
        return [str(installed(packages.go_client))]
    if language == "java":
        return list(installed(packages.java_client))
    names = {"python": ("python", "client.py"), "typescript": ("node", "client.mjs")}
    fixture, program = names[language]
    return list(request.getfixturevalue(fixture)(program))


@pytest.fixture(scope="module")
def ran(stage: Stage, command: list[str]) -> Ran:
    return stage.run(*command, *EXERCISES)


def test_a_message(ran: Ran) -> None:
    got = ran.document["message"]
    request_id, revision = got.pop("request_id"), got.pop("revision")
    assert got == {"text": TEXT, "stop_reason": "end_turn", "model": "claude-opus-5-5", "output_tokens": 40}
    assert (ran.calls[0]["request_id"], ran.calls[0]["revision"]) == (request_id, revision)
    assert revision in REVISIONS


def test_a_stream(ran: Ran) -> None:
    assert ran.document["stream"] == {"text": TEXT, "stop_reason": "end_turn", "output_tokens": 40}


def test_a_loop_of_tools(ran: Ran) -> None:
    calls = [{"name": "weather", "input": {"city": "Bergen"}}]
    assert ran.document["tools"] == {"calls": calls, "stop_reason": "end_turn", "text": TEXT}


def test_tokens_are_counted_with_the_prompt_of_the_revision(ran: Ran) -> None:
    assert ran.document["count"] > 6  # "Hello" alone


def test_models_have_every_key_that_the_types_declare(ran: Ran) -> None:
    expected = [model["id"] for model in list_models({"limit": "1000"}, [], Lives([], 0.0).at(0.0), TODAY)["data"]]
    assert ran.document["models"] == {"ids": expected, "absent": []}
    assert ran.document["model"] == {"id": "claude-opus-5-5", "lifecycle": "active", "thinks": True}


def test_errors_are_those_of_the_api(ran: Ran, language: str) -> None:
    limited, overloaded, bad, unauthorized = ERRORS[language]
    expected = {
        "rate_limit": (limited, 429, "rate_limit_error"),
        "overload": (overloaded, 529, "overloaded_error"),
        "bad_request": (bad, 400, "invalid_request_error"),
        "retried": (overloaded, 529, "overloaded_error"),
        "wrong_key": (unauthorized, 401, "authentication_error"),
    }
    got = {name: tuple(ran.document[name][key] for key in ("class", "status", "type")) for name in expected}
    assert got == expected


def test_a_wrong_key_is_asked_once_and_an_overload_again(ran: Ran) -> None:
    assert len([call for call in ran.calls if call["status"] == 401]) == 1
    overloads = [(call["attempt"], call["retry"]) for call in ran.calls if call["status"] == 529]
    assert overloads == [("0", False), ("0", False), ("1", True)]


def test_a_named_conversation_stays_on_its_revision(ran: Ran, language: str) -> None:
    served = [call for call in ran.calls if call["path"] in COMPOSED and call["status"] != 401]
    assert len(served) > 8
    assert {call["session_id"] for call in served} == {f"{language}-session"}
    assert len({call["revision"] for call in served}) == 1


def test_nothing_but_loopback_is_asked_and_no_key_is_logged(ran: Ran, stage: Stage) -> None:
    assert ran.returncode == 0
    for log in ("gateway.log", "simulator.log"):
        assert not {CLIENT_KEY, UPSTREAM_KEY} & set((stage.folder / log).read_text().split('"'))
    # Every header that an SDK sends by itself goes upstream, or is one that the API has no use for.
    assert "a header of clients does not go upstream" not in (stage.folder / "gateway.log").read_text()
    if ran.attempts is None:
        pytest.skip("no network namespace of its own here: run as root, or allow user namespaces")
    assert ran.attempts == 0


def test_a_budget_that_is_spent_is_told_at_once(stage: Stage, command: list[str], language: str) -> None:
    """The SDK would try twice, and wait in between: here the end is years away."""
    with stage.throttled("2999-01-01T00:00:00Z"):
        ran = stage.run(*command, "retried")
    error = ran.document["retried"]
    assert (error["class"], error["status"], error["type"]) == (ERRORS[language][0], 429, "rate_limit_error")
    assert [(call["status"], call["outcome"]) for call in ran.calls] == [(429, "refused")]
    assert stage.run(*command, "message").calls[0]["outcome"] == "ok"


def test_a_thread_of_the_api_stays_on_its_revision(stage: Stage, command: list[str], language: str) -> None:
    if language == "go":
        pytest.skip("this version of the Go SDK has no threads")
    ran = stage.run(*command, "thread")
    assert ran.document["thread"] == {"turns": 4, "continues": True}
    assert [call["outcome"] for call in ran.calls] == ["ok", "ok"]
    assert len({call["revision"] for call in ran.calls}) == 1


def test_the_tool_runner_runs_over_a_thread(stage: Stage, command: list[str], language: str) -> None:
    if language not in ("python", "typescript"):
        pytest.skip("the tool runners of Python and TypeScript run over a thread")
    ran = stage.run(*command, "runner")
    assert ran.document["runner"] == {"stop_reasons": ["tool_use", "end_turn"]}
    assert [call["outcome"] for call in ran.calls] == ["ok", "ok"]
    assert len({call["revision"] for call in ran.calls}) == 1
