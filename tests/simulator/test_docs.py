"""docs/simulator.md is in step with the simulator."""

from __future__ import annotations

import argparse
import re
from pathlib import Path

import pytest

from claude_operator.simulator.cli import add_arguments
from claude_operator.simulator.profile import Profile, compile_scenario
from claude_operator.simulator.scenario import Behaviour, Match, Scenario, parse

PAGE = (Path(__file__).parents[2] / "docs/simulator.md").read_text()
(EXAMPLE,) = re.findall(r"```yaml\n(.*?)```", PAGE, re.DOTALL)


def test_the_options_are_those_that_exist() -> None:
    parser = argparse.ArgumentParser()
    add_arguments(parser)
    known = {word for action in parser._actions for word in action.option_strings} - {"-h", "--help"}
    table = "\n".join(line for line in PAGE.splitlines() if line.startswith("| `--"))
    assert set(re.findall(r"--[a-z-]+", table)) == known


def test_the_example_names_every_field_and_the_built_in_values() -> None:
    scenario = parse(EXAMPLE)
    assert scenario.model_fields_set == set(Scenario.model_fields)
    assert scenario.defaults.model_fields_set == set(Behaviour.model_fields)
    compiled = compile_scenario(scenario, None)
    assert compiled.profiles[-1] == Profile()
    assert len(compiled.profiles) == 4


@pytest.mark.parametrize("model", [Behaviour, Match])
def test_every_field_has_a_row(model: type[Behaviour | Match]) -> None:
    rows = set(re.findall(r"^\| `(\w+)` \|", PAGE, re.MULTILINE))
    assert {field.alias for field in model.model_fields.values()} <= rows


def test_scenarios_in_commands_are_scenarios() -> None:
    found = re.findall(r"\{rules: .*?\}\]\}", PAGE)
    assert len(found) == 2
    for text in found:
        assert len(compile_scenario(parse(text), None).profiles) == 2
