"""A release of a cluster as it stands: one picture for terminals, the same lines in a pipe."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from rich.console import Console, ConsoleOptions, RenderableType, RenderResult
from rich.segment import Segment
from rich.text import Text

from canary.api import HistoryEntry, Intent, MetricStatus, Phase, Step, format_duration
from canary.core.next_step import describe_next_step
from canary.render.bars import bar, beside, fitted, glyphs_for
from canary.render.panels import LABEL, VERDICT_STYLES, Page, name_width, strength, weight_panel
from canary.render.release_view import Sight, judged, least_left, troubles
from canary.render.timeline import Evidence
from canary.text.format import amount, count, duration, errors_served, percent, words_of

WIDEST = 120
"""Cells; wider lines are harder to read, not better."""
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


def view(sight: Sight, *, whole: bool = True) -> RenderableType:
    """The picture; not `whole`: as many lines as the terminal has, the least telling go first."""
    return _View(sight, whole)


@dataclass(frozen=True, slots=True)
class _View:
    sight: Sight
    whole: bool

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        width = max(min(options.max_width - 1, WIDEST), min(options.max_width, NARROWEST))
        page = Page(console, glyphs_for(options.encoding), width)
        lines = list(_lines(page, self.sight))
        if not self.whole:
            lines = _within(lines, max((options.height or options.max_height) - 1, 1))
        for line in lines:
            line.truncate(width)
            line.rstrip()
            yield from console.render(line, options.update(no_wrap=True, overflow="crop"))
        if not lines:
            yield Segment.line()


def _within(lines: Sequence[Text], height: int) -> list[Text]:
    """Blank lines give way first, then the end."""
    blanks = len(lines) - height
    kept = []
    for line in lines:
        if not line.plain and blanks > 0:
            blanks -= 1
        else:
            kept.append(line)
    return kept[:height]


def _lines(page: Page, sight: Sight) -> Iterator[Text]:
    yield _heading(page, sight)
    yield from _said(page, sight)
    status = sight.status
    if status.intent in {Intent.ADVANCE, Intent.PROMOTE}:
        yield Text()
        yield from _steps(page, sight)
        yield from weight_panel(page, status.weight, [step.weight for step in sight.spec.steps])
    if metrics := judged(status):
        yield Text()
        yield from _metrics(page, metrics)
    for check in status.release.checks if status.release else ():
        yield _labelled(page, "check", f"{check.name}: {check.verdict} {check.message}")


def _heading(page: Page, sight: Sight) -> Text:
    rule, release = page.glyphs.rule, sight.status.release
    elapsed = duration(sight.now - release.started_at) if release else ""
    right = f" {elapsed} {rule * 2}" if elapsed else ""
    title = fitted(sight.title, page.width - len(right) - 4, page.glyphs).rstrip()
    left = Text.assemble((f"{rule * 2} ", "dim"), (title, "bold"), " ")
    left.append(rule * (page.width - left.cell_len - len(right)), style="dim")
    return left.append(right, style="dim")


def _said(page: Page, sight: Sight) -> Iterator[Text]:
    status, style = sight.status, PHASE_STYLES.get(sight.status.phase, "cyan")
    now = Text(f"{'now':<{LABEL}}", "bold")
    now.append(page.glyphs.text(words_of(status.phase)), style)
    if status.intent not in {Intent.REST, Intent.BAKE}:
        now.append(f" at {status.weight} %", style)
    reason = Text(page.glyphs.text(status.reason))
    if status.release is not None and status.verdict is not None:
        reason.append(f" {page.glyphs.dot} verdict ", "dim")
        reason.append(status.verdict, VERDICT_STYLES[status.verdict])
    if now.cell_len + reason.cell_len + 3 <= page.width:
        yield now.append(f" {page.glyphs.dot} ", "dim").append(reason)
    else:
        yield now
        yield Text(" " * LABEL).append(reason)
    yield from _paragraph(page, "because", status.message or status.reason.info.sentence)
    yield from _paragraph(page, "next", describe_next_step(sight.spec, status, sight.now))
    if (left := least_left(sight)) is not None:
        yield from _paragraph(page, "left", f"at least {duration(left)}")
    if status.intent is Intent.REST and sight.last is not None:
        yield from _paragraph(page, "last", _ended(sight.last, sight.now))
    if sight.failed is not None:
        yield from _paragraph(page, "more", f"canary explain {sight.name} -n {sight.namespace}")
    for one in troubles(status):
        if one.message and one.message != status.message:
            yield from _paragraph(page, "note", f"{one.type} is {one.status}: {one.message}")


def _ended(last: HistoryEntry, now: float) -> str:
    errors = "" if last.errors_served == 0 else f", {errors_served(last.errors_served)}"
    return (
        f"{words_of(last.result)} {duration(now - last.ended_at)} ago "
        f"after {duration(last.ended_at - last.started_at)}, "
        f"at most {last.peak_weight} % of the traffic{errors}"
    )


def _paragraph(page: Page, label: str, words: str) -> Iterator[Text]:
    wrapped = Text(page.glyphs.text(words)).wrap(page.console, max(page.width - LABEL, 1))
    for number, line in enumerate(wrapped):
        name = label if number == 0 else ""
        yield Text(f"{name:<{LABEL}}", "bold").append(line.plain.rstrip(), "default")


def _labelled(page: Page, label: str, words: str) -> Text:
    return next(_paragraph(page, label, words))


def _steps(page: Page, sight: Sight) -> Iterator[Text]:
    """Which step, for how long, and what it asks for."""
    status, steps = sight.status, sight.spec.steps
    if status.intent is Intent.PROMOTE:
        yield _labelled(page, "steps", f"all {len(steps)} passed")
        return
    number = min(status.step, len(steps) - 1)
    words = f"{number + 1} of {len(steps)}: {_step(steps[number])}"
    if status.step_started_at is not None:
        words += f", for {duration(sight.now - status.step_started_at)}"
    yield _labelled(page, "step", words)


def _step(step: Step) -> str:
    approval = ", then approval" if step.approval else ""
    return f"{step.weight} % held {format_duration(step.duration)}{approval}"


def _metrics(page: Page, metrics: Sequence[MetricStatus]) -> Iterator[Text]:
    """One row of evidence per metric, and below it what both versions did."""
    width = name_width(one.name for one in metrics)
    head = Text("evidence against the canary, log scale", style="dim")
    right = Text(f"full {page.glyphs.dot} roll back", style="dim")
    roomy = head.cell_len + right.cell_len < page.width
    yield beside(head, right, page.width) if roomy else head
    for one in metrics:
        yield _evidence(page, one, width)
        for words in _figures(one):
            for line in Text(page.glyphs.text(words)).wrap(page.console, page.width - width - 1):
                yield Text(f"{'':<{width}} ").append(line.plain.rstrip(), style="dim")


def _evidence(page: Page, one: MetricStatus, width: int) -> Text:
    glyphs, style = page.glyphs, VERDICT_STYLES[one.verdict]
    share = strength(Evidence(one.name, one.verdict, one.evidence, one.threshold))
    cells = max(min(page.width - width - 30, _BAR), 1)
    line = Text(fitted(one.name, width, glyphs) + " ", no_wrap=True)
    line.append(bar(share, cells, [], style, glyphs))
    of = f"{amount(one.evidence)} of {amount(one.threshold)}"
    line.append(fitted(of, 16, glyphs, right=True) + " ")
    return line.append(fitted(one.verdict, 11, glyphs), style=style)


def _figures(one: MetricStatus) -> Iterator[str]:
    """What the judge says, then the counts of both versions."""
    if one.message:
        yield one.message
    if one.canary_total or one.stable_total:
        yield f"canary {_side(one.canary_bad, one.canary_total)}; stable " + _side(
            one.stable_bad, one.stable_total
        )


def _side(bad: float, total: float) -> str:
    share = percent(bad / total) if total else "no requests"
    return f"{count(bad)} of {count(total)} ({share})"
