"""The live view on terminals of all sizes, and the lines for pipes."""

import io
import math
from dataclasses import replace

import pytest
from rich.cells import cell_len
from rich.console import Console

from canary.render.live import decision_line, plain_line, render_moment, verdict_of
from canary.render.panels import evidence_share
from canary.render.timeline import Evidence, Moment, Pool, ReleaseDecision

EXPECTED = """
── leak, with canary ────────────────────────────────────────────────── 0:47 ──
weight    10 %  ━━━━━━╋────────┼───────────────┼───────────────────────────────
                      10       25              50

             requests/s    errors now      requests        failed  failed share
stable             45.0           0 %         2,310             1       0.043 %
canary              5.0         3.1 %           235             7           3 %

connections in use                                                       ┼ 75 %
auth-stable-0 ━━╾──────┼───    4/20      auth-canary-0 ━━━━━━━━━╋╾──   16/20 !

evidence against the canary, log scale; full = roll back
errors   ━━━━━━━━━━━━━━━━━━━━────────────────────       10 of 100 Continue
pool     ━━━━━━━━━━━━━━━━━━━━────────────────────       0.30 of 3 Continue

now      Progressing at 10 % · GatheringEvidence · verdict Continue
because  Not enough requests yet.

next     25 % in 18 s.
""".strip("\n")


def drawn(moment: Moment, *, width: int = 80, height: int = 24, encoding: str = "utf-8") -> str:
    """The view as a terminal of this size shows it."""
    raw = io.BytesIO()
    file = io.TextIOWrapper(raw, encoding=encoding, write_through=True, newline="\n")
    console = Console(file=file, width=width, height=height, no_color=True)
    console.print(render_moment(moment, title="leak, with canary", steps=(10, 25, 50)))
    return raw.getvalue().decode(encoding)


def test_the_picture_at_80_by_24(moment: Moment) -> None:
    """Weight with its steps, both versions, pools with their line, evidence, now and next."""
    assert [line.rstrip() for line in drawn(moment).splitlines()] == [*EXPECTED.splitlines(), ""]


def test_a_rollout_without_canary_has_neither_a_reason_nor_a_verdict(moment: Moment) -> None:
    """Its line ends after the share of the new version."""
    plain = replace(moment, phase="RollingUpdate", reason="", weight=100, evidence=())
    assert "now      Rolling update at 100 %" in drawn(plain).splitlines()


def crowded(moment: Moment) -> Moment:
    """Long texts, wide letters, many instances and metrics, numbers without end."""
    pools = [Pool(f"prod/auth-7d9c5bd9f4-{n:05}", side, n, 20) for n in range(20) for side in SIDES]
    metrics = [Evidence(f"metric number {n}", "Fail", math.inf, 100, "中文" * 40) for n in range(9)]
    return replace(
        moment,
        phase="WaitingForApproval",
        message="a very long reason in many words " * 30,
        next="中文" * 300,
        pools=tuple(pools),
        evidence=tuple(metrics),
    )


SIDES = ("stable", "canary")


@pytest.mark.parametrize("encoding", ["utf-8", "ascii", "latin-1"])
@pytest.mark.parametrize(
    ("width", "height"), [(80, 24), (120, 40), (200, 60), (60, 20), (40, 12), (20, 5), (1, 1)]
)
def test_it_fits_every_terminal(moment: Moment, width: int, height: int, encoding: str) -> None:
    """No line is longer than the terminal, and one line is left for the cursor."""
    for each in (moment, crowded(moment)):
        lines = drawn(each, width=width, height=height, encoding=encoding).splitlines()
        assert max(map(cell_len, lines)) <= width
        assert len(lines) <= max(height - 1, 1)


def test_as_many_lines_whatever_the_text(moment: Moment) -> None:
    """A picture whose height changes with a sentence jumps."""
    longer = replace(moment, message="word " * 60, next="word " * 60)
    assert len(drawn(moment).splitlines()) == len(drawn(longer).splitlines())


def test_what_happens_next_outlives_a_small_terminal(moment: Moment) -> None:
    """Rows of numbers give way before words do."""
    assert "next     25 % in 18 s." in drawn(moment, height=10)


