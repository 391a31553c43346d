"""What of a client's own names may be kept or written down: sessions and plain ids, no device, account or e-mail."""

from __future__ import annotations

import re
from typing import NamedTuple

import msgspec

__all__ = ["Identity", "identity", "without_emails", "without_session"]

_LONGEST_SESSION = 256  # characters
_SESSION = re.compile(r"[0-9A-Za-z-]+")
_PART = r"[^\s\"'<>(),;:/?&=\[\]{}|\\]"
_SIGN = r"(?:@|＠|%(?:25)*40)"
# What may be an e-mail address: all that hangs together. In one pattern for the address itself, what comes before the @
# and what comes after it would be tried in all ways: 500 times @ took half a second.
_WORD = re.compile(rf"(?:\"[^\"]*\"(?={_SIGN}))?{_PART}++")
_AT = re.compile(_SIGN)
_LETTER = re.compile(r"[^\W\d_]")


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
    # Older versions write user_…_account_…_session_…; an id may be as long as a request, so it is read once.
    device, _, session = user_id.rpartition("_session_")
    joined = device.startswith("user_") and "_account_" in device[len("user_") :] and _SESSION.fullmatch(session)
    return Identity(session[:_LONGEST_SESSION], "") if joined else Identity("", user_id)


def without_session(user_id: str) -> str:
    """What of a user id is the same in all sessions of a user: Claude Code's has its device and account."""
    if not identity(user_id).session:
        return user_id
    if user_id.lstrip()[:1] == "{":
        fields = msgspec.json.decode(user_id.encode("utf-8", "surrogatepass"))
        return msgspec.json.encode({name: fields[name] for name in sorted(fields) if name != "session_id"}).decode()
    return user_id.rpartition("_session_")[0]


def without_emails(text: str) -> str:
    """A text for the log, an e-mail address in it replaced."""
    return _WORD.sub(_hidden, text) if "@" in text or "＠" in text or "40" in text else text


def _hidden(found: re.Match[str]) -> str:
    """What stands for a word: an address has an @, percent-encoded or not, with something before it and a letter after
    it. A model's date (claude-…@20251001) has none.
    """
    word, quoted = found[0], found.string.startswith('"', max(found.start() - 1, 0))
    at = _AT.search(word, 0 if quoted else 1)
    return "[email]" if at is not None and _LETTER.search(word, at.end()) else word
