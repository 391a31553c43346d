"""A stage for the real clients, and the clients."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.clients import packages
from tests.clients.stage import Stage

HERE = Path(__file__).parent
Command = Callable[[str], list[str]]  # of a program's name


@pytest.fixture(scope="session")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    with Stage(tmp_path_factory.mktemp("clients")) as running:
        yield running


def installed(install: Callable[[], Any]) -> Any:
    """What this gives, or else the test is skipped with what to install."""
    try:
        return install()
    except packages.Missing as reason:
        pytest.skip(str(reason))


@pytest.fixture(scope="session")
def python() -> Command:
    """How a program in python/ is run."""
    folder = installed(packages.python_packages)
    return lambda name: ["env", f"PYTHONPATH={folder}", sys.executable, str(HERE / "python" / name)]


@pytest.fixture(scope="session")
def node(tmp_path_factory: pytest.TempPathFactory) -> Command:
    """How a program in node/ is run: beside its node_modules, where Node.js looks for them."""
    folder = tmp_path_factory.mktemp("node")
    program = installed(packages.node_program)
    (folder / "node_modules").symlink_to(installed(packages.node_modules))
    for file in (HERE / "node").iterdir():
        (folder / file.name).write_text(file.read_text())
    return lambda name: [program, str(folder / name)]


@pytest.fixture(scope="session")
def claude_code() -> Path:
    found: Path = installed(packages.claude_code)
    return found
