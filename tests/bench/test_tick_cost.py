"""What a tick of the judge costs is measured on a whole tick."""

from __future__ import annotations

import json

import pytest
from bench.judge import tick_cost


def test_every_part_of_a_tick_is_measured(capsys: pytest.CaptureFixture[str]) -> None:
    tick_cost.main(["--ticks", "5", "--repeats", "2", "--requests", "60"])
    table, found = capsys.readouterr().out.rsplit("\n\n", 1)
    costs = json.loads(found)
    parts = costs["microseconds"]
    assert parts.keys() == tick_cost.WORDS.keys()
    for name, cost in parts.items():
        assert 0 < cost["least"] <= cost["median"] <= cost["most"], name
        assert tick_cost.WORDS[name] in table
    judged = sum(parts[name]["median"] for name in ("parsed", "advance", "assess", "appended"))
    assert costs["cpuShare"]["everything"] == pytest.approx(judged * 1e-6 * 1000 / 5)
    assert 1000 < costs["stateBytes"] < 16 * 1024
    assert 0 < costs["ledgerBytes"] <= 128 * 1024


def test_the_judge_compares_all_that_it_is_given() -> None:
    documents = tick_cost.answers(100, 75)
    _, judgement, data = tick_cost._judged(documents)
    assert judgement.ticks == 75
    assert judgement.requests > 400
    by_name = {state.name: state for state in judgement.state}
    assert by_name["timeToFirstToken"].canary[0] > 0.3 * judgement.requests  # uncached ones, and all when it is warm
    assert by_name["errors"].stable[0] > 5000
    assert data["ticks.jsonl"]


def test_there_is_something_to_measure() -> None:
    with pytest.raises(SystemExit):
        tick_cost.main(["--repeats", "0"])
