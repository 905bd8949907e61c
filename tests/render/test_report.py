"""The incident report: complete in itself, escaped, bounded, and written as a whole."""

import errno
import json
import os
import re
import sys
from collections.abc import Iterator
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import plotly.graph_objects as go
import pytest

from canary.errors import PermanentError, UsageError
from canary.render import html_report
from canary.render.charts import build_figure
from canary.render.comparison import comparison_rows
from canary.render.html_page import SCRIPT, STYLE, build_policy
from canary.render.html_report import render_report, write_report
from canary.render.timeline import Evidence, Moment, Pool, ReleaseDecision, ReleaseSummary, Timeline

MAXIMUM = 8_000_000
"""Bytes that a report may have."""
EVIL = "</script><script>alert('x')</script><img src=x onerror=\"alert(1)\">"


class Page(HTMLParser):
    """Elements, attributes and texts of a page."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.texts: dict[str, list[str]] = {}
        self._open = ""
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        self._open = tag

    def handle_endtag(self, tag: str) -> None:  # noqa: ARG002 - the parser's interface
        self._open = ""

    def handle_data(self, data: str) -> None:
        self.texts.setdefault(self._open, []).append(data)

    def all(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.elements if name == tag]


def made(*timelines: Timeline, **texts: Any) -> str:
    """A report of `timelines`."""
    return render_report(timelines, **({"heading": "Rolled back.", "intro": "A leak."} | texts))


def strings(value: Any) -> Iterator[str]:
    """All texts in JSON data."""
    match value:
        case str():
            yield value
        case dict():
            for item in value.values():
                yield from strings(item)
        case list():
            for item in value:
                yield from strings(item)


def test_it_has_a_chart_and_tables_for_each_timeline(
    timeline: Timeline, rolled_back: ReleaseSummary, outage: ReleaseSummary
) -> None:
    """Headings, captions and descriptions included."""
    rows = comparison_rows(rolled_back, outage)
    page = Page(made(timeline, replace(timeline, guarded=False), comparison=rows))
    charts = [each for each in page.all("div") if "data-figure" in each]
    assert [chart["role"] for chart in charts] == ["img", "img"]
    assert all(str(chart["aria-label"]).startswith("Charts over 59 s") for chart in charts)
    assert len(page.all("caption")) == 3
    assert len(page.all("noscript")) == 2
    assert "Rolled back." in page.texts["h1"]
    assert page.texts["h2"] == ["Leak, with canary"] * 2
    assert "StepPassed" in page.texts["code"]


def test_it_loads_nothing(timeline: Timeline) -> None:
    """No element refers to anything outside, and the policy forbids what a script might try."""
    page = Page(made(timeline))
    loading = {"src", "href", "srcset", "action", "data", "poster", "background"}
    assert not [tag for tag, attributes in page.elements if loading & attributes.keys()]
    assert not page.all("link")
    assert "url(" not in STYLE
    assert "@import" not in STYLE
    rules = str(page.all("meta")[1]["content"]).split("; ")
    assert rules[0] == "default-src 'none'"
    assert not [rule for rule in rules if re.match("connect-src|frame-src|font-src", rule)]
    assert not [rule for rule in rules if "http" in rule or "*" in rule or "unsafe-eval" in rule]


def test_only_our_two_scripts_may_run(timeline: Timeline) -> None:
    """The policy names their digests, so a script that slipped in would be refused."""
    html = made(timeline)
    bodies = re.findall(r"<script>(.*?)</script>", html, re.DOTALL)
    assert len(bodies) == 2
    assert bodies[1] == SCRIPT
    assert html.count(build_policy(bodies)) == 1


def test_texts_are_escaped_everywhere(timeline: Timeline, moment: Moment) -> None:
    """A message with tags and quotes stays a message, in HTML and in the charts' data."""
    evil_moment = replace(
        moment,
        pools=(Pool(EVIL, "canary", 1, 2),),
        evidence=(Evidence(EVIL, EVIL, 1, 100, EVIL),),
        message=EVIL,
    )
    evil = replace(
        timeline,
        title=EVIL,
        facts={EVIL: EVIL},
        moments=(evil_moment, replace(evil_moment, time=60.0)),
        decisions=(ReleaseDecision(1, 0, EVIL, EVIL, EVIL),),
        result=replace(timeline.result, ended=EVIL, reason=EVIL, sentence=EVIL),
    )
    html = made(
        evil, heading=EVIL, intro=EVIL, comparison=comparison_rows(evil.result, evil.result)
    )
    page = Page(html)
    assert len(page.all("script")) == 3
    assert not page.all("img")
    assert not [1 for _, attributes in page.elements if "onerror" in attributes]
    data = re.findall(r'<script type="application/json"[^>]*>(.*?)</script>', html, re.DOTALL)
    assert not [text for text in strings(json.loads(data[0])) if "<img" in text]


