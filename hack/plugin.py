"""Build kubectl-claude as archives that need nothing but Python, and the manifest by which krew installs them.

An archive of a platform holds one program for each version of Python, since compiled packages are made for one version,
and a script that starts the right one. Compiled packages cannot be loaded from a zip file, so the programs are made by
shiv, which unpacks them into ~/.shiv when they first run.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import platform
import shutil
import subprocess
import sys
import tarfile
from dataclasses import dataclass
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

from packages import PIP
from steps import CACHE, ROOT, SetupError, say, step

DIST = ROOT / "dist/plugin"
TOOL, CONTENT = (ROOT / name for name in ("requirements-shiv.txt", "requirements-plugin.txt"))
PYTHONS = ("3.11", "3.12", "3.13")

LAUNCHER = '''#!/usr/bin/env python3
"""Starts kubectl-claude, or the completion of its words, with the Python that runs this."""
import os
import sys

here = os.path.dirname(os.path.realpath(__file__))
version = "%d.%d" % sys.version_info[:2]
program = os.path.join(here, "kubectl-claude-" + version + ".pyz")
if not os.path.exists(program):
    known = sorted(name[15:-4] for name in os.listdir(here) if name.endswith(".pyz"))
    sys.exit("error: kubectl-claude needs Python " + ", ".join(known) + " as python3; this is Python " + version)
if os.path.basename(sys.argv[0]).startswith("kubectl_complete"):
    os.environ["KUBECTL_CLAUDE_COMPLETE"] = "1"
os.execv(sys.executable, [sys.executable, program] + sys.argv[1:])
'''

MANIFEST = """\
apiVersion: krew.googlecontainertools.github.com/v1alpha2
kind: Plugin
metadata:
  name: claude
spec:
  version: v{version}
  homepage: {url}
  shortDescription: Watch and steer rollouts of ClaudeDeployments
  description: |
    Shows the rollouts of claude-operator live, explains what its judge decided, compares revisions, and promotes,
    aborts, retries, pauses and undoes them.
  caveats: |
    It needs Python {pythons} as python3.
  platforms:
{platforms}"""

ENTRY = """\
  - selector:
      matchLabels: {{os: {system}, arch: {machine}}}
    uri: {url}/{file}
    sha256: {digest}
    bin: kubectl-claude
