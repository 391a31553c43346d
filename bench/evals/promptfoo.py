"""promptfoo, as npm has it, and the Node.js that it asks for: where they are installed, and how a run is done.

Both are pinned and kept in the cache of the tests' clients; all that promptfoo depends on is what npm had on a day. No
script of a package runs.
"""

from __future__ import annotations

import json
import os
import platform
from collections.abc import Sequence
from pathlib import Path

from tests.clients.packages import CACHE, Missing, find_tool, keep, run_tool, unpack_npm

from bench.evals.files import MAX_TOKENS, MODEL, SYSTEMS
from bench.evals.processes import KEY

__all__ = ["NAME", "command", "environment", "errors", "installed", "is_installed", "write_config"]

VERSION, DAY = "0.123.1", "2026-11-29"
NAME = f"promptfoo {VERSION}"
_KEPT_AS = f"promptfoo-{VERSION}"
INTEGRITY = "sha512-9WzFeH6L+5E49R6CTulBo/WzmVPNcMpvgUZAyEsNlaKgpfmF9vV82jKUG1rQ+QH79P7gYAaxeY3TvLDV+x0Cbg=="
LIBSQL = "0.5.29"  # its database; the other optional packages, hundreds of them, are for other providers
NODE_VERSION = "22.23.5"
NODE = {
    "x86_64": (
        "x64",
        "sha512-3jhC+wcoWxKZxcRqF2sUSl0c9HEXFnur/nuIPx6O6CWKV0jOUWQm7Htw5SuXqqlMCEhi0cJqybFPEb5hhcBiMw==",
    ),
    "aarch64": (
        "arm64",
        "sha512-e1LOUGKVruPGuLVutn8+Cgm5pI1APm4Kvh+zbb/qe/ZpD9s+TQby5iUgZOWmPpbSKpj0Td8DP1N0NEnXasHizg==",
    ),
}


def is_installed() -> bool:
    """Whether `installed` has nothing to do."""
    return any(CACHE.glob(f"{_KEPT_AS}-*"))


def installed() -> Path:
    """The folder that it is in; installs it the first time, where there is a network. Raises `Missing`."""
    npm = find_tool("npm", "Node.js with npm (on Debian: apt-get install nodejs npm)")
    if platform.machine() not in NODE:
        raise Missing(f"no Node.js is pinned for {platform.machine()}: add it to NODE")
    chip, integrity = NODE[platform.machine()]

    def install(folder: Path) -> None:
        unpack_npm(npm, f"node-linux-{chip}", NODE_VERSION, integrity, folder / "node")
        (folder / "package.json").write_text("{}")
        names = [f"promptfoo@{VERSION}", f"@libsql/linux-{chip}-gnu@{LIBSQL}"]
        options = ["--ignore-scripts", "--omit=dev", "--omit=optional", "--no-audit", "--no-fund", f"--before={DAY}"]
        run_tool(npm, "install", "--silent", *options, *names, cwd=folder)
        lock = json.loads((folder / "package-lock.json").read_text())
        found = lock["packages"]["node_modules/promptfoo"]["integrity"]
        if found != INTEGRITY:
            raise ValueError(f"{NAME} is {found}, and not {INTEGRITY}")

    made_from = repr((VERSION, DAY, INTEGRITY, LIBSQL, NODE_VERSION, integrity))
    return keep(_KEPT_AS, made_from.encode(), install)


def command(place: Path, concurrency: int, epochs: int) -> list[str]:
    """The run of the configuration in the folder that it is started in."""
    program = place / "node_modules/promptfoo"
    entry = json.loads((program / "package.json").read_text())["bin"]["promptfoo"]
    options = ["--max-concurrency", str(concurrency), "--repeat", str(epochs), "--output", "results.json"]
    quiet = ["--no-progress-bar", "--no-table"]
    return [str(place / "node/bin/node"), str(program / entry), "eval", "--config", _CONFIG, *options, *quiet]


def environment(home: Path) -> dict[str, str]:
    """What it is started with: its database and its cache are in `home`, and it tells nobody."""
    home.mkdir(exist_ok=True)
    silent = ("TELEMETRY", "UPDATE", "REMOTE_GENERATION", "SHARING", "REDTEAM_REMOTE_GENERATION")
    return {
        "PATH": os.environ["PATH"],
        "HOME": str(home),
        "PROMPTFOO_CONFIG_DIR": str(home),
        "NO_COLOR": "1",
        **{f"PROMPTFOO_DISABLE_{name}": "true" for name in silent},
    }


def write_config(folder: Path, url: str, answers: Sequence[tuple[str, str]]) -> None:
    """Write the same questions to the same arms, with the same check."""
    for name, text in SYSTEMS.items():
        messages = [{"role": "system", "content": text}, {"role": "user", "content": "{{question}}"}]
        (folder / f"{name}.json").write_text(json.dumps(messages))
    config = {
        "prompts": [f"file://{name}.json" for name in SYSTEMS],
        "providers": [
            {
                "id": f"anthropic:messages:{MODEL}",
                "label": MODEL,  # without one it keeps no answers from one run to the next
                # Without a temperature it sends 0, which newer models refuse; 1 is what they have without one.
                "config": {"apiBaseUrl": url, "apiKey": KEY, "max_tokens": MAX_TOKENS, "temperature": 1},
            }
        ],
        "tests": [
            {"vars": {"question": question}, "assert": [{"type": "equals", "value": answer}]}
            for question, answer in answers
        ],
    }
    (folder / _CONFIG).write_text(json.dumps(config))


def errors(folder: Path) -> tuple[int, str]:
    """How many answers the last run has none of, and what became of the first."""
    results = json.loads((folder / "results.json").read_text())["results"]
    found = [one["error"] for one in results["results"] if one.get("failureReason") == _ERROR]
    return len(found), found[0] if found else ""


_CONFIG = "promptfooconfig.json"
_ERROR = 2  # its number for what is no failed assert
