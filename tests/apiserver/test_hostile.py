"""What one tenant can write, on a real API server: it keeps no other tenant waiting, and the API server bounds it."""

from __future__ import annotations

import contextlib
import itertools
import json
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from tests.apiserver.client import ApiError, Client, refusal, wait_for
from tests.apiserver.conftest import apply_crds, clear, new_namespace
from tests.apiserver.definitions import leave_out
from tests.apiserver.objects import deployment, secret
from tests.apiserver.process import Operator
from tests.apiserver.server import ApiServer

Object = dict[str, Any]
OBJECTS = 100
EDITS = 10
SLOW = "(?i)" + "[\\x00-\U0010ffff]" * 340
"""A regular expression of under 4 KiB that takes minutes to compile."""


def eval_set(name: str, *values: str, **spec: Any) -> Object:
    """A set of one item, with a regular expression for each of the values."""
    asserts = [{"type": "regex", "value": one} for one in values]
    tests = {"tests": [{"id": "a", "input": "x", "assert": asserts}]}
    body = {"apiVersion": "claudeops.dev/v1alpha1", "kind": "ClaudeEvalSet", "metadata": {"name": name}}
    return body | {"spec": spec or tests}


def long_id(name: str) -> Object:
    """A set with an id over the limit."""
    return eval_set(name, tests=[{"id": "a" * 200, "input": "x", "assert": [{"type": "is-json"}]}])


