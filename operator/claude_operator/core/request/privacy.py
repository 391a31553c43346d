"""What of a client's own names may be kept or written down: sessions and plain ids, no device, account or e-mail."""

from __future__ import annotations

import re
from typing import NamedTuple

import msgspec

__all__ = ["Identity", "identity", "without_emails"]

_LONGEST_SESSION = 256  # characters
_JOINED = re.compile(r"user_.*_account_.*_session_([0-9A-Za-z-]+)", re.DOTALL)  # as older versions of Claude Code write
_PART = r"[^\s\"'<>(),;:/?&=\[\]{}|\\]"
# An e-mail address, percent-encoded or not. What follows @ has a letter: a model's date (claude-…@20251001) has none.
_EMAIL = re.compile(rf"(?:\"[^\"]*\"|{_PART}+)(?:@|＠|%(?:25)*40)(?={_PART}*[^\W\d_]){_PART}+")


class Identity(NamedTuple):
    """What a client's user id tells: the session that it names, and the user where it is nothing but a plain id."""

    session: str
    user: str


class _ClaudeCode(msgspec.Struct):
    session_id: str | None = None


_claude_code = msgspec.json.Decoder(_ClaudeCode)


def identity(user_id: str) -> Identity:
    """Read a user id. Claude Code sends JSON with its device and account, of which the session alone is taken."""
    if user_id.lstrip()[:1] in ("{", "["):
        try:
            session = _claude_code.decode(user_id.encode("utf-8", "surrogatepass")).session_id or ""
        except (msgspec.MsgspecError, UnicodeError, RecursionError):
            session = ""
        return Identity(session if len(session) <= _LONGEST_SESSION else "", "")
    joined = _JOINED.fullmatch(user_id)
    return Identity(joined[1][:_LONGEST_SESSION], "") if joined else Identity("", user_id)


def without_emails(text: str) -> str:
    """A text for the log, an e-mail address in it replaced."""
    return _EMAIL.sub("[email]", text) if "@" in text or "＠" in text or "40" in text else text
