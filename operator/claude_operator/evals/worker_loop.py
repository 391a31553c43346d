"""The loop of a process that runs what users write: within limits of time and memory, and killed with what it does.

A line of JSON asks: {"programs": [...], "text": ... or null to look at the programs alone}. For each program a line
answers: an outcome and a message. A program that takes longer than it may ends the process; who asked starts another.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable

if sys.platform != "win32":  # where who asks kills this process instead
    import resource
    import signal

Try = Callable[[str, "str | None"], tuple[str, str]]


def main(tried: Try) -> None:
    """Answer until the input ends. Arguments: seconds of this process's own time a program, bytes of memory for all."""
    seconds, memory = float(sys.argv[1]), int(sys.argv[2])
    if sys.platform != "win32":
        signal.signal(signal.SIGVTALRM, signal.SIG_DFL)  # ends the process, also in the middle of a search
        resource.setrlimit(resource.RLIMIT_AS, (memory, memory))
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    for line in sys.stdin:
        asked = json.loads(line)
        for program in asked["programs"]:
            sys.stdout.write(json.dumps(_timed(tried, program, asked["text"], seconds)) + "\n")
            sys.stdout.flush()


def _timed(tried: Try, program: str, text: str | None, seconds: float) -> tuple[str, str]:
    if sys.platform != "win32":
        signal.setitimer(signal.ITIMER_VIRTUAL, seconds)
    try:
        return tried(program, text)
    except MemoryError:
        return "memory", ""
    finally:
        if sys.platform != "win32":
            signal.setitimer(signal.ITIMER_VIRTUAL, 0)
