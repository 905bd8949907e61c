"""Metrics pages as real services write them: what Prometheus takes is taken, and nothing hangs."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry, Counter, Gauge
from prometheus_client.exposition import generate_latest
from prometheus_client.openmetrics.exposition import generate_latest as generate_openmetrics

from canary.metrics.exposition import PageError, PageLimits, parse_samples

TEXT = "text/plain; version=0.0.4; charset=utf-8"
OPEN = "application/openmetrics-text; version=1.0.0; charset=utf-8"
POOL = 'pool_active{pool="a"} 3\npool_max{pool="a"} 10\n'
TYPED = f"# TYPE pool_active gauge\n# TYPE pool_max gauge\n{POOL}# EOF\n"
WANTED = {"pool_active", "pool_max"}


def found(page: str, kind: str = TEXT, *, whole: bool = False) -> dict[str, float]:
    """Name → value of the wanted samples."""
    taken = parse_samples(page.encode(), kind, WANTED, whole=whole)
    return {one.name: one.value for one in taken}


TAKEN = [
    pytest.param(TEXT, POOL, id="plain"),
    pytest.param(TEXT, POOL.replace("\n", "\r\n"), id="CRLF"),
    pytest.param(TEXT, 'pool_active{pool="a",} 3.0\npool_max{pool="a",} 10.0\n', id="a trailing comma"),
    pytest.param(TEXT, 'pool_active{pool="a"}3\npool_max{pool="a"}10\n', id="no space after the brace"),
    pytest.param(TEXT, 'pool_active { pool = "a" , db = "b" } 3\npool_max{pool="a", db="b"} 10\n', id="spaces in labels"),
    pytest.param(TEXT, 'pool_active{pool="a"}\t3\npool_max{pool="a"}\t10\n', id="tabs"),
    pytest.param(TEXT, 'pool_active{pool="a"} 3 1795998000000\npool_max{pool="a"} 10\n', id="a time"),
    pytest.param(TEXT, 'pool_active{pool="a",sql="select \\"x\\" # {y} \\\\ "} 3\npool_max 10\n', id="braces and quotes in a value"),
    pytest.param(TEXT, 'pool_active{pool="Größe"} 3e0\npool_max{pool="Größe"} +1.0E1\n', id="UTF-8 and exponents"),
    pytest.param(TEXT, POOL + "other 0x1p3\nanother +Inf\nthird Nan\n", id="odd numbers elsewhere"),
    pytest.param(TEXT, "#\n##  section\n#TYPE broken\n# HELP x\n\n   \n   " + POOL, id="comments and blank lines"),
    pytest.param(TEXT, '{"http.server.duration", route="/x"} 5\n' + POOL, id="a quoted name elsewhere"),
    pytest.param(TEXT, '{"pool_active", "db.system"="pg", pool="a"} 3\npool_max{"db.pool"="a"} 10\n', id="quoted names"),
    pytest.param(TEXT, POOL + 'h_bucket{le="1"} 4 # {trace_id="abc"} 0.5\n', id="an exemplar in text"),
    pytest.param("", POOL, id="no content type"),
    pytest.param("application/octet-stream", POOL, id="another content type"),
    pytest.param(OPEN, TYPED, id="OpenMetrics"),
    pytest.param("Application/OpenMetrics-Text; version=1.0.0", TYPED, id="OpenMetrics in capitals"),
    pytest.param(OPEN, TYPED.rstrip("\n"), id="OpenMetrics without its last newline"),
    pytest.param(OPEN, POOL + "# EOF\n", id="OpenMetrics without types"),
    pytest.param(OPEN, "# TYPE cache_gets counter\ncache_gets_total NaN\n" + TYPED, id="e02: a counter that is NaN"),
    pytest.param(OPEN, "# TYPE jobs_total counter\njobs_total 5\n" + TYPED, id="e02: _total in TYPE"),
    pytest.param(OPEN, "# TYPE reqs counter\nreqs 5\n" + TYPED, id="a counter without _total"),
    pytest.param(OPEN, "# TYPE pool_active gauge\nother 1\n" + TYPED, id="e02: a family twice"),
    pytest.param(OPEN, '# TYPE c counter\nc_total 4 # {trace_id="' + "a" * 140 + '"} 1\n' + TYPED, id="e02: a long exemplar"),
    pytest.param(OPEN, '# TYPE h histogram\nh_bucket{le="1.0"} 6\nh_bucket{le="+Inf"} 5\nh_count 5\nh_sum 3\n' + TYPED, id="e02: a bucket that decreases"),
    pytest.param(OPEN, '# TYPE h histogram\nh_bucket{le="1"} 4\nh_count 5\nh_sum 3\n' + TYPED, id="no +Inf bucket"),
    pytest.param(OPEN, "# TYPE reqs counter\nreqs_total -1\n" + TYPED, id="a negative counter"),
    pytest.param(OPEN, "# TYPE reqs counter\nreqs_total 4\nreqs_created 1.5e9\n" + TYPED, id="a created series"),
    pytest.param(OPEN, '# TYPE st stateset\nst{state="a"} 1\n# TYPE build info\nbuild_info{v="1"} 1\n' + TYPED, id="statesets and infos"),
]  # fmt: skip


@pytest.mark.parametrize(("kind", "page"), TAKEN)
def test_a_page_that_prometheus_takes_is_taken(kind: str, page: str) -> None:
    """Only the wanted lines are looked at, whatever stands beside them."""
    assert found(page, kind) == {"pool_active": 3.0, "pool_max": 10.0}


def test_e01_the_last_newline_may_be_missing_where_the_page_is_known_to_be_whole() -> None:
    """The answer's length says so; without one the page may have been cut off."""
    assert found(POOL.rstrip("\n"), whole=True) == {"pool_active": 3.0, "pool_max": 10.0}
    with pytest.raises(PageError, match="middle of a line"):
        found(POOL.rstrip("\n"))


