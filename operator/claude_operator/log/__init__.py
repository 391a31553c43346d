"""One log for all processes: lines of JSON or text, scalars only, cut. Never a prompt, an answer or a key."""

from __future__ import annotations

from claude_operator.log.line import FORMATS, Format, cut_text, make_line
from claude_operator.log.log import Log
from claude_operator.log.standard import configure, fields

__all__ = ["FORMATS", "Format", "Log", "configure", "cut_text", "fields", "make_line"]
