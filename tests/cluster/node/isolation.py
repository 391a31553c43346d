"""What the kernel does for a cluster: namespaces, mounts, cgroups."""

from __future__ import annotations

import ctypes
import os
from collections.abc import Iterator
from pathlib import Path

from common import sh

NODE_IP, SERVICES = "192.0.2.1", "10.96.0.0/16"  # config/ has these too
NEWNS, NEWCGROUP, NEWUTS, NEWIPC, NEWPID, NEWNET = 0x20000, 0x2000000, 0x4000000, 0x8000000, 0x20000000, 0x40000000
# The kubelet insists on these machine-wide settings; it is shown files that agree, and the machine keeps its own.
TUNABLES = {
    "vm/overcommit_memory": 1,
    "vm/panic_on_oom": 0,
    "kernel/panic": 10,
    "kernel/panic_on_oops": 1,
    "kernel/keys/root_maxkeys": 1000000,
    "kernel/keys/root_maxbytes": 25000000,
}
libc = ctypes.CDLL(None, use_errno=True)


def unshare(flags: int) -> None:
    """Put this process, or its children for NEWPID, into new namespaces."""
    _checked(libc.unshare(flags))


def enter_network(pid: int) -> None:
    """Put this process into the network of another."""
    with Path(f"/proc/{pid}/ns/net").open() as namespace:
        _checked(libc.setns(namespace.fileno(), NEWNET))


def _checked(result: int) -> None:
    if result:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))


def mount(*args: object) -> None:
    """Mount without a note in /etc/mtab."""
    sh("mount", "-n", *args)


def started(pid: int | str) -> str | None:
    """When a process started (a reused pid differs), or None when it has ended."""
    try:
        state, *fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        return None if state == "Z" else fields[18]
    except OSError:
        return None


def hierarchies() -> Iterator[tuple[Path, list[str]]]:
    """Each mounted cgroup hierarchy: its mount point and its options (none: version 2)."""
    controllers = {line.split()[0] for line in Path("/proc/cgroups").read_text().splitlines()}
    for line in Path("/proc/self/mounts").read_text().splitlines():
        _, point, kind, options, *_ = line.split()
        if kind in ("cgroup", "cgroup2"):
            yield Path(point), [o for o in options.split(",") if o in controllers or o.startswith("name=")]


def join_cgroup(path: str) -> None:
    """Move this process into a cgroup of every hierarchy."""
    for point, _ in hierarchies():
        group = point / path
        group.mkdir(exist_ok=True)
        for file in ("cpuset.cpus", "cpuset.mems"):  # in version 1 these start empty, and let no process in
            if (group / file).exists() and not (group / file).read_text().strip():
                (group / file).write_text((group.parent / file).read_text())
        (group / "cgroup.procs").write_text(str(os.getpid()))


def isolate(state: Path, cgroup: str, programs: Path) -> None:
    """Give the node its own /proc, cgroups, /run, /var/lib and /var/log, and a network without a way out."""
    mount("--make-rprivate", "/")
    _own_cgroups(cgroup)
    for path, value in TUNABLES.items():
        file = state / "tunables" / path.replace("/", ".")
        file.write_text(f"{value}\n")
        mount("--bind", file, f"/proc/sys/{path}")
    mount("-t", "tmpfs", "-o", "mode=755", "run", state / "run")
    for folder, source in (("cluster", state), ("bin", programs)):
        (state / "run" / folder).mkdir()
        mount("--bind", source, state / "run" / folder)
    mount("--move", state / "run", "/run")
    mount("-t", "tmpfs", "-o", "mode=755", "lib", "/var/lib")
    mount("--bind", "/run/cluster/log", "/var/log")
    mount("--make-rshared", "/")  # for volumes with mountPropagation
    _own_network()


def _own_cgroups(cgroup: str) -> None:
    """Show /proc and the cgroups as they are seen from inside the new namespaces."""
    groups = list(hierarchies())
    mount("-t", "proc", "proc", "/proc")
    join_cgroup(f"{cgroup}/node")  # version 2 wants the cgroup that will hold the pods to hold no process
    sh("umount", "--recursive", "--lazy", "/sys/fs/cgroup")
    if any(options for _, options in groups):
        mount("-t", "tmpfs", "cgroup", "/sys/fs/cgroup")
    for point, options in groups:
        point.mkdir(exist_ok=True)
        named = ["none"] if any("=" in option for option in options) else []
        mount("-t", *(["cgroup", "-o", ",".join(named + options)] if options else ["cgroup2"]), "cgroup", point)


def _own_network() -> None:
    """Give the node an address, and Services a route."""
    sh("ip", "link", "set", "lo", "up")
    sh("ip", "link", "add", "node0", "type", "bridge")
    sh("ip", "address", "add", NODE_IP, "dev", "node0")
    sh("ip", "link", "set", "node0", "up")
    sh("ip", "route", "add", SERVICES, "dev", "node0", "src", NODE_IP)
    Path("/proc/sys/net/ipv4/ip_forward").write_text("1")
