"""What a spec refers to, and the sentence for each thing that is missing. No Secret's value leaves this module."""

from __future__ import annotations

import asyncio
import base64
import json
import logging
from typing import Any

import pytest
from tests.shell.fakes import FakeKube
from tests.shell.rig import KEY, SECRET_VALUE, SPACE, SPEC, Rig, deployment, secret, serving

from claude_operator.api.deployment import DeploymentSpec
from claude_operator.core.spec.policy import Policy
from claude_operator.kube.client import KubeError
from claude_operator.shell.references import ReferenceReader, References

ENV = [{"name": "TOKEN", "valueFrom": {"secretKeyRef": {"name": "docs", "key": "token"}}}]
PROMPT = [{"configMapKeyRef": {"name": "prompts", "key": "system.md"}}]
EVALS = {"setRef": {"name": "evals"}}
TESTS = {"tests": [{"id": "a", "input": "2+2?", "assert": [{"type": "contains", "value": "4"}]}]}
DATASET = {"dataset": {"configMapKeyRef": {"name": "items", "key": "all.jsonl"}}}
LINE = json.dumps({"id": "a", "input": "2+2?", "assert": [{"type": "contains", "value": "4"}]})


def config_map(name: str, **data: str) -> dict[str, Any]:
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name, "namespace": SPACE}, "data": data}


def eval_set(**spec: Any) -> dict[str, Any]:
    metadata = {"name": "evals", "namespace": SPACE}
    return {"apiVersion": "claudeops.dev/v1alpha1", "kind": "ClaudeEvalSet", "metadata": metadata, "spec": spec}


async def read(*objects: dict[str, Any], **spec: Any) -> References:
    kube = FakeKube()
    for one in objects:
        kube.put(one)
    parsed = DeploymentSpec.model_validate(SPEC | spec)
    return await ReferenceReader(kube).read(KEY, parsed)  # type: ignore[arg-type]


TLS = {"tls": {"secretName": "support-tls"}}


def said(found: References) -> list[tuple[str, str]]:
    return [(str(problem.reason), problem.message) for problem in found.problems]


async def test_where_nothing_is_missing_nothing_is_said() -> None:
    found = await read(
        secret(), secret("docs", token="dA=="), config_map("prompts", **{"system.md": "Hi."}), eval_set(**TESTS),
        env=ENV, promptFrom=PROMPT, evals=EVALS,
    )  # fmt: skip
    assert found.problems == ()
    assert found.prompts == {("prompts", "system.md"): "Hi."}
    assert found.eval_set is not None
    assert (found.eval_set.name, found.eval_set.items, found.eval_set.config_maps) == ("evals", 1, ())


@pytest.mark.parametrize(
    ("objects", "spec", "reason", "sentence", "remedy"),
    [
        ([], {}, "SecretNotFound", "spec.upstream.apiKeySecretRef: there is no Secret anthropic",
         "kubectl -n demo create secret generic anthropic --from-literal=api-key=..."),
        ([secret(other="eA==")], {}, "SecretNotFound", "Secret anthropic has no key api-key",
         "kubectl -n demo patch secret anthropic"),
        ([secret(**{"api-key": base64.b64encode(b"sk-ant-admin01-x\n").decode()})], {}, "WrongKey",
         "spec.upstream.apiKeySecretRef: the key is an Admin key", "write the key of a workspace into the Secret"),
        ([secret()], {"env": ENV}, "SecretNotFound", "spec.env TOKEN: there is no Secret docs",
         "create secret generic docs --from-literal=token"),
        ([secret()], {"gateway": TLS}, "SecretNotFound", "spec.gateway.tls.secretName: there is no Secret support-tls",
         "kubectl -n demo create secret tls support-tls --cert=tls.crt --key=tls.key"),
        ([secret(), secret("support-tls", **{"tls.crt": "eA=="})], {"gateway": TLS}, "SecretNotFound",
         "spec.gateway.tls.secretName: Secret support-tls has no key tls.key", "kubectl -n demo patch secret"),
        ([secret()], {"promptFrom": PROMPT}, "ConfigMapNotFound", "spec.promptFrom: there is no ConfigMap prompts",
         "kubectl -n demo create configmap prompts --from-file=system.md"),
        ([secret(), config_map("prompts", other="x")], {"promptFrom": PROMPT}, "ConfigMapNotFound",
         "ConfigMap prompts has no key system.md", "kubectl -n demo edit configmap prompts"),
        ([secret(), config_map("prompts", **{"system.md": ""})], {"promptFrom": PROMPT}, "ConfigMapNotFound",
         "key system.md of ConfigMap prompts is empty", "kubectl -n demo edit configmap prompts"),
        ([secret()], {"evals": EVALS}, "EvalSetNotFound",
         "spec.evals.setRef: there is no ClaudeEvalSet evals in demo", "create it"),
        ([secret(), eval_set(**DATASET)], {"evals": EVALS}, "EvalSetNotFound",
         "spec.dataset: there is no ConfigMap items", "with the items of the set"),
        ([secret(), eval_set(**DATASET), config_map("items", other="")], {"evals": EVALS}, "EvalSetNotFound",
         "ConfigMap items has no key all.jsonl", "create it"),
        ([secret(), eval_set(**DATASET), config_map("items", **{"all.jsonl": "no"})], {"evals": EVALS},
         "InvalidEvalSet", "ClaudeEvalSet evals: line 1 is not JSON", "one object a line"),
        ([secret(), eval_set(tests="all")], {"evals": EVALS},
         "InvalidEvalSet", "ClaudeEvalSet evals, spec.tests: ", ""),
        ([secret(), eval_set()], {"evals": EVALS}, "InvalidEvalSet", "exactly one of tests and dataset", ""),
        ([secret()], {"promptFrom": [{"configMapKeyRef": {"name": "../x", "key": "k"}}]},
         "InvalidSpec", "'../x' is not the name of an object", "write lower case letters"),
    ],
)  # fmt: skip
async def test_each_missing_thing_has_its_sentence_and_its_remedy(
    objects: list[dict[str, Any]], spec: dict[str, Any], reason: str, sentence: str, remedy: str
) -> None:
    [(found, message)] = said(await read(*objects, **spec))
    assert found == reason
    assert sentence in message
    assert remedy in message


