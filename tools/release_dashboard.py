"""The dashboard of releases, and of the operator behind them."""

from collections.abc import Iterable, Sequence

from grafana_foundation_sdk.builders import bargauge, common, dashboard
from grafana_foundation_sdk.cog.builder import Builder
from grafana_foundation_sdk.models.common import (
    LineInterpolation,
    ScaleDistribution,
)
from grafana_foundation_sdk.models.dashboard import Panel

from canary.api import Phase, Verdict
from tools.panels import (
    GREEN,
    RED,
    YELLOW,
    framed,
    lines,
    now,
    number,
    start,
    steps,
    timeline,
    variable,
)

RELEASES = '{namespace=~"$namespace",release=~"$release"}'
RELEASE = "{{namespace}}/{{release}}"
_PHASE_COLORS = {
    Phase.READY: GREEN,
    Phase.PAUSED: YELLOW,
    Phase.WAITING_FOR_APPROVAL: YELLOW,
    Phase.PENDING: YELLOW,
    Phase.ROLLING_BACK: RED,
    Phase.ROLLED_BACK: RED,
}
_PHASES = {phase.value: _PHASE_COLORS.get(phase, "blue") for phase in Phase}
_VERDICTS = {
    Verdict.PASS.value: GREEN,
    Verdict.FAIL.value: RED,
    Verdict.CONTINUE.value: "blue",
    Verdict.NO_DATA.value: YELLOW,
    Verdict.UNAVAILABLE.value: YELLOW,
}


def releases() -> dashboard.Dashboard:
    """Weight, phase, verdicts, evidence, rollbacks by reason, and the operator's passes."""
    made = start(
        "Releases",
        "canary-releases",
        "What the canary operator does: weight, phase, verdicts, evidence, rollbacks by reason.",
    )
    made.with_variable(variable("namespace", "canary_release_info"))
    made.with_variable(variable("release", "canary_release_info"))
    for panel in (*_release_numbers(), *_release_lines(), *_operator_lines()):
        made.with_panel(panel)
    return made


def counted(metric: str, by: str = "") -> str:
    """How often it happened in the range; a counter that begins with its first event counts it."""
    peak = f"max_over_time({metric}{RELEASES}[$__range])"
    before = f"({metric}{RELEASES} offset $__range or 0 * {peak})"
    return f"sum {by}(clamp_min({peak} - {before}, 0))"


def _release_numbers() -> Sequence[Builder[Panel]]:
    return (
        number(
            "In flight",
            "Releases whose canary may have traffic now.",
            f"count(canary_release_step{RELEASES} >= 0) or vector(0)",
            "short",
            (None, "blue"),
        ),
        number(
            "Need a person",
            "Paused, or waiting for an approval.",
            'count(canary_release_phase{phase=~"Paused|WaitingForApproval",'
            'namespace=~"$namespace",release=~"$release"} == 1) or vector(0)',
            "short",
            (None, GREEN),
            (1, YELLOW),
        ),
        number(
            "Promoted",
            "In the range.",
            f"{counted('canary_release_promotions_total')} or vector(0)",
            "short",
            (None, GREEN),
        ),
        number(
            "Rolled back",
            "In the range: outages that did not happen.",
            f"{counted('canary_release_rollbacks_total')} or vector(0)",
            "short",
            (None, GREEN),
            (1, RED),
        ),
    )


def _coded(metric: str, label: str, names: Iterable[str], by: str) -> str:
    """The index of the present value of a label, as state timelines want it."""
    parts = (
        f'0 * max by ({by}) ({metric}{RELEASES[:-1]},{label}="{name}"}} == 1) + {index}'
        for index, name in enumerate(names)
    )
    return "\nor ".join(parts)


def _release_lines() -> Sequence[Builder[Panel]]:
    weight = lines(
        "Weight",
        "Percent of traffic that is meant for the canary.",
        "percent",
        **{RELEASE: f"canary_release_weight{RELEASES}"},
    )
    evidence = lines(
        "Evidence against the canary",
        "E-value of each metric, on a logarithmic scale. It fails at 1/falsePositiveRate: 100 by "
        "default.",
        "short",
        **{f"{RELEASE} {{{{metric}}}}": f"canary_release_evidence{RELEASES}"},
    )
    scale = common.ScaleDistributionConfig().type(ScaleDistribution.LOG).log(10)
    reasons = framed(
        bargauge.Panel(), "Rollbacks by reason", "In the range; each reason has a runbook.", 12, 9
    )
    return (
        weight.max(100).line_interpolation(LineInterpolation.STEP_AFTER),
        timeline(
            "Phase",
            "Of each release.",
            RELEASE,
            _PHASES,
            _coded("canary_release_phase", "phase", _PHASES, "namespace, release"),
        ),
        evidence.scale_distribution(scale),
        timeline(
            "Verdicts",
            "Of each metric, while a release is in flight.",
            f"{RELEASE} {{{{metric}}}}",
            _VERDICTS,
            _coded("canary_release_verdict", "verdict", _VERDICTS, "namespace, release, metric"),
        ),
        reasons.with_target(
            now(counted("canary_release_rollbacks_total", "by (reason) ")).legend_format(
                "{{reason}}"
            )
        )
        .no_value("none")
        .thresholds(steps((None, RED))),
    )


def _operator_lines() -> Sequence[Builder[Panel]]:
    passes = "sum by (le) (rate(canary_reconcile_duration_seconds_bucket[$__rate_interval]))"
    failed = "sum by (result) (rate(canary_reconcile_duration_seconds_count[$__rate_interval]))"
    return (
        lines(
            "Duration of a pass",
            "Of the operator over one release.",
            "s",
            p50=f"histogram_quantile(0.5, {passes})",
            p99=f"histogram_quantile(0.99, {passes})",
        ),
        lines(
            "Passes by result",
            "Per second; failed ones are tried again.",
            "short",
            **{"{{result}}": failed},
        ),
    )
