"""What the cells say, as Markdown: a part of docs/judge-benchmark.md between two marks."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path
from statistics import median

from bench.judge.conversations.cases import Case, Right
from bench.judge.conversations.cells import WAYS, Kept, Way, cells_of
from bench.judge.conversations.others import RULES, Rival, load_rivals
from bench.judge.conversations.verdicts import FAST, SLOW, Verdict, judged
from bench.judge.intervals import wilson

__all__ = ["BEGIN", "END", "markdown", "replaced"]

BEGIN, END = "<!-- conversations -->", "<!-- end of conversations -->"
_WAYS = {
    "fast": "counted with arrays",
    "slow": "counted by the gateways' own code",
}
_ANSWERS = {
    "kept": "kept",
    "broken": "**broken**",
    "open": "cannot tell",
    "missing": "**missing**",
    "told": "for information",
}
_HEADS = (
    "cell",
    "what is right",
    "rollouts",
    "rolled back (95 %)",
    "promoted",
    "held",
    "canary requests (95 %)",
    "failures",
    "why",
    "",
    "made",
)


def replaced(page: str, part: str) -> str:
    """The page with this part between the marks, at its end where there are none."""
    before, mark, rest = page.partition(BEGIN)
    after = rest.partition(END)[2] if mark else "\n"
    return f"{before.rstrip()}\n\n{BEGIN}\n\n{part.strip()}\n\n{END}{after}"


def markdown(folder: Path, cases: Sequence[Case]) -> str:
    """All cells of the cases, as they are kept in a folder."""
    rows = list(cells_of(folder, cases))
    parts = [
        _head(),
        _tally([(way, judged(case, found[way])) for case, found in rows for way in WAYS if way in case.ways]),
    ]
    for null, heading in ((True, "Nothing is wrong"), (False, "Something is wrong")):
        for way in WAYS:
            here = [
                (case, found[way]) for case, found in rows if (case.right.answer == "null") is null and way in case.ways
            ]
            table = _table(_HEADS, (_row(case, kept) for case, kept in here))
            if here:
                folded = f"<details><summary>{len(here)} cells</summary>\n\n{table}\n\n</details>"
                parts.append(f"### {heading}, {_WAYS[way]}\n\n{folded}")
    parts += _rivals(folder, cases)
    return "\n\n".join(parts) + "\n"


def _rivals(folder: Path, cases: Sequence[Case]) -> list[str]:
    """What other rules make of the same rollouts, where that was simulated."""
    here = [(case, found) for case in cases if (found := load_rivals(folder, case.name))]
    if not here:
        return []
    parts = [
        "### Other rules on the same conversations\n\nShare rolled back (95 %), and median canary requests until then."
    ]
    for null, heading in ((True, "nothing is wrong"), (False, "something is wrong")):
        some = [(case, found) for case, found in here if (case.right.answer == "null") is null]
        rows = [[f"{case.title} (`{case.name}`)", *(_rival(found.get(name)) for name in RULES)] for case, found in some]
        heads = [heading, *(title for title, _, _ in RULES.values())]
        if rows:
            parts.append(f"<details><summary>{heading}</summary>\n\n{_table(heads, rows)}\n\n</details>")
    return parts


def _rival(one: Rival | None) -> str:
    if one is None or not one.rollouts:
        return "**missing**"
    back = len(one.requests)
    low, high = wilson(back, one.rollouts)
    said = f"{_percent(back / one.rollouts)} ({100 * low:.1f}–{100 * high:.1f}) of {one.rollouts}"
    return said + (f", {median(one.requests):.0f}" if back else "")


def _head() -> str:
    return (
        "## Conversations\n\n"
        "Rollouts of conversations: agents, chats, single calls, tenants, users. Each cell is a kind of rollout with "
        "what is right in it; `make bench-judge ARGS='--cell NAME'` simulates one, and this part of the page is "
        "written from what is kept in `bench/judge/results/`. Weights are 1 → 10 → 50 % where nothing else is said, of "
        "10 minutes each at 50 requests/s and an hour at 5. Failures: requests that failed on the canary up to the "
        "rollback and would not have failed on stable. A cell is made in two ways: with arrays, which is fast, and by "
        "the code of the gateways, request for request; a test shows that both count the same. Of rollouts "
        "without harm that are counted with arrays, the judge goes through the ticks of those that come near a limit, "
        "and of each 50th; of the others arrays tell that they come to none, which a test holds against the judge. "
        "A null cell takes "
        f"{FAST:,} rollouts to tell, and {SLOW} by the gateways' code, whose steps are "
        "two fifths as long. A cell that was not made is missing, and says "
        "nothing."
    )


def _tally(verdicts: Sequence[tuple[Way, Verdict]]) -> str:
    lines = []
    for way in WAYS:
        counts = Counter(one.answer for name, one in verdicts if name == way)
        said = ", ".join(f"{counts[answer]} {words.strip('*')}" for answer, words in _ANSWERS.items() if counts[answer])
        lines.append(f"- {_WAYS[way]}: {said}")
    return "\n".join(lines)


def _row(case: Case, kept: Kept | None) -> list[str]:
    verdict = judged(case, kept)
    answer = _ANSWERS[verdict.answer] + (f": {verdict.why}" if verdict.why else "")
    start = [f"{case.title} (`{case.name}`)", _right(case.right)]
    if kept is None or not kept.rollouts:
        return [*start, *["–"] * 7, answer, "–"]
    low, high = kept.interval(kept.count("rolled back"))
    mean, half = kept.mean_excess
    median, interval = kept.median_requests, kept.requests_interval
    many = "–" if median is None else f"{median:.0f}" + (f" ({interval[0]:.0f}–{interval[1]:.0f})" if interval else "")
    return [
        *start,
        f"{kept.rollouts:,}",
        f"{_percent(kept.share('rolled back'))} ({100 * low:.1f}–{100 * high:.1f})",
        _percent(kept.share("promoted")),
        _percent(kept.share("held")),
        many,
        f"{mean:.1f} ± {half:.1f}" if case.right.answer != "null" else "–",
        _why(kept),
        answer,
        f"{kept.date}, seed {kept.seed}, {kept.commit}",
    ]


def _why(kept: Kept) -> str:
    said = [f"{name} {count}" for name, count in kept.reasons.items()]
    said += [f"held: {name} {count}" for name, count in kept.holds.items()]
    return ", ".join(said)


def _right(right: Right) -> str:
    if right.answer == "null":
        return "rolled back ≤ 1 %, other holds ≤ 5 %"
    if right.answer == "held":
        return f"not promoted, says '{right.words}'"
    if right.answer == "bound":
        return f"below the bound: {right.floor}"
    said = f"found ≥ {_percent(right.least)}"
    said += f", ≤ {right.requests:g} requests" if right.requests is not None else ""
    return said + (f", ≤ {right.failures:g} failures" if right.failures is not None else "")


def _percent(share: float) -> str:
    return f"{100 * share:.3g} %"


def _table(heads: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    return "\n".join("| " + " | ".join(row) + " |" for row in (heads, ["---"] * len(heads), *rows))