def test_plotly_knows_everything_in_the_figure(timeline: Timeline) -> None:
    """The data is plain JSON; the library's own validation finds a misspelt property."""
    plain = json.dumps(build_figure(timeline, 1000), allow_nan=False)
    checked = go.Figure(json.loads(re.sub(r"var\(--\w+\)", "#123456", plain)))
    assert [trace.name for trace in checked.data] == [
        "weight",
        "failed, stable",
        "failed, canary",
        "auth-stable-0",
        "auth-canary-0",
        "evidence, errors",
        "evidence, pool",
    ]
    assert {trace.xaxis for trace in checked.data} == {"x"}


def test_every_colour_of_the_figure_is_in_the_style(timeline: Timeline) -> None:
    """A variable that the page does not define would be drawn black on black."""
    used = set(re.findall(r"var\((--\w+)\)", json.dumps(build_figure(timeline, 100))))
    assert used <= set(re.findall(r"(--\w+):", STYLE))


def test_close_decisions_share_a_label(timeline: Timeline) -> None:
    """Numbers above the charts never cover each other."""
    decisions = tuple(ReleaseDecision(time, 0, "P", "R", "s") for time in (5, 6, 30))
    notes = build_figure(replace(timeline, decisions=decisions), 100)["layout"]["annotations"]
    assert [note["text"] for note in notes[-2:]] == ["<b>1–2</b>", "<b>3</b>"]


def test_a_timeline_without_moments_says_so(timeline: Timeline) -> None:
    """As when a demo ends before its first look."""
    empty = replace(timeline, moments=(), decisions=(), facts={})
    html = made(empty)
    assert "No data was recorded for this release." in html
    assert "No decision was made." in html
    assert not [each for each in Page(html).all("div") if "data-figure" in each]


def test_no_timeline_at_all_is_still_a_page() -> None:
    """Nothing happened, and that is said."""
    assert "No release was recorded." in made()


def test_a_single_moment_is_drawn(timeline: Timeline, moment: Moment) -> None:
    """A time axis of no length would be an error in the chart."""
    low, high = build_figure(replace(timeline, moments=(moment,)), 100)["layout"]["xaxis"]["range"]
    assert low < high


def test_without_canary_it_is_the_new_version(timeline: Timeline, moment: Moment) -> None:
    """Nobody gathers evidence, so there is no chart of it, and nothing is called a canary."""
    moments = (replace(moment, evidence=()), replace(moment, evidence=(), time=60.0))
    html = made(replace(timeline, guarded=False, title="leak, without", moments=moments))
    assert "Traffic to the new version" in html
    assert "failed, new version" in html
    assert "Evidence, share of threshold" not in html


def test_what_is_no_number_does_not_break_the_chart(timeline: Timeline, moment: Moment) -> None:
    """Infinite evidence, an unknown ratio and a pool of unknown size."""
    odd = replace(
        moment,
        canary=replace(moment.canary, error_ratio=float("nan")),
        pools=(Pool("a", "canary", 3, 0),),
        evidence=(Evidence("e", "Fail", float("inf"), 100), Evidence("n", "NoData", 0, 0)),
    )
    json.dumps(build_figure(replace(timeline, moments=(odd, odd)), 10), allow_nan=False)


