"""Where things are, and how other programs are run."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NoReturn

HERE = Path(__file__).resolve().parent
BASE = Path(os.environ.get("TESTCLUSTER_DIR") or "~/.cache/claude-operator/cluster").expanduser().absolute()
PACKAGES = {  # tool: Debian package
    "go": "golang",
    "containerd": "containerd",
    "ctr": "containerd",
    "runc": "runc",
    "iptables": "iptables",
    "ip": "iproute2",
    "openssl": "openssl",
    "/usr/lib/cni/ptp": "containernetworking-plugins",
    "buildah": "buildah",
    "debootstrap": "debootstrap",
}
os.environ["PATH"] += ":/usr/local/sbin:/usr/sbin:/sbin"


def die(message: str) -> NoReturn:
    """End with a message for people."""
    sys.exit(f"cluster: {message}")


def sh(*command: object, **options: Any) -> subprocess.CompletedProcess[Any]:
    """Run a command; CalledProcessError when it fails."""
    return subprocess.run([str(word) for word in command], check=True, **options)


def need(*tools: str) -> None:
    """End unless this runs as root and has these tools; name the packages that bring them."""
    if os.geteuid():
        die("must run as root: it makes namespaces, mounts and cgroups")
    missing = [tool for tool in tools if not shutil.which(tool)]
    if missing:
        packages = " ".join(dict.fromkeys(PACKAGES[tool] for tool in missing))
        die(f"missing {', '.join(missing)}: apt-get install --no-install-recommends {packages}")


def wait_until(condition: Callable[[], object], *errors: type[Exception]) -> None:
    """Try until the condition is true; these errors count as false."""
    while True:
        try:
            if condition():
                return
        except errors:
            pass
        time.sleep(0.1)
