"""Wrong specs and missing references: what people are told, and that what served keeps serving."""

from __future__ import annotations

import copy
import re
from collections.abc import Iterator
from typing import Any

import pytest
from tests.cluster import apps
from tests.cluster.apps import Object, config_map, deployment, secret
from tests.cluster.support import SIMULATOR, CommandError, condition, find, get, kubectl
from tests.cluster.test_crds import GOOD, WRONG

pytestmark = pytest.mark.usefixtures("operator")

LOOKED_AT_AGAIN = 25  # seconds: what is missing is looked for every 15

# What `kubectl apply` prints, whole: people search the web and their chat for such lines.
REFUSED = {
    "two actions in a step": 'spec.strategy.canary.steps[0]: Invalid value: "object": a step must have exactly'
    " one of setWeight, pause and bake: write each as a step of its own",
    "weights fall": 'spec.strategy.canary.steps: Invalid value: "object": weights must rise from step to step: write'
    " each setWeight larger than the one before it",
    "weight too fine": 'spec.strategy.canary.steps[0].setWeight: Invalid value: "object": is'
    " too fine: write a multiple of 0.01",
    "bad duration": 'spec.strategy.canary.steps[0].pause.duration: Invalid value: "string": is not a duration: write'
    " for example 500ms, 30s, 10m or 1h30m",
    "five cache breakpoints": 'spec.request: Invalid value: "object": at most 4 cache_control breakpoints over tools,'
    " promptFrom, system and the top level: keep those at the end of the longest prefixes that stay the same",
    "5m before 1h": 'spec.request: Invalid value: "object": cache_control with ttl 1h must come before ttl'
    " 5m, in the order tools, promptFrom, system, top level: give the earlier ones 1h or the later ones 5m",
    "MCP server without toolset": 'spec.request.mcp_servers: Invalid value: "object": every MCP server needs'
    " exactly one toolset: add {type: mcp_toolset, mcp_server_name: <name>} to tools, once",
    "MCP token in clear": 'spec.request.mcp_servers[0].authorization_token: Invalid value: "object": a token'
    " must not be in the spec: write $(NAME), and add NAME to spec.env with a secretKeyRef",
    "messages": "spec.request.messages: Forbidden: messages come from the client: remove them, and put what every"
    " conversation begins with into system",
    "temperature on a new model": "spec.request.temperature: Forbidden: Claude 4.7 and later refuse temperature: remove"
    " it, and steer with the prompt or output_config.effort",
    "no key": "spec.upstream.apiKeySecretRef: Required value: name the Secret and its key that hold the Claude API key,"
    " or set gateway.auth.type: Passthrough so that every client sends its own",
    "no key for evals": "spec.upstream.apiKeySecretRef: Required value: evals call the API themselves: name the"
    " Secret and its key that hold the Claude API key, even with Passthrough",
    "upstream without a scheme": 'spec.upstream.baseURL: Invalid value: "string": is not a URL: write for example'
    " https://api.anthropic.com",
    "name of 41 characters": '<nil>: Invalid value: "object": metadata.name must be at most 40 characters: the names'
    " of its revisions, Service and Secrets are made from it",
}


@pytest.mark.parametrize("what", REFUSED)
def test_what_kubectl_apply_prints_of_a_spec_that_is_refused(application: tuple[str, str], what: str) -> None:
    change, _, _ = WRONG[what]
    wrong = copy.deepcopy(GOOD)
    change(wrong)
    with pytest.raises(CommandError) as caught:
        kubectl("apply", "-f", "-", input=wrong, namespace=application[0])
    print(caught.value.stderr)
    name = wrong["metadata"]["name"]
    assert caught.value.stderr == f'The ClaudeDeployment "{name}" is invalid: {REFUSED[what]}\n'
    assert find("cld", name, namespace=application[0]) is None


