"""`kubectl claude` as a person has it: kubectl and kubectl-claude in PATH."""

from __future__ import annotations

import json
import os
import pty
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
_PIPES: dict[str, int] = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "stdin": subprocess.DEVNULL}


class Plugin:
    """The commands in a namespace; `folder` gets the two programs, `path` leads to kubectl."""

    def __init__(self, folder: Path, namespace: str, environment: Mapping[str, str], path: str) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.namespace = namespace
        for name, entry in (("kubectl-claude", "main"), ("kubectl_complete-claude", "complete")):
            script = folder / name
            script.write_text(
                f"#!{sys.executable}\nimport sys\nfrom claude_operator.cli.main import {entry}\nsys.exit({entry}())\n"
            )
            script.chmod(0o755)
        self._begun: list[subprocess.Popen[str]] = []
        self.environment = {**environment, "PATH": f"{folder}:{path}", "PYTHONPATH": str(ROOT / "operator")}

    def start(self, *words: str, **options: Any) -> subprocess.Popen[str]:
        """A command, begun."""
        command = ["kubectl", "claude", words[0], f"--namespace={self.namespace}", *words[1:]]
        self._begun.append(subprocess.Popen(command, env=self.environment, text=True, **{**_PIPES, **options}))
        return self._begun[-1]

    def end_all(self) -> None:
        """End what a test has left that failed."""
        for one in self._begun:
            if one.poll() is None:
                one.kill()
                one.wait(60)

    def run(self, *words: str, code: int = 0) -> str:
        """What a command prints; it ends with `code`, and what an error says is in the result too."""
        return "".join(end(self.start(*words), code))

    def facts(self, *words: str, code: int = 0) -> Any:
        """Its result as JSON."""
        return json.loads(end(self.start(*words, "--output=json"), code)[0])


class Watching:
    """A command on a terminal of its own, begun."""

    def __init__(self, plugin: Plugin, *words: str) -> None:
        self._terminal, inner = pty.openpty()
        more = {"stdin": inner, "stdout": inner, "stderr": inner}
        plugin.environment |= {"TERM": "xterm-256color", "COLUMNS": "160", "LINES": "50"}
        self._process = plugin.start(*words, **more)
        os.close(inner)

    def end(self, code: int) -> str:
        """All that it painted until it ended, with `code`."""
        painted = b""
        while True:
            try:
                part = os.read(self._terminal, 65536)
            except OSError:  # so Linux says that nobody writes any more
                break
            if not part:
                break
            painted += part
        os.close(self._terminal)
        text = painted.decode(errors="replace")
        found = self._process.wait(60)
        assert found == code, f"{found}: {text[-4000:]}"
        return text


def end(process: subprocess.Popen[str], code: int) -> tuple[str, str]:
    """What it printed, and what it said beside that."""
    out, err = process.communicate(timeout=600)
    assert process.returncode == code, f"{process.returncode}: {out}\n{err}"
    return out, err
