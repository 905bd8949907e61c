"""Renders the incident report as one self-contained HTML file."""

import errno
import json
import os
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import NoReturn

from canary.errors import PermanentError, UsageError, install_command
from canary.render.chart_data import DASHES, ChartLine, build_panels, name_new_version
from canary.render.charts import build_figure
from canary.render.comparison import HEADINGS, ComparisonRow, comparison_html, describe_result
from canary.render.html_page import SCRIPT, render_page
from canary.render.timeline import ReleaseDecision, Timeline
from canary.text.format import format_percent, format_stopwatch, human_duration, split_camel_case
from canary.text.sanitize import escape_html_text, strip_controls

POINTS = 40_000
"""Points of all lines together: more would be invisible and make the file slow."""
PER_LINE = (120, 1500)
"""Minimum and maximum number of points of one line."""


def render_report(
    timelines: Sequence[Timeline],
    *,
    heading: str,
    intro: str,
    comparison: Sequence[ComparisonRow] = (),
) -> str:
    """Return the report as one self-contained HTML page; all texts are escaped.

    `heading` says in one sentence what happened (see `describe_result`), `intro` what was done;
    `comparison` comes from `comparison_rows`.

    Raises:
        UsageError: plotly, which draws the charts, is not installed.
    """
    plotly = _load_plotly()
    points = _points_per_line(timelines)
    sections = [
        _release_section(timeline, number, points) for number, timeline in enumerate(timelines, 1)
    ]
    body = (
        [_comparison_section(comparison), *sections]
        if timelines
        else [_comparison_section(comparison), EMPTY]
    )
    return render_page(heading=heading, intro=intro, body="\n".join(body), scripts=[plotly, SCRIPT])


EMPTY = "<section><h2>Timeline</h2><p>No release was recorded.</p></section>"


def _load_plotly() -> str:
    """Return the source of plotly.js from the installed plotly package."""
    try:
        from plotly.offline import get_plotlyjs  # noqa: PLC0415 - an extra, and slow to import
    except ImportError as error:
        raise UsageError(
            "the report's charts need plotly, which is not installed; "
            f"install it with: {install_command('demo')}"
        ) from error
    # a browser hashes the script after turning CR LF into LF, and ends it at the first </script
    return str(get_plotlyjs()).replace("\r\n", "\n").replace("</script", "<\\/script")