def test_without_unicode_it_is_ascii(moment: Moment) -> None:
    """Bars of = and -, never an encoding error."""
    text = drawn(moment, encoding="ascii")
    assert "weight    10 %  ======#--------|" in text


def test_before_anything_is_known(moment: Moment) -> None:
    """No pools, no evidence, no requests: said, not left blank."""
    text = drawn(replace(moment, pools=(), evidence=(), canary=type(moment.canary)()))
    assert "no pool data yet" in text
    assert "none yet" in text


def test_too_many_pools_show_the_fullest(moment: Moment) -> None:
    """The one that matters is never the one that is left out."""
    pools = tuple(Pool(f"auth-{n}", "canary", 19 if n == 7 else 1, 20) for n in range(30))
    text = drawn(replace(moment, pools=pools))
    assert "auth-7 " in text
    assert "less full" in text


def test_nothing_in_a_message_steers_the_terminal(moment: Moment) -> None:
    """Escape sequences come from other people's error messages."""
    assert "\x1b" not in drawn(replace(moment, message="\x1b[2J\x1b]0;pwned\x07"))


def test_markup_in_a_message_is_text(moment: Moment) -> None:
    """Square brackets are not colors."""
    assert "[red]boom[/red]" in drawn(replace(moment, message="[red]boom[/red]"))


@pytest.mark.parametrize(
    ("value", "threshold", "share"),
    [
        pytest.param(1.0, 100.0, 0.0, id="an e-value of 1 is nothing"),
        pytest.param(10.0, 100.0, 0.5, id="half of the way on a log scale"),
        pytest.param(250.0, 100.0, 1.0, id="never beyond the end"),
        pytest.param(0.0, 100.0, 0.0, id="zero has no logarithm"),
        pytest.param(math.nan, 100.0, 0.0, id="not a number is nothing"),
        pytest.param(math.inf, 100.0, 1.0, id="infinite is full"),
        pytest.param(0.3, 3.0, 0.5, id="a measured quantity starts at a hundredth"),
        pytest.param(3.0, 0.0, 0.0, id="no threshold, no way to it"),
    ],
)
def test_strength(value: float, threshold: float, share: float) -> None:
    """How full the evidence bar is."""
    assert evidence_share(Evidence("m", "Continue", value, threshold)) == pytest.approx(share)


@pytest.mark.parametrize(
    ("verdicts", "worst"),
    [
        pytest.param((), "Continue", id="no metric yet: not enough evidence"),
        pytest.param(("Pass", "Continue"), "Continue", id="all must pass"),
        pytest.param(("Pass", "Fail", "NoData"), "Fail", id="Fail outranks all"),
    ],
)
def test_the_worst_verdict_counts(moment: Moment, verdicts: tuple[str, ...], worst: str) -> None:
    """One word for all metrics."""
    evidence = tuple(Evidence(str(n), verdict, 1, 100) for n, verdict in enumerate(verdicts))
    assert verdict_of(replace(moment, evidence=evidence)) == worst


def test_plain_line_has_one_order(moment: Moment) -> None:
    """`grep weight=10%` works, and the sentence comes last."""
    assert plain_line(moment) == (
        "status t=47s weight=10% phase=Progressing reason=GatheringEvidence verdict=Continue "
        "canary=5.0/s,3.1%,7/235 stable=45.0/s,0%,1/2310 pool=auth-canary-0:80% "
        "evidence=errors:10/100:Continue,pool:0.3/3:Continue | Not enough requests yet."
    )


def test_plain_line_without_data_keeps_its_fields(moment: Moment) -> None:
    """A dash stands for what is not known, and names and messages break no line."""
    empty = replace(moment, pools=(), evidence=(), message="a\nb")
    assert plain_line(empty).endswith("pool=- evidence=- | a b")
    named = replace(moment, pools=(Pool("my pod", "canary", 1, 4),))
    assert "pool=my_pod:25%" in plain_line(named)


def test_decision_line() -> None:
    """`grep ^decision` finds all of them."""
    line = decision_line(ReleaseDecision(66.4, 0, "RollingBack", "ConnectionLeak", "It leaks."))
    assert line == "decision t=66s weight=0% phase=RollingBack reason=ConnectionLeak | It leaks."