async def test_all_that_is_missing_is_said_secrets_first() -> None:
    found = await read(env=ENV, promptFrom=PROMPT, evals=EVALS)
    assert [reason for reason, _ in said(found)] == [
        "SecretNotFound", "SecretNotFound", "ConfigMapNotFound", "EvalSetNotFound"
    ]  # fmt: skip


async def test_the_upstream_key_is_not_wanted_where_clients_bring_theirs() -> None:
    assert said(await read(gateway={"auth": {"type": "Passthrough"}})) == []
    found = await read(eval_set(**TESTS), gateway={"auth": {"type": "Passthrough"}}, evals=EVALS)
    assert [reason for reason, _ in said(found)] == ["SecretNotFound"]  # the evals need one


async def test_each_object_is_read_once_however_often_it_is_named() -> None:
    kube = FakeKube()
    kube.put(secret("docs", token="dA==", more="dA=="))
    more = {"name": "MORE", "valueFrom": {"secretKeyRef": {"name": "docs", "key": "more"}}}
    spec = {"env": [*ENV, more], "upstream": {"apiKeySecretRef": {"name": "docs", "key": "token"}}}
    found = await ReferenceReader(kube).read(KEY, DeploymentSpec.model_validate(SPEC | spec))  # type: ignore[arg-type]
    assert (found.problems, kube.calls) == ((), [("get", "Secret", "docs")])


async def test_a_dataset_counts_into_the_hash_of_its_set() -> None:
    one = await read(secret(), eval_set(**DATASET), config_map("items", **{"all.jsonl": LINE}), evals=EVALS)
    two = await read(secret(), eval_set(**DATASET), config_map("items", **{"all.jsonl": LINE + "\n"}), evals=EVALS)
    assert one.eval_set and two.eval_set
    assert (one.eval_set.config_maps, one.eval_set.items) == (("items",), 1)
    assert one.eval_set.hash != two.eval_set.hash


async def test_the_config_maps_of_a_set_are_read_whole_only_where_they_have_changed() -> None:
    """They are megabytes, and each pass would hold and parse them."""
    kube = FakeKube()
    for one in (secret(), eval_set(**DATASET), config_map("items", **{"all.jsonl": LINE})):
        kube.put(one)
    reader, spec = ReferenceReader(kube), DeploymentSpec.model_validate(SPEC | {"evals": EVALS})  # type: ignore[arg-type]
    found = [(await reader.read(KEY, spec)).eval_set for _ in range(3)]
    assert kube.calls.count(("get", "ConfigMap", "items")) == 1
    assert found[0] is found[1] is found[2] is not None
    noted = eval_set(**DATASET)
    noted["metadata"]["annotations"] = {"note": "a person's"}
    kube.put(noted)
    assert (await reader.read(KEY, spec)).eval_set is found[0]
    kube.put(config_map("items", **{"all.jsonl": LINE + "\n" + LINE.replace('"a"', '"b"')}))
    changed = (await reader.read(KEY, spec)).eval_set
    assert changed and changed.items == 2
    kube.drop("ConfigMap", "items")
    assert [reason for reason, _ in said(await reader.read(KEY, spec))] == ["EvalSetNotFound"]
    kube.put(config_map("items", **{"all.jsonl": LINE}))
    again = (await reader.read(KEY, spec)).eval_set
    assert again and again.hash == found[0].hash