def _points_per_line(timelines: Sequence[Timeline]) -> int:
    lines = sum(len(panel.lines) for timeline in timelines for panel in build_panels(timeline))
    fewest, most = PER_LINE
    return max(fewest, min(most, POINTS // max(lines, 1)))


def _comparison_section(rows: Sequence[ComparisonRow]) -> str:
    if not rows:
        return ""
    heads = "".join(f'<th scope="col">{escape_html_text(name)}</th>' for name in HEADINGS[1:])
    return (
        '<section><div class="scroll"><table class="compare">'
        "<caption>The same release, with canary and without</caption>"
        f"<thead><tr><td></td>{heads}</tr></thead>"
        f"<tbody>{''.join(comparison_html(rows))}</tbody></table></div></section>"
    )


def _release_section(timeline: Timeline, number: int, points: int) -> str:
    title = strip_controls(timeline.title) or "release"
    parts = (
        f'<section aria-labelledby="title-{number}">',
        f'<h2 id="title-{number}">{escape_html_text(title[:1].upper() + title[1:])}</h2>',
        f"<p>{escape_html_text(describe_result(timeline.result))}.</p>",
        _chart_figure(timeline, number, points),
        _decision_table(timeline.decisions),
        _fact_list(timeline),
        "</section>",
    )
    return "\n".join(part for part in parts if part)


def _chart_figure(timeline: Timeline, number: int, points: int) -> str:
    drawn = build_figure(timeline, points)
    if not drawn:
        return "<p>No data was recorded for this release.</p>"
    data = json.dumps(drawn, allow_nan=False, separators=(",", ":")).replace("<", "\\u003c")
    return (
        f"<figure>{_render_legend(timeline)}"
        f'<div class="chart" data-figure="figure-{number}" role="img"'
        f' aria-label="{escape_html_text(describe_charts(timeline))}"'
        f' style="height:{drawn["layout"]["height"]}px"></div>'
        "<noscript><p>The charts need JavaScript, which is switched off here; "
        "the tables list the decisions and the result.</p></noscript>"
        '<figcaption class="note">The numbers on dotted lines refer to the decisions below. '
        "Errors are shares of the requests of the last few seconds.</figcaption>"
        f'<script type="application/json" id="figure-{number}">{data}</script></figure>'
    )


def describe_charts(timeline: Timeline) -> str:
    """Return a description of the charts for screen readers."""
    moments = timeline.moments
    span = human_duration(moments[-1].time - moments[0].time) if moments else "no time"
    weight = max((moment.weight for moment in moments), default=0)
    fullest = max((pool.share for moment in moments for pool in moment.pools), default=None)
    errors = [ratio for m in moments if (ratio := m.canary.error_ratio) is not None]
    return (
        f"Charts over {span} on one time axis. Highest weight of the new version: {weight} %. "
        f"Its highest share of failed requests: {format_percent(max(errors, default=None))}. "
        f"Fullest connection pool: {format_percent(fullest)}. "
        f"Decisions: {len(timeline.decisions)}, listed in the table below."
    )


def _render_legend(timeline: Timeline) -> str:
    """Return the legend: the color shows the version, the dash the instance or metric."""
    lines = [line for panel in build_panels(timeline)[1:] for line in panel.lines]
    versions = [(name_new_version(timeline), "canary", "solid"), ("stable", "stable", "solid")]
    named = [(line.name, line.color, line.dash) for line in lines if _own_name(line)]
    items = "".join(
        f"<li>{_legend_swatch(*look)}{escape_html_text(name)}</li>"
        for name, *look in [*versions, *named]
    )
    return f'<ul class="legend" aria-label="Legend">{items}</ul>'


def _own_name(line: ChartLine) -> bool:
    return not line.name.startswith("failed, ")


SWATCHES = dict(zip(DASHES, ("none", "7 4", "2 3", "7 3 2 3"), strict=True))


def _legend_swatch(color: str, dash: str) -> str:
    return (
        '<svg width="30" height="8" aria-hidden="true"><line x1="0" y1="4" x2="30" y2="4"'
        f' stroke="var(--{color})" stroke-width="2.5" stroke-dasharray="{SWATCHES[dash]}"/></svg>'
    )


def _decision_table(decisions: Sequence[ReleaseDecision]) -> str:
    if not decisions:
        return "<h3>Decisions</h3><p>No decision was made.</p>"
    rows = "".join(_decision_rows(decisions))
    heads = "".join(
        f'<th scope="col">{name}</th>' for name in ("#", "Time", "Weight", "Decision and reason")
    )
    return (
        '<h3>Decisions</h3><div class="scroll"><table class="decisions">'
        '<caption class="unseen">Every decision, with time, weight and reason</caption>'
        f"<thead><tr>{heads}</tr></thead><tbody>{rows}</tbody></table></div>"
    )


def _decision_rows(decisions: Sequence[ReleaseDecision]) -> Iterator[str]:
    for number, decision in enumerate(decisions, start=1):
        why = (
            f"<strong>{escape_html_text(split_camel_case(decision.phase))}</strong><code>{escape_html_text(decision.reason)}</code>"
            f"<br>{escape_html_text(decision.sentence)}"
        )
        yield (
            f"<tr><td>{number}</td><td>{format_stopwatch(decision.time)}</td>"
            f"<td>{decision.weight}&nbsp;%</td><td>{why}</td></tr>"
        )


def _fact_list(timeline: Timeline) -> str:
    if not timeline.facts:
        return ""
    pairs = (
        f"<dt>{escape_html_text(k)}</dt><dd>{escape_html_text(v)}</dd>"
        for k, v in timeline.facts.items()
    )
    return f"<h3>Settings</h3><dl>{''.join(pairs)}</dl>"


def write_report(path: Path, html: str) -> None:
    """Write `html` to `path`, readable only by the user; an older report is replaced atomically.

    Raises:
        UsageError: `path` cannot be written to: no such directory, not allowed, a directory.
        PermanentError: writing failed half-way, such as on a full disk.
    """
    content = html.encode("utf-8", "replace")
    try:
        if path.exists() and not (path.is_file() or path.is_dir()):
            path.write_bytes(content)  # /dev/stdout and pipes must not be replaced by a file
        else:
            _replace_file(path.resolve(), content)
    except OSError as error:
        _raise_write_error(path, error)


def _replace_file(path: Path, content: bytes) -> None:
    if path.is_dir():
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(path))
    part = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        # Readable only by the user: a report has names, times and messages of an incident.
        with open(part, "xb", opener=partial(os.open, mode=0o600)) as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)


def _raise_write_error(path: Path, error: OSError) -> NoReturn:
    refused = f"the report cannot be written to {strip_controls(str(path))}"
    match error.errno:
        case errno.ENOENT | errno.ENOTDIR:
            raise UsageError(
                f"{refused}: the directory {strip_controls(str(path.parent))} does not exist; "
                "create it, or choose another path"
            ) from error
        case errno.EISDIR:
            raise UsageError(f"{refused}: it is a directory; name a file in it") from error
        case errno.EACCES | errno.EPERM | errno.EROFS:
            raise UsageError(f"{refused}: it is not writable; choose another path") from error
        case errno.ENOSPC | errno.EDQUOT:
            raise PermanentError(
                f"{refused}: the disk is full; free some space, or choose another disk"
            ) from error
        case _:
            raise PermanentError(f"{refused}: {error.strerror or error}") from error
