"""What large specs cost a real API server: lists and nested values are bounded, and no account is kept of each key.

`python -m bench.apiserver` measures the seconds.
"""

from __future__ import annotations

import copy
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from bench.apiserver.objects import KINDS
from tests.apiserver.client import KINDS as RESOURCES
from tests.apiserver.client import ApiError, Client, refusal, wait_for
from tests.apiserver.conftest import apply_crds, new_namespace
from tests.apiserver.definitions import leave_out
from tests.apiserver.objects import SPEC, deployment
from tests.apiserver.process import rendered
from tests.apiserver.server import ApiServer
from tests.cluster import attacks

Object = dict[str, Any]
REFUSED = {  # kinds of the benchmark that are not stored, and by what
    "128 tools with [{}, {}, ...] in their schemas": "have 10000 values at most",
    "128 tools with {k0: {}, ...} in their schemas": "have 10000 values at most",
    "32 subagents with 128 tools each": "subagents have 1024 tools at most in all",
    "a field with 9,000 long keys": "request and subagents together have 2000 fields at most",
    "metadata with many keys": "1024 at most in one list or object",
    "an unknown field with many keys": "1024 at most in one list or object",
    "an unknown field with a long list": "1024 at most in one list or object",
    "an eval set of 200 items with 200 asserts each": "must have at most 64 items",
    "an eval set of 200 nested conversations": "keep the items of an eval set in a dataset",
}


def limit(admin: Client, helm: Path, namespace: str) -> list[Object]:
    """Put the chart's policy in force in this namespace; returns its objects."""
    values = (f"fullnameOverride={namespace}", f"watchNamespaces={{{namespace}}}")
    policy = rendered(helm, "claude-system", *values, file="limits.yaml")
    for one in policy:
        admin.apply(one)
    wide = deployment("probe", request=SPEC["request"] | {"extra": [0] * 1_025})
    wait_for(lambda: refusal(admin, wide, namespace), 60, "the policy is not in force")
    return policy


@pytest.fixture
def limited(admin: Client, namespace: str, programs: Path) -> Iterator[str]:
    """A namespace in which the policy is in force."""
    policy = limit(admin, programs / "helm", namespace)
    yield namespace
    for one in policy:
        admin.delete(one["kind"], one["metadata"]["name"])


def managed(stored: Object) -> dict[str, Object]:
    """The fields of each manager below spec.request."""
    entries = [one for one in stored["metadata"]["managedFields"] if "f:spec" in one["fieldsV1"]]
    return {one["manager"]: one["fieldsV1"]["f:spec"].get("f:request", {}) for one in entries}


@pytest.mark.parametrize("title", KINDS)
def test_each_kind_of_large_object_is_taken_or_told_what_to_write(title: str, admin: Client, limited: str) -> None:
    said = refusal(admin, KINDS[title]("large"), limited)
    assert bool(said) == (title in REFUSED), said
    assert REFUSED.get(title, "") in said
    assert "expression '" not in said, "a refusal is a sentence"


def test_make_hostile_edits_what_the_limits_let_through(admin: Client, limited: str) -> None:
    for number in range(4):
        for _, body in attacks.items(number, hostile=True):
            assert not refusal(admin, body, limited)


def nested(levels: int, value: Any = 0) -> Any:
    """A value in so many objects."""
    return value if levels == 0 else {"in": nested(levels - 1, value)}


