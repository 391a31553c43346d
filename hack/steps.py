"""Run long commands so that a person sees what goes on and a log holds the rest."""

from __future__ import annotations

import os
import queue
import shlex
import subprocess
import sys
import threading
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
CACHE = Path("~/.cache/claude-operator").expanduser()


class SetupError(Exception):
    """Something that a person has to mend; the message says how."""


def say(text: str) -> None:
    """Tell one thing that was done or is about to be."""
    print(f"==> {text}", file=sys.stderr, flush=True)


def step(title: str, *command: str | Path, env: dict[str, str] | None = None) -> None:
    """Run a command and show how long it takes and what it says last.

    Its whole output goes to a log below the cache, and to the terminal when it fails: then SetupError is raised.
    """
    begun = time.monotonic()
    log = CACHE / "logs" / f"{'-'.join(title.lower().split()[:3])}-{os.getpid()}.log"
    log.parent.mkdir(parents=True, exist_ok=True)
    say(title)
    words = [str(word) for word in command]
    process = subprocess.Popen(
        words,
        cwd=ROOT,
        env={**os.environ, **(env or {})},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
    )
    tail = _follow(process, log, begun)
    if process.stdout:
        process.stdout.close()
    if process.wait():
        print("\n".join(tail), file=sys.stderr)
        raise SetupError(f"`{shlex.join(words)}` failed with status {process.returncode}; its log: {log}")
    log.unlink()
    if time.monotonic() - begun > 3:
        say(f"{title}: {_clock(begun)}")


def _follow(process: subprocess.Popen[str], log: Path, begun: float) -> list[str]:
    """Copy the output of `process` to `log` until it ends, telling its last line now and then; return the last 40."""
    lines: queue.Queue[str | None] = queue.Queue()

    def read() -> None:
        for line in process.stdout or ():
            lines.put(line.rstrip())
        lines.put(None)

    threading.Thread(target=read, daemon=True).start()
    live = sys.stderr.isatty()
    every = 0.5 if live else 30
    tail: list[str] = []
    told = begun
    with log.open("w") as file:
        while True:
            try:
                line = lines.get(timeout=every)
                if line is None:
                    break
                print(line, file=file)
                tail = [*tail[-39:], line]
            except queue.Empty:
                pass
            if time.monotonic() - told >= every:
                told = time.monotonic()
                text = f"    {_clock(begun)}  {tail[-1] if tail else ''}"[:118]
                print(f"\r{text}\033[K" if live else text, end="" if live else "\n", file=sys.stderr, flush=True)
    if live:
        print("\r\033[K", end="", file=sys.stderr, flush=True)
    return tail


def _clock(begun: float) -> str:
    """Time since `begun` as 0:07."""
    seconds = round(time.monotonic() - begun)
    return f"{seconds // 60}:{seconds % 60:02}"
