"""`{{name}}` in texts of items: what is filled in, and what is refused by name."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from claude_operator.core.evals.formats.templates import FILTERS, Templates


def fill(text: str, variables: dict[str, Any]) -> str:
    return Templates().fill(text, variables)


def fill_deep(value: Any, variables: dict[str, Any]) -> Any:
    return Templates().fill_deep(value, variables)


VARS: dict[str, Any] = {
    "name": "Ada",
    "n": 3,
    "half": 0.5,
    "yes": True,
    "none": None,
    "list": ["a", "b"],
    "order": {"id": 7, "lines": [{"sku": "x-1"}]},
    "cell": '{"tone": "formal"}',
    "braces": "{{name}}",
}


@pytest.mark.parametrize(
    ("text", "filled"),
    [
        ("no braces", "no braces"),
        ("{ name } and }}", "{ name } and }}"),
        ("Hi {{name}}, {{ name }}!", "Hi Ada, Ada!"),
        ("{{n}} {{half}} {{yes}} [{{none}}]", "3 0.5 true []"),
        ("{{list}} {{order}}", '["a","b"] {"id":7,"lines":[{"sku":"x-1"}]}'),
        ("{{order.id}} {{order.lines[0].sku}} {{list[1]}} {{order['id']}}", "7 x-1 b 7"),
        ("{{cell.tone}}", "formal"),  # a cell of a table that is JSON
        ("{{braces}}", "{{name}}"),  # what is filled in is not read again
        ("{{name | upper}} {{ name|lower|capitalize }} {{' x ' | trim}}", "ADA Ada x"),
        ("{{list | join(', ')}} {{list | length}} {{list | first}}{{list | last}}", "a, b 2 ab"),
        ("{{order | dump}} {{name | dump}}", '{"id":7,"lines":[{"sku":"x-1"}]} "Ada"'),
        ("{{missing | default('-')}}{{none | default}}{{name | default('-')}}", "-Ada"),
        ("{{name | replace('A', 'E') | safe}}", "Eda"),
        ("a  {{- name -}}  b", "aAdab"),
        ("a{# a remark #}b", "ab"),
        ('{{ "{{" }}name{{ "}}" }}', "{{name}}"),
        (r"{{ 'it\'s' }}", "it's"),
        (f"{{{{ list[{'9' * 400}] | default('-') }}}}", "-"),
        (f"{{{{ name | replace('A', {'9' * 400}) }}}}", f"{'9' * 60}da"),
        (f"{{{{ list | join({'9' * 400}) }}}}", f"a{'9' * 60}b"),
        ("{{ list[1.9] }} {{ list[-1] }} {{ list[-0.5] }}", "b b a"),
    ],
)
def test_what_is_filled_in(text: str, filled: str) -> None:
    assert fill(text, VARS) == filled


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{{nam}}", r"{{nam}}: the item has no such var \(it has braces, .*add it to vars.*{{nam \| default\(''\)}}"),
        ("{{order.price}}", "{{order.price}}: the item has no such var"),
        ("{{list[2]}}", r"{{list\[2\]}}: the item has no such var"),
        ("{% for x in list %}{{x}}{% endfor %}", r"{% for %} is not taken: write the list out"),
        ("{%- if name -%}", "{% if %} is not taken: write one item for each case"),
        ("{{ env.KEY }}", "a set does not read the environment"),
        ("{{ read_file(name) }}", "is not taken: write {{name}}, {{name.part}}"),
        ("{{ n + 1 }}", "is not taken: write {{name}}"),
        ("{{ name.__class__ }}", "has no such var"),
        ("{{ ''.__class__ }}", "is not taken"),
        ("{{ (cell | load).tone }}", "is not taken"),
        ("{{ name | load }}", "the filter 'load' is not taken: use one of capitalize, default"),
        ("{{ name | join(", "is not closed"),
        ("{{ name | replace('a') }}", "is not taken"),
        ("{{ name | replace('', 'x') }}", "replace needs a text to look for"),
        ("{{ }}", "is not taken"),
        ("{{ name", r"{{ name is not closed: write the end, or {{ '{{' }} for the signs"),
        ("{# name", "is not closed"),
    ],
)
def test_what_is_refused(text: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        fill(text, VARS)


def test_a_text_that_grows_is_refused() -> None:
    long = {"a": "x" * 60_000}
    with pytest.raises(ValueError, match="more than 1,000,000 characters when it is filled in"):
        fill("{{a}}" * 20, long)
    with pytest.raises(ValueError, match="more than 1,000,000 characters"):
        fill("{{a | replace('x', 'yyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyy')}}", long)


def test_all_work_together_has_a_bound() -> None:
    """Work is counted, so that the bound is the same on any machine."""
    templates = Templates(work=100_000)
    for _ in range(40):
        assert templates.fill("{{a | lower | length}}", {"a": "x" * 500}) == "500"
    with pytest.raises(ValueError, match="filling in the set's templates takes too long: use fewer items"):
        for _ in range(40):
            templates.fill("{{a | lower | length}}", {"a": "x" * 500})


@pytest.mark.parametrize("text", ["{{" + '\\"' * 5000, "{{" + "a." * 5000 + "}}", "{{" * 5000, "{{'" * 5000])
def test_a_long_expression_is_not_read(text: str) -> None:
    with pytest.raises(ValueError, match=r"is not closed|is not taken"):
        fill(text, VARS)


def test_all_texts_of_a_value_are_filled_in_and_a_list_stays_one() -> None:
    value = {"a": ["{{name}}", 1, None], "b": "{{ list }}", "c": "{{list}}!"}
    assert fill_deep(value, VARS) == {"a": ["Ada", 1, None], "b": ["a", "b"], "c": '["a","b"]!'}
    with pytest.raises(ValueError, match="more than 100 levels"):
        deep: Any = "x"
        for _ in range(200):
            deep = [deep]
        fill_deep(deep, VARS)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)
PIECES = st.sampled_from(
    [*"a.[]()|'\", 0\\", "{{", "}}", "{%", "%}", "{#", "#}", "-1", "9" * 30, *FILTERS],
)


@settings(max_examples=300)
@given(st.lists(PIECES | st.text(max_size=3), max_size=12).map("".join), st.dictionaries(st.just("a"), JSON))
def test_whatever_is_written_is_filled_in_or_a_sentence(text: str, variables: dict[str, Any]) -> None:
    for written in (text, "{{a|" + text + "}}"):
        try:
            assert isinstance(fill(written, variables), str)
        except ValueError as error:
            assert 0 < len(str(error)) < 1000
