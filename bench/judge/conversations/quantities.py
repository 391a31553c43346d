"""What gateways measure of answers: times, tokens and prices."""

from __future__ import annotations

import numpy as np

from bench.judge.conversations.arms import Played
from bench.judge.conversations.cases import Case
from bench.judge.ticks import Floats, Ints
from claude_operator.core.catalogue.cost import cost_usd

__all__ = ["MODEL", "price", "values_of"]

MODEL = "claude-opus-5-5"
_WARM = 0.123  # of the price of a prompt, where most of it is read from the cache
_COLD = 2.1  # times as long to the first token


def price(prompt: Floats | Ints, output: Ints) -> Floats:
    """US dollars of an answer, without a prompt cache."""
    each = [cost_usd(MODEL, {f"{kind}_tokens": 1000}) or 0.0 for kind in ("input", "output")]
    return prompt * (each[0] / 1000.0) + output * (each[1] / 1000.0)


def values_of(case: Case, played: Played, name: str, places: Ints) -> Floats:
    """Of the answers at some places, a quantity by the name that evidence has for it."""
    output = played.output[places]
    if name == "cost":
        return price(played.prompt[places] * (_WARM if case.cached else 1.0), output)
    if name == "output_tokens":
        return output.astype(np.float64)
    first, whole = played.ttft[places], played.duration[places]
    if name == "time_per_output_token":
        return (whole - first) / np.maximum(output - 1, 1)
    ttft = first * np.where(played.cold[places], _COLD, 1.0) if case.cached else first
    return ttft if name == "ttft" else whole - first + ttft
