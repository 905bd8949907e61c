"""Runs `canary analyze` with Prometheus: from its options to the verdict."""

import threading
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace

from canary.analyze.evaluation import (
    AnalysisWindow,
    Evaluation,
    evaluate_history,
    has_failed,
    has_passed,
)
from canary.analyze.matchers import format_matchers, parse_matchers
from canary.analyze.reader import (
    check_available,
    check_presets,
    detect_preset,
    follow_metrics,
    read_metrics,
)
from canary.analyze.result import Comparison, build_result
from canary.analyze.series import SeriesGroups, build_queries, queries_as_promql
from canary.analyze.settings import ComparisonSettings, PolicySettings, name_fields_in_errors
from canary.analyze.time_range import parse_range
from canary.api import (
    Analysis,
    ClientErrorsSource,
    LatencySource,
    Metric,
    PoolSource,
    RatioSource,
    Verdict,
    format_duration,
)
from canary.clock import now
from canary.discovery.release_file import load_release_file
from canary.errors import UsageError
from canary.metrics.prometheus import Prometheus, PrometheusOptions
from canary.render.terminal import echo
from canary.results.gate_result import GateResult

_PROGRESS_INTERVAL = 10.0
_SLOW_ABOVE = 0.5
"""Default of --above: seconds above which a request is slow."""
_PROBE_SECONDS = 300.0


def compare_versions(
    wanted: ComparisonSettings, options: PrometheusOptions, judging: PolicySettings
) -> GateResult:
    """Compare two versions, now or in the past. Raises CanaryError if that is impossible.

    All options are validated before the first query.
    """
    groups = _parse_groups(wanted)
    started = now()
    start, end = _parse_period(wanted, started)
    metrics = _build_metrics(wanted)
    _build_analysis(wanted, judging, metrics or (_preset_metric("http"),), end - start)
    with closing(Prometheus(options)) as source:
        lately = (start - _PROBE_SECONDS, min(end, started))
        if not metrics:
            metrics = _metrics_of_preset(detect_preset(source, groups, *lately))
            kinds = "errors and client errors" if len(metrics) > 1 else "errors"
            echo(
                f"canary: using the preset {metrics[0].name}: {kinds}",
                err=True,
            )
        analysis = _build_analysis(wanted, judging, metrics, end - start)
        build_queries(analysis.metrics, groups)  # Validate these options before the first query.
        check_presets(source, analysis.metrics, groups, lately)
        span = AnalysisWindow.from_times(start, end, analysis.interval)
        _warn_too_short(analysis, span)
        found = (
            _compare_history(source, analysis, groups, span)
            if wanted.for_ is None
            else _compare_live(source, analysis, groups, span)
        )
    subject = f"{format_matchers(groups.canary)} against {format_matchers(groups.stable)}"
    return build_result(subject, replace(found, asked=queries_as_promql(analysis.metrics, groups)))


def _parse_groups(wanted: ComparisonSettings) -> SeriesGroups:
    for option, text in (("--canary", wanted.canary), ("--stable", wanted.stable)):
        if text is None:
            raise UsageError(f"{option}: expected label matchers, such as 'version=\"v2\"'")
    groups = SeriesGroups(
        parse_matchers(wanted.canary or "", "--canary"),
        parse_matchers(wanted.stable or "", "--stable"),
    )
    if set(groups.canary) == set(groups.stable):
        raise UsageError("--canary and --stable: expected different matchers, found the same")
    return groups


def _parse_period(wanted: ComparisonSettings, started: float) -> tuple[float, float]:
    """Return start and end in seconds since the epoch."""
    if wanted.for_ is not None:
        if wanted.from_ is not None or wanted.to is not None:
            raise UsageError(
                "expected either --for (from now on) or --from and --to (in the past), found both"
            )
        if wanted.for_ <= 0:
            raise UsageError("--for: expected a time above 0, such as 10m")
        return started, started + wanted.for_
    if wanted.from_ is None:
        raise UsageError(
            "expected --for 10m (from now on), or --from and --to (in the past), found neither"
        )
    return parse_range(wanted.from_, wanted.to or "now", started)


def _build_metrics(wanted: ComparisonSettings) -> tuple[Metric, ...]:
    """Return the metrics that the options name; empty if they have to be detected."""
    own = [name for name in ("total", "bad", "good") if getattr(wanted, name) is not None]
    if wanted.above is not None and not wanted.latency:
        raise UsageError("--above: expected --latency PRESET as well, found none")
    if wanted.file is not None:
        if own or wanted.metric or wanted.client_errors or wanted.latency or wanted.pool:
            raise UsageError(
                "-f already defines the metrics: omit --metric, --total, --client-errors, "
                "--latency and --pool"
            )
        return load_release_file(wanted.file).spec.analysis.metrics
    if own and own not in (["total", "bad"], ["total", "good"]):
        raise UsageError(f"expected --total with --bad or --good, found --{' and --'.join(own)}")
    ratios = [_preset_metric(name) for name in wanted.metric]
    if own:
        source = RatioSource(total=wanted.total, bad=wanted.bad, good=wanted.good)
        ratios.append(Metric(name="errors", ratio=source))
    ratios += [_client_errors_metric(name) for name in wanted.client_errors]
    ratios += [_latency_metric(name, wanted.above) for name in wanted.latency]
    pools = [_pool_metric(name, wanted.pool_size) for name in wanted.pool]
    return (*ratios, *pools)


