"""A PostgreSQL of the tests' own: on loopback, in a folder of its own, as a user without rights."""

from __future__ import annotations

import os
import pwd
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg
from tests.ports import free_ports

_PASSWORD = "not-a-secret"
_PATIENCE = 60.0


def programs() -> Path | None:
    """The folder of `initdb` and `postgres`; None where PostgreSQL is not installed."""
    found = [path for path in Path("/usr/lib/postgresql").glob("*/bin") if (path / "initdb").exists()]
    if found:
        return max(found, key=lambda path: int(path.parent.name) if path.parent.name.isdigit() else 0)
    initdb = shutil.which("initdb")
    return Path(initdb).resolve().parent if initdb else None


@contextmanager
def running_postgres() -> Iterator[str]:
    """The URL of its database."""
    where = programs()
    assert where is not None
    folder = Path(tempfile.mkdtemp(prefix="claude-postgres-"))
    user = _unprivileged()
    try:
        password = folder / "password"
        password.write_text(_PASSWORD)
        if user is not None:
            for path in (folder, password):
                os.chown(path, user.pw_uid, user.pw_gid)
        as_user = {"user": user.pw_uid, "group": user.pw_gid, "extra_groups": []} if user else {}
        make = [where / "initdb", "--pgdata", folder / "data", "--username", "claude", "--encoding", "UTF8"]
        make += ["--locale", "C", "--auth", "scram-sha-256", "--pwfile", password, "--no-sync"]
        subprocess.run(make, check=True, capture_output=True, cwd="/", **as_user)
        (port,) = free_ports(1)
        serve = [where / "postgres", "-D", folder / "data", "-p", str(port), "-k", folder, "-c", "fsync=off"]
        with (folder / "log").open("w") as log:
            server = subprocess.Popen(
                [*serve, "-c", "listen_addresses=127.0.0.1"], stdout=log, stderr=log, cwd="/", **as_user
            )
        try:
            url = f"postgresql://claude:{_PASSWORD}@127.0.0.1:{port}/postgres"
            _wait(url, folder / "log")
            yield url
        finally:
            server.terminate()
            server.wait()
    finally:
        shutil.rmtree(folder)


def _unprivileged() -> pwd.struct_passwd | None:
    """PostgreSQL does not run as root."""
    return None if os.geteuid() else pwd.getpwnam("nobody")


def _wait(url: str, log: Path) -> None:
    begun = time.monotonic()
    while True:
        try:
            psycopg.connect(url, connect_timeout=2).close()
        except psycopg.OperationalError as error:
            if time.monotonic() - begun > _PATIENCE:
                raise AssertionError(f"PostgreSQL does not answer: {error}\n{log.read_text()[-2000:]}") from error
            time.sleep(0.1)
        else:
            return
