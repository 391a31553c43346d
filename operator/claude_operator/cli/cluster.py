"""What the commands read of a cluster: ClaudeDeployments, their revisions, Events, ledgers and logs."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from claude_operator.api.base import GROUP
from claude_operator.api.gateway import PRICES_KEY
from claude_operator.cli.events import Event, events_of
from claude_operator.cli.failure import Failure
from claude_operator.cli.kubectl import Kubectl, Object
from claude_operator.cli.usage import Used, used_of
from claude_operator.core import names
from claude_operator.core.catalogue.cost import LIST_PRICES, Book
from claude_operator.core.catalogue.objects import models_by_name
from claude_operator.core.catalogue.own_prices import parse_book
from claude_operator.core.catalogue.table import Model

__all__ = ["CES", "CLD", "CLM", "CLR", "COR", "Cluster"]

_USAGE = f"{names.LABEL_MANAGED_BY}={names.FIELD_MANAGER},{names.LABEL_COMPONENT}=usage"

CLD, CLR, COR = f"claudedeployments.{GROUP}", f"clauderevisions.{GROUP}", f"claudeorganizations.{GROUP}"
CES, CLM = f"claudeevalsets.{GROUP}", f"claudemodels.{GROUP}"


class Cluster:
    """A cluster as kubectl reaches it."""

    def __init__(self, kubectl: Kubectl) -> None:
        self.kubectl = kubectl

    def within(self, namespace: str) -> Cluster:
        """The same in a namespace, kubectl's own for an empty one."""
        return Cluster(self.kubectl.within(namespace))

    def deployment(self, name: str, *more: str) -> Object:
        """One ClaudeDeployment."""
        return self.kubectl.get(CLD, name, *more)

    def events(self, name: str) -> list[Event]:
        """Its Events, the newest last."""
        # Of the core group: the cluster's own roles view, edit and admin may read no others.
        selector = f"--field-selector=involvedObject.kind=ClaudeDeployment,involvedObject.name={name}"
        return events_of(self.kubectl.list("events", selector), name)

    def revisions(self, name: str) -> list[Object]:
        """Its revisions, the oldest first."""
        found = self.kubectl.list(CLR, f"--selector={names.LABEL_DEPLOYMENT}={name}")
        return sorted(found, key=lambda one: (one["metadata"]["creationTimestamp"], one["metadata"]["name"]))

    def revision(self, name: str) -> Object:
        """One revision."""
        found = self.kubectl.find(CLR, name)
        if found is None:
            raise Failure(f"there is no ClaudeRevision {name}: `kubectl claude history` lists those that are kept")
        return found

    def prompts(self, keys: Iterable[tuple[str, str]]) -> dict[tuple[str, str], str]:
        """Texts in ConfigMaps by (name, key), without those that do not exist."""
        wanted = list(keys)
        found = {name: self.kubectl.find("configmap", name) for name in dict.fromkeys(name for name, _ in wanted)}
        texts = {(name, key): ((found[name] or {}).get("data") or {}).get(key) for name, key in wanted}
        return {where: text for where, text in texts.items() if text is not None}

    def usages(self, wanted: Sequence[str], *where: str) -> list[Used]:
        """What ClaudeDeployments have used, those of these names or all; `where` are flags of `kubectl get`."""
        if not wanted:
            return self.usages_of(self.kubectl.list(CLD, *where), *where)
        wanted = list(dict.fromkeys(wanted))  # one that is named twice counts once
        found = [self.deployment(name) for name in wanted]
        stored = (self.kubectl.find("configmap", names.usage_name(name)) for name in wanted)
        return _usages(found, [one for one in stored if one is not None])

    def usages_of(self, found: Sequence[Object], *where: str) -> list[Used]:
        """The same of ClaudeDeployments that were listed with these flags, in their order."""
        everywhere = [flag for flag in where if flag == "--all-namespaces"]
        return _usages(found, self.kubectl.list("configmaps", f"--selector={_USAGE}", *everywhere))

    def eval_set(self, name: str) -> Object:
        """One ClaudeEvalSet."""
        return self.kubectl.get(CES, name)

    def config_maps(self, wanted: Iterable[str]) -> list[Object]:
        """Those of these names that there are."""
        found = (self.kubectl.find("configmap", name) for name in dict.fromkeys(wanted))
        return [one for one in found if one is not None]

    def models(self) -> dict[str, Model]:
        """The cluster's own models, by id and alias."""
        return models_by_name(one.get("spec") or {} for one in self.kubectl.list(CLM))

    def prices(self, deployment: Object) -> Book:
        """The prices that its gateways reckon with in place of the list's."""
        metadata = deployment["metadata"]
        found = self.kubectl.find("configmap", names.gateway_name(metadata["name"]))
        if found is None or not names.is_controlled_by(found, metadata["uid"]):
            return LIST_PRICES
        try:
            return parse_book((found.get("data") or {}).get(PRICES_KEY) or "{}")
        except ValueError as error:
            raise Failure(f"{PRICES_KEY} of its gateways cannot be read: {error}") from error

    def gateway_logs(self, name: str, since: str) -> str:
        """What its gateway pods have logged since a moment."""
        selector = ",".join(f"{label}={value}" for label, value in names.selector(name, "gateway").items())
        return self.kubectl.logs(selector, since)


def _usages(found: Sequence[Object], kept: Sequence[Object]) -> list[Used]:
    by_place = {(one["metadata"]["namespace"], one["metadata"]["name"]): one for one in kept}
    return [
        used_of(one, by_place.get((one["metadata"]["namespace"], names.usage_name(one["metadata"]["name"]))))
        for one in found
    ]
