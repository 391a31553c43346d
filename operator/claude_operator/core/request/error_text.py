"""What an error of the API says, without a word of the client's: it may stand in a status, an Event and a log.

The API's messages quote requests: ids, values, names of tools. So only words that the API itself uses are kept, the
names of its fields and a few hundred words of its messages; a number becomes N, and everything else becomes `…`.
"""

from __future__ import annotations

import re
from collections.abc import Collection

__all__ = ["redact"]

_LONGEST = 160  # characters of a redacted message
_READ = 1000  # characters of a message that are looked at
_KNOWN = frozenset(
    word
    for line in (
        "anthropic-beta anthropic-version assistant base64 betas budget_tokens cache_control citations",
        "code_execution computer container content context_management custom data description",
        "disable_parallel_tool_use document edits effort enabled ephemeral file file_id format id image input",
        "input_schema json json_schema max_tokens mcp_servers mcp_toolset media_type message messages metadata",
        "model name none output output_config parallel_tool_use pdf properties redacted_thinking required role",
        "schema server_tool_use service_tier signature source speed stop_sequences stream strict system",
        "task_budget temperature text thinking thread tool tool_choice tool_result tool_use tool_use_id tools",
        "top_k top_p ttl type url usage user user_id web_fetch web_search x-api-key a access account after all",
        "allowed already also alternate alternating an and any api are array as at authentication available be",
        "because before being below between block blocked blocks body boolean both but by bytes can cannot",
        "character characters claude client closed combination configuration connection consult contain contains",
        "content conversation corresponding could count credit current days deprecated dict different disabled",
        "documentation does doesn't don't download draft due duplicate each either element empty enable enabled",
        "end ends error errors even exceed exceeded exceeds exist expected extra failed feature field fields",
        "filtering final first following for forbidden format found from function given greater had has have",
        "header here higher however if images immediately in include included incorrect inputs instead integer",
        "internal invalid is isn't it items its key keys known large last length less level limit limits list",
        "long longer lower malformed match matching maximum may messages minimum missing more most must mutually",
        "next no non-empty not null number object occurred of on one only operation operations option or",
        "organization other our output over overloaded own",
        "pages parameter parse particular per permission permitted please",
        "policy prefill present process prompt provide provided range rate reached read redacted refused region",
        "remove repeated request requested requests require required requires resource response retired retry",
        "role roles same see send sent server service should size specified start starting string such support",
        "supported supports system take temporarily than that the their there these this those time timeout times",
        "to together token tokens too total try turn type types unable unavailable under unexpected unknown",
        "unsupported up upgrade use used using valid value values version was were when where which while",
        "whitespace will with within without words workspace you your zero upstream answered answer silent broke",
        "off",
    )
    for word in line.split()
)
"""Names of the API's fields, then words of its messages."""

_TOKEN = re.compile(r"([(\[\"'`]*)([^\s()\[\]\"'`]*?)([)\]\"'`.,;:!?]*)$")
_NUMBER = re.compile(r"[0-9][0-9.,_]*")
_PUNCTUATION = frozenset(("", ">", "<", "=", "-", "+", ">=", "<=", "–"))


def redact(message: str, known: Collection[str] = ()) -> str:
    """The message without what may be the client's; empty where little else is left. `known`: further words to keep."""
    words: list[str] = []
    kept = lost = 0
    for raw in message[:_READ].split():
        word = _redact_word(raw, known)
        kept, lost = kept + (word != "…"), lost + (word == "…")
        if word != "…" or not words or words[-1] != "…":
            words.append(word)
    text = " ".join(words)
    if lost >= kept:
        return ""
    return text if len(text) <= _LONGEST else f"{text[: _LONGEST - 1].rstrip()}…"


def _redact_word(raw: str, known: Collection[str]) -> str:
    match = _TOKEN.match(raw)
    if match is None:
        return "…"
    before, word, after = match.groups()
    if word in known or word in _PUNCTUATION:
        return raw
    if _NUMBER.fullmatch(word):
        return f"{before}N{after}"
    parts = word.split(".")
    if not all(part.isdecimal() or part.lower() in _KNOWN for part in parts):
        return "…"
    return f"{before}{'.'.join('N' if part.isdecimal() else part for part in parts)}{after}"
