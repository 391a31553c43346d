"""The resource types that the operator touches: where they are in the API."""

from __future__ import annotations

from dataclasses import dataclass

from claude_operator.api.base import GROUP, VERSION

_NOT_IN_NAMES = frozenset("/%?#")


@dataclass(frozen=True, slots=True)
class Resource:
    """A resource type. `group` is empty for the core API."""

    group: str
    version: str
    plural: str
    kind: str
    namespaced: bool = True

    @property
    def api_version(self) -> str:
        """As in an object's `apiVersion`."""
        return f"{self.group}/{self.version}" if self.group else self.version

    def path(self, namespace: str | None = None, name: str | None = None, subresource: str | None = None) -> str:
        """The URL path of the collection, an object, or a subresource of it.

        Raises `ValueError` for a name or namespace that would lead elsewhere.
        """
        for part in (namespace, name):
            if part in (".", "..") or set(part or "") & _NOT_IN_NAMES:
                raise ValueError(f"{part!r} is not a name of a {self.kind}: write a name without any of / % ? #")
        parts = [f"/apis/{self.group}/{self.version}" if self.group else f"/api/{self.version}"]
        if namespace and self.namespaced:
            parts.append(f"namespaces/{namespace}")
        parts.append(self.plural)
        parts += [part for part in (name, subresource) if part]
        return "/".join(parts)


CLAUDE_DEPLOYMENTS = Resource(GROUP, VERSION, "claudedeployments", "ClaudeDeployment")
CLAUDE_REVISIONS = Resource(GROUP, VERSION, "clauderevisions", "ClaudeRevision")
CLAUDE_EVAL_SETS = Resource(GROUP, VERSION, "claudeevalsets", "ClaudeEvalSet")
CLAUDE_EVAL_RUNS = Resource(GROUP, VERSION, "claudeevalruns", "ClaudeEvalRun")
CLAUDE_MODELS = Resource(GROUP, VERSION, "claudemodels", "ClaudeModel", namespaced=False)
CLAUDE_ORGANIZATIONS = Resource(GROUP, VERSION, "claudeorganizations", "ClaudeOrganization", namespaced=False)
CLAUDE_SIGNATURES = Resource(GROUP, VERSION, "claudesignatures", "ClaudeSignature")
CLAUDE_CHECKLISTS = Resource(GROUP, VERSION, "claudechecklists", "ClaudeChecklist", namespaced=False)
DEPLOYMENTS = Resource("apps", "v1", "deployments", "Deployment")
REPLICA_SETS = Resource("apps", "v1", "replicasets", "ReplicaSet")
JOBS = Resource("batch", "v1", "jobs", "Job")
POD_DISRUPTION_BUDGETS = Resource("policy", "v1", "poddisruptionbudgets", "PodDisruptionBudget")
NETWORK_POLICIES = Resource("networking.k8s.io", "v1", "networkpolicies", "NetworkPolicy")
ROLES = Resource("rbac.authorization.k8s.io", "v1", "roles", "Role")
ROLE_BINDINGS = Resource("rbac.authorization.k8s.io", "v1", "rolebindings", "RoleBinding")
LEASES = Resource("coordination.k8s.io", "v1", "leases", "Lease")
ENDPOINT_SLICES = Resource("discovery.k8s.io", "v1", "endpointslices", "EndpointSlice")
EVENTS = Resource("events.k8s.io", "v1", "events", "Event")
SERVICE_ACCOUNTS = Resource("", "v1", "serviceaccounts", "ServiceAccount")
SERVICES = Resource("", "v1", "services", "Service")
CONFIG_MAPS = Resource("", "v1", "configmaps", "ConfigMap")
SECRETS = Resource("", "v1", "secrets", "Secret")
PODS = Resource("", "v1", "pods", "Pod")
CLAIMS = Resource("", "v1", "persistentvolumeclaims", "PersistentVolumeClaim")

BY_KIND = {resource.kind: resource for resource in list(globals().values()) if isinstance(resource, Resource)}