class Wrong:
    """A spec that the API server takes and the operator does not, and the whole message; `first` is applied before.

    `<number>` and `<names>` in the message stand for what changes with the product.
    """

    def __init__(self, spec: Object, reason: str, message: str, *first: Object) -> None:
        self.spec, self.reason, self.message, self.first = spec, reason, message, first

    def pattern(self, namespace: str) -> str:
        """What finds the message."""
        text = re.escape(self.message.format(namespace=namespace))
        return text.replace("<number>", r"[\d,]+").replace("<names>", r"\w+(?:, \w+)+")


JSONL = '{"id": "a", "input": "b", "assert": [{"type": "is-json"}]}\n{"id": "c", "inptu": "d"}\n'


def eval_set(name: str, **spec: Any) -> Object:
    return {
        "apiVersion": "claudeops.dev/v1alpha1",
        "kind": "ClaudeEvalSet",
        "metadata": {"name": name},
        "spec": spec or {"tests": [{"id": "a", "input": "b", "assert": [{"type": "regex", "value": "."}]}]},
    }


def evals(name: str) -> Object:
    return {"evals": {"setRef": {"name": name}}}


def prompt_from(name: str, key: str) -> Object:
    return {"promptFrom": [{"configMapKeyRef": {"name": name, "key": key}}]}


def analysis(**fields: Any) -> Object:
    return {"strategy": {"canary": {"steps": [], "analysis": fields}}}


def upstream(name: str, key: str, **fields: Any) -> Object:
    return {"upstream": {"baseURL": SIMULATOR, "apiKeySecretRef": {"name": name, "key": key}, **fields}}


ONLY_THE_OPERATOR_SEES = {
    "a metric that does not exist": Wrong(
        analysis(metrics=[{"name": "happiness"}]),
        "UnsupportedMetric",
        "analysis.metrics: there is no metric 'happiness': write one of <names>, or give it a prometheus.query and a"
        " threshold.max or threshold.min",
    ),
    "a judge without anything to compare": Wrong(
        analysis(judge="Threshold"),
        "UnsupportedMetric",
        "analysis.metrics: the judge Threshold has nothing to compare: write for example"
        " [{{name: errors, threshold: {{max: 0.05}}}}]",
    ),
    "a config that is too large": Wrong(
        prompt_from("huge", "b"),
        "ConfigTooLarge",
        "the new revision takes <number> bytes of the gateway's config and stable <number>, together more than 921,600:"
        " shorten prompts or tool descriptions",
        config_map("huge", b="b" * 921_500),
    ),
    "an eval set with a bad line": Wrong(
        evals("bad"),
        "InvalidEvalSet",
        "ClaudeEvalSet bad: line 2, inptu: is not a field here; correct its name or remove it. The fields of an item"
        " are <names>",
        config_map("items", items_jsonl=JSONL),
        eval_set("bad", dataset={"configMapKeyRef": {"name": "items", "key": "items.jsonl"}}),
    ),
    "an eval set without its data": Wrong(
        evals("dry"),
        "EvalSetNotFound",
        "ClaudeEvalSet dry, spec.dataset: there is no ConfigMap no-items; create it, with the items of the set",
        eval_set("dry", dataset={"configMapKeyRef": {"name": "no-items", "key": "items.jsonl"}}),
    ),
    "more memory than the limit": Wrong(
        {"gateway": {"replicas": 1, "resources": {"requests": {"memory": "1Gi"}, "limits": {"memory": "256Mi"}}}},
        "InvalidSpec",
        "spec.gateway.resources.requests.memory: 1Gi is more than the limit: lower it, or raise"
        " gateway.resources.limits.memory",
    ),
    "a bake before the first weight": Wrong(
        {"strategy": {"canary": {"steps": [{"bake": {"minRequests": 10}}, {"setWeight": 10}]}}},
        "InvalidSpec",
        "spec.strategy.canary.steps[0].bake: it waits for 10 requests while the canary gets none: put a setWeight above"
        " 0 before it, or write minRequests: 0",
    ),
    "/v1 in the base URL": Wrong(
        upstream("anthropic", "api-key", baseURL="http://a.example.com/v1"),
        "InvalidSpec",
        "spec.upstream.baseURL: /v1/messages is put after it: remove /v1 and what follows",
    ),
    "no such Secret": Wrong(
        upstream("other", "api-key"),
        "SecretNotFound",
        "spec.upstream.apiKeySecretRef: there is no Secret other; create it: kubectl -n {namespace} create secret"
        " generic other --from-literal=api-key=...",
    ),
    "no such key in the Secret": Wrong(
        upstream("anthropic", "second"),
        "SecretNotFound",
        "spec.upstream.apiKeySecretRef: Secret anthropic has no key second; add it: kubectl -n {namespace} patch secret"
        """ anthropic -p '{{"stringData": {{"second": "..."}}}}'""",
    ),
    "no such ConfigMap": Wrong(
        prompt_from("prompts", "a.md"),
        "ConfigMapNotFound",
        "spec.promptFrom: there is no ConfigMap prompts; create it: kubectl -n {namespace} create configmap prompts"
        " --from-file=a.md",
    ),
    "no such eval set": Wrong(
        evals("later"),
        "EvalSetNotFound",
        "spec.evals.setRef: there is no ClaudeEvalSet later in {namespace}; create it, or correct the name",
    ),
}


