"""The real clients: where they are installed, and from what.

Each is pinned by version and content, fetched by the machine's own package manager from whatever registry it is set up
to use, and kept in ~/.cache/claude-operator/clients under a name that holds what it was made from. `python -m
tests.clients.packages` installs all of them; a test that needs one installs it as well, where there is a network.
"""

from __future__ import annotations

import base64
import fcntl
import hashlib
import os
import platform
import re
import shutil
import subprocess
import sys
import tarfile
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

__all__ = [
    "CACHE",
    "Missing",
    "claude_code",
    "find_tool",
    "go_client",
    "java_client",
    "keep",
    "node_modules",
    "node_program",
    "python_packages",
    "run_tool",
    "unpack_npm",
]

HERE = Path(__file__).parent
CACHE = Path("~/.cache/claude-operator/clients").expanduser()
GO, JAVA, NODE = (1, 24), (11,), (18,)

# npm packages by name: version and Subresource Integrity. Only what SDKs need at run time is installed, and no script
# of a package runs.
NPM = {
    "@anthropic-ai/sdk": (
        "1.14.0",
        "sha512-nADYXUd5fn9Zgw2nHi1iKyt/kb1UUt1cN3RbdxEI6XjTDTxbx4LLG4GnMrxWyS9GgXQllFOyAKSiFM3joDNK9A==",
    ),
    "@anthropic-ai/claude-agent-sdk": (
        "0.3.332",
        "sha512-N0ejnrTLMNJYXkvhdmLEy8QSfjym2ljJCkUBCrLKesYNGgqooi8zHDHawNsi+An6zav/ImPnpi27sbRsRjfcOw==",
    ),
    "@opentelemetry/api": (
        "1.10.0",
        "sha512-lMkyes8iHrG+mk6WH7X70MdCLI2RS0FwNBY1PyQ8UemaijE2m5mv5A0Niy3HtbYTFrgkUEQjFMXmSAk2hQDuPQ==",
    ),
    "standardwebhooks": (
        "1.1.1",
        "sha512-bCbX9ZEyFkWPsRz7Bl3NuQUJohmwGSev/yhr7vhaGPlc4AfIrspIRa6cPTBuI1ItmrTDJ4d/S2hCsfe4+vQGnQ==",
    ),
    "@stablelib/base64": (
        "1.0.1",
        "sha512-1bnPQqSxSuc3Ii6MhBysoWCg58j97aUjuCSZrGSmDxNqtytIi0k8utUenAwTZN4V5mXXYGsVUI9zeBqy+jBOSQ==",
    ),
    "fast-sha256": (
        "1.3.0",
        "sha512-n11RGP/lrWEFI/bWdygLxhI+pVeo1ZYIVwvvPkW7azl/rOy+F3HYRZ2K5zeE9mmkhQppyv9sQFx0JM9UabnpPQ==",
    ),
}
CLAUDE_CODE = {
    "x86_64": (
        "@anthropic-ai/claude-code-linux-x64",
        "2.1.332",
        "sha512-f4JWhzwYutJIHScC7/dYOPX6s28tt7ZADhsOi8zwOHq5fFPEuUeChh2NMfinSg0GrUckYxaeebC4h0DqiKzLcw==",
    ),
    "aarch64": (
        "@anthropic-ai/claude-code-linux-arm64",
        "2.1.332",
        "sha512-BlHNEtK38KBPWU31F4lUSS9sHclCyfWbThT1CErvxxH8+XcljYLZlQwdyXBkTD62rw1TgfE1u1a+quMWS0NSJg==",
    ),
}


class Missing(Exception):  # noqa: N818
    """A tool that this machine lacks; says what to install."""


def python_packages() -> Path:
    """A folder for PYTHONPATH with the anthropic SDK and the Claude Agent SDK (without its copy of Claude Code)."""
    pins = HERE / "python/requirements.txt"

    def install(folder: Path) -> None:
        pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "install", "--quiet", "--no-deps"]
        source = ["--no-build-isolation", "--no-binary", "claude-agent-sdk"]  # its wheel bundles 400 MB
        run_tool(*pip, *source, "--require-hashes", "--target", str(folder), "--requirement", str(pins))

    return keep(f"python{sys.version_info[0]}.{sys.version_info[1]}", pins.read_bytes(), install)


def node_modules() -> Path:
    """A `node_modules` with the TypeScript SDK and the Claude Agent SDK."""
    npm = find_tool("npm", "Node.js with npm (on Debian: apt-get install nodejs npm)")

    def install(folder: Path) -> None:
        for name, (version, integrity) in NPM.items():
            unpack_npm(npm, name, version, integrity, folder / "node_modules" / name)

    return keep("node", repr(NPM).encode(), install) / "node_modules"


def node_program() -> str:
    """Node.js itself."""
    node = find_tool("node", "Node.js (on Debian: apt-get install nodejs)")
    _at_least(node, NODE, run_tool(node, "--version"))
    return node


def claude_code() -> Path:
    """The program of Claude Code, as npm has it: a native one, in a package for each platform."""
    npm = find_tool("npm", "Node.js with npm (on Debian: apt-get install nodejs npm)")
    if sys.platform != "linux" or platform.machine() not in CLAUDE_CODE:
        raise Missing(f"no Claude Code is pinned for {sys.platform} {platform.machine()}: add it to CLAUDE_CODE")
    name, version, integrity = CLAUDE_CODE[platform.machine()]

    def install(folder: Path) -> None:
        unpack_npm(npm, name, version, integrity, folder / "claude-code")

    return keep(f"claude-code-{version}", integrity.encode(), install) / "claude-code/claude"


