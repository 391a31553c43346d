"""What commands decide without a cluster: exit codes, what may be asked, who keeps a spec, what kubectl says."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from tests.cli.test_views import never_seen, not_accepted, on_trial, paused, rolled_back
from tests.scenarios.world import World

from claude_operator.cli import kubectl, wishes
from claude_operator.cli.deployment import status_of
from claude_operator.cli.failure import Exit, Failure
from claude_operator.cli.follow import Followed
from claude_operator.cli.gitops import warn_of
from claude_operator.cli.main import main

ROOT = Path(__file__).parents[2]
Object = dict[str, Any]


# ------------------------------------------------------------------------------------------------------ exit codes


def test_the_outcome_of_the_rollout_that_was_seen_first_is_the_exit_code() -> None:
    world = on_trial()
    followed = Followed()
    assert followed.code(world.owner) is None
    world.say("Be precise.")
    world.until(lambda w: w.weight == 0)
    world.until(lambda w: w.weight == 1000)
    assert followed.code(world.owner) == Exit.SUPERSEDED
    assert Followed().code(world.owner) is None


def test_a_rollout_that_is_over_has_its_code_at_once() -> None:
    assert Followed().code(rolled_back().owner) == Exit.ROLLED_BACK
    assert Followed().code(not_accepted().owner) == Exit.REJECTED
    assert Followed().code(never_seen().owner) is None


def test_a_rollback_is_told_though_a_retry_has_begun_meanwhile() -> None:
    world = on_trial()
    followed = Followed()
    assert followed.code(world.owner) is None
    trial = followed.trial or ""
    world.annotate("abort", trial)
    world.run(1)
    world.annotate("retry", trial)
    world.until(lambda w: w.weight == 1000)
    assert followed.code(world.owner) == Exit.ABORTED


# ---------------------------------------------------------------------------------------------------------- wishes


def test_each_wish_names_the_trial_and_is_taken() -> None:
    world = on_trial()
    trial = status_of(world.owner).rollout.trial  # type: ignore[union-attr]
    wish = wishes.abort(world.owner)
    assert (wish.annotation, wish.value) == ("claudeops.dev/abort", trial)
    assert wishes.promote(world.owner, full=False).value == f"{trial}/1"
    assert wishes.promote(world.owner, full=True).value == f"{trial}/full"
    assert not wish.is_handled(world.owner)
    world.annotate("abort", wish.value)
    world.run(1)
    assert wish.is_handled(world.owner)
    assert wishes.retry(world.owner).value == trial
    by = {"claudeops.dev/abort": trial, "claudeops.dev/by": "alice"}
    assert wishes.patch(wish, "alice") == {"metadata": {"annotations": by}}
    assert wishes.patch(wish, "") == {"metadata": {"annotations": {"claudeops.dev/abort": trial}}}


def test_what_could_have_no_effect_is_refused_with_what_to_do() -> None:
    settled = World()
    settled.settle()
    for ask in (wishes.abort, wishes.retry, lambda obj: wishes.promote(obj, full=True)):
        with pytest.raises(Failure, match=r"^no "):
            ask(settled.owner)
    with pytest.raises(Failure, match="kubectl claude resume support -n demo"):
        wishes.promote(paused().owner, full=False)
    with pytest.raises(Failure, match=r"no rollout is in progress\. Rolled back"):
        wishes.abort(rolled_back().owner)


# ---------------------------------------------------------------------------------------------------------- gitops


def managed(manager: str, operation: str = "Update", field: str = "f:spec") -> Object:
    return {"managedFields": [{"manager": manager, "operation": operation, "fieldsV1": {field: {}}}]}


@pytest.mark.parametrize(
    ("metadata", "says"),
    [
        (managed("argocd-controller", "Apply"), "Argo CD keeps"),
        (managed("argocd-application-controller"), "Argo CD keeps"),
        (managed("kustomize-controller", "Apply"), "Flux keeps"),
        (managed("helm-controller"), "Flux keeps"),
        (managed("helm"), "Helm keeps"),
        ({"labels": {"argocd.argoproj.io/instance": "shop"}}, "Argo CD keeps"),
        ({"annotations": {"argocd.argoproj.io/tracking-id": "a"}}, "Argo CD keeps"),
        ({"labels": {"kustomize.toolkit.fluxcd.io/name": "shop"}}, "Flux keeps"),
        ({"annotations": {"meta.helm.sh/release-name": "shop"}, **managed("helm")}, "Helm keeps"),
        (managed("kubectl", "Apply"), "the next `kubectl apply`"),
        ({"annotations": {"kubectl.kubernetes.io/last-applied-configuration": "{}"}}, "the next `kubectl apply`"),
        (managed("argocd-controller", field="f:status"), None),
        (managed("kubectl-claude"), None),
        ({}, None),
    ],
)
def test_who_would_undo_a_change_is_told(metadata: Object, says: str | None) -> None:
    found = warn_of({"metadata": metadata})
    assert (found is None) if says is None else (found is not None and says in found)


def test_the_rollout_of_an_older_spec_is_not_followed() -> None:
    world = on_trial()
    world.say("Be precise.")
    followed = Followed()
    assert followed.code(world.owner) is None
    assert followed.trial is None


# --------------------------------------------------------------------------------------------------------- kubectl


@pytest.mark.parametrize(
    ("said", "message", "reason", "passing"),
    [
        ('Error from server (NotFound): cld "a" not found\n', 'refused: cld "a" not found', "NotFound", False),
        ("Error from server (Timeout): try again", "the API server refused: try again", "Timeout", True),
        ("Error from server: etcdserver: leader changed", "refused: etcdserver: leader changed", "", True),
        ("E1130 18:00:00.1 memcache.go:265] x\nThe connection to a:1 was refused", "The connection to", "", True),
        ('error: context "x" does not exist', 'context "x" does not exist', "", True),
        ('error: the server doesn\'t have a resource type "cld"', "install claude-operator first", "NotFound", False),
        ("error: You must be logged in to the server (Unauthorized)", "You must be logged in", "Unauthorized", False),
        ("", "kubectl failed without a word", "", True),
    ],
)  # fmt: skip
def test_errors_of_kubectl_are_sentences(said: str, message: str, reason: str, passing: bool) -> None:
    found = kubectl._error(said)
    assert message in str(found)
    assert (found.reason, found.is_passing) == (reason, passing)


def test_without_kubectl_it_says_so(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    assert main(["status", "support"]) == Exit.FAILED
    assert "kubectl is not in PATH" in capsys.readouterr().err


@pytest.mark.parametrize(
    "words",
    [
        ["status", "--watch"],
        ["status", "a", "--timeout", "1m"],
        ["status", "pod/a"],
        ["abort"],
        ["status", "a", "-A"],
        ["x"],
    ],
)
def test_wrong_options_have_the_exit_code_of_usage(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(words) == Exit.USAGE
    assert "Error: " in capsys.readouterr().err


# --------------------------------------------------------------------------------------------------------- loading


def loaded(module: str) -> set[str]:
    """Top-level packages from elsewhere that a process has after it imported a module."""
    code = (
        f"import sys, {module}\n"
        "files = ((name, str(getattr(module, '__file__', ''))) for name, module in sys.modules.items())\n"
        "print(*{name.partition('.')[0] for name, file in files if 'site-packages' in file})"
    )
    env = {**os.environ, "PYTHONPATH": str(ROOT / "operator")}
    done = subprocess.run([sys.executable, "-c", code], env=env, check=True, capture_output=True, text=True)
    return set(done.stdout.split())


def test_operator_and_gateway_do_not_load_what_paints_a_terminal() -> None:
    for module in ("claude_operator.gateway.cli", "claude_operator.gateway.server", "claude_operator.shell.app"):
        assert "rich" not in loaded(module)


def test_the_archive_has_all_that_the_command_line_loads() -> None:
    pinned = (ROOT / "requirements-plugin.txt").read_text()
    packages = {line.partition("==")[0].replace("-", "_") for line in pinned.splitlines() if "==" in line}
    found = {{"yaml": "pyyaml"}.get(name, name) for name in loaded("claude_operator.cli.main")}
    assert found - {"_distutils_hack"} <= packages
