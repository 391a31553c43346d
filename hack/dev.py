"""Set up what `make` needs: Python packages, a Kubernetes cluster, the operator's image.

Everything built or downloaded is kept in ~/.cache/claude-operator under names that hold its version or hash, so that
doing it again costs nothing. The cluster is, in this order:

  1. the kind cluster that CLUSTER_CONTEXT=kind-NAME names;
  2. the kind cluster `claude-operator`, when an earlier `make cluster-up` made it;
  3. on Debian or Ubuntu as root, the project's own (tests/cluster/node), named by TESTCLUSTER_NAME;
  4. a new kind cluster `claude-operator`.

No other context is ever read or changed: commands see a kubeconfig that holds this one alone.
"""

from __future__ import annotations

import argparse
import fcntl
import os
import sys
from collections.abc import Callable
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

import image
import packages
from clusters import choose
from steps import CACHE, ROOT, SetupError, say


def setup() -> None:
    """Make .venv with the pinned packages and the project itself."""
    packages.virtual_environment()


def cluster_up() -> None:
    """Start the cluster, building it the first time; do nothing when it runs."""
    choose().up()


def cluster_down() -> None:
    """Remove the cluster, if `cluster-up` made it."""
    choose().down()


def browser() -> None:
    """Install Debian's Chromium, for the tests that open a page; where it cannot be had they are skipped."""
    try:
        packages.debian(chromium="chromium")
    except SetupError as error:
        say(f"no Chromium for the tests of pages: {error}")


def database() -> None:
    """Install Debian's PostgreSQL, for the tests of a store in it; where it cannot be had they are skipped."""
    if list(Path("/usr/lib/postgresql").glob("*/bin/initdb")):
        return
    try:
        packages.debian(postgresql="initdb")
    except SetupError as error:
        say(f"no PostgreSQL for the tests of a store in it: {error}")


def build_image() -> None:
    """Build the operator's image from this checkout, unless it is cached, and load it into the cluster."""
    cluster = choose()
    CACHE.mkdir(parents=True, exist_ok=True)
    with (CACHE / "image.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # buildah's storage and the archive are shared by all checkouts
        reference = image.build(cluster)
        cluster.load(reference, image.archive(reference))
    say(f"image {reference} is in {cluster}")


def run(command: list[str]) -> None:
    """Become COMMAND, in the cluster's network, with KUBECONFIG and CLAUDE_OPERATOR_IMAGE set."""
    cluster = choose()
    os.environ["CLAUDE_OPERATOR_CLUSTER"] = str(cluster)  # tests tell by it that KUBECONFIG is not the user's own
    loaded = cluster.loaded()
    if loaded:
        os.environ["CLAUDE_OPERATOR_IMAGE"] = loaded
        if loaded != image.reference():
            say(f"the cluster's image {loaded} is not of this source: `make image` loads that")
    cluster.exec(command)


VERBS: dict[str, Callable[[], None]] = {
    "setup": setup,
    "browser": browser,
    "database": database,
    "cluster-up": cluster_up,
    "cluster-down": cluster_down,
    "image": build_image,
}


def main() -> None:
    """Do what the first argument names."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    verbs = parser.add_subparsers(dest="verb", required=True, metavar="VERB")
    for name, action in VERBS.items():
        verbs.add_parser(name, help=action.__doc__, description=action.__doc__)
    verb = verbs.add_parser("exec", help=run.__doc__, description=run.__doc__)
    verb.add_argument("command", nargs="+", metavar="COMMAND")
    arguments = parser.parse_args()
    os.chdir(ROOT)
    try:
        if arguments.verb == "exec":
            run(arguments.command)
        else:
            VERBS[arguments.verb]()
    except SetupError as error:
        sys.exit(f"make: {error}")


if __name__ == "__main__":
    main()
