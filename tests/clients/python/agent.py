"""An agent on the Claude Agent SDK with a tool of its own: agent.py CLAUDE-CODE PROMPT prints its result as JSON."""

from __future__ import annotations

import asyncio
import json
import sys
from typing import Any

from claude_agent_sdk import (
    AssistantMessage,
    ClaudeAgentOptions,
    ResultMessage,
    ToolUseBlock,
    create_sdk_mcp_server,
    query,
    tool,
)


@tool("stock", "How many of a part there are.", {"part": str})
async def stock(arguments: dict[str, Any]) -> dict[str, Any]:
    return {"content": [{"type": "text", "text": f"7 of {arguments['part']}"}]}


async def main(program: str, prompt: str) -> None:
    options = ClaudeAgentOptions(
        cli_path=program,
        mcp_servers={"shop": create_sdk_mcp_server(name="shop", tools=[stock])},
        allowed_tools=["mcp__shop__stock"],
        system_prompt="You know the stock.",
        setting_sources=[],
    )
    done: dict[str, Any] = {"calls": []}
    async for message in query(prompt=prompt, options=options):
        if isinstance(message, AssistantMessage):
            used = [block for block in message.content if isinstance(block, ToolUseBlock)]
            done["calls"] += [{"name": block.name, "input": block.input} for block in used]
        if isinstance(message, ResultMessage):
            done |= {"result": message.result, "is_error": message.is_error, "turns": message.num_turns}
            done["session_id"] = message.session_id
    print(json.dumps(done))


asyncio.run(main(*sys.argv[1:]))
