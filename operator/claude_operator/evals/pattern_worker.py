"""The process that compiles and tries users' regular expressions. It imports nothing of ours, to start at once.

A line of JSON asks: {"patterns": [...], "text": ... or null to compile alone}. For each pattern a line answers: an
outcome and a message. A pattern that takes longer than it may ends the process; who asked starts another one.
"""

from __future__ import annotations

import json
import re
import sys

if sys.platform != "win32":  # where who asks kills this process instead
    import resource
    import signal


def main(seconds: float, memory: int) -> None:
    """Answer until the input ends. `seconds` of this process's own time for a pattern, `memory` in bytes for all."""
    if sys.platform != "win32":
        signal.signal(signal.SIGVTALRM, signal.SIG_DFL)  # ends the process, also in the middle of a search
        resource.setrlimit(resource.RLIMIT_AS, (memory, memory))
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    for line in sys.stdin:
        asked = json.loads(line)
        for pattern in asked["patterns"]:
            sys.stdout.write(json.dumps(_timed(pattern, asked["text"], seconds)) + "\n")
            sys.stdout.flush()


def _timed(pattern: str, text: str | None, seconds: float) -> tuple[str, str]:
    if sys.platform == "win32":
        return _tried(pattern, text)
    signal.setitimer(signal.ITIMER_VIRTUAL, seconds)
    try:
        return _tried(pattern, text)
    finally:
        signal.setitimer(signal.ITIMER_VIRTUAL, 0)


def _tried(pattern: str, text: str | None) -> tuple[str, str]:
    try:
        found = re.compile(pattern)
        return ("found" if text is None or found.search(text) else "missing"), ""
    except MemoryError:
        return "memory", ""
    except (re.error, RecursionError, OverflowError) as error:
        return "invalid", str(error)[:500]


if __name__ == "__main__":
    main(float(sys.argv[1]), int(sys.argv[2]))
