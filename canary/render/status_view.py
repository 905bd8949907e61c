"""Renders the current state of a release for terminals; a pipe gets the same lines."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from rich.console import Console, ConsoleOptions, RenderableType, RenderResult
from rich.segment import Segment
from rich.text import Text

from canary.api import HistoryEntry, Intent, MetricStatus, Phase, Step, format_duration
from canary.core.next_step import describe_next_step
from canary.render.bars import draw_bar, fit_text, glyphs_for, justify_line
from canary.render.panels import (
    LABEL_WIDTH,
    VERDICT_STYLES,
    Canvas,
    evidence_share,
    name_width,
    weight_panel,
)
from canary.render.release_view import (
    ReleaseView,
    current_metrics,
    find_bad_conditions,
    min_seconds_left,
)
from canary.render.timeline import Evidence
from canary.text.format import (
    format_amount,
    format_count,
    format_errors_served,
    format_percent,
    human_duration,
    split_camel_case,
)

WIDEST = 120
"""Maximum width in cells; wider lines are harder to read."""
NARROWEST = 40
_BAR = 30
PHASE_STYLES = {
    Phase.READY: "green",
    Phase.BAKING: "green",
    Phase.PAUSED: "yellow",
    Phase.WAITING_FOR_APPROVAL: "yellow",
    Phase.ROLLING_BACK: "bold red",
    Phase.ROLLED_BACK: "bold red",
}


def render_status(view: ReleaseView, *, whole: bool = True) -> RenderableType:
    """Render the status; unless `whole`, drop minor lines if there is no room."""
    return _StatusView(view, whole)


@dataclass(frozen=True, slots=True)
class _StatusView:
    view: ReleaseView
    whole: bool

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        width = max(min(options.max_width - 1, WIDEST), min(options.max_width, NARROWEST))
        page = Canvas(console, glyphs_for(options.encoding), width)
        lines = list(_status_lines(page, self.view))
        if not self.whole:
            lines = _fit_height(lines, max((options.height or options.max_height) - 1, 1))
        for line in lines:
            line.truncate(width)
            line.rstrip()
            yield from console.render(line, options.update(no_wrap=True, overflow="crop"))
        if not lines:
            yield Segment.line()


def _fit_height(lines: Sequence[Text], height: int) -> list[Text]:
    """Drop blank lines first, then lines at the end."""
    blanks = len(lines) - height
    kept = []
    for line in lines:
        if not line.plain and blanks > 0:
            blanks -= 1
        else:
            kept.append(line)
    return kept[:height]


def _status_lines(page: Canvas, view: ReleaseView) -> Iterator[Text]:
    yield _heading_line(page, view)
    yield from _state_lines(page, view)
    status = view.status
    if status.intent in {Intent.ADVANCE, Intent.PROMOTE}:
        yield Text()
        yield from _step_lines(page, view)
        yield from weight_panel(page, status.weight, [step.weight for step in view.spec.steps])
    if metrics := current_metrics(status):
        yield Text()
        yield from _metric_lines(page, metrics)
    for check in status.release.checks if status.release else ():
        yield _labeled_line(page, "check", f"{check.name}: {check.verdict} {check.message}")


def _heading_line(page: Canvas, view: ReleaseView) -> Text:
    rule, release = page.glyphs.rule, view.status.release
    elapsed = human_duration(view.now - release.started_at) if release else ""
    right = f" {elapsed} {rule * 2}" if elapsed else ""
    title = fit_text(view.title, page.width - len(right) - 4, page.glyphs).rstrip()
    left = Text.assemble((f"{rule * 2} ", "dim"), (title, "bold"), " ")
    left.append(rule * (page.width - left.cell_len - len(right)), style="dim")
    return left.append(right, style="dim")


def _state_lines(page: Canvas, view: ReleaseView) -> Iterator[Text]:
    status, style = view.status, PHASE_STYLES.get(view.status.phase, "cyan")
    now = Text(f"{'now':<{LABEL_WIDTH}}", "bold")
    now.append(page.glyphs.show_text(split_camel_case(status.phase)), style)
    if status.intent not in {Intent.REST, Intent.BAKE}:
        now.append(f" at {status.weight} %", style)
    reason = Text(page.glyphs.show_text(status.reason))
    if status.release is not None and status.verdict is not None:
        reason.append(f" {page.glyphs.dot} verdict ", "dim")
        reason.append(status.verdict, VERDICT_STYLES[status.verdict])
    if now.cell_len + reason.cell_len + 3 <= page.width:
        yield now.append(f" {page.glyphs.dot} ", "dim").append(reason)
    else:
        yield now
        yield Text(" " * LABEL_WIDTH).append(reason)
    yield from _wrap_paragraph(page, "because", status.message or status.reason.info.sentence)
    yield from _wrap_paragraph(page, "next", describe_next_step(view.spec, status, view.now))
    if (left := min_seconds_left(view)) is not None:
        yield from _wrap_paragraph(page, "left", f"at least {human_duration(left)}")
    if status.intent is Intent.REST and view.last is not None:
        yield from _wrap_paragraph(page, "last", _format_end(view.last, view.now))
    if view.failed is not None:
        yield from _wrap_paragraph(page, "more", f"canary explain {view.name} -n {view.namespace}")
    for one in find_bad_conditions(status):
        if one.message and one.message != status.message:
            yield from _wrap_paragraph(page, "note", f"{one.type} is {one.status}: {one.message}")


def _format_end(last: HistoryEntry, now: float) -> str:
    errors = "" if last.errors_served == 0 else f", {format_errors_served(last.errors_served)}"
    return (
        f"{split_camel_case(last.result)} {human_duration(now - last.ended_at)} ago "
        f"after {human_duration(last.ended_at - last.started_at)}, "
        f"at most {last.peak_weight} % of the traffic{errors}"
    )


def _wrap_paragraph(page: Canvas, label: str, words: str) -> Iterator[Text]:
    wrapped = Text(page.glyphs.show_text(words)).wrap(
        page.console, max(page.width - LABEL_WIDTH, 1)
    )
    for number, line in enumerate(wrapped):
        name = label if number == 0 else ""
        yield Text(f"{name:<{LABEL_WIDTH}}", "bold").append(line.plain.rstrip(), "default")


def _labeled_line(page: Canvas, label: str, words: str) -> Text:
    return next(_wrap_paragraph(page, label, words))


def _step_lines(page: Canvas, view: ReleaseView) -> Iterator[Text]:
    """Render the current step, its age and its settings."""
    status, steps = view.status, view.spec.steps
    if status.intent is Intent.PROMOTE:
        yield _labeled_line(page, "steps", f"all {len(steps)} passed")
        return
    number = min(status.step, len(steps) - 1)
    words = f"{number + 1} of {len(steps)}: {_format_step(steps[number])}"
    if status.step_started_at is not None:
        words += f", for {human_duration(view.now - status.step_started_at)}"
    yield _labeled_line(page, "step", words)


def _format_step(step: Step) -> str:
    approval = ", then approval" if step.approval else ""
    return f"{step.weight} % held {format_duration(step.duration)}{approval}"


def _metric_lines(page: Canvas, metrics: Sequence[MetricStatus]) -> Iterator[Text]:
    """Render a row of evidence per metric, and below it the counts of both versions."""
    width = name_width(one.name for one in metrics)
    head = Text("evidence against the canary, log scale", style="dim")
    right = Text(f"full {page.glyphs.dot} roll back", style="dim")
    roomy = head.cell_len + right.cell_len < page.width
    yield justify_line(head, right, page.width) if roomy else head
    for one in metrics:
        yield _evidence_line(page, one, width)
        for words in _metric_figures(one):
            for line in Text(page.glyphs.show_text(words)).wrap(
                page.console, page.width - width - 1
            ):
                yield Text(f"{'':<{width}} ").append(line.plain.rstrip(), style="dim")


def _evidence_line(page: Canvas, one: MetricStatus, width: int) -> Text:
    glyphs, style = page.glyphs, VERDICT_STYLES[one.verdict]
    share = evidence_share(Evidence(one.name, one.verdict, one.evidence, one.threshold))
    cells = max(min(page.width - width - 30, _BAR), 1)
    line = Text(fit_text(one.name, width, glyphs) + " ", no_wrap=True)
    line.append(draw_bar(share, cells, [], style, glyphs))
    of = f"{format_amount(one.evidence)} of {format_amount(one.threshold)}"
    line.append(fit_text(of, 16, glyphs, right=True) + " ")
    return line.append(fit_text(one.verdict, 11, glyphs), style=style)


def _metric_figures(one: MetricStatus) -> Iterator[str]:
    """Render the judge's message, then the counts of both versions."""
    if one.message:
        yield one.message
    if one.canary_total or one.stable_total:
        yield f"canary {_format_side(one.canary_bad, one.canary_total)}; stable " + _format_side(
            one.stable_bad, one.stable_total
        )


def _format_side(bad: float, total: float) -> str:
    share = format_percent(bad / total) if total else "no requests"
    return f"{format_count(bad)} of {format_count(total)} ({share})"