SOURCES = {
    "dataset": {"configMaps": [{"name": "items", "key": "all.jsonl"}, {"name": "more", "key": "b.csv"}]},
    "files": [{"name": "docs"}],
}
TABLE = "input,letter,__expected\nHi {{letter}},file://letter.txt,contains: Dear\n"


async def read_sources(**texts: str) -> References:
    given = {"more": {"b.csv": TABLE}, "docs": {"letter.txt": "Dear all"}} | texts
    maps = [config_map(name, **data) for name, data in given.items() if data]  # type: ignore[arg-type]
    objects = (secret(), eval_set(**SOURCES), config_map("items", **{"all.jsonl": LINE}))
    return await read(*objects, *maps, evals=EVALS)


async def test_a_set_of_several_config_maps() -> None:
    found = await read_sources()
    assert said(found) == []
    assert found.eval_set
    assert (found.eval_set.config_maps, found.eval_set.items) == (("docs", "items", "more"), 2)
    other = await read_sources(docs={"letter.txt": "Dear both"})  # type: ignore[arg-type]
    assert other.eval_set
    assert other.eval_set.hash != found.eval_set.hash


@pytest.mark.parametrize(
    ("texts", "message"),
    [
        ({"more": None}, "ClaudeEvalSet evals, spec.dataset: there is no ConfigMap more; create it"),
        ({"docs": None}, "ClaudeEvalSet evals, spec.files: there is no ConfigMap docs; create it, or leave it out"),
        (
            {"docs": {"other": ""}},
            "ConfigMap more, key b.csv, line 2: file://letter.txt is not a key of the ConfigMaps",
        ),
        ({"more": {"b.csv": "input\na,b\n"}}, "ConfigMap more, key b.csv, line 2 has 2 cells"),
    ],
)
async def test_what_is_wrong_with_one_of_several(texts: Any, message: str) -> None:
    [(_, found)] = said(await read_sources(**texts))
    assert message in found


async def test_a_name_that_leads_elsewhere_is_not_read() -> None:
    bad = {"tests": TESTS["tests"], "files": [{"name": "../secrets/anthropic"}]}
    [(reason, message)] = said(await read(secret(), eval_set(**bad), evals=EVALS))
    assert reason == "EvalSetNotFound"
    assert "spec.files: " in message


async def test_a_file_that_is_not_utf_8_is_named_as_what_it_is() -> None:
    """kubectl puts such a file into binaryData."""
    items = config_map("items")
    items["binaryData"] = {"all.jsonl": base64.b64encode(LINE.encode("utf-16")).decode()}
    [(reason, message)] = said(await read(secret(), eval_set(**DATASET), items, evals=EVALS))
    assert reason == "InvalidEvalSet"
    assert "the key all.jsonl of the ConfigMap items is UTF-16: save it as UTF-8" in message


async def test_what_cannot_be_read_is_an_error_and_not_missing() -> None:
    kube = FakeKube()

    def refuse(verb: str, kind: str, name: str) -> None:
        raise KubeError(503, "ServiceUnavailable", "no")

    kube.before = refuse
    with pytest.raises(KubeError):
        await ReferenceReader(kube).read(KEY, DeploymentSpec.model_validate(SPEC))  # type: ignore[arg-type]


async def test_one_object_that_may_not_be_read_is_a_problem_of_its_own() -> None:
    kube = FakeKube()

    def refuse(verb: str, kind: str, name: str) -> None:
        raise KubeError(403, "Forbidden", "secrets is forbidden")

    kube.before = refuse
    found = await ReferenceReader(kube).read(KEY, DeploymentSpec.model_validate(SPEC))  # type: ignore[arg-type]
    assert "Secret anthropic cannot be read: secrets is forbidden" in found.problems[0].message


async def gated(*objects: dict[str, Any]) -> Rig:
    """A deployment with a gate, and what it refers to."""
    rig = Rig()
    for one in (secret(), deployment(evals=EVALS), *objects):
        rig.kube.put(one)
    return rig


