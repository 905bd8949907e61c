"""Selectors as people write them."""

import re

import pytest

from canary.core.series import MatchOp
from canary.metrics.selectors import parse_selector


@pytest.mark.parametrize(
    ("written", "exported", "other"),
    [
        ("1", ("1", "1.0"), ("10", "0.1", "1e+01")),
        ("1.0", ("1", "1.0"), ("1.01",)),
        ("0.5", ("0.5",), ("5", "5.0")),
        ("1000000", ("1e+06", "1000000", "1000000.0"), ("1e+07",)),
        ("0.00001", ("1e-05", "0.00001"), ("1e-06",)),
    ],
)
def test_p01_a_buckets_bound_is_matched_by_number(
    written: str, exported: tuple[str, ...], other: tuple[str, ...]
) -> None:
    """Prometheus 3 writes le="1.0" where Prometheus 2 wrote le="1"."""
    (matcher,) = parse_selector(f'latency_bucket{{le="{written}"}}').matchers
    assert matcher.op is MatchOp.REGEX
    assert all(re.fullmatch(matcher.value, one) for one in exported)
    assert not any(re.fullmatch(matcher.value, one) for one in other)


def test_other_labels_and_the_last_bucket_stay_as_they_are() -> None:
    """Only a number is one."""
    found = parse_selector('latency_bucket{le="+Inf",code="200"}').matchers
    assert [(one.op, one.value) for one in found] == [
        (MatchOp.EQUAL, "+Inf"),
        (MatchOp.EQUAL, "200"),
    ]
