"""Claude Code in headless mode, and agents on the Claude Agent SDK, through the gateway before the simulator."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from tests.clients.conftest import Command
from tests.clients.stage import REVISIONS, TEXT, Ran, Stage

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1800)]  # the first run installs

# It asks its API alone: no telemetry, no updates. MCP tools are offered from the start, not searched for.
QUIET = {
    "CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC": "1",
    "DISABLE_TELEMETRY": "1",
    "DISABLE_ERROR_REPORTING": "1",
    "DISABLE_AUTOUPDATER": "1",
    "ENABLE_TOOL_SEARCH": "false",
}
OPEN = "no network namespace of its own here: run as root, or allow user namespaces"


def served(ran: Ran, calls: int) -> str:
    """The session of a run whose calls were all answered by one revision."""
    got = [(call["path"], call["status"], call["outcome"]) for call in ran.calls]
    assert got == [("/v1/messages", 200, "ok")] * calls
    [revision] = {call["revision"] for call in ran.calls}
    assert revision in REVISIONS
    [session] = {call["session_id"] for call in ran.calls}
    return str(session)


def ask(stage: Stage, program: Path, prompt: str, *options: str, **more: Any) -> Ran:
    """Claude Code in headless mode."""
    return stage.run(program, "--print", prompt, "--output-format", "json", *options, **QUIET, **more)


def test_a_question(stage: Stage, claude_code: Path) -> None:
    ran = ask(stage, claude_code, "Hello")
    assert ran.document["result"] == TEXT
    assert ran.document["is_error"] is False
    assert ran.document["session_id"] == served(ran, 1)


def test_a_tool_is_run_and_its_output_sent_back(stage: Stage, claude_code: Path) -> None:
    options = ("--allowedTools", "Bash", "--output-format", "stream-json", "--verbose")
    ran = stage.run(claude_code, "--print", "Look into the file", *options, **QUIET)
    assert ran.returncode == 0, ran.errors
    assert "said-by-2-the-tool" in ran.output
    served(ran, 2)


def test_a_session_goes_on_where_it_was(stage: Stage, claude_code: Path) -> None:
    session = "7d1f2b1c-52a5-4c0b-9b52-4d6a1c9f6c11"
    first = ask(stage, claude_code, "Hello", "--session-id", session, home="sessions")
    second = ask(stage, claude_code, "And again", "--resume", session, home="sessions")
    assert (served(first, 1), served(second, 1)) == (session, session)
    assert first.calls[0]["revision"] == second.calls[0]["revision"]


def test_another_name_may_be_given(stage: Stage, claude_code: Path) -> None:
    ran = ask(stage, claude_code, "Hello", ANTHROPIC_CUSTOM_HEADERS="x-claude-session-id: ticket-4711")
    assert served(ran, 1) == "ticket-4711"


def test_nothing_of_the_device_is_logged(stage: Stage, claude_code: Path) -> None:
    ran = ask(stage, claude_code, "Hello")
    assert "device_id" not in str(ran.calls + ran.others)
    served(ran, 1)


def test_a_budget_that_is_spent_is_told_at_once(stage: Stage, claude_code: Path) -> None:
    with stage.throttled("2999-01-01T00:00:00Z"):
        ran = ask(stage, claude_code, "Hello")
    assert "budget of the month is spent" in ran.output
    assert [(call["status"], call["outcome"]) for call in ran.calls] == [(429, "refused")]


def test_a_wrong_key_is_told_at_once(stage: Stage, claude_code: Path) -> None:
    ran = ask(stage, claude_code, "Hello", key="wrong")
    assert ran.returncode != 0
    assert [call["status"] for call in ran.calls] == [401]
    assert "Failed to authenticate" in ran.output


def test_an_agent_in_python_calls_a_tool_of_its_own(stage: Stage, claude_code: Path, python: Command) -> None:
    ran = stage.run(*python("agent.py"), claude_code, "Ask the server", **QUIET)
    assert ran.document["calls"] == [{"name": "mcp__shop__stock", "input": {"part": "bell"}}]
    assert (ran.document["result"], ran.document["is_error"], ran.document["turns"]) == (TEXT, False, 2)
    assert ran.document["session_id"] == served(ran, 2)


def test_an_agent_in_typescript_calls_a_tool(stage: Stage, claude_code: Path, node: Command) -> None:
    ran = stage.run(*node("agent.mjs"), claude_code, "Look into the file", **QUIET)
    assert [call["name"] for call in ran.document["calls"]] == ["Bash"]
    assert (ran.document["result"], ran.document["is_error"], ran.document["turns"]) == (TEXT, False, 2)
    assert ran.document["session_id"] == served(ran, 2)


def test_it_asks_nobody_but_the_gateway(stage: Stage, claude_code: Path) -> None:
    ran = ask(stage, claude_code, "Hello")
    if ran.attempts is None:
        pytest.skip(OPEN)
    assert ran.attempts == 0


def test_what_it_asks_besides_is_answered_here(stage: Stage, claude_code: Path) -> None:
    if not stage.network.is_closed:  # as it comes it also sends telemetry and looks for updates
        pytest.skip(OPEN)
    ran = stage.run(claude_code, "--print", "Hello", "--output-format", "json")
    assert ran.document["result"] == TEXT
    [answer] = [call for call in ran.calls if call["path"] == "/v1/messages"]
    assert answer["outcome"] == "ok"
    besides = [call for call in ran.calls if call is not answer]
    assert {(call["status"], call["outcome"]) for call in besides} <= {(200, "local")}
    assert "/api/hello" in {call["path"] for call in besides}
    assert [line for line in ran.others if line["level"] != "info"] == []
