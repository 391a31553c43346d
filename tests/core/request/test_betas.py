"""The client's betas and the revision's in one header."""

from __future__ import annotations

import pytest

from claude_operator.core.request.betas import united


@pytest.mark.parametrize(
    ("theirs", "ours", "expected", "dropped"),
    [
        ([], (), [], False),
        (["a-2025-01-01"], ("b-2025-01-01",), ["a-2025-01-01", "b-2025-01-01"], False),
        (["a-2025-01-01, b-2025-01-01 ,,"], ("b-2025-01-01",), ["a-2025-01-01", "b-2025-01-01"], False),
        (["mcp-client-2025-04-04"], ("mcp-client-2025-11-20",), ["mcp-client-2025-11-20"], True),
        (["mcp-client-2026-09-15"], ("mcp-client-2025-11-20",), ["mcp-client-2025-11-20"], True),
        (["claude-code-20250219"], ("claude-code-20260101",), ["claude-code-20260101"], True),
        (["mcp-2025-04-04", "mcp-2025-11-20"], (), ["mcp-2025-04-04", "mcp-2025-11-20"], False),
        (["context-1m-2025-08-07"], ("context-management-2025-06-27",),
         ["context-1m-2025-08-07", "context-management-2025-06-27"], False),
        (["no-date"], ("no-date",), ["no-date"], False),
    ],
)  # fmt: skip
def test_of_two_versions_of_one_beta_the_revisions_goes_up(
    theirs: list[str], ours: tuple[str, ...], expected: list[str], dropped: bool
) -> None:
    assert united(theirs, ours) == (expected, dropped)