def test_an_hour_at_every_second_stays_small(timeline: Timeline, moment: Moment) -> None:
    """Points are thinned out, peaks are not."""
    pools = tuple(Pool(f"auth-{n}", "canary", n % 7, 20) for n in range(40))
    hour = [replace(moment, time=float(s), weight=s // 400, pools=pools) for s in range(3600)]
    hour[1234] = replace(hour[1234], canary=replace(moment.canary, error_ratio=0.987))
    long = replace(timeline, moments=tuple(hour), decisions=timeline.decisions * 500)
    html = made(long, replace(long, guarded=False))
    assert len(html.encode()) < MAXIMUM
    assert "0.987" in html
    assert "(the 24 fullest)" in html


def test_without_plotly_it_says_how_to_install_it(
    timeline: Timeline, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Charts are an extra."""
    monkeypatch.setitem(sys.modules, "plotly.offline", None)
    with pytest.raises(UsageError, match=r"pip install '.*\[demo\]'"):
        made(timeline)


def test_a_report_is_written_as_a_whole(tmp_path: Path) -> None:
    """An older report is replaced, nothing else is left behind."""
    path = tmp_path / "report.html"
    path.write_text("old")
    write_report(path, "new é \ud800")
    assert path.read_text("utf-8") == "new é ?"
    assert [each.name for each in tmp_path.iterdir()] == ["report.html"]


def test_a_pipe_is_written_to_and_not_replaced() -> None:
    """`--report /dev/stdout` must not turn a device into a file."""
    write_report(Path(os.devnull), "x")
    assert Path(os.devnull).is_char_device()


@pytest.mark.parametrize("ratio", [float("nan"), float("inf"), 1.7, 0.0])
def test_any_error_ratio_has_an_axis(timeline: Timeline, moment: Moment, ratio: float) -> None:
    """Counters scraped in mid-request can claim more failures than requests."""
    odd = replace(moment, canary=replace(moment.canary, error_ratio=ratio))
    odd = replace(odd, stable=odd.canary)
    drawn = build_figure(replace(timeline, moments=(odd, odd)), 10)
    assert max(drawn["layout"]["yaxis2"]["range"]) <= 1.08


@pytest.mark.parametrize(
    ("where", "words"),
    [
        pytest.param("none/report.html", "does not exist; create it", id="no such directory"),
        pytest.param("file/report.html", "does not exist; create it", id="a file as directory"),
        pytest.param("folder", "it is a directory", id="a directory"),
    ],
)
def test_a_wrong_path_is_a_usage_error(tmp_path: Path, where: str, words: str) -> None:
    """With what to do about it."""
    (tmp_path / "folder").mkdir()
    (tmp_path / "file").write_text("")
    with pytest.raises(UsageError, match=words):
        write_report(tmp_path / where, "x")


@pytest.mark.parametrize(
    ("number", "kind", "words"),
    [
        pytest.param(errno.EACCES, UsageError, "it is not writable", id="not writable"),
        pytest.param(errno.EROFS, UsageError, "it is not writable", id="read-only"),
        pytest.param(errno.ENOSPC, PermanentError, "the disk is full", id="disk full"),
        pytest.param(errno.EIO, PermanentError, "Input/output error", id="anything else"),
    ],
)
def test_a_failed_write_leaves_the_old_report(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    number: int,
    kind: type[Exception],
    words: str,
) -> None:
    """Whatever the system says becomes one sentence, and no partial file stays."""

    def refuse(_: int) -> None:
        raise OSError(number, os.strerror(number))

    path = tmp_path / "report.html"
    path.write_text("old")
    monkeypatch.setattr(html_report.os, "fsync", refuse)
    with pytest.raises(kind, match=words):
        write_report(path, "new")
    assert path.read_text() == "old"
    assert [each.name for each in tmp_path.iterdir()] == ["report.html"]
