"""Calls to the API server by `kubectl`: so a command always means the cluster, user and namespace that kubectl means.

A client of our own would have to read kubeconfigs as kubectl does: several files, credential plugins that ask on the
terminal, impersonation, proxies. A difference there would abort a rollout in another cluster.
"""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from claude_operator.cli.failure import Failure

__all__ = ["MANAGER", "Kubectl", "KubectlError", "Object"]

Object = dict[str, Any]

MANAGER = "kubectl-claude"
"""The field manager of what a person changes by these commands; Events name it."""

_LOG_LINE = re.compile(r"^[IWEF]\d{4} ")
_ANSWER = re.compile(r"^Error from server(?: \((\w+)\))?: (.*)$", re.DOTALL)
_NO_SUCH_KIND = "doesn't have a resource type"
_NO_LOGIN = "You must be logged in to the server"
_CALL = 30  # seconds for a call
_SILENT = 1.0  # seconds until what kubectl says beside its answer is shown
_LINES = 20_000  # the newest of each pod


class KubectlError(Failure):
    """kubectl could not do it. `reason` is the API server's word, empty where it said nothing."""

    def __init__(self, message: str, reason: str = "") -> None:
        super().__init__(message)
        self.reason = reason

    @property
    def is_passing(self) -> bool:
        """Whether the same call may succeed in a moment: nobody answered, or the server had a fault."""
        lasting = ("NotFound", "Forbidden", "Unauthorized", "Invalid", "BadRequest", "MethodNotAllowed")
        return self.reason not in lasting


class Kubectl:
    """kubectl with the flags that choose cluster, user and namespace."""

    def __init__(self, flags: Sequence[str] = ()) -> None:
        self._flags = tuple(flags)

    def within(self, namespace: str) -> Kubectl:
        """The same in another namespace; of two flags kubectl takes the last."""
        return Kubectl([*self._flags, f"--namespace={namespace}"]) if namespace else self

    def get(self, kind: str, name: str, *more: str) -> Object:
        """One object."""
        return self._json("get", kind, name, *more)

    def find(self, kind: str, name: str) -> Object | None:
        """One object, None where it does not exist."""
        text = self._run("get", kind, name, "--ignore-not-found", "--output=json")
        return json.loads(text) if text.strip() else None

    def list(self, kind: str, *more: str) -> list[Object]:
        """Objects of a kind."""
        items: list[Object] = self._json("get", kind, *more)["items"]
        return items

    def merge(self, kind: str, name: str, patch: Object) -> Object:
        """A small JSON merge patch."""
        words = ("--type=merge", f"--patch={json.dumps(patch)}", f"--field-manager={MANAGER}")
        return self._json("patch", kind, name, *words)

    def edit(self, kind: str, name: str, operations: Sequence[Object], *, dry_run: bool = False) -> Object:
        """A JSON patch of any size; with `dry_run` the API server only checks it."""
        words = ["--type=json", f"--field-manager={MANAGER}", *(["--dry-run=server"] if dry_run else [])]
        with tempfile.TemporaryDirectory() as folder:  # an argument has room for 128 KiB
            path = Path(folder) / "patch.json"
            path.write_text(json.dumps(operations), encoding="utf-8")
            return self._json("patch", kind, name, *words, f"--patch-file={path}")

    def create(self, body: Object) -> Object:
        """Create an object."""
        text = self._run(
            "create", "--filename=-", "--output=json", f"--field-manager={MANAGER}", given=json.dumps(body)
        )
        found: Object = json.loads(text)
        return found

    def logs(self, selector: str, since: str) -> str:
        """Lines of the pods with these labels since a moment."""
        return self._run(
            "logs", f"--selector={selector}", f"--since-time={since}", f"--tail={_LINES}", "--max-log-requests=100"
        )

    def whoami(self) -> str:
        """The name that the API server knows the user by; empty where it does not tell."""
        try:
            found = self._json("auth", "whoami")
        except KubectlError:
            return ""
        return str(((found.get("status") or {}).get("userInfo") or {}).get("username") or "")

    def _json(self, *words: str) -> Object:
        found: Object = json.loads(self._run(*words, "--output=json"))
        return found

    def _run(self, *words: str, given: str | None = None) -> str:
        program = shutil.which("kubectl")
        if program is None:
            raise Failure("kubectl is not in PATH: install it, since it is what speaks with the cluster")
        command = [program, *words, *self._flags, f"--request-timeout={_CALL}s"]
        code, out, err = _spoken(command, given, time.monotonic() + 10 * _CALL)
        if code is None:
            raise KubectlError(f"kubectl {words[0]} has not ended in {10 * _CALL} s")
        if code:
            raise _error(err)
        return out


def _spoken(command: Sequence[str], given: str | None, end: float) -> tuple[int | None, str, str]:
    """Exit code (None where it has not ended), output and errors; what a credential plugin asks is shown at once."""
    pipe, shown = subprocess.PIPE, 0
    stdin = None if given is None else pipe
    with subprocess.Popen(  # noqa: S603  (words of ours and the person's own flags, no shell)
        command, stdin=stdin, stdout=pipe, stderr=pipe, text=True, encoding="utf-8"
    ) as process:
        try:
            while time.monotonic() < end:
                try:
                    out, err = process.communicate(given, timeout=_SILENT)
                    return process.returncode, out, err
                except subprocess.TimeoutExpired as late:
                    given, said = None, late.stderr or b""
                    if sys.stdin.isatty() and isinstance(said, bytes):
                        sys.stderr.write(said[shown:].decode(errors="replace"))
                        sys.stderr.flush()
                        shown = len(said)
            return None, "", ""
        finally:
            if process.poll() is None:
                process.kill()


def _error(text: str) -> KubectlError:
    said = "\n".join(line for line in text.splitlines() if not _LOG_LINE.match(line)).strip()
    if _NO_SUCH_KIND in said:
        return KubectlError("this cluster has no ClaudeDeployments: install claude-operator first", "NotFound")
    if _NO_LOGIN in said:
        return KubectlError(said.removeprefix("error: "), "Unauthorized")
    answer = _ANSWER.match(said)
    if answer:
        return KubectlError(f"the API server refused: {answer[2].strip()}", answer[1] or "")
    return KubectlError(said.removeprefix("error: ") or "kubectl failed without a word")
