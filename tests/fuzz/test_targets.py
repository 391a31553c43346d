"""A short run of what `make fuzz` does at length, the same inputs each time; and inputs that once broke something."""

from __future__ import annotations

import pytest
from tests.fuzz.mutate import mutations
from tests.fuzz.targets import TARGETS

INPUTS = 2_000

BROKE = {
    "http": [  # answered as HTTP/0.9 and HTTP/2.0
        b"POST /v1/messa/1.1\r\nhost: gateway\r\ncontent-length: 2\r\n\r\n{}",
        b"GET /v1/models HTTP/2.0\r\nhost: gateway\r\n\r\n",
    ],
    "text": [b"{a@example.com said\r\n\x1b[2J"],
    "spec": [b'{"request": {"model": "a", "max_tokens": 1}, "gateway": {"resources": {"limits": "256Mi"}}}'],
}
"""Inputs that a run of `make fuzz` found, by target."""


@pytest.mark.parametrize("name", TARGETS)
def test_nothing_that_others_write_breaks_a_promise(name: str) -> None:
    target = TARGETS[name]
    for data in (*target.seeds, *BROKE.get(name, ()), *mutations(target.seeds, 11, INPUTS)):
        target.check(data)


def test_the_same_seed_gives_the_same_inputs() -> None:
    seeds = TARGETS["body"].seeds
    assert list(mutations(seeds, 3, 50)) == list(mutations(seeds, 3, 50)) != list(mutations(seeds, 4, 50))


def test_inputs_differ_and_many_of_them_are_read_to_the_end() -> None:
    """A fuzzer whose inputs are all refused at the first byte tests nothing."""
    found = list(mutations(TARGETS["body"].seeds, 5, 500))
    assert len(set(found)) > 250
    assert sum(one.startswith(b"{") and one.endswith(b"}") for one in found) > 200
