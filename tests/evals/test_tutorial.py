"""The tutorial: its files are written, its commands are run in their order, and what it shows is what they print."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from tests.ports import free_ports

PAGE = Path(__file__).parents[2] / "docs/evals/tutorial.md"
BLOCKS = re.findall(r"^```(yaml|sh|text)\n(.*?)^```", PAGE.read_text(), re.DOTALL | re.MULTILINE)
SHOWN = [text for kind, text in BLOCKS if kind == "text"]
CODES = [0, 1, 0, 100, 101, 0]
"""Of the blocks of commands, as the page says."""
WAIT = "until (exec 3<>/dev/tcp/127.0.0.1/{port}) 2>/dev/null; do sleep 0.1; done"


def play(folder: Path) -> list[tuple[int, str]]:
    """Exit code and output of each block of commands, without the progress."""
    listen = str(free_ports()[0])
    for kind, text in BLOCKS:
        if kind == "yaml" and (name := re.match(r"# ([\w.]+)\n", text)):
            (folder / name[1]).write_text(text)
    commands = [text.replace("8081", listen) for kind, text in BLOCKS if kind == "sh"]
    parts = [f"{{\n{text}}} > out.{n} 2>&1\necho $? > code.{n}\n" for n, text in enumerate(commands)]
    (folder / "bin").mkdir()
    (folder / "bin/claude-operator").write_text(f'#!/bin/sh\nexec {sys.executable} -m claude_operator "$@"\n')
    (folder / "bin/claude-operator").chmod(0o755)
    script = "".join(["trap 'kill $(jobs -p)' EXIT\n", parts[0], WAIT.format(port=listen), "\n", *parts[1:]])
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("ANTHROPIC_", "KUBE"))}
    kept["PATH"] = f"{folder}/bin:{kept['PATH']}"
    subprocess.run(["bash", "-c", script], check=True, cwd=folder, env=kept, timeout=250)
    numbers = range(len(commands))
    outputs = [(folder / f"out.{n}").read_text() for n in numbers]
    texts = [re.sub(r"^\d+ of \d+(, .* left)?\n", "", text, flags=re.MULTILINE) for text in outputs]
    return [(int((folder / f"code.{n}").read_text()), texts[n]) for n in numbers]


@pytest.mark.slow
def test_each_command_does_what_the_page_says(tmp_path: Path) -> None:
    played = play(tmp_path)
    assert [code for code, _ in played] == CODES, played
    assert [played[1][1], played[3][1], played[5][1]] == SHOWN
    assert (tmp_path / "report.html").read_text().startswith("<!doctype html>")
    assert (tmp_path / "triage.yaml").exists()


def test_every_picture_is_there() -> None:
    for name in re.findall(r"!\[[^\]]*\]\(([^)]+)\)", PAGE.read_text()):
        assert (PAGE.parent / name).exists()
