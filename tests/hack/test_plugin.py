"""`make plugin`: the script that starts the right program, the manifest for krew, and an archive that runs."""

from __future__ import annotations

import subprocess
import sys
import tarfile
from pathlib import Path
from types import ModuleType

import pytest
import yaml
from tests.test_repository import ROOT


@pytest.fixture
def plugin(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> ModuleType:
    """hack/plugin.py, which writes into a folder of the test's."""
    monkeypatch.syspath_prepend(str(ROOT / "hack"))
    monkeypatch.delitem(sys.modules, "plugin", raising=False)
    import plugin as found

    monkeypatch.setattr(found, "DIST", tmp_path)
    return found


def run(program: Path, *words: str) -> subprocess.CompletedProcess[str]:
    env = {"HOME": str(program.parent), "PATH": f"{Path(sys.executable).parent}:/usr/bin:/bin"}
    return subprocess.run([program, *words], env=env, check=False, capture_output=True, text=True)


def test_the_script_starts_the_program_of_this_python(plugin: ModuleType, tmp_path: Path) -> None:
    script = tmp_path / "kubectl-claude"
    script.write_text(plugin.LAUNCHER)
    script.chmod(0o755)
    (tmp_path / "kubectl-claude-3.2.pyz").touch()
    missing = run(script)
    assert missing.returncode == 1
    assert "needs Python 3.2 as python3; this is Python 3." in missing.stderr
    program = tmp_path / f"kubectl-claude-{sys.version_info[0]}.{sys.version_info[1]}.pyz"
    program.write_text("import os, sys; print(sys.argv[1:], os.environ.get('KUBECTL_CLAUDE_COMPLETE'))")
    assert run(script, "a", "b c").stdout == "['a', 'b c'] None\n"
    complete = tmp_path / "elsewhere/kubectl_complete-claude"
    complete.parent.mkdir()
    complete.symlink_to(script)
    assert run(complete, "").stdout == "[''] 1\n"


def test_the_manifest_names_each_archive_by_its_hash(plugin: ModuleType, tmp_path: Path) -> None:
    archive = tmp_path / "kubectl-claude-linux-amd64.tar.gz"
    archive.write_bytes(b"content")
    text = plugin.manifest({plugin.PLATFORMS[0]: archive}, ("3.11", "3.12"), "https://example.com/files")
    found = yaml.safe_load(text)
    assert found["kind"] == "Plugin"
    assert found["spec"]["version"] == f"v{plugin.version()}"
    [one] = found["spec"]["platforms"]
    assert one["selector"] == {"matchLabels": {"os": "linux", "arch": "amd64"}}
    assert one["uri"] == "https://example.com/files/kubectl-claude-linux-amd64.tar.gz"
    assert one["sha256"] == "ed7002b439e9ac845f22357d822bac1444730fbdb6016d3ec9432297b9ec9f73"
    assert one["bin"] == "kubectl-claude"


@pytest.mark.slow
def test_an_archive_runs_by_itself(plugin: ModuleType, tmp_path: Path) -> None:
    if not Path(plugin.PIP[0]).exists():
        pytest.skip("no .venv here: run `make setup`")
    python = f"{sys.version_info[0]}.{sys.version_info[1]}"
    archive = plugin.build(plugin.here(), (python,), tmp_path / "work")
    folder = tmp_path / "unpacked"
    with tarfile.open(archive) as found:
        found.extractall(folder, filter="data")
    assert run(folder / "kubectl-claude", "--version").stdout == f"kubectl claude {plugin.version()}\n"
    assert "undo\t" in run(folder / "kubectl_complete-claude", "").stdout
    assert list((folder / ".shiv").iterdir())
