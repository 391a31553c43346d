"""The long build of the project's own cluster says how far it is, and what is wrong where it fails."""

from __future__ import annotations

import importlib
import shutil
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest

NODE = Path(__file__).parents[1] / "cluster/node"

pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(1800),  # the first run compiles what Go itself brings
    pytest.mark.skipif(not shutil.which("go"), reason="Go is not installed"),
]


@pytest.fixture
def builds(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """The script, which is in no package."""
    monkeypatch.setattr(sys, "path", [str(NODE), *sys.path])
    return importlib.import_module("builds")


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """A program of two packages that Go's cache has not."""
    folder = tmp_path / "source"
    (folder / "part").mkdir(parents=True)
    (folder / "go.mod").write_text("module example.com/program\n\ngo 1.24\n")
    (folder / "part/part.go").write_text(f'package part\n\nconst Text = "{tmp_path}"\n')
    (folder / "main.go").write_text(
        'package main\n\nimport "example.com/program/part"\n\nfunc main() { println(part.Text) }\n'
    )
    return folder


def test_it_says_how_far_it_is(
    builds: ModuleType, source: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    builds.compile_go("[1/2] It", source, tmp_path, ["-trimpath", "-buildvcs=false"], ".")
    first, *others, last = capsys.readouterr().err.splitlines()
    assert first == "cluster: [1/2] It: reading the Go modules"
    total = len(others) + 1  # with those of Go itself, where its cache is empty
    assert others == [f"cluster: [1/2] It: package {number} of {total}" for number in range(1, total)]
    assert last == f"cluster: [1/2] It: package {total} of {total}, and linking"
    assert (tmp_path / "program").exists()


def test_what_is_wrong_is_shown(
    builds: ModuleType, source: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (source / "part/part.go").write_text("package part\n\nconst Text = missing\n")
    with pytest.raises(subprocess.CalledProcessError):
        builds.compile_go("[1/2] It", source, tmp_path, ["-trimpath", "-buildvcs=false"], ".")
    assert "undefined: missing" in capsys.readouterr().err
