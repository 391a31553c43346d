"""`make test`: what its runs of pytest end with, and that an interrupted one leaves nothing behind."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from tests.test_repository import ROOT

QUICK, SLOW = "not cluster and not slow", "slow and not cluster"
ALONE, BESIDE = "cluster and alone", "cluster and not alone"
STAND_IN = f"""#!{sys.executable}
import os, sys, time
from pathlib import Path

here = Path(__file__).parent
kind = sys.argv[sys.argv.index("-m", 2) + 1] if "pytest" in sys.argv else ""
code = (here / kind).read_text() if kind and (here / kind).exists() else "0"
if code == "hang":
    try:
        (here / f"begun {{kind}}").touch()
        time.sleep(600)
    except KeyboardInterrupt:
        (here / f"ended {{kind}}").touch()
        code = "2"
sys.exit(int(code))
"""


@pytest.fixture
def make_test(tmp_path: Path) -> Callable[..., subprocess.Popen[str]]:
    """`make test` with a stand-in for Python that ends as told, by kind of tests."""
    python = tmp_path / "python"
    python.write_text(STAND_IN)
    python.chmod(0o755)
    whole = f"WHOLE={python} -m pytest"

    def begin(**codes: str) -> subprocess.Popen[str]:
        for kind, name in ((QUICK, "quick"), (SLOW, "slow"), (ALONE, "alone"), (BESIDE, "beside")):
            (tmp_path / kind).write_text(codes.get(name, "0"))
        words = ["make", "-o", "image", "test", f"BIN={tmp_path}", "DEV=true", whole, "ARGS="]
        env = {key: value for key, value in os.environ.items() if not key.startswith(("MAKE", "MFLAGS"))}
        return subprocess.Popen(
            words,
            cwd=ROOT,
            env=env,
            stdout=subprocess.PIPE,
            text=True,
            start_new_session=True,
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # a run in the background ignores it
        )

    return begin


@pytest.mark.parametrize(
    ("codes", "passes"),
    [
        ({}, True),
        ({"quick": "1"}, False),
        ({"slow": "1"}, False),
        ({"alone": "1"}, False),
        ({"beside": "1"}, False),
        ({"slow": "5", "alone": "5", "beside": "5"}, True),
        ({"quick": "5", "slow": "5", "beside": "5"}, True),
        ({"quick": "5", "alone": "5"}, True),
        ({"slow": "2", "alone": "5"}, False),
        ({"quick": "5", "slow": "5", "alone": "5", "beside": "5"}, False),
    ],
)
def test_it_passes_where_tests_ran_and_none_failed(
    make_test: Callable[..., subprocess.Popen[str]], codes: dict[str, str], passes: bool
) -> None:
    process = make_test(**codes)
    said, _ = process.communicate()
    assert (process.returncode == 0) == passes
    assert ("no test ran" in said) == (list(codes.values()) == ["5"] * 4)


def test_an_interrupted_run_ends_all_of_its_tests(
    make_test: Callable[..., subprocess.Popen[str]], tmp_path: Path
) -> None:
    process = make_test(slow="hang", alone="hang")
    assert process.stdout
    while not (tmp_path / f"begun {SLOW}").exists() or not (tmp_path / f"begun {ALONE}").exists():
        assert process.poll() is None
        time.sleep(0.05)
    os.killpg(process.pid, signal.SIGINT)  # as a terminal does
    process.communicate()
    assert process.returncode
    assert (tmp_path / f"ended {SLOW}").exists()
    assert (tmp_path / f"ended {ALONE}").exists()
