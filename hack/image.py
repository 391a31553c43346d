"""The operator's image, named by the content of what it is made of."""

from __future__ import annotations

import ast
import hashlib
import os
import subprocess
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from packages import PIP
from steps import CACHE, ROOT

if TYPE_CHECKING:
    from clusters import Cluster

NAME = "localhost/claude-operator"
CONTEXT = ("LICENSE", "README.md", "operator", "pyproject.toml", "requirements.txt", "requirements-build.txt")
KEEP = 3  # archives, of 200 MB each


def reference() -> str:
    """Return the name and tag of the image that this checkout makes."""
    digest = hashlib.sha256()
    for source in ("Dockerfile", ".dockerignore", *CONTEXT):
        path = ROOT / source
        for file in sorted(path.rglob("*")) if path.is_dir() else [path]:
            if file.is_file() and file.suffix != ".pyc":
                digest.update(f"{file.relative_to(ROOT)}\0{file.stat().st_size}\0".encode() + file.read_bytes())
    return f"{NAME}:{digest.hexdigest()[:12]}"


def archive(reference: str) -> Path:
    """Return where an image's archive is kept."""
    return CACHE / "images" / f"{reference.rpartition(':')[2]}.tar"


def build(cluster: Cluster) -> str:
    """Build the image of this checkout unless its archive is there; return its reference."""
    wanted = reference()
    done = archive(wanted)
    if done.exists():
        os.utime(done)
        return wanted
    done.parent.mkdir(parents=True, exist_ok=True)
    work = done.with_suffix(f".{os.getpid()}")
    with tempfile.NamedTemporaryFile("w", prefix="pip-", suffix=".conf") as settings:
        settings.write(_pip_settings())
        settings.flush()
        try:
            cluster.build(wanted, work, "--secret", f"id=pip.conf,src={settings.name}")
            work.rename(done)
        finally:
            work.unlink(missing_ok=True)
    for old in sorted(done.parent.glob("*.tar"), key=lambda file: file.stat().st_mtime)[:-KEEP]:
        old.unlink()
    return wanted


def _pip_settings() -> str:
    """Return the machine's pip settings about where packages come from, as a pip.conf for the build alone."""
    listed = subprocess.run([*PIP, "config", "list"], check=True, capture_output=True, text=True).stdout
    lines = ["[global]"]
    for line in listed.splitlines():
        key, _, value = line.partition("=")
        name = key.rpartition(".")[2]
        if name in ("index-url", "extra-index-url", "trusted-host", "proxy", "default-timeout"):
            lines.append(f"{name} = {ast.literal_eval(value)}")
    return "\n".join([*lines, ""])
