"""What a client says of people and devices is in no log line, metric or evidence."""

from __future__ import annotations

import json

import pytest
from tests.gateway.harness import CANARY, STABLE, Gateway, make_arm

from claude_operator.api.gateway import Auth

DEVICE = "0123456789abcdef" * 4
ACCOUNT = "11111111-0000-4000-8000-00000000000b"
SESSION = "00000000-0000-4000-8000-00000000000a"
CLAUDE_CODE = json.dumps({"device_id": DEVICE, "account_uuid": ACCOUNT, "session_id": SESSION})
OLDER_CLAUDE_CODE = f"user_{DEVICE}_account_{ACCOUNT}_session_{SESSION}"
EMAIL = "anna.b@example.com"


def named(user_id: str) -> dict[str, object]:
    return {"messages": [{"role": "user", "content": "Hi"}], "metadata": {"user_id": user_id}}


async def written(gateway: Gateway) -> str:
    """All that the gateway tells: its log, its metrics and its evidence."""
    paths = ("/-/evidence", "/-/evidence?since=", "/-/recent", "/-/evidence/cohorts")
    documents = [(await gateway.read(path)).decode() for path in paths]
    async with gateway.http.get(gateway.admin + "/metrics") as response:
        return gateway.output.getvalue() + await response.text() + "".join(documents)


@pytest.mark.parametrize("user_id", [CLAUDE_CODE, OLDER_CLAUDE_CODE])
@pytest.mark.parametrize("in_header", [False, True])
async def test_only_the_session_of_claude_codes_user_id_is_written(
    gateway: Gateway, user_id: str, in_header: bool
) -> None:
    await gateway.post(named("" if in_header else user_id), {"x-claude-user-id": user_id} if in_header else {})
    (line,) = await gateway.lines()
    assert (line["session_id"], line["user_id"]) == (SESSION, "")
    text = await written(gateway)
    assert DEVICE not in text
    assert ACCOUNT not in text


@pytest.mark.parametrize("user_id", [CLAUDE_CODE, OLDER_CLAUDE_CODE])
async def test_the_session_keeps_its_arm_by_header_and_by_user_id(gateway: Gateway, user_id: str) -> None:
    gateway.serve(make_arm(STABLE, weight=5000), make_arm(CANARY, "canary", 5000), generation=2)
    arms = set()
    for headers in ({}, {"x-claude-session-id": SESSION}):
        for other in (user_id, user_id.replace(DEVICE, "f" * 64)):
            response, _ = await gateway.post(named(other), headers)
            arms.add(response.headers["x-claude-arm"])
    assert len(arms) == 1
    sessions = (user_id.replace(SESSION, f"{number:08d}{SESSION[8:]}") for number in range(20))
    others = [(await gateway.post(named(each)))[0].headers["x-claude-arm"] for each in sessions]
    assert set(others) == {"stable", "canary"}


async def test_no_email_is_written(gateway: Gateway) -> None:
    gateway.serve(make_arm(request={}), auth=Auth("None"), generation=2)
    for header in ("x-claude-session-id", "x-claude-user-id", "x-claude-subagent", "x-claude-surface"):
        await gateway.post(headers={header: EMAIL})
    for header in ("x-claude-revision", "x-stainless-retry-count", "authorization", "x-api-key", "anthropic-beta"):
        await gateway.post(headers={header: EMAIL})
    await gateway.post(named(EMAIL))
    await gateway.post(named(f"{'x' * 300}{EMAIL}"))
    await gateway.post({**named("u1"), "model": EMAIL, "stop_sequences": [EMAIL], EMAIL: EMAIL})
    await gateway.post(f'{{"{EMAIL}": 1e999}}'.encode())
    for path in (
        f"/v1/organizations/users/{EMAIL}",
        f"/v1/files/{EMAIL.replace('@', '%40')}",
        f"/{EMAIL}",
        "/v1/models",
    ):
        await gateway.post(path=f"{path}?email={EMAIL}")
    lines = await gateway.lines(17)
    assert "[email]" in lines[0]["session_id"]
    text = await written(gateway)
    assert "example" not in text
    assert "anna" not in text