async def test_a_set_is_told_its_number_of_items_once_and_parsed_once() -> None:
    rig = await gated(eval_set(**TESTS))
    seen = []
    for _ in range(4):
        found = await rig.gatherer.gather(KEY)
        assert found is not None
        seen.append(found.observation.eval_set)
        await rig.one()
    assert rig.kube.writes.count(("patch status", "ClaudeEvalSet", "evals")) == 1
    assert rig.kube.take("ClaudeEvalSet", "evals")["status"] == {"items": 1}
    assert seen[1] is seen[2] is seen[3]
    found = rig.kube.take("ClaudeEvalSet", "evals")
    rig.kube.put({**found, "spec": {**found["spec"], "tests": [*TESTS["tests"], {**TESTS["tests"][0], "id": "b"}]}})
    await rig.one()
    assert rig.kube.take("ClaudeEvalSet", "evals")["status"] == {"items": 2}


@pytest.mark.parametrize("status", [403, 404, 409, 500])
async def test_a_set_that_cannot_be_told_gates_all_the_same(status: int) -> None:
    rig = await gated(eval_set(**TESTS))

    def refuse(verb: str, kind: str, name: str) -> None:
        if kind == "ClaudeEvalSet" and verb == "patch status":
            raise KubeError(status, "No", "no")

    rig.kube.before = refuse
    for _ in range(3):
        await rig.one()
        rig.roll_out()
    assert rig.condition("Accepted")[0] == "True"
    assert rig.kube.names("ClaudeEvalRun")


async def test_a_large_set_is_read_a_slice_at_a_time() -> None:
    """While it is read, others have the loop."""
    lines = "\n".join(f'{{"id":"{n}","input":"","assert":[{{"type":"is-json"}}]}}' for n in range(5000))
    rig = await gated(eval_set(dataset={"configMapKeyRef": {"name": "q", "key": "i"}}), config_map("q", i=lines))
    turns, reading = 0, asyncio.create_task(rig.gatherer.gather(KEY))
    while not reading.done():
        turns += 1
        await asyncio.sleep(0)
    seen = reading.result()
    assert seen
    assert seen.observation.eval_set.items == 5000
    assert turns > 50


async def test_texts_that_no_config_has_room_for_are_not_even_hashed() -> None:
    sources = [{"configMapKeyRef": {"name": "p", "key": key}} for key in "ab"]
    rig, large = Rig(), config_map("p", **dict.fromkeys("ab", "x" * 500_000))
    for one in (secret(), deployment(promptFrom=sources), large):
        rig.kube.put(one)
    await rig.one()
    assert rig.condition("Accepted")[:2] == ("False", "ConfigTooLarge")
    assert "1,000,000 bytes together" in rig.condition("Accepted")[2]
    seen = await rig.gatherer.gather(KEY)
    assert seen
    assert seen.observation.prompts == {}


async def test_a_secret_without_its_label_is_not_used_where_the_installer_wants_one() -> None:
    rig = await serving()
    rig.policy = Policy(secrets_opt_in=True)
    rig.start_operator()
    before = rig.gateways.config
    await rig.one()
    accepted = rig.condition("Accepted")
    assert accepted[:2] == ("False", "SecretNotAllowed")
    assert "kubectl -n demo label secret anthropic claudeops.dev/use=upstream" in accepted[2]
    assert accepted[2].endswith("keeps serving")
    assert rig.gateways.config == before
    found = rig.kube.take("Secret", "anthropic")
    found["metadata"]["labels"] = {"claudeops.dev/use": "upstream"}
    rig.kube.put(found)
    await rig.one()
    assert rig.condition("Accepted")[0] == "True"


async def test_a_secrets_value_goes_nowhere(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    rig = Rig()
    rig.kube.put(secret())
    rig.kube.put(deployment())
    await rig.settle()
    rig.edit(upstream={"apiKeySecretRef": {"name": "anthropic", "key": "other"}})
    await rig.settle(1)
    assert rig.condition("Accepted")[1] == "SecretNotFound"
    stored = {key: body for key, body in rig.kube.objects.items() if key[0] != "Secret"}
    assert SECRET_VALUE not in json.dumps(list(stored.values()))
    assert SECRET_VALUE not in "".join(str(record.__dict__) for record in caplog.records)


async def test_what_is_missing_is_looked_for_again_and_found() -> None:
    rig = Rig()
    rig.kube.put(deployment())
    assert await rig.one() == 15.0
    assert rig.condition("Accepted")[:2] == ("False", "SecretNotFound")
    assert rig.kube.names("Deployment") == []
    rig.kube.put(secret())
    await rig.settle()
    assert rig.condition("Accepted")[0] == "True"
    assert rig.status.stable_revision
