"""kubectl's JSONPath templates: what they print, and what is said of those that cannot be read."""

import pytest

from canary.errors import UsageError
from canary.render.jsonpath import template

DOCUMENT = {
    "kind": "List",
    "items": [
        {"metadata": {"name": "a", "annotations": {"x.dev/y": "1"}}, "weight": 5, "on": True},
        {"metadata": {"name": "b"}, "weight": 25, "tags": ["p", "q", "r"]},
    ],
}
PRINTED = [
    pytest.param("{.kind}", "List", id="a field"),
    pytest.param("{$.kind}", "List", id="from the root"),
    pytest.param(".kind", "List", id="without braces"),
    pytest.param("kind", "List", id="without braces and dot"),
    pytest.param("{.items[*].metadata.name}", "a b", id="of all elements"),
    pytest.param("{.items[0].weight}", "5", id="a number"),
    pytest.param("{.items[-1].metadata.name}", "b", id="the last element"),
    pytest.param("{.items[1].tags[0:2]}", "p q", id="a slice"),
    pytest.param("{.items[1].tags[1:]}", "q r", id="an open slice"),
    pytest.param("{.items[0].on}", "true", id="a truth"),
    pytest.param("{.items[1].tags}", '["p", "q", "r"]', id="a list is JSON"),
    pytest.param("{.items[0].metadata.*}", 'a {"x.dev/y": "1"}', id="all fields"),
    pytest.param(r"{.items[0].metadata.annotations.x\.dev/y}", "1", id="an escaped dot"),
    pytest.param("{.items[0].metadata.annotations['x.dev/y']}", "1", id="a quoted key"),
    pytest.param("{.nothing.there}", "", id="what is absent prints nothing"),
    pytest.param("{.items[?(@.weight>5)].metadata.name}", "b", id="a filter by number"),
    pytest.param('{.items[?(@.metadata.name=="a")].weight}', "5", id="a filter by text"),
    pytest.param("{.items[?(@.metadata.name!='a')].weight}", "25", id="a filter in single quotes"),
    pytest.param("{.items[?(@.tags)].metadata.name}", "b", id="a filter by existence"),
    pytest.param("{.items[?(@.metadata>5)].weight}", "", id="a comparison that makes no sense"),
    pytest.param('n={.items[0].metadata.name}{"\\n"}', "n=a\n", id="text and line ends"),
    pytest.param("{range .items[*]}{.metadata.name}:{.weight};{end}.", "a:5;b:25;.", id="a range"),
]  # fmt: skip


@pytest.mark.parametrize(("text", "said"), PRINTED)
def test_prints(text: str, said: str) -> None:
    """As kubectl prints it."""
    assert template(text)(DOCUMENT) == said


BROKEN = [
    pytest.param("{.a", "is not closed", id="no closing brace"),
    pytest.param("{range .a}{.b}", "its {end} is missing", id="a range without end"),
    pytest.param("{.a}{end}", "without a {range}", id="an end without range"),
    pytest.param("{..name}", "at '..name'", id="recursion, which is not supported"),
    pytest.param("{.a[?(@.b==c)]}", "a quoted text is expected", id="a text without quotes"),
    pytest.param("{.a[x]}", "at '[x]'", id="an index that is none"),
]


@pytest.mark.parametrize(("text", "why"), BROKEN)
def test_says_what_it_cannot_read(text: str, why: str) -> None:
    """A usage error with the place, and an example of what works."""
    with pytest.raises(UsageError, match="expected is a template such as") as error:
        template(text)
    assert why in str(error.value)