# What a policy of the chart says, by what is wrong: its name, and the whole message.
ADMISSION_REFUSES: dict[str, tuple[Object, str, str]] = {
    "max_tokens over the model's limit": (
        {"request": {"max_tokens": 500_000}},
        "models",
        "spec.request.max_tokens: 500000 is more than claude-haiku-5-5 gives: write 128000 or less",
    ),
    "a blank stop sequence, and a tool that is not there": (
        {"request": {"stop_sequences": [" "], "tool_choice": {"type": "any"}}},
        "requests",
        "spec.request.stop_sequences[0]: ' ' is blank: write a text with more than white space, or remove it;"
        " spec.request.tool_choice: 'any' forces a tool, and there are no tools: write tools, or remove tool_choice",
    ),
    "a retired model": (
        {"request": {"model": "claude-3-opus-20240229"}},
        "models",
        "spec.request.model: claude-3-opus-20240229 is Retired since 2026-01-05: requests for it fail;"
        " use claude-opus-4-8 (spec.lifecycle.onRetired: Reject)",
    ),
}


@pytest.fixture(scope="module")
def application(operator: object) -> Iterator[tuple[str, str]]:
    """(namespace, revision) of a ClaudeDeployment `app` that serves."""
    with apps.space("wrong-specs") as namespace:
        apps.apply(secret(), namespace)
        apps.apply(deployment(), namespace)
        yield namespace, apps.promoted(namespace)


@pytest.fixture
def serving(application: tuple[str, str]) -> Iterator[tuple[str, str]]:
    """The same, put right again after each test."""
    yield application
    namespace, revision = application
    apps.apply(deployment(), namespace)
    apps.told(namespace, "Accepted", "True", "Valid")
    assert apps.promoted(namespace) == revision


@pytest.mark.parametrize("what", ONLY_THE_OPERATOR_SEES)
def test_a_wrong_spec_is_not_accepted_and_the_last_good_one_serves(serving: tuple[str, str], what: str) -> None:
    namespace, revision = serving
    wrong = ONLY_THE_OPERATOR_SEES[what]
    for item in wrong.first:
        kubectl("apply", "--server-side", "-f", "-", input=item, namespace=namespace)
    apps.apply(deployment(**wrong.spec), namespace)
    said = apps.told(namespace, "Accepted", "False", wrong.reason)
    print(f"{wrong.reason}: {said}")
    assert re.fullmatch(f"{wrong.pattern(namespace)}; {re.escape(revision)} keeps serving", said), said
    item = get("cld", "app", namespace=namespace)
    promoted = condition(item, "Promoted")
    assert (promoted["status"], promoted["reason"]) == ("False", "Rejected")
    assert wrong.reason in promoted["message"]
    assert condition(item, "Ready")["status"] == "True"
    assert apps.answered(namespace).revision == revision
    assert len(get("clr", namespace=namespace)) == 1


