"""The page of a report, in a real browser."""

from __future__ import annotations

import re
from html.parser import HTMLParser
from pathlib import Path
from xml.etree import ElementTree as Tree

import pytest
from aiohttp import web
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.evals.browser import chromium
from tests.evals.reports import MESSAGE, graded, item, shown
from tests.evals.servers import serving

from claude_operator.core.evals.report import BASELINE, CANDIDATE, RunLine, make_report, read_report, write_report
from claude_operator.evals.html import as_html
from claude_operator.evals.junit import as_junit
from claude_operator.evals.markup import tag
from claude_operator.evals.show import as_text


def elements(text: str) -> set[str]:
    found = set()

    class Parser(HTMLParser):
        def handle_starttag(self, name: str, attrs: list[tuple[str, str | None]]) -> None:
            found.add(name)
            assert not [key for key, _ in attrs if key.startswith("on") or key in ("src", "style")]

    Parser().feed(text)
    return found


def test_what_others_wrote_is_text() -> None:
    assert not elements(as_html(shown())) & {"script", "img", "link", "iframe", "object", "form", "base"}
    assert tag("p", "<b>&", title='"<x>') == '<p title="&quot;&lt;x&gt;">&lt;b&gt;&amp;</p>'


@given(st.text(), st.text(), st.text(), st.dictionaries(st.text(), st.text(), max_size=2))
@settings(max_examples=60)
def test_whatever_others_wrote_is_text(name: str, text: str, why: str, metadata: dict[str, str]) -> None:
    items = [item(name, text, metadata=metadata)]
    arms = {CANDIDATE: {name: [graded(text, f"equals: {why}", why)]}, BASELINE: {name: [graded(why)]}}
    run = RunLine(set=text, candidate=why, baseline=name, phase="Failed", message=text)
    report = read_report(write_report(make_report(run, items, arms, keep_text=True)), "x")
    assert elements(as_html(report)) <= elements(as_html(shown()))
    assert Tree.fromstring(as_junit(report)).get("failures") == "2"
    assert not set(as_text(report)) & set("\x00\x1b\r\u202e\u2066")


def test_nothing_of_it_leads_elsewhere() -> None:
    text = as_html(shown())
    assert not re.search(r"https?://|@import|url\(", text)
    assert "secret" not in text


def test_a_report_without_answers() -> None:
    text = as_html(make_report(RunLine(phase="Failed", message="Failed: 400"), [], {}, keep_text=True))
    assert "Failed: 400" in text
    assert "<article" not in text


@pytest.mark.slow
async def test_what_a_person_looks_for(tmp_path: Path) -> None:
    async def serve(request: web.Request) -> web.Response:
        strict = {"Content-Security-Policy": "default-src 'none'"} if request.path == "/strict" else {}
        return web.Response(text=as_html(shown()), content_type="text/html", headers=strict)

    app = web.Application()
    app.router.add_get("/{path:.*}", serve)
    async with serving(app) as url, chromium(tmp_path) as page:
        await page.show(width=1280)
        await page.open(f"{url}/page")
        assert {request for request in page.requests if not request.endswith("/favicon.ico")} == {f"{url}/page"}
        assert page.complaints == [] or all("favicon" in one for one in page.complaints)
        assert await page.run("document.title") == "Failed: triage"
        seen = await page.run("document.body.innerText")
        for text in (MESSAGE, "support-7b9e21c3d4 against support-5f6d8c1a2b", "8 of 12", "2 of 3", "$0.0240"):
            assert text in seen
        assert "the answer is 'delivery'" in seen
        assert "I was charged twice for order 4711." in seen
        assert "<script>document.title='owned'</script>" in seen  # shown, not run
        assert "⟨U+202E⟩gnp.exe" in seen

        assert await page.run("document.querySelectorAll('svg circle').length") == 2
        heads = "[...document.querySelectorAll('article h3')].map(one => one.innerText.split(' ')[0])"
        assert await page.run(heads) == ["charged-twice", "hostile", "parcel"]
        boxes = "[...document.querySelectorAll('#item-3 .sides > div')].map(one => one.getBoundingClientRect())"
        sides = f"{boxes}.map(one => [one.left, one.top])"
        (left, top), (right, level) = await page.run(sides)
        assert left < right and top == level  # side by side
        assert await page.run("[...document.querySelectorAll('#item-3 del')].map(one => one.innerText)") == [
            "was",
            "came",
            "Monday",
        ]
        assert await page.run("document.querySelector('a[href=\"#item-2\"]').click(), location.hash") == "#item-2"

        await page.show(width=360)
        assert await page.run("document.documentElement.scrollWidth") <= 360  # nothing moves the page sideways
        (left, top), (right, level) = await page.run(sides)
        assert left == right and top < level

        back = "getComputedStyle(document.body).backgroundColor"
        assert await page.run(back) == "rgb(255, 255, 255)"
        await page.show(width=360, dark=True)
        assert await page.run(back) == "rgb(13, 17, 23)"
        await page.show(width=800, dark=True, media="print")
        assert await page.run(back) == "rgb(255, 255, 255)"
        assert (await page.pdf()).startswith(b"%PDF")

        await page.open(f"{url}/strict")  # a server whose own policy forbids every style
        assert MESSAGE in await page.run("document.body.innerText")
        assert await page.run("document.title") == "Failed: triage"
