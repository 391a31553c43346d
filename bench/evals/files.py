"""The files that a run is given, and the scenario by which the simulator answers it."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from bench.evals.draws import EASY, HARD, MEAN, SHARE

__all__ = ["CANDIDATE", "MAX_TOKENS", "MODEL", "STABLE", "SYSTEMS", "scenario", "write_files"]

MODEL, MAX_TOKENS = "claude-haiku-5-5", 64
CANDIDATE, STABLE = "candidate", "stable"
SYSTEMS = {
    CANDIDATE: "Answer the customer's question with the one label that fits it best. Write the label alone.",
    STABLE: "Which label fits the customer's question? Answer with the label.",
}


def write_files(folder: Path, lines: Sequence[str], **more: Any) -> list[str]:
    """Write a set with these items and more fields, and a request for each arm; the options of `eval run` for them."""
    spec = {"dataset": {"configMapKeyRef": {"name": "items", "key": "items.jsonl"}}, **more}
    (folder / "set.yaml").write_text(json.dumps(spec))
    (folder / "items.jsonl").write_text("\n".join(lines), encoding="utf-8")
    for name, text in SYSTEMS.items():
        request = {"model": MODEL, "max_tokens": MAX_TOKENS, "system": [{"type": "text", "text": text}]}
        (folder / f"{name}.yaml").write_text(json.dumps(request))
    options = {"-f": "set.yaml", "--jsonl": "items.jsonl", "--request": "candidate.yaml", "--baseline": "stable.yaml"}
    return [word for option, name in options.items() for word in (option, str(folder / name))]


def scenario(
    answers: Sequence[tuple[str, str]], seed: int, *, worse: float = 0.0, latency: str = "0s"
) -> dict[str, Any]:
    """Items as hard as those of `draws`; the candidate never gets a random share of them right."""
    parts = ((SHARE, *EASY), (1 - SHARE, *HARD))
    return {
        "seed": seed,
        "answers": [{"question": question, "answer": answer} for question, answer in answers],
        "defaults": {
            "latency": {"median": latency},
            "tokensPerSecond": 1e6,
            "difficulty": [{"share": share, "alpha": alpha, "beta": beta} for share, alpha, beta in parts],
        },
        "rules": [{"match": {"systemContains": SYSTEMS[CANDIDATE]}, "accuracy": 1 - worse / MEAN}],
    }
