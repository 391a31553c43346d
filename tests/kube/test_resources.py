"""Paths and kinds."""

from __future__ import annotations

from claude_operator.kube.resources import BY_KIND, CLAUDE_MODELS, DEPLOYMENTS, PODS


def test_paths() -> None:
    assert PODS.path() == "/api/v1/pods"
    assert PODS.path("team", "p", "log") == "/api/v1/namespaces/team/pods/p/log"
    assert DEPLOYMENTS.path("team") == "/apis/apps/v1/namespaces/team/deployments"
    assert CLAUDE_MODELS.path("team", "m") == "/apis/claudeops.dev/v1alpha1/claudemodels/m"
    assert (PODS.api_version, DEPLOYMENTS.api_version) == ("v1", "apps/v1")


def test_each_kind_once() -> None:
    assert all(resource.kind == kind for kind, resource in BY_KIND.items())
    assert len({resource.path() for resource in BY_KIND.values()}) == len(BY_KIND)