def go_client() -> Path:
    """The program made of go/main.go; go.sum pins what it is made from."""
    names = [str(path) for path in CACHE.parent.glob("go-*/go/bin")]  # what the cluster was built with
    found = shutil.which("go", path=os.pathsep.join([os.environ["PATH"], *names]))
    if found is None:
        raise Missing("no go here: install Go 1.24 or newer (on Debian: apt-get install golang-go)")
    _at_least(found, GO, run_tool(found, "version", GOTOOLCHAIN="local"))
    files = [HERE / "go" / name for name in ("go.mod", "go.sum", "main.go")]

    def install(folder: Path) -> None:
        settings = {"GOFLAGS": "-mod=readonly -modcacherw", "GOTOOLCHAIN": "local", "CGO_ENABLED": "0"}
        run_tool(found, "build", "-trimpath", "-o", str(folder / "client"), ".", cwd=HERE / "go", **settings)

    return keep("go", b"".join(file.read_bytes() for file in files), install) / "client"


def java_client() -> list[str]:
    """The command that runs java/Client.java; jars.sha256 pins what it runs with."""
    java, javac = (find_tool(name, "a JDK (on Debian: default-jdk-headless)") for name in ("java", "javac"))
    maven = find_tool("mvn", "Maven (on Debian: maven)")
    shown = subprocess.run([java, "-version"], check=False, capture_output=True, text=True).stderr
    _at_least(java, JAVA, shown)
    pom, sums, source = (HERE / "java" / name for name in ("pom.xml", "jars.sha256", "Client.java"))
    pinned = dict(reversed(line.split()) for line in sums.read_text().splitlines())

    def install(folder: Path) -> None:
        jars, options = folder / "jars", ["-DincludeScope=runtime", f"-DoutputDirectory={folder / 'jars'}"]
        run_tool(maven, "-q", "-B", "-f", str(pom), "dependency:copy-dependencies", *options)
        found = {jar.name: hashlib.sha256(jar.read_bytes()).hexdigest() for jar in jars.iterdir()}
        if found != pinned:
            wrong = sorted(dict(found.items() ^ pinned.items()))
            raise ValueError(f"Maven's files are not those of jars.sha256: {', '.join(wrong)}")
        run_tool(javac, "-classpath", f"{jars}/*", "-d", str(folder / "classes"), str(source))

    files = b"".join(file.read_bytes() for file in (pom, sums, source))
    folder = keep("java", files, install)
    return [java, "-classpath", f"{folder}/classes:{folder}/jars/*", "Client"]


def unpack_npm(npm: str, name: str, version: str, integrity: str, folder: Path) -> None:
    """Unpack one package into a folder, if it is what was pinned."""
    with tempfile.TemporaryDirectory(dir=CACHE) as place:
        run_tool(npm, "pack", "--silent", "--ignore-scripts", "--pack-destination", place, f"{name}@{version}")
        [archive] = Path(place).iterdir()
        with archive.open("rb") as file:
            digest = hashlib.file_digest(file, "sha512").digest()
        found = f"sha512-{base64.b64encode(digest).decode()}"
        if found != integrity:
            raise ValueError(f"{name}@{version} is {found}, and not {integrity}")
        with tarfile.open(archive) as tar:
            tar.extractall(place, filter="data")
        folder.parent.mkdir(parents=True, exist_ok=True)
        [top] = (path for path in Path(place).iterdir() if path.is_dir())
        top.rename(folder)


def keep(name: str, made_from: bytes, install: Callable[[Path], None]) -> Path:
    """The folder of something that is installed once for what it is made from."""
    done = CACHE / f"{name}-{hashlib.sha256(made_from).hexdigest()[:12]}"
    with _locked(name):
        if not done.exists():
            with tempfile.TemporaryDirectory(dir=CACHE) as work:
                install(Path(work, "new"))
                Path(work, "new").rename(done)
    return done


@contextmanager
def _locked(name: str) -> Iterator[None]:
    CACHE.mkdir(parents=True, exist_ok=True)
    with (CACHE / f"{name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def find_tool(name: str, what: str) -> str:
    """Where a program is; raises `Missing` that says what to install."""
    found = shutil.which(name)
    if found is None:
        raise Missing(f"no {name} in the PATH: install {what}")
    return found


def _at_least(program: str, wanted: tuple[int, ...], shown: str) -> None:
    """Raise `Missing` for a program whose version is older."""
    version = re.search(r"(\d+)\.(\d+)", shown)
    if version is None or tuple(map(int, version.groups())) < wanted:
        number = ".".join(map(str, wanted))
        raise Missing(f"{program} is {shown.splitlines()[0] if shown else 'broken'}: install {number} or newer")


def run_tool(*command: str, cwd: Path | None = None, **environment: str) -> str:
    """What a command prints; raises with what it said where it fails."""
    env = {**os.environ, **environment}
    done = subprocess.run(command, check=False, capture_output=True, text=True, timeout=1500, cwd=cwd, env=env)
    if done.returncode:
        said = (done.stderr or done.stdout)[-2000:]
        raise RuntimeError(f"{' '.join(command)} failed: {said}\nInstall where there is a network: {_AGAIN}")
    return done.stdout


_AGAIN = "python -m tests.clients.packages"
CLIENTS: dict[str, Callable[[], object]] = {
    "Python SDK and Claude Agent SDK": python_packages,
    "TypeScript SDK and Claude Agent SDK": node_modules,
    "Claude Code": claude_code,
    "Java SDK": java_client,
    "Go SDK": go_client,
}


def main() -> None:
    """Install all that this machine has the tools for, and say what it lacks."""
    for name, install in CLIENTS.items():
        print(f"==> {name} for the tests", file=sys.stderr, flush=True)
        try:
            install()
        except Missing as reason:  # its tests say so again
            print(f"==> {name}: {reason}", file=sys.stderr)


if __name__ == "__main__":
    main()
