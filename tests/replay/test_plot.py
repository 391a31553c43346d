"""The picture of a rollout: what is where, and that no words lie on others."""

from __future__ import annotations

import math
import re
import xml.etree.ElementTree as ET

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from claude_operator.core.judge.ledger.points import Point, of_replay
from claude_operator.core.judge.metrics import METRICS
from claude_operator.replay.plot import plot

SVG = "{http://www.w3.org/2000/svg}"
NAMES = list(METRICS)
Box = tuple[float, float, float, float, str]


def parsed(picture: str) -> ET.Element:
    root = ET.fromstring(picture)
    assert (root.get("width"), root.get("height"), root.get("viewBox")) == ("900", "520", "0 0 900 520")
    return root


def words(root: ET.Element) -> list[str]:
    return [text.text or "" for text in root.iter(f"{SVG}text")]


def boxes(root: ET.Element) -> list[Box]:
    """Where each text is, letters being 7 px wide and 12 high at most."""
    found = []
    for text in root.iter(f"{SVG}text"):
        written, x, y = text.text or "", float(text.get("x", "")), float(text.get("y", ""))
        wide = len(written) * 7 * (14 / 12 if text.get("class") == "title" else 1)
        if text.get("transform"):
            found.append((x - 10, y - wide / 2, x + 3, y + wide / 2, written))
            continue
        left = x - wide * {"start": 0.0, "middle": 0.5, "end": 1.0}[text.get("text-anchor", "start")]
        found.append((left, y - 10, left + wide, y + 2, written))
    return found


def check(root: ET.Element) -> None:
    """Every text inside of the picture, none on another."""
    found = boxes(root)
    for i, (left, top, right, bottom, written) in enumerate(found):
        assert left >= 0 and top >= 0 and right <= 900 and bottom <= 520, written
        for others in found[i + 1 :]:
            apart = right <= others[0] or others[2] <= left or bottom <= others[1] or others[3] <= top
            assert apart, (written, others[4])


def rollout(*, fails: bool = False, names: list[str] = NAMES[:3]) -> list[Point]:
    points = []
    for tick in range(60):
        percent = (1.0, 10.0, 50.0)[tick // 20]
        evidence = {name: math.exp((tick + i) / 10) for i, name in enumerate(names)}
        verdict = "Fail" if fails and tick >= 50 else "Inconclusive"
        points.append(Point(5.0 * tick, percent, sum(evidence.values()) / len(names), evidence, verdict))
    return points


def test_what_is_in_the_picture() -> None:
    root = parsed(plot(rollout(fails=True), leading="timeToFirstToken", title="support <b> & co"))
    found = words(root)
    for text in ("support <b> & co", "weight (%)", "evidence of harm", "time since the judge began (minutes)"):
        assert text in found
    assert {"1 %", "10 %", "50 %", "goes back", "at 100", "all, weighted", *NAMES[:3]} <= set(found)
    assert "rolled back after 4 min 10 s: timeToFirstToken" in found
    assert len(list(root.iter(f"{SVG}polyline"))) == 4
    thick = [line.get("class") for line in root.iter(f"{SVG}polyline") if "leading" in line.get("class", "")]
    assert thick == ["m1 leading"]
    assert "prefers-color-scheme:dark" in plot(rollout())
    check(root)


def test_the_curves_are_where_the_axes_say() -> None:
    points = [Point(0.0, 1.0, 1.0, {"errors": 1.0}, "Inconclusive"), Point(60.0, 10.0, 10.0, {"errors": 10.0}, "Pass")]
    root = parsed(plot(points))
    (line,) = root.iter(f"{SVG}polyline")
    (x0, y0), (x1, y1) = (map(float, pair.split(",")) for pair in line.get("points", "").split())
    labels = {box[4]: box for box in boxes(root)}
    assert (x0, x1) == (70.0, 800.0)
    for value, y in (("1", y0), ("10", y1)):
        near = [box[3] - 6 for box in boxes(root) if box[4] == value and box[2] <= 70 and box[1] > 180]
        assert near == [pytest.approx(y, abs=0.2)]
    limit = next(line for line in root.iter(f"{SVG}line") if line.get("class") == "limit")
    assert float(limit.get("y1", "")) == pytest.approx(y1 - (y0 - y1), abs=0.2)
    assert labels["60"][0] < 800 < labels["60"][2]
    weight = next(path for path in root.iter(f"{SVG}path") if path.get("class") == "weight")
    assert weight.get("d") == "M70,162H70.0V152.0H800.0V62.0H800V162Z"


def test_traffic_that_has_gone_back_is_gone() -> None:
    root = parsed(plot(rollout(fails=True)))
    path = next(path.get("d", "") for path in root.iter(f"{SVG}path") if path.get("class") == "weight")
    heights = [float(y) for y in re.findall(r"V([0-9.]+)", path)]
    assert heights[49] == 62.0
    assert set(heights[50:]) == {162.0}


def test_a_promotion_is_marked() -> None:
    points = [*rollout(), Point(300.0, 100.0, 0.1, {"errors": 0.1}, "Inconclusive")]
    root = parsed(plot(points))
    assert "promoted after 5 min" in words(root)
    check(root)
    assert not [text for text in words(parsed(plot(rollout()))) if text.startswith(("promoted", "rolled"))]


def test_extremes() -> None:
    with pytest.raises(ValueError, match="there is no tick to draw: write a ledger or a file of ticks"):
        plot([])
    everything = [Point(float(t), 1.0, 1e300, dict.fromkeys(NAMES, 10.0 ** (t - 9)), "Pass") for t in range(19)]
    for points in ([Point(0.0, 0.0, 1.0, {}, "")], rollout()[:1], everything):
        check(parsed(plot(points, threshold=1e6, title="x" * 400)))


@settings(max_examples=60)
@given(
    st.lists(st.floats(0.001, 1e6), min_size=1, max_size=30),
    st.lists(st.sampled_from([0.01, 0.5, 1.0, 5.0, 12.5, 33.33, 50.0, 75.0, 99.99, 100.0]), min_size=30, max_size=30),
    st.lists(st.floats(0, 1e300), min_size=30, max_size=30),
    st.integers(1, 12),
    st.floats(1.001, 1e9),
    st.integers(0, 60),
)
def test_no_words_lie_on_others(
    times: list[float], weights: list[float], totals: list[float], metrics: int, threshold: float, fails: int
) -> None:
    points = [
        Point(t, weights[i], totals[i], dict.fromkeys(NAMES[:metrics], totals[-i]), "Fail" if i >= fails else "Pass")
        for i, t in enumerate(sorted(times))
    ]
    check(parsed(plot(points, threshold=threshold, leading=NAMES[metrics - 1], title="support")))


def test_points_of_a_replay() -> None:
    ticks = [
        {"t": 1.0, "weight": 0.05, "total": 2.0, "evidence": {"errors": 2.0}, "verdict": "Inconclusive"},
        {"t": 2.0, "weight": None, "total": 3.0, "evidence": {"errors": 3.0}, "verdict": "Fail"},
    ]
    assert of_replay(ticks) == [
        Point(1.0, 5.0, 2.0, {"errors": 2.0}, "Inconclusive"),
        Point(2.0, 5.0, 3.0, {"errors": 3.0}, "Fail"),
    ]