"""


@dataclass(frozen=True)
class Platform:
    """A platform as krew names it, and as wheels do."""

    system: str
    machine: str
    wheels: tuple[str, ...]


PLATFORMS = (
    Platform("linux", "amd64", ("manylinux_2_28_x86_64", "manylinux_2_17_x86_64", "manylinux2014_x86_64")),
    Platform("linux", "arm64", ("manylinux_2_28_aarch64", "manylinux_2_17_aarch64", "manylinux2014_aarch64")),
    Platform(
        "darwin", "amd64", ("macosx_11_0_x86_64", "macosx_10_13_x86_64", "macosx_10_12_x86_64", "macosx_10_9_x86_64")
    ),
    Platform("darwin", "arm64", ("macosx_11_0_arm64",)),
)


def build(where: Platform, pythons: tuple[str, ...], work: Path) -> Path:
    """The archive of a platform."""
    folder = work / f"{where.system}-{where.machine}"
    folder.mkdir(parents=True)
    for python in pythons:
        packages = work / f"packages-{where.system}-{where.machine}-{python}"
        shutil.copytree(fetch_packages(where, python), packages)
        shutil.copytree(
            ROOT / "operator/claude_operator",
            packages / "claude_operator",
            ignore=shutil.ignore_patterns("__pycache__"),
        )
        shiv(packages, folder / f"kubectl-claude-{python}.pyz")
    for name in ("kubectl-claude", "kubectl_complete-claude"):
        script = folder / name
        script.write_text(LAUNCHER)
        script.chmod(0o755)
    shutil.copy(ROOT / "LICENSE", folder)
    done = DIST / f"kubectl-claude-{where.system}-{where.machine}.tar.gz"
    with tarfile.open(done, "w:gz") as archive:
        for file in sorted(folder.iterdir()):
            archive.add(file, file.name)
    return done


def fetch_packages(where: Platform, python: str) -> Path:
    """The pinned packages of a platform and a version of Python, in the cache."""
    tags = [word for tag in where.wheels for word in ("--platform", tag)]
    wheels = ["--no-compile", "--only-binary", ":all:", "--python-version", python, *tags]
    name = f"plugin-{where.system}-{where.machine}-{python}"
    return installed(name, f"Fetching packages of {where.system}-{where.machine} for Python {python}", CONTENT, *wheels)


def fetch_shiv() -> Path:
    """shiv, in the cache."""
    return installed("shiv", "Installing shiv", TOOL)


def installed(name: str, title: str, pins: Path, *options: str) -> Path:
    """What is pinned there, installed in the cache, keyed by its content."""
    folder = CACHE / f"{name}-{hashlib.sha256(pins.read_bytes()).hexdigest()[:12]}"
    if not folder.exists():
        made = folder.with_name(f"{folder.name}.{os.getpid()}")
        pip = [*PIP, "install", "--quiet", "--no-deps", "--require-hashes"]
        step(title, *pip, *options, "--target", made, "--requirement", pins)
        made.rename(folder)
    return folder


def shiv(packages: Path, program: Path) -> None:
    """A program out of these packages."""
    tool = fetch_shiv()
    words = ["--site-packages", packages, "--entry-point", "claude_operator.cli.main:run", "--compressed"]
    words += ["--reproducible", "--python", "/usr/bin/env python3", "--output-file", program]
    step(f"Making {program.name}", sys.executable, "-m", "shiv", *words, env={"PYTHONPATH": str(tool)})


def version() -> str:
    """The version of this checkout."""
    code = "import claude_operator; print(claude_operator.__version__)"
    words = [sys.executable, "-c", code]
    env = {**os.environ, "PYTHONPATH": str(ROOT / "operator")}
    return subprocess.run(words, check=True, capture_output=True, text=True, env=env).stdout.strip()


def manifest(archives: dict[Platform, Path], pythons: tuple[str, ...], url: str) -> str:
    """The manifest for krew."""
    entries = [
        ENTRY.format(
            system=where.system,
            machine=where.machine,
            url=url,
            file=file.name,
            digest=hashlib.sha256(file.read_bytes()).hexdigest(),
        )
        for where, file in archives.items()
    ]
    return MANIFEST.format(version=version(), url=url, pythons=", ".join(pythons), platforms="".join(entries))


def here() -> Platform:
    """This machine's platform."""
    machine = {"x86_64": "amd64", "aarch64": "arm64"}.get(platform.machine(), platform.machine())
    found = [one for one in PLATFORMS if (one.system, one.machine) == (platform.system().lower(), machine)]
    if not found:
        raise SetupError(f"no archive is made for {platform.system()} on {machine}")
    return found[0]


def main() -> None:
    """Build for this machine and its Python; with --all for all platforms and versions of Python."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--all", action="store_true", help="all platforms and versions of Python")
    parser.add_argument("--fetch", action="store_true", help="only fetch what a build needs, for one without a network")
    parser.add_argument(
        "--url", default="https://example.com/claude-operator", help="where the archives will be (default: %(default)s)"
    )
    arguments = parser.parse_args()
    try:
        platforms = PLATFORMS if arguments.all else (here(),)
        pythons = PYTHONS if arguments.all else (f"{sys.version_info[0]}.{sys.version_info[1]}",)
        if arguments.fetch:
            fetch_shiv()
            for where in platforms:
                for python in pythons:
                    fetch_packages(where, python)
            return
        shutil.rmtree(DIST, ignore_errors=True)
        work = DIST / "work"
        work.mkdir(parents=True)
        archives = {where: build(where, pythons, work) for where in platforms}
        shutil.rmtree(work)
        (DIST / "claude.yaml").write_text(manifest(archives, pythons, arguments.url.rstrip("/")))
    except SetupError as error:
        sys.exit(f"make: {error}")
    for file in (*archives.values(), DIST / "claude.yaml"):
        say(f"{file.relative_to(ROOT)}: {file.stat().st_size:,} bytes")


if __name__ == "__main__":
    main()
