"""`claude-operator operator`: what it refuses, how it ends, and a real process that is told to stop."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from tests.shell.fakes import FakeKube
from tests.shell.served import served
from tests.waiting import HANGS

from claude_operator.__main__ import main, make_parser
from claude_operator.core.render import NetworkRules
from claude_operator.kube.client import KubeError
from claude_operator.shell import cli
from claude_operator.shell.app import Settings

IMAGE = "registry.example.com/claude-operator:1"


@pytest.fixture(autouse=True)
def plain(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("OPERATOR_IMAGE", "IMAGE_PULL_POLICY", "POD_NAMESPACE", "POD_NAME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(cli, "configure", lambda *_, **__: None)  # the log is the tests'


def test_networks_of_the_installer_reach_what_is_rendered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cli, "App", Ends)
    monkeypatch.setattr(Ends, "error", None)
    options = ["--allowed-address=10.1.2.3", "--allowed-address=10.2.0.0/16", "--denied-address=fd12::/64"]
    options.append("--forward-header=X-Team")
    assert main(["operator", "--image", IMAGE, *options]) == 0
    site = Ends.settings.site
    assert site.forwarded_headers == ("x-team",)
    assert (site.allowed_addresses, site.denied_addresses) == (("10.1.2.3/32", "10.2.0.0/16"), ("fd12::/64",))


@pytest.mark.parametrize(
    ("option", "message"),
    [
        ("--allowed-address=10.1.2.3/8", "'10.1.2.3/8' has bits beyond its prefix; use 10.0.0.0/8"),
        ("--denied-address=node-1", "'node-1' is not a network of IP addresses; use e.g. 10.0.0.0/8 or 10.1.2.3"),
        ("--forward-header=x_team", "'x_team' is not the name of a header; use letters, digits and dashes"),
        ("--forward-header=Authorization", "'Authorization' is the gateway's own to set; leave it out"),
    ],
)
def test_what_an_installer_mistypes(option: str, message: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="2"):
        main(["operator", "--image", IMAGE, option])
    assert message in capsys.readouterr().err


class Ends:
    """Stands for the App: ends as told."""

    settings: Settings
    error: BaseException | None = None

    def __init__(self, settings: Settings) -> None:
        Ends.settings = settings

    def stop(self) -> None:
        """Nothing to stop."""

    async def run(self) -> None:
        if Ends.error is not None:
            raise Ends.error


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (None, 0),
        (KubeError(0, "NoConfiguration", "set KUBECONFIG"), 1),
        (OSError("port 8081 is taken"), 1),
    ],
)
def test_it_ends_with_a_code_and_a_line_of_why(
    error: BaseException | None, code: int, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(cli, "App", Ends)
    monkeypatch.setattr(Ends, "error", error)
    assert main(["operator", "--image", IMAGE]) == code
    assert [record.getMessage() for record in caplog.records] == ([f"the operator stops: {error}"] if error else [])


def test_the_variables_of_the_chart_stand_in_for_options(monkeypatch: pytest.MonkeyPatch) -> None:
    variables = {"OPERATOR_IMAGE": IMAGE, "IMAGE_PULL_POLICY": "Never", "POD_NAMESPACE": "ops", "POD_NAME": "pod-1"}
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(cli, "App", Ends)
    monkeypatch.setattr(Ends, "error", None)
    assert main(["operator"]) == 0
    first = Ends.settings
    assert (first.site.image, first.site.pull_policy, first.namespace) == (IMAGE, "Never", "ops")
    assert first.identity.startswith("pod-1_")
    main(["operator"])
    assert Ends.settings.identity != first.identity  # a container that restarts is another candidate


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ([], "write --image, or set OPERATOR_IMAGE"),
        (["--image", IMAGE, "--workers", "0"], "0 is too small for --workers: write 1 or more"),
        (["--image", IMAGE, "--usage-interval=1"], "is not between 5 and 60: write for example --usage-interval=10"),
        (["--image", IMAGE, "--usage-interval=nan"], "is not between 5 and 60"),
        (
            ["--image", IMAGE, "--prometheus-address", "prometheus:9090"],
            "write for example --prometheus-address=http://",
        ),
        (["--image", IMAGE, "--prometheus-address", "http://me:pw@prometheus:9090"], "holds a user or password"),
        (["--image", IMAGE, "--watch-namespace", "a,b"], "write for example --watch-namespace=support"),
        (["--image", IMAGE, "--network-policies", "--admin-from", "prometheus"], "write for example --admin-from="),
        (["--image", IMAGE, "--network-policies", "--admin-from", "[]"], "is not a list of NetworkPolicyPeers"),
    ],
)
def test_what_is_wrong_is_refused_with_what_to_write(words: list[str], said: str) -> None:
    with pytest.raises(SystemExit, match=said):
        main(["operator", *words])


def test_what_the_installer_decides_reaches_the_app(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cli, "App", Ends)
    monkeypatch.setattr(Ends, "error", None)
    main(["operator", "--image", IMAGE])
    plain = Ends.settings
    assert (plain.namespaces, plain.site.network, plain.audited, plain.usage_interval) == ((), None, False, 60.0)
    words = ["--watch-namespace=b", "--watch-namespace=a", "--watch-namespace=b", "--network-policies", "--audited"]
    main(["operator", "--image", IMAGE, *words])
    assert (Ends.settings.namespaces, Ends.settings.site.network) == (("b", "a"), NetworkRules())
    assert Ends.settings.audited
    main(["operator", "--image", IMAGE, "--usage-interval=10"])
    assert Ends.settings.usage_interval == 10.0
    main(["operator", "--image", IMAGE, "--network-policies", '--admin-from=[{"podSelector": {}}]'])
    assert Ends.settings.site.network == NetworkRules(({"podSelector": {}},))
    main(["operator", "--image", IMAGE, "--network-policies", "--api-server-port=443", "--api-server-port=8443"])
    assert Ends.settings.site.network == NetworkRules(api_server_ports=(443, 8443))


@pytest.mark.parametrize("port", ["https", "0", "65536", "-1"])
def test_a_port_that_is_none_is_refused(port: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["operator", "--image", IMAGE, "--network-policies", f"--api-server-port={port}"])
    assert f"'{port}' is not a port; use e.g. 6443" in capsys.readouterr().err


def test_a_log_level_that_is_none_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.undo()
    with pytest.raises(SystemExit, match="write DEBUG, INFO"):
        main(["operator", "--image", IMAGE, "--log-level", "loud"])


def test_help_names_every_option() -> None:
    text = make_parser(["operator"]).parse_args(["operator", "--image", IMAGE])
    assert (text.lease, text.workers, text.health_port, text.log_format) == ("claude-operator", 16, 8081, "json")


@pytest.mark.slow
async def test_a_process_that_is_told_to_end_releases_the_lease_and_ends_with_0(tmp_path: Path) -> None:
    kube = FakeKube()
    async with served(kube, tmp_path) as server:
        process = await operator(tmp_path)
        try:
            async with asyncio.timeout(HANGS):
                while len(server.watching) < 7:  # noqa: ASYNC110  # the server is another part of this loop
                    await asyncio.sleep(0.05)
            lease = kube.take("Lease", "claude-operator", "default")["spec"]
            assert lease["holderIdentity"]
            process.send_signal(signal.SIGTERM)
            async with asyncio.timeout(HANGS):
                _, errors = await process.communicate()
        finally:
            if process.returncode is None:
                process.kill()
                await process.wait()
    assert process.returncode == 0
    assert kube.take("Lease", "claude-operator", "default")["spec"]["holderIdentity"] == ""
    assert b"Traceback" not in errors
    assert b"Warning" not in errors


async def operator(folder: Path, **environment: Any) -> asyncio.subprocess.Process:
    """The command in a process of its own."""
    variables = {name: value for name, value in os.environ.items() if not name.startswith("KUBERNETES_")}
    variables |= {"KUBECONFIG": str(folder / "kubeconfig"), "PYTHONPATH": "operator"}
    words = ["-m", "claude_operator", "operator", "--image", IMAGE, "--namespace", "default", "--health-port", "0"]
    root = Path(__file__).parents[2]
    return await asyncio.create_subprocess_exec(
        sys.executable, *words, cwd=root, env=variables, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE
    )
