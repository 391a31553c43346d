"""What the gateway spends on a body is measured beside a peer."""

from __future__ import annotations

import pytest
from bench.gateway import cost


def test_every_work_has_a_row_with_its_peer(capsys: pytest.CaptureFixture[str]) -> None:
    cost.main(["--repeats", "1"])
    rows = capsys.readouterr().out.splitlines()[2:]
    assert [row.split(" | ")[0].removeprefix("| ") for row in rows] == [work.name for work in cost.works()]


def test_there_is_something_to_measure() -> None:
    with pytest.raises(SystemExit):
        cost.main(["--repeats", "0"])
