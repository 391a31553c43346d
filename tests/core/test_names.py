"""Names are functions of the owner, fit their limits, and stay apart."""

from __future__ import annotations

import re
from typing import Any

import pytest

from claude_operator.core import names

LONGEST = "a" * 40
DIGEST = "5f6d8c1a2b"
SET_HASH = "0123456789abcdef" * 4
LABEL = re.compile(r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?")


def test_children() -> None:
    assert names.gateway_name("support") == "support-gateway"
    assert names.client_secret("support") == "support-client"
    assert names.grader_secret("support") == "support-grader"
    assert names.eval_account("support") == "support-eval"
    assert names.revision_name("support", DIGEST) == "support-5f6d8c1a2b"
    assert names.eval_run_name("support-5f6d8c1a2b", SET_HASH) == "support-5f6d8c1a2b-01234567"
    assert names.job_name("support-5f6d8c1a2b-01234567", 2) == "support-5f6d8c1a2b-01234567-2"
    assert names.gateway_url("support", "demo") == "http://support-gateway.demo.svc"


def test_the_longest_deployment_name_fits_everywhere() -> None:
    revision = names.revision_name(LONGEST, DIGEST)
    run = names.eval_run_name(revision, SET_HASH)
    all_names = [
        names.gateway_name(LONGEST),
        names.client_secret(LONGEST),
        names.eval_account(LONGEST),
        revision,
        run,
        *(names.job_name(run, attempt) for attempt in (1, 9, 10, 99, 100, 12345)),
    ]
    assert [name for name in all_names if not LABEL.fullmatch(name)] == []
    assert len(set(all_names)) == len(all_names)
    assert names.job_name(run, 1) == f"{run}-1"


@pytest.mark.parametrize("run", ["r" * 253, "nightly.2026-05-01", "n" * 51 + "-" * 9 + "x", "a.b" * 80])
def test_a_run_name_made_by_hand_gives_a_job_name(run: str) -> None:
    job = names.job_name(run, 1)
    assert LABEL.fullmatch(job)
    assert job.endswith("-1")
    assert job == names.job_name(run, 1)


def test_cut_and_mended_run_names_stay_apart() -> None:
    runs = ["r" * 100, "r" * 101, "nightly.one", "nightly-one"]
    assert len({names.job_name(run, 1) for run in runs}) == len(runs)


def test_labels_fit_and_hold_the_selector() -> None:
    for component in ("gateway", "eval"):
        labels = names.labels(LONGEST, component)
        assert names.selector(LONGEST, component).items() <= labels.items()
        assert all(len(value) <= 63 for value in labels.values())
    assert names.labels("support", "gateway") == {
        "app.kubernetes.io/name": "claude-gateway",
        "app.kubernetes.io/instance": "support",
        "app.kubernetes.io/managed-by": "claude-operator",
        "app.kubernetes.io/component": "gateway",
        "claudeops.dev/deployment": "support",
    }


OWNER = {
    "apiVersion": "claudeops.dev/v1alpha1",
    "kind": "ClaudeDeployment",
    "metadata": {"name": "support", "namespace": "demo", "uid": "u1", "generation": 3},
}


def test_owner_reference_names_the_controller() -> None:
    reference = names.owner_reference(OWNER)
    assert reference == {
        "apiVersion": "claudeops.dev/v1alpha1",
        "kind": "ClaudeDeployment",
        "name": "support",
        "uid": "u1",
        "controller": True,
        "blockOwnerDeletion": True,
    }
    assert names.is_controlled_by({"metadata": {"ownerReferences": [reference]}}, "u1")


@pytest.mark.parametrize(
    "metadata",
    [
        {},
        {"ownerReferences": None},
        {"ownerReferences": [{"uid": "u1"}]},
        {"ownerReferences": [{"uid": "u1", "controller": False}]},
        {"ownerReferences": [{"uid": "u2", "controller": True}]},
    ],
)
def test_another_controller_or_none_is_not_ours(metadata: dict[str, Any]) -> None:
    assert not names.is_controlled_by({"metadata": metadata}, "u1")
