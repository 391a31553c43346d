"""The tutorial on prompt caching: its commands are run in their order, and what it shows is what they print."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from tests.ports import free_ports

PAGE = Path(__file__).parents[2] / "docs/cache-tutorial.md"
BLOCKS = re.findall(r"^```(sh|text)\n(.*?)^```", PAGE.read_text(), re.DOTALL | re.MULTILINE)
PORTS = ("8080", "8081", "9090")
WAIT = "until (exec 3<>/dev/tcp/127.0.0.1/{port}) 2>/dev/null; do sleep 0.1; done\n"
SERVED = (
    "until curl -s localhost:{port}/metrics | grep -q '^claude_gateway_config_generation {n}.0'; do sleep 0.1; done\n"
)


def play(folder: Path) -> list[str]:
    """What each block of commands prints. Instead of a fixed time it waits until the gateway serves."""
    ports = dict(zip(PORTS, map(str, free_ports(3)), strict=True))
    texts = [text for kind, text in BLOCKS if kind == "sh"]
    texts = [re.sub("|".join(PORTS), lambda match: ports[match[0]], text) for text in texts]
    parts = ["trap 'kill $(jobs -p)' EXIT\n"]
    generation = 1
    for number, text in enumerate(texts):
        if "sleep 2\n" in text:
            generation += 1
            text = text.replace("sleep 2\n", SERVED.format(port=ports["9090"], n=generation))
        text = text.replace(
            "config config.json", f"config config.json --port {ports['8080']} --admin-port {ports['9090']}"
        )
        text = text.replace("simulator --tokens", f"simulator --port {ports['8081']} --tokens")
        parts.append(f"{{\n{text}}} > out.{number} 2>&1\n")
        if "simulator" in text:
            parts += [WAIT.format(port=port) for port in ports.values()]
            parts.append(SERVED.format(port=ports["9090"], n=1))
    (folder / "bin").mkdir()
    (folder / "bin/claude-operator").write_text(f'#!/bin/sh\nexec {sys.executable} -m claude_operator "$@"\n')
    (folder / "bin/claude-operator").chmod(0o755)
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("ANTHROPIC_", "KUBE"))}
    kept["PATH"] = f"{folder}/bin:{kept['PATH']}"
    subprocess.run(["bash", "-c", "".join(parts)], check=True, cwd=folder, env=kept, timeout=250)
    return [(folder / f"out.{number}").read_text() for number in range(len(texts))]


@pytest.mark.slow
def test_each_command_prints_what_the_page_shows(tmp_path: Path) -> None:
    shown = [text for kind, text in BLOCKS if kind == "text"]
    printed = [out for out in play(tmp_path) if "from the cache" in out]
    assert printed == shown
    assert int(re.findall(r"(\d+) %", printed[-1])[0]) >= 90