def hostile(number: int) -> list[Object]:
    """A ClaudeDeployment that is dear to look at, and what it refers to."""
    name = f"hostile-{number}"
    evals = {"setRef": {"name": name}}
    match number % 5:
        case 0:  # patterns that take long to compile
            return [eval_set(name, *[SLOW] * 5), deployment(name, evals=evals)]
        case 1:  # a megabyte of items, the last of which is wrong
            item = {"input": "", "assert": [{"type": "is-json"}]}
            lines = "\n".join(json.dumps({"id": str(n), **item}) for n in range(15_000))
            data = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}, "data": {"i": lines + "\n{"}}
            dataset = {"configMapKeyRef": {"name": name, "key": "i"}}
            return [data, eval_set(name, dataset=dataset), deployment(name, evals=evals)]
        case 2:  # a line of a hundred thousand mistakes
            line = '{"id":"1","input":"x","assert":[' + ",".join(["1"] * 400_000) + "]}"
            data = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}, "data": {"i": line}}
            dataset = {"configMapKeyRef": {"name": name, "key": "i"}}
            return [data, eval_set(name, dataset=dataset), deployment(name, evals=evals)]
        case 3:  # a table of very many rows, each with templates and many asserts, in YAML's words too
            rows = "input,q,__expected\n" + "{{q | upper | lower | length}},x,contains: {{q}}\n" * 3_000
            bomb = "- &a [" + "x," * 9_000 + "]\n- [" + ",".join(["*a"] * 10) + "]\n"
            maps = {"one": {"i.csv": rows}, "two": {"i.yaml": bomb * 20}}
            found = [
                {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": f"{name}-{key}"}, "data": data}
                for key, data in maps.items()
            ]
            sources = [{"name": f"{name}-one", "key": "i.csv"}, {"name": f"{name}-two", "key": "i.yaml"}]
            asserts = [{"type": "contains", "value": f"{{{{q}}}}{n}"} for n in range(20)]
            shared = {"combine": "Append", "assert": asserts}
            dataset = {"configMaps": sources}
            return [*found, eval_set(name, dataset=dataset, defaultTest=shared), deployment(name, evals=evals)]
        case _:  # a spec of very many small parts, in a request that the API would refuse
            body = deployment(name)
            body["spec"]["request"] |= {"max_tokens": 10**9, "extra": {f"k{n}": {} for n in range(5_000)}}
            return [body]


@contextlib.contextmanager
def edited(admin: Client, namespace: str) -> Iterator[Callable[[], int]]:
    """Somebody edits the hostile objects all the time; gives the number of edits so far."""
    done, count = threading.Event(), itertools.count(1)
    made = [0]

    def edit() -> None:
        while not done.is_set():
            number = next(count)
            name = f"hostile-{number % OBJECTS}"
            with contextlib.suppress(ApiError, OSError):  # a busy server may refuse one, or answer too late
                admin.patch("ClaudeDeployment", name, namespace, {"spec": {"revisionHistoryLimit": number % 100}})
                made[0] += 1

    thread = threading.Thread(target=edit)
    thread.start()
    try:
        yield lambda: made[0]
    finally:
        done.set()
        thread.join(120)


def test_a_hundred_hostile_objects_stop_nobody_elses_passes(
    server: ApiServer, admin: Client, namespace: str, operate: Callable[..., Operator]
) -> None:
    """Each edit of a good deployment is seen, also by an operator that starts among them; and none is lost."""
    theirs = new_namespace(admin, "hostile")
    try:
        admin.create(secret(), theirs)
        for number in range(OBJECTS):
            for body in hostile(number):
                admin.create(body, theirs)
        admin.create(secret(), namespace)
        admin.create(deployment(), namespace)
        operator = operate()
        operator.until_leading()

        def seen() -> int:
            status = admin.take("ClaudeDeployment", "support", namespace).get("status") or {}
            return int(status.get("observedGeneration", 0))

        wait_for(seen, 120, "the good deployment has no first pass")
        with edited(admin, theirs) as edits:
            for replicas in range(2, 2 + EDITS):
                before = edits()
                change = {"spec": {"gateway": {"replicas": replicas}}}
                wanted = admin.patch("ClaudeDeployment", "support", namespace, change)["metadata"]["generation"]
                wait_for(lambda wanted=wanted: seen() == wanted, 60, "an edit of the good deployment is not seen")
                wait_for(lambda before=before: edits() > before, 60, "the hostile ones are not edited")
        assert operator.process.poll() is None
        wait_for(operator.leads, 20)
        wait_for(lambda: told_off(admin, theirs), 60, "the hostile ones have their turns too")
    finally:
        clear(admin, theirs)


def told_off(admin: Client, namespace: str) -> list[str]:
    """Those that are told what is wrong with them."""
    found = {
        one["metadata"]["name"]: {cond["type"]: cond["reason"] for cond in one["status"].get("conditions", ())}
        for one in admin.list("ClaudeDeployment", namespace)
        if one.get("status")
    }
    return [name for name, told in found.items() if told.get("Accepted") in ("InvalidEvalSet", "InvalidRequest")]


def test_the_value_of_an_assert_is_stored_as_it_is(admin: Client, namespace: str) -> None:
    schema = {"type": "object", "required": ["a"], "properties": {"a": {"enum": [1, None, {"x": []}]}}}
    values = ["text", 5, 0.5, True, ["a", "b"], schema, {"name": "get_order", "input": {"id": None}}]
    asserts = [{"type": "is-json", "value": value} for value in values]
    tests = [{"id": "a", "input": "x", "assert": asserts}]
    stored = admin.create(eval_set("values", tests=tests), namespace)
    assert [one["value"] for one in stored["spec"]["tests"][0]["assert"]] == values
    assert all(one.keys() == {"type", "value"} for one in stored["spec"]["tests"][0]["assert"]), "nothing is filled in"
    with pytest.raises(ApiError, match=r"Unsupported value: .*similar"):
        tests = [{"id": "a", "input": "x", "assert": [{"type": "similar"}]}]
        admin.create(eval_set("unknown", tests=tests), namespace)


def test_what_was_stored_before_there_were_limits_stays_and_can_be_told_about(own_server: ApiServer) -> None:
    """The API server holds only what changes to the new limits."""
    admin = own_server.admin()
    namespace = new_namespace(admin, "before")
    leave_out(admin, "claudeevalsets", "maxLength", "x-kubernetes-validations")
    wait_for(lambda: not refusal(admin, long_id("old"), namespace), 60, "the old set is refused")
    admin.create(long_id("old"), namespace)
    apply_crds(admin)
    wait_for(lambda: "Too long" in refusal(admin, long_id("new"), namespace), 60, "the limits do not hold")
    stored = admin.patch("ClaudeEvalSet", "old", namespace, {"status": {"items": 1}}, subresource="status")
    assert stored["status"] == {"items": 1}
    assert admin.patch("ClaudeEvalSet", "old", namespace, {"spec": {"gate": {"passRate": 0.5}}})