def test_the_limits_are_of_values_and_of_levels(admin: Client, limited: str) -> None:
    few = len(SPEC["request"]) + 1 + 3  # its fields, this one, and what is in the system block
    said: Callable[[Any], str] = lambda extra: refusal(  # noqa: E731
        admin, deployment(request=SPEC["request"] | {"extra": extra}), limited
    )
    assert not said([[0] * 998] * 10)
    assert few + 10 * 1_000 > 10_000
    assert "have 10000 values at most" in said([[0] * 999] * 10)
    assert not said([0] * 1_024)
    assert "1024 at most in one list or object" in said([0] * 1_025)
    assert "1024 at most in one list or object" in said({f"k{n}": 0 for n in range(1_025)})
    own = len(SPEC["request"]) + 1
    objects = lambda count: {f"k{n}": {"a": 0} for n in range(count)}  # noqa: E731
    assert not said(objects((2_000 - own) // 2))
    assert "have 2000 fields at most" in said(objects((2_000 - own) // 2 + 1))
    assert not said(list(objects(1_024).values()))
    assert not said({"k" * 64: {"k" * 64: [{"k" * 65: 0}]}})
    assert "with names of 64 characters at most" in said({"a": {"k" * 65: 0}})
    assert not said(nested(23))
    assert "and 24 levels" in said(nested(24))
    assert "and 24 levels" in said(nested(30, [[0] * 1_000] * 20))
    asserts = [{"type": "is-json"}] * 13
    tests = [{"id": str(n), "input": "x", "assert": asserts} for n in range(200)]
    assert "a set has 2500 asserts at most over all its tests" in refusal(admin, eval_set(tests=tests), limited)
    assert not refusal(admin, eval_set(tests=tests[:192]), limited)


def eval_set(**spec: Any) -> Object:
    metadata = {"name": "set"}
    return {"apiVersion": "claudeops.dev/v1alpha1", "kind": "ClaudeEvalSet", "metadata": metadata, "spec": spec}


def test_all_that_is_free_form_counts(admin: Client, limited: str) -> None:
    item = {"id": "a", "input": "x", "assert": [{"type": "is-json"}]}
    many = {f"k{n}": [0] * 1_000 for n in range(10)}
    for defaults in (
        {"vars": many},
        {"messages": [{"role": "user", "x": many}]},
        {"assert": [{"type": "is-json", "value": many}]},
    ):
        said = refusal(admin, eval_set(tests=[item], defaultTest=defaults), limited)
        assert "tests and defaultTest, together have 10000 values at most" in said
    block = {"configMapKeyRef": {"name": "m", "key": "k"}, "cache_control": {"type": "ephemeral", "x": many}}
    assert "have 10000 values at most" in refusal(admin, deployment(promptFrom=[block]), limited)
    long = {f"{n:0100}": "a" for n in range(256)}
    assert not refusal(admin, eval_set(tests=[item], defaultTest={"vars": long}), limited)


def test_a_set_of_200_ordinary_items_is_taken(admin: Client, limited: str) -> None:
    schema = {"type": "object", "required": ["a", "b"], "properties": {"a": {"type": "string"}, "b": {"type": "array"}}}
    tests = [
        {
            "id": str(number),
            "vars": {"question": "word " * 500, "tone": "kind", "list": ["a", "b", "c"]},
            "target": "four",
            "metadata": {"topic": "sums", "language": "en"},
            "toolResults": {"find": ["one", "two"]},
            "assert": [
                {"type": "is-json", "value": schema},
                {"type": "contains-any", "value": ["4", "four"], "weight": 2},
                {"type": "llm-rubric", "value": "is polite"},
            ],
        }
        for number in range(200)
    ]
    assert not refusal(admin, eval_set(tests=tests, defaultTest={"input": "{{question}}"}), limited)


def test_what_was_larger_before_can_be_paused_annotated_and_mended(
    admin: Client, namespace: str, programs: Path
) -> None:
    body = KINDS["128 tools with [{}, {}, ...] in their schemas"]("old")
    admin.create(body, namespace)
    policy = limit(admin, programs / "helm", namespace)
    try:
        patch: Callable[[Object], Object] = lambda change: admin.patch(  # noqa: E731
            "ClaudeDeployment", "old", namespace, change
        )
        patch({"metadata": {"annotations": {"claudeops.dev/abort": "old-1/1"}}})
        assert patch({"spec": {"paused": True}})["spec"]["paused"]
        patch({"spec": {"strategy": {"canary": {"steps": []}}}})
        subagents = {"small": {"request": {"model": "claude-haiku-5-5"}}}
        assert patch({"spec": {"subagents": subagents}})["spec"]["subagents"] == subagents
        admin.patch("ClaudeDeployment", "old", namespace, {"status": {"stableRevision": "a"}}, subresource="status")
        with pytest.raises(ApiError, match="have 10000 values at most"):
            patch({"spec": {"request": {"max_tokens": 7}}})
        assert patch({"spec": {"request": {"tools": None, "max_tokens": 7}}})["spec"]["request"]["max_tokens"] == 7
    finally:
        for one in policy:
            admin.delete(one["kind"], one["metadata"]["name"])


def test_lists_that_were_longer_before_stay_and_everything_else_can_change(own_server: ApiServer) -> None:
    admin = own_server.admin()
    namespace = new_namespace(admin, "before")
    leave_out(admin, "claudeevalsets", "maxItems", "x-kubernetes-validations")
    tests = [{"id": str(n), "input": "x", "assert": [{"type": "is-json"}] * 100} for n in range(30)]
    old = {"apiVersion": "claudeops.dev/v1alpha1", "kind": "ClaudeEvalSet", "metadata": {"name": "old"}}
    wait_for(lambda: not refusal(admin, {**old, "spec": {"tests": tests}}, namespace), 60, "the old set is refused")
    admin.create({**old, "spec": {"tests": tests}}, namespace)
    apply_crds(admin)
    said = lambda: refusal(admin, {**old, "spec": {"tests": tests}}, namespace)  # noqa: E731
    wait_for(lambda: "must have at most 64 items" in said(), 60, "the limits do not hold")
    assert admin.patch("ClaudeEvalSet", "old", namespace, {"spec": {"gate": {"passRate": 0.5}}})
    assert admin.patch("ClaudeEvalSet", "old", namespace, {"status": {"items": 30}}, subresource="status")
    assert admin.patch("ClaudeEvalSet", "old", namespace, {"spec": {"tests": tests[:20]}})


def test_no_account_is_kept_of_what_is_in_a_revision(admin: Client, namespace: str) -> None:
    """The operator alone writes it. Its definition says so of each field, that of a deployment of none."""
    request = {**SPEC["request"], "metadata": nested(3), "extra": nested(3)}
    revision = {"apiVersion": "claudeops.dev/v1alpha1", "kind": "ClaudeRevision", "metadata": {"name": "r"}}
    made = admin.create({**revision, "spec": {"request": request}}, namespace)
    assert list(managed(made).values()) == [{}]
    assert admin.take("ClaudeRevision", "r", namespace)["spec"]["request"] == request


def test_no_account_is_kept_of_the_variables_of_an_eval_set(admin: Client, namespace: str) -> None:
    free = {"vars": {"some": 1}, "metadata": {"some": "a"}}
    item = {"id": "a", "input": "x", "assert": [{"type": "is-json"}], "toolResults": {"some": ["a"]}, **free}
    made = admin.create(eval_set(tests=[item], defaultTest=free), namespace)
    assert "f:some" not in json.dumps(made["metadata"]["managedFields"])
    assert made["spec"]["tests"] == [item]


def test_a_revision_of_before_is_applied_again_and_loses_nothing(own_server: ApiServer) -> None:
    """Its managedFields then name each key of its request."""
    admin = own_server.admin()
    namespace = new_namespace(admin, "before")
    leave_out(admin, "clauderevisions", "x-kubernetes-map-type")
    request = {**SPEC["request"], "metadata": nested(3), "tools": [{"name": "a", "input_schema": {"type": "object"}}]}
    subagents = {"small": {"request": {"model": "claude-haiku-5-5", "metadata": nested(3)}}}
    body = {
        "apiVersion": "claudeops.dev/v1alpha1",
        "kind": "ClaudeRevision",
        "metadata": {"name": "r", "namespace": namespace},
        "spec": {"request": request, "subagents": subagents},
    }

    def is_kept_account_of() -> bool:
        admin.delete("ClaudeRevision", "r", namespace)
        return "f:max_tokens" in json.dumps(admin.apply(body)["metadata"]["managedFields"])

    admin.apply(body)
    wait_for(is_kept_account_of, 60, "the earlier definition is not in force")
    apply_crds(admin)
    later = copy.deepcopy(body)
    later["metadata"]["labels"] = {"a": "b"}  # type: ignore[index]

    def is_without() -> bool:
        made = admin.apply(later)
        assert made["spec"] == body["spec"]
        return "f:max_tokens" not in json.dumps(made["metadata"]["managedFields"])

    wait_for(is_without, 60, "the new definition is not in force")
    assert admin.patch("ClaudeRevision", "r", namespace, {"status": {"eval": "Passed"}}, subresource="status")
    assert admin.apply(later)["spec"] == body["spec"]


def test_two_managers_of_one_free_form_field_keep_their_keys(admin: Client, namespace: str) -> None:
    """An atomic field would lose what the other wrote: Kubernetes does not convert what it knows of such a field."""
    path = RESOURCES["ClaudeDeployment"].path(namespace, "support")

    def apply(manager: str, spec: Object) -> Object:
        body = {**deployment(), "spec": spec}
        query = {"fieldManager": manager}
        request: Object = admin.call("PATCH", path, query, body, "application/apply-patch+yaml")["spec"]["request"]
        return request

    spec = deployment()["spec"]
    mine = {**spec, "request": spec["request"] | {"metadata": {"app": "a"}}}
    apply("gitops", mine)
    apply("platform", {"request": {"metadata": {"team": "b"}, "service_tier": "auto"}})
    assert apply("gitops", mine)["metadata"] == {"app": "a", "team": "b"}
    assert apply("platform", {"request": {"service_tier": "auto"}})["metadata"] == {"app": "a"}
