"""Label matchers as people type them: read strictly, and never as PromQL."""

import pytest

from canary.analyze.matchers import format_matchers, parse_matchers
from canary.core.series import Matcher, MatchOp
from canary.errors import UsageError


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        pytest.param('version="v2"', [("version", "=", "v2")], id="as PromQL has it"),
        pytest.param("version=v2", [("version", "=", "v2")], id="as a shell leaves it"),
        pytest.param(
            "{namespace='prod', pod=~\"a.*|b\"}",
            [("namespace", "=", "prod"), ("pod", "=~", "a.*|b")],
            id="with braces and both kinds of quotes",
        ),
        pytest.param('a="x,y=\\"z\\""', [("a", "=", 'x,y="z"')], id="quotes inside quotes"),
        pytest.param('canary="",b!~"x"', [("canary", "=", ""), ("b", "!~", "x")], id="empty value"),
    ],
)
def test_matchers_are_read_as_they_are_meant(text, expected):
    """Label, operator and value of each, in order."""
    found = parse_matchers(text, "--canary")
    assert [(one.label, one.op.value, one.value) for one in found] == expected


@pytest.mark.parametrize(
    ("text", "message"),
    [
        pytest.param("", "found ''", id="nothing"),
        pytest.param("v2", "a label and =", id="no operator"),
        pytest.param("version=", "a value in quotes", id="no value"),
        pytest.param('version="v2" or x="y"', "a comma is missing", id="an operator of PromQL"),
        pytest.param('version="v2"} or up{a="b"', "a comma is missing", id="out of the braces"),
        pytest.param('version="v2', "a value in quotes", id="quotes that are not closed"),
        pytest.param('pod=~"("', "not a regular expression", id="a broken regular expression"),
        pytest.param('__name__="up"', "select the metric by --metric", id="the metric's name"),
        pytest.param("version=v2)+1", "a comma is missing", id="a bare value with more"),
    ],
)
def test_anything_else_is_refused_with_its_place(text, message):
    """The option is named, and what was expected there."""
    with pytest.raises(UsageError, match="--stable") as caught:
        parse_matchers(text, "--stable")
    assert message in str(caught.value)


def test_what_is_shown_can_be_typed_again():
    """A round trip, with everything that needs escaping."""
    matchers = (Matcher("a", MatchOp.EQUAL, 'x"\\\n,'), Matcher("b", MatchOp.NOT_REGEX, "y.*"))
    assert parse_matchers(format_matchers(matchers), "--canary") == matchers