REFUSED = [
    pytest.param(TEXT, "", "empty", id="nothing"),
    pytest.param(TEXT, "<html><body>Sign in</body></html>\n", "line 1 is not a sample", id="a login page"),
    pytest.param(TEXT, '{"error":"unauthorized"}\n', "line 1 is not a sample", id="JSON"),
    pytest.param(TEXT, POOL + "other 1_000\n", "line 3 is not a sample: expected a number", id="underscores in a number"),
    pytest.param(TEXT, 'pool_active{pool="a} 3\n', "expected a quoted label value", id="an open quote"),
    pytest.param(TEXT, 'pool_active{pool="a"\n', "a comma or }", id="an open brace"),
    pytest.param(TEXT, "pool_active{pool=a} 3\n", "quoted label value", id="a value without quotes"),
    pytest.param(TEXT, "pool_active\n", "expected a number", id="no value"),
    pytest.param(TEXT, "pool_active{} secret-token\n", "expected a number", id="a word for a number"),
    pytest.param(OPEN, POOL, "# EOF", id="OpenMetrics without its end"),
]  # fmt: skip


@pytest.mark.parametrize(("kind", "page", "words"), REFUSED)
def test_a_page_that_is_none_is_refused_without_repeating_it(
    kind: str, page: str, words: str
) -> None:
    """What stands on a foreign page never gets into a message."""
    with pytest.raises(PageError, match=words) as caught:
        found(page, kind)
    assert "secret" not in str(caught.value)
    assert "unauthorized" not in str(caught.value)


SIZE = 1 << 20
WORST = [
    pytest.param("a" * SIZE, id="one long name"),
    pytest.param("a{" + 'x="' + "\\" * SIZE, id="backslashes"),
    pytest.param("a{" + "x " * (SIZE // 2), id="spaces in a label"),
    pytest.param("a " + "{}" * (SIZE // 2), id="braces"),
    pytest.param("{" * SIZE, id="open braces"),
    pytest.param("\n".join(["a{b" + "} " * 30_000] * 30), id="many long lines"),
    pytest.param('a{x="' + '\\"' * 30_000 + "\n" + ('a{x="' + '\\"' * 30_000 + "\n") * 15, id="escaped quotes"),
    pytest.param("{" + ",".join('"a"' for _ in range(SIZE // 4)), id="many names"),
    pytest.param("a{" + 'b="",' * (30_000 // 5) + "\n", id="many labels"),
]  # fmt: skip


@pytest.mark.parametrize("page", WORST)
def test_the_worst_page_of_a_megabyte_is_over_in_a_moment(page: str) -> None:
    """A parser that backtracks would need minutes for these, and the tests would not end."""
    with pytest.raises(PageError):
        found(f"{page}\n")


def test_a_line_may_have_so_many_characters() -> None:
    """One more is refused with its number."""
    fits = 'pool_active{pool="' + "x" * (PageLimits().line - 22) + '"} 3'
    assert found(f"{fits}\n") == {"pool_active": 3.0}
    with pytest.raises(PageError, match="line 2: expected at most"):
        found(f"other 1\n{fits}xxx\n")


@given(
    st.dictionaries(st.from_regex(r"[a-z]{1,5}", fullmatch=True), st.text(max_size=8), max_size=3),
    st.floats(),
)
def test_what_the_client_library_writes_is_read_back(labels: dict[str, str], value: float) -> None:
    """In both formats: names, labels with any characters, and values."""
    registry = CollectorRegistry()
    gauge = Gauge("level", "A gauge.", tuple(labels), registry=registry)
    (gauge.labels(**labels) if labels else gauge).set(value)
    Counter("hits", "A counter.", registry=registry).inc()
    for kind, page in ((TEXT, generate_latest(registry)), (OPEN, generate_openmetrics(registry))):
        (one, hits) = sorted(
            parse_samples(page, kind, {"level", "hits_total"}), key=lambda s: s.name
        )[::-1]
        assert dict(one.labels) == labels
        assert one.value == value or (math.isnan(one.value) and math.isnan(value))
        assert hits.value == 1.0
