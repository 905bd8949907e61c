"""Regular expressions of specs: RE2's dialect, linear in time."""

import pytest

from canary.core.sampling import matcher_matches
from canary.core.series import Matcher, MatchOp
from canary.text.regex import RegexError, check_regex, full_match


def test_a_regex_that_needs_exponential_time_elsewhere_does_not_hold_up_other_threads():
    """Python's own `re` would need 2 ** 60 steps here: a test that ends has not used it."""
    matcher = Matcher("path", MatchOp.REGEX, "(a+)+$")
    assert not matcher_matches(matcher, {"path": "a" * 60 + "!"})
    assert matcher_matches(matcher, {"path": "a" * 60})
    assert not full_match("(a|a)*(a|b|ab)*$", "ab" * 30_000 + "!")


@pytest.mark.parametrize(
    "pattern",
    ["(", "a(?=b)", r"(a)\1", "(a{1000}){1000}", "a" * 5000, "\ud800", r"\pL{60}", "(" * 4000],
)
def test_a_regex_that_is_not_one_or_too_large_is_refused_in_a_few_words(pattern: str):
    """RE2 would repeat the pattern, as bytes."""
    with pytest.raises(RegexError) as caught:
        check_regex(pattern)
    assert 0 < len(str(caught.value)) < 100


def test_a_regex_is_anchored_and_sees_line_breaks_as_in_prometheus():
    """The same pattern selects the same series here and there."""
    assert full_match("5..", "503")
    assert not full_match("5..", "5033")
    assert full_match("a.b", "a\nb")
    assert not full_match("a", "a\n")
    assert not full_match("a", "\ud800")