@pytest.mark.parametrize("what", ADMISSION_REFUSES)
def test_what_the_claude_api_would_refuse_is_not_stored(application: tuple[str, str], what: str) -> None:
    namespace, revision = application
    spec, policy, message = ADMISSION_REFUSES[what]
    before = get("cld", "app", namespace=namespace)
    with pytest.raises(CommandError) as caught:
        apps.apply(deployment(**spec), namespace)
    said = caught.value.stderr
    print(said)
    name = f"claude-operator-{policy}"
    assert f"ValidatingAdmissionPolicy '{name}' with binding '{name}' denied request: {message}\n" in said
    after = get("cld", "app", namespace=namespace)
    assert after["spec"] == before["spec"]
    assert apps.answered(namespace).revision == revision


# name -> what its spec says, why it waits, and what ends the waiting.
WAITING: dict[str, tuple[Object, str, Object]] = {
    "a-secret": (upstream("other", "api-key"), "SecretNotFound", secret("other")),
    "a-key": (upstream("keys", "second"), "SecretNotFound", secret("keys", "second")),
    "a-config-map": (prompt_from("prompts", "a.md"), "ConfigMapNotFound", config_map("prompts", a_md="Be kind.")),
    "an-eval-set": (evals("later"), "EvalSetNotFound", eval_set("later")),
}


def test_what_is_missing_is_found_when_it_comes(namespace: str) -> None:
    apps.apply(secret(), namespace)
    apps.apply(secret("keys", "first"), namespace)
    for name, (spec, _, _) in WAITING.items():
        apps.apply(deployment(name=name, **spec), namespace)
    for name, (_, reason, _) in WAITING.items():
        apps.told(namespace, "Accepted", "False", reason, name=name)
        # Nothing serves yet, so Ready says that, and nothing was made.
        apps.told(namespace, "Ready", "False", "NoRevision", name=name)
    assert not get("clr,deployment", namespace=namespace)
    for _, _, cure in WAITING.values():
        kubectl("apply", "-f", "-", input=cure, namespace=namespace)
    for name in WAITING:
        apps.told(namespace, "Accepted", "True", "Valid", name=name, timeout=LOOKED_AT_AGAIN)
    for name in WAITING:
        apps.promoted(namespace, name)
        apps.answered(namespace, name)


TAKEN = {
    "one": ("ConfigMap", "one-gateway"),
    "two": ("Secret", "two-client"),
    "three": ("ServiceAccount", "three-eval"),
}


def test_an_object_of_somebody_else_is_never_written_over(namespace: str) -> None:
    """Nothing at all is written while a name is taken."""
    before = [apps.apply({"apiVersion": "v1", "kind": kind, "metadata": {"name": child}}, namespace)
              for kind, child in TAKEN.values()]  # fmt: skip
    apps.apply(secret(), namespace)
    for name in TAKEN:
        apps.apply(deployment(name=name), namespace)
    for name, (kind, child) in TAKEN.items():
        said = apps.told(namespace, "Accepted", "False", "NameTaken", name=name)
        print(f"NameTaken: {said}")
        assert said == f"{kind} {child} belongs to something else: rename the ClaudeDeployment, or remove that object"
    assert [get(kind, child, namespace=namespace) for kind, child in TAKEN.values()] == before
    kinds = "deployment,service,role,rolebinding,serviceaccount,pdb,clr,configmap,secret"
    names = set(kubectl("get", kinds, "-o", "name", namespace=namespace).split())
    theirs = {f"{kind.lower()}/{child}" for kind, child in TAKEN.values()}
    assert names == theirs | {"serviceaccount/default", "configmap/kube-root-ca.crt", "secret/anthropic"}
    for kind, child in TAKEN.values():
        kubectl("delete", kind, child, namespace=namespace)
    for name in TAKEN:
        apps.told(namespace, "Accepted", "True", "Valid", name=name, timeout=LOOKED_AT_AGAIN)
        apps.promoted(namespace, name)
