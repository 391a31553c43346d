"""Who we are: the service account's token, which rotates, and the kubeconfig."""

from __future__ import annotations

import datetime
from pathlib import Path

import certifi
import pytest
import yaml
from kubernetes.aio import client as aio
from kubernetes.aio.config import incluster_config
from tests.kube.apiserver import ApiServer, failure

from claude_operator.kube.client import Kube, KubeError
from claude_operator.kube.resources import CONFIG_MAPS


def kubeconfig(path: Path, url: str, token: str) -> None:
    document = {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": "c",
        "contexts": [{"name": "c", "context": {"cluster": "c", "user": "u"}}],
        "clusters": [{"name": "c", "cluster": {"server": f"{url}/"}}],
        "users": [{"name": "u", "user": {"token": token}}],
    }
    path.write_text(yaml.safe_dump(document))


@pytest.fixture
def outside(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """Not in a pod; the KUBECONFIG's path."""
    monkeypatch.delenv("KUBERNETES_SERVICE_HOST", raising=False)
    path = tmp_path / "kubeconfig"
    monkeypatch.setenv("KUBECONFIG", str(path))
    return path


async def test_a_rotated_token_is_used(server: ApiServer, tmp_path: Path) -> None:
    token = tmp_path / "token"
    token.write_text("first\n")
    configuration = aio.Configuration()
    environment = {"KUBERNETES_SERVICE_HOST": "10.0.0.1", "KUBERNETES_SERVICE_PORT": "443"}
    loader = incluster_config.InClusterConfigLoader(str(token), certifi.where(), environ=environment)
    loader._token_refresh_period = datetime.timedelta(0)  # a minute otherwise
    loader.load_and_set(configuration)
    configuration.host = loader.host = server.url
    async with Kube(configuration) as kube:
        await kube.get(CONFIG_MAPS, "c", "team")
        token.write_text("second\n")
        await kube.get(CONFIG_MAPS, "c", "team")
        token.unlink()
        with pytest.raises(KubeError, match="token cannot be read"):
            await kube.get(CONFIG_MAPS, "c", "team")
    assert [request.authorization.lower() for request in server.requests] == ["bearer first", "bearer second"]


async def test_in_a_pod(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("KUBERNETES_SERVICE_HOST", "127.0.0.1")
    monkeypatch.setenv("KUBERNETES_SERVICE_PORT", "1")
    monkeypatch.setattr(incluster_config, "SERVICE_TOKEN_FILENAME", str(tmp_path / "token"))
    monkeypatch.setattr(incluster_config, "SERVICE_CERT_FILENAME", certifi.where())
    with pytest.raises(KubeError, match=r"Service token file does not exist.*set KUBECONFIG"):
        await Kube.from_environment()
    (tmp_path / "token").write_text("t")
    async with await Kube.from_environment() as kube:
        with pytest.raises(KubeError, match=r"the Kubernetes API at https://127.0.0.1:1 cannot be reached"):
            await kube.get(CONFIG_MAPS, "c", "team")


async def test_a_kubeconfig_is_read_again_when_its_token_is_stale(server: ApiServer, outside: Path) -> None:
    kubeconfig(outside, server.url, "first")
    async with await Kube.from_environment() as kube:
        await kube.get(CONFIG_MAPS, "c", "team")
        kubeconfig(outside, server.url, "second")
        server.answers = [failure(401, "Unauthorized", "Unauthorized")]
        await kube.get(CONFIG_MAPS, "c", "team")
        assert [each.authorization for each in server.requests] == ["Bearer first", "Bearer first", "Bearer second"]
        assert {each.path for each in server.requests} == {"/api/v1/namespaces/team/configmaps/c"}
        server.answers = [failure(401, "Unauthorized", "Unauthorized") for _ in range(2)]
        with pytest.raises(KubeError, match="401"):  # once is enough
            await kube.get(CONFIG_MAPS, "c", "team")
        outside.unlink()  # noqa: ASYNC240
        server.answers = [failure(401, "Unauthorized", "Unauthorized")]
        with pytest.raises(KubeError, match="the credentials cannot be read again"):
            await kube.get(CONFIG_MAPS, "c", "team")


async def test_neither_pod_nor_kubeconfig(outside: Path) -> None:
    with pytest.raises(KubeError, match=r"the Kubernetes API is not configured: .*set KUBECONFIG\.$") as caught:
        await Kube.from_environment()
    assert caught.value.status == 0


async def test_a_kubeconfig_that_is_no_yaml_says_where(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "config").write_text("a: b: c")
    monkeypatch.setenv("KUBECONFIG", str(tmp_path / "config"))
    monkeypatch.delenv("KUBERNETES_SERVICE_HOST", raising=False)
    with pytest.raises(KubeError, match=r"the kubeconfig is not YAML at line 1, column 5: .*set KUBECONFIG\.$"):
        await Kube.from_environment()
