"""Renders a running release: a screen for terminals, one line for pipes and CI."""

from collections.abc import Sequence
from dataclasses import dataclass

from rich.console import Console, ConsoleOptions, RenderableType, RenderResult
from rich.segment import Segment
from rich.text import Text

from canary.render.bars import fit_text, glyphs_for
from canary.render.panels import (
    LABEL_WIDTH,
    VERDICT_STYLES,
    Canvas,
    evidence_panel,
    numbers_panel,
    pool_rows,
    pools_panel,
    weight_panel,
)
from canary.render.timeline import Evidence, Moment, Numbers, Pool, ReleaseDecision
from canary.text.format import format_percent, format_stopwatch, split_camel_case
from canary.text.sanitize import strip_controls

WIDEST = 120
"""Maximum width in cells; wider lines are harder to read."""
NARROWEST = 40
SEVERITY = ("Fail", "Unavailable", "NoData", "Continue", "Pass")


def render_moment(
    moment: Moment, *, title: str, steps: Sequence[int], elapsed: float | None = None
) -> RenderableType:
    """Render `moment` for a terminal within its height and width.

    `steps` are the weights (percent) to mark; `elapsed` (seconds) is shown at the top, by default
    the moment's own time. Lines never wrap; a terminal without Unicode gets ASCII.
    """
    return _MomentView(moment, title, tuple(steps), moment.time if elapsed is None else elapsed)


def verdict_of(moment: Moment) -> str:
    """Return the worst verdict of all metrics; `Continue` if there is none yet."""
    found = {evidence.verdict for evidence in moment.evidence}
    return next((verdict for verdict in SEVERITY if verdict in found), "Continue")


@dataclass(frozen=True, slots=True)
class _MomentView:
    moment: Moment
    title: str
    steps: tuple[int, ...]
    elapsed: float

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        width = max(min(options.max_width - 1, WIDEST), min(options.max_width, NARROWEST))
        # One line is left free for the cursor: a full screen would scroll.
        height = max((options.height or options.max_height) - 1, 1)
        page = Canvas(console, glyphs_for(options.encoding), width)
        lines = _arrange_blocks(page, self, height)
        for line in lines:
            line.truncate(width)
            line.rstrip()
            yield from console.render(line, options.update(no_wrap=True, overflow="crop"))
        if not lines:
            yield Segment.line()


def _arrange_blocks(page: Canvas, view: _MomentView, height: int) -> list[Text]:
    """Return all blocks in at most `height` lines; drops rows of pools and metrics before text."""
    moment = view.moment
    top = [_heading_line(page, view), *weight_panel(page, moment.weight, view.steps)]
    numbers = numbers_panel(page, moment)
    story = _story_lines(page, moment)
    airy = height - len(top) - len(numbers) - len(story)
    blanks = 4 if airy >= 4 + 2 + pool_rows(page, moment) + len(moment.evidence) else 0
    room = max(airy - blanks - 2, 2)
    evidence = evidence_panel(page, moment.evidence, max(room - pool_rows(page, moment), room // 2))
    pools = pools_panel(page, moment.pools, room - len(evidence) + 1)
    blank = [Text()] * (blanks // 4)
    upper = [*top, *blank, *numbers, *blank, *pools, *blank, *evidence, *blank]
    return [*upper[: max(height - len(story), 0)], *story][:height]


def _heading_line(page: Canvas, view: _MomentView) -> Text:
    rule = page.glyphs.rule
    elapsed = format_stopwatch(view.elapsed)
    title = fit_text(view.title, page.width - len(elapsed) - 8, page.glyphs).rstrip()
    left = Text.assemble((rule * 2 + " ", "dim"), (title, "bold"), " ")
    right = Text.assemble(" ", (elapsed, "bold"), (" " + rule * 2, "dim"))
    left.append(rule * (page.width - left.cell_len - right.cell_len), style="dim")
    return Text.assemble(left, right, no_wrap=True)


def _story_lines(page: Canvas, moment: Moment) -> list[Text]:
    """Return state, reason and next step, always in the same number of lines to avoid jumps.

    A rollout without canary has neither a reason nor a verdict.
    """
    now = Text.assemble(
        (f"{'now':<{LABEL_WIDTH}}", "bold"),
        (
            page.glyphs.show_text(f"{split_camel_case(moment.phase)} at {moment.weight} %"),
            "bold cyan",
        ),
    )
    if moment.reason:
        verdict = verdict_of(moment)
        now.append(f" {page.glyphs.dot} ", "dim").append(page.glyphs.show_text(moment.reason))
        now.append(f" {page.glyphs.dot} verdict ", "dim")
        now.append(page.glyphs.show_text(verdict), VERDICT_STYLES[verdict])
    because = _wrap_paragraph(page, "because", moment.message)
    return [now, *because, *_wrap_paragraph(page, "next", moment.next)]


def _wrap_paragraph(page: Canvas, label: str, words: str) -> list[Text]:
    width = max(page.width - LABEL_WIDTH, 1)
    wrapped = Text(page.glyphs.show_text(words)).wrap(page.console, width)
    second = " ".join(line.plain.strip() for line in wrapped[1:])
    first = wrapped[0].plain if wrapped else ""
    lines = [Text(f"{label:<{LABEL_WIDTH}}", style="bold"), Text(" " * LABEL_WIDTH)]
    lines[0].append(first, style="default")
    lines[1].append(fit_text(second, width, page.glyphs).rstrip(), style="default")
    return lines


def plain_line(moment: Moment) -> str:
    """Return one moment as one line, always in the same order: `status t=47s weight=10% …`."""
    fields = [
        f"t={moment.time:.0f}s",
        f"weight={moment.weight}%",
        f"phase={strip_controls(moment.phase)}",
        f"reason={strip_controls(moment.reason)}",
        f"verdict={verdict_of(moment)}",
        f"canary={_format_traffic(moment.canary)}",
        f"stable={_format_traffic(moment.stable)}",
        f"pool={_format_fullest_pool(moment.pools)}",
        f"evidence={_format_evidence(moment.evidence)}",
    ]
    return f"status {' '.join(fields)} | {strip_controls(moment.message)}"


def _format_traffic(numbers: Numbers) -> str:
    ratio = format_percent(numbers.error_ratio).replace(" ", "").replace("–", "-")
    return f"{numbers.requests_per_second:.1f}/s,{ratio},{numbers.bad:.0f}/{numbers.total:.0f}"


def _format_fullest_pool(pools: Sequence[Pool]) -> str:
    if not pools:
        return "-"
    pool = max(pools, key=lambda each: each.share)
    return f"{_without_blanks(pool.instance)}:{pool.share:.0%}"


def _format_evidence(evidence: Sequence[Evidence]) -> str:
    parts = [
        f"{_without_blanks(e.metric)}:{e.value:.4g}/{e.threshold:.4g}:{_without_blanks(e.verdict)}"
        for e in evidence
    ]
    return ",".join(parts) or "-"


def _without_blanks(words: str) -> str:
    """Return a name without spaces, so that a line can be split at spaces."""
    return strip_controls(words).replace(" ", "_")


def decision_line(decision: ReleaseDecision) -> str:
    """Return one decision as one line: `decision t=47s weight=25% phase=… reason=… | sentence`."""
    where = f"t={decision.time:.0f}s weight={decision.weight}%"
    what = f"phase={strip_controls(decision.phase)} reason={strip_controls(decision.reason)}"
    return f"decision {where} {what} | {strip_controls(decision.sentence)}"