def _metrics_of_preset(name: str) -> tuple[Metric, ...]:
    """Return the preset's errors, and its client errors if its series have the label for them."""
    from canary.metrics.presets import ratio_preset  # noqa: PLC0415 - as below

    preset, errors = ratio_preset(name), _preset_metric(name)
    alike = preset.client is not None and preset.client.label == preset.bad.label
    return (errors, _client_errors_metric(name)) if alike else (errors,)


def _client_errors_metric(name: str) -> Metric:
    from canary.metrics.presets import client_errors_preset  # noqa: PLC0415 - as below

    preset = client_errors_preset(name)
    source = ClientErrorsSource(preset=name)
    return Metric(name=f"client-errors-{preset.name}", client_errors=source)


def _latency_metric(name: str, above: float | None) -> Metric:
    from canary.metrics.presets import latency_preset  # noqa: PLC0415 - as below

    preset = latency_preset(name)
    with name_fields_in_errors():
        source = LatencySource(preset=name, above=_SLOW_ABOVE if above is None else above)
    return Metric(name=f"latency-{preset.name}", latency=source)


def _preset_metric(name: str) -> Metric:
    from canary.metrics.presets import ratio_preset  # noqa: PLC0415 - one name, one use

    return Metric(name=ratio_preset(name).name, ratio=RatioSource(preset=name))


def _pool_metric(name: str, size: int | None) -> Metric:
    from canary.metrics.presets import pool_preset  # noqa: PLC0415 - as above

    preset = pool_preset(name)
    return Metric(name=f"pool-{preset.name}", pool=PoolSource(preset=name, max=size))


def _build_analysis(
    wanted: ComparisonSettings, judging: PolicySettings, metrics: tuple[Metric, ...], span: float
) -> Analysis:
    if wanted.file is None:
        return judging.build_analysis(metrics, span, 10.0 if wanted.step is None else wanted.step)
    if judging.given:
        options = ", ".join(f"--{name.replace('_', '-')}" for name in judging.given)
        raise UsageError(f"-f already defines the analysis: omit {options}, or change the file")
    analysis = load_release_file(wanted.file).spec.analysis
    return analysis if wanted.step is None else judging.with_interval(analysis, wanted.step)


def _warn_too_short(analysis: Analysis, span: AnalysisWindow) -> None:
    length = span.end - span.start
    if analysis.min_duration + analysis.warm_up > length:
        echo(
            f"canary: cannot pass: {format_duration(length)} are compared, and Pass needs "
            f"{format_duration(analysis.min_duration)} after a warm-up of "
            f"{format_duration(analysis.warm_up)}",
            err=True,
        )


def _compare_history(
    source: Prometheus, analysis: Analysis, groups: SeriesGroups, span: AnalysisWindow
) -> Comparison:
    by_metric = check_available(read_metrics(source, analysis.metrics, groups, span.grid))
    return _find_result(
        analysis,
        span,
        evaluate_history(analysis, span, by_metric, lambda one: has_failed(one) or has_passed(one)),
    )


def _compare_live(
    source: Prometheus, analysis: Analysis, groups: SeriesGroups, span: AnalysisWindow
) -> Comparison:
    seen = follow_metrics(source, analysis, groups, span, (now, threading.Event().wait))
    return _find_result(analysis, span, _until_failed(_print_progress(seen, span)))


def _until_failed(seen: Iterator[Evaluation]) -> Iterator[Evaluation]:
    for one in seen:
        yield one
        if has_failed(one):
            return


def _print_progress(seen: Iterator[Evaluation], span: AnalysisWindow) -> Iterator[Evaluation]:
    """Print the state on standard error, but not too often."""
    last = float("-inf")
    for one in seen:
        if one.at >= span.start and one.at - last >= _PROGRESS_INTERVAL:
            last = one.at
            at = format_duration(one.at - span.start)
            line = f"{at}: {one.judged.final}: {one.judged.message}"
            echo(line, err=True)
        yield one


def _find_result(
    analysis: Analysis, span: AnalysisWindow, seen: Iterator[Evaluation]
) -> Comparison:
    """Return the last evaluation and the time since which its verdict holds."""
    verdict: Verdict | None = None
    since, last = span.start, None
    for one in seen:
        if one.judged.final is not verdict:
            verdict, since = one.judged.final, one.at
        last = one
    if last is None:
        raise UsageError(
            f"expected a time range of at least one step ({format_duration(span.step)})"
        )
    return Comparison(analysis, span, last, since)
