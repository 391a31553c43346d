"""Whether a ClaudeEvalRun gets a Job: it was asked for, and all that the Job is given is accepted now.

The Job checks neither: what could start another Job could also leave a check out.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from pydantic import ValidationError

from claude_operator.api.deployment import DeploymentSpec, EnvVar
from claude_operator.api.evals import EvalRunSpec
from claude_operator.api.faults import first_fault
from claude_operator.core.evals.asked import Standing, deployment_of, standing
from claude_operator.core.spec.policy import Policy, SecretUse, revision_addresses, secret_uses, upstream_secret
from claude_operator.core.spec.validate import Problem
from claude_operator.kube.client import Kube, Object
from claude_operator.kube.resources import CLAUDE_DEPLOYMENTS, CLAUDE_REVISIONS
from claude_operator.shell.keys import RUN, Key
from claude_operator.shell.name_reader import NameReader
from claude_operator.shell.references import claim_problem, read_secrets

__all__ = ["Permit", "Permits"]

_REPLACE = "; to replace this revision without evals, set spec.evals.required to false until the rollout has ended"


@dataclass(frozen=True, slots=True)
class Permit:
    """`withheld`: why the Job may not be made yet, empty where it may. `env` is the accepted spec's."""

    standing: Standing
    withheld: str = ""
    env: Sequence[EnvVar] = ()


class Permits:
    """Asked right before a Job is made, on objects that are read for it."""

    def __init__(self, kube: Kube, policy: Policy, names: NameReader | None = None) -> None:
        self._kube, self.policy, self._names = kube, policy, names

    async def ask(self, run: Object, claim: str | None = None) -> Permit:
        """Whether the Job of a run, which mounts this PersistentVolumeClaim, may be made now; raises `KubeError`."""
        controller, namespace = deployment_of(run), run["metadata"]["namespace"]
        owner = await self._kube.get(CLAUDE_DEPLOYMENTS, controller[0], namespace) if controller else None
        stands = standing(run, owner)
        if stands is Standing.NAMED:
            return Permit(stands, "the operator has not yet compared it with what its ClaudeDeployment asks for")
        if owner is None or stands is not Standing.ASKED:
            return Permit(stands)
        if why := _not_accepted(owner):
            return Permit(stands, why)
        try:
            spec, asked = DeploymentSpec.model_validate(owner["spec"]), EvalRunSpec.model_validate(run["spec"])
        except ValidationError as error:
            return Permit(stands, first_fault(error, "spec"))
        key = Key(RUN, namespace, run["metadata"]["name"])
        env = [one for one in secret_uses(spec) if one.use == "env"]
        problem = await self._problem(key, asked, env)
        why = problem.message if problem else await claim_problem(self._kube, self.policy, namespace, claim)
        return Permit(stands, why, spec.env or ())

    async def ask_upstream(self, run: Object) -> str:
        """Why the key of a run, which was asked for when it was made, may not go to its upstream any more."""
        metadata, asked = run["metadata"], EvalRunSpec.model_validate(run["spec"])
        key = Key(RUN, metadata["namespace"], metadata["name"])
        problem = await self._problem(key, asked, [])
        return problem.message if problem else ""

    async def _problem(self, key: Key, run: EvalRunSpec, env: Sequence[SecretUse]) -> Problem | None:
        """What the installer does not allow of the run's upstream, the revisions' MCP servers, or a Secret."""
        namespace, asked = key.namespace, [("spec.upstream.baseURL", run.upstream.base_url)]
        hosts = self.policy.names(asked, namespace)
        resolved = await self._names.read(key, hosts) if self._names else {}
        found = self.policy.host_problems(asked, resolved)
        if not found and self.policy.allowed_hosts:
            found = await self._servers(namespace, run)
        if not found:
            wanted = [*upstream_secret(run.upstream), *env]
            found = await read_secrets(self._kube, self.policy, namespace, wanted)
        return found[0] if found else None

    async def _servers(self, namespace: str, run: EvalRunSpec) -> list[Problem]:
        """What is not allowed of the MCP servers of both revisions: each is asked with the spec's env."""
        found: list[Problem] = []
        for name, helps in ((run.revision, ""), (run.baseline_revision, _REPLACE)):
            revision = await self._kube.get(CLAUDE_REVISIONS, name, namespace) if name else None
            problems = self.policy.host_problems(revision_addresses(revision["spec"]) if revision else ())
            found += [replace(one, message=f"ClaudeRevision {name}, {one.message}{helps}") for one in problems]
        return found


def _not_accepted(owner: Object) -> str:
    """Why the spec as it is now is not known to be accepted; empty where it is."""
    metadata, conditions = owner["metadata"], (owner.get("status") or {}).get("conditions") or ()
    accepted: Object = next((one for one in conditions if one.get("type") == "Accepted"), {})
    name = f"ClaudeDeployment {metadata['name']}"
    if accepted.get("observedGeneration") != metadata.get("generation"):
        return f"the newest spec of {name} has not been checked yet"
    if accepted.get("status") != "True":
        return f"the spec of {name} is not accepted: {accepted.get('message', '')}"
    return ""
