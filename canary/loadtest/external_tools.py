"""Runs load with k6 or oha, and checks the same thresholds."""

import json
import os
import shutil
import signal
import subprocess
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory, TemporaryFile
from threading import Event
from typing import IO, Any

from canary.errors import TransientError, UsageError
from canary.loadtest.generator.plan import MAX_SECONDS, LoadPlan
from canary.loadtest.run import judge_figures
from canary.loadtest.thresholds import P99_TAIL, LoadFigures, LoadThresholds
from canary.results.gate_result import GateResult
from canary.text.sanitize import make_one_line

_K6_THRESHOLDS_FAILED = 99
_TREND_STATS = "avg,min,med,max,p(90),p(95),p(99)"
_GRACE_SECONDS = 30.0
_MAX_MESSAGE = 500
"""Maximum length of a quoted message in characters."""
_OHA_DEADLINE = "aborted due to deadline"

_SECRET_HEADERS = frozenset({"authorization", "proxy-authorization", "cookie", "x-api-key"})


def run_k6(url: str, script: Path, asked: LoadThresholds, stop: Event) -> GateResult:
    """Run a k6 script, which reads the target from `__ENV.CANARY_URL`, and check its summary.

    Raises:
        UsageError: the script does not exist, or k6 is not installed.
        TransientError: k6 failed; contains its last message.
    """
    if not script.is_file():
        raise UsageError(f"--k6: expected a script, and {script} is not a file")
    with TemporaryDirectory() as folder:
        summary = Path(folder) / "summary.json"
        options = ["--quiet", "--no-usage-report", "--summary-trend-stats", _TREND_STATS]
        options += ["--summary-export", str(summary), "-e", f"CANARY_URL={url}"]
        command = [_find_program("k6"), "run", *options, str(script)]
        _run_program(command, MAX_SECONDS, stop, {0, _K6_THRESHOLDS_FAILED})
        seen = _parse_output(
            "k6", parse_k6_summary, summary.read_text("utf-8") if summary.exists() else ""
        )
    return judge_figures(url, asked, seen, interrupted=stop.is_set())


def run_oha(plan: LoadPlan, asked: LoadThresholds, stop: Event) -> GateResult:
    """Run a plan with oha, and check its output. The plan must have one rate and one request.

    Raises:
        UsageError: oha is not installed, or cannot run this plan.
        TransientError: oha failed; contains its last message.
    """
    command = [_find_program("oha"), *build_oha_options(plan)]
    output = _run_program(command, plan.schedule.seconds + plan.timeout, stop, {0})
    seen = _parse_output("oha", partial(parse_oha_output, plan=plan), output)
    return judge_figures(plan.url, asked, seen, interrupted=stop.is_set())


def build_oha_options(plan: LoadPlan) -> list[str]:
    """Return oha's options: open loop, with latency measured from the intended start."""
    (stage, *more), (request, *others) = plan.schedule.stages, plan.mix.requests
    if more or others or stage.start != stage.end or request.names:
        raise UsageError("--oha: expected one rate, one fixed request and --warm-up 0s")
    written = request.fill_in({})
    options = ["--no-tui", "--output-format", "json", "--latency-correction"]
    options += ["-q", f"{stage.start:g}", "-z", f"{stage.seconds:g}s", "-t", f"{plan.timeout:g}s"]
    options += ["-c", str(plan.max_in_flight), "-m", request.method, "--redirect", "0"]
    options += ["--http2"] if plan.http2 else []
    options += ["--insecure"] if plan.tls.insecure else []
    options += ["--cacert", plan.tls.ca_file] if plan.tls.ca_file else []
    for header in written.headers:
        refuse_secret_header(header)
        options += ["-H", header]
    if written.body is not None:
        options += ["-d", written.body.decode()]
    return [*options, plan.base + written.path]


def refuse_secret_header(header: str) -> None:
    """Raise UsageError for credentials: oha takes headers from its command line only."""
    name = header.partition(":")[0].strip()
    if name.lower() in _SECRET_HEADERS:
        raise UsageError(
            f"--oha: the header {name} would be shown to everybody who can list processes; "
            "leave out --oha"
        )


def parse_k6_summary(text: str) -> LoadFigures:
    """Parse a summary of k6's --summary-export; its times are milliseconds.

    Raises:
        ValueError, KeyError, TypeError: not such a summary.
    """
    metrics = json.loads(text)["metrics"]
    time = metrics["http_req_duration"]
    over = int(metrics["http_reqs"]["count"])
    failed = int(metrics["http_req_failed"]["passes"])
    unsent = int(metrics.get("dropped_iterations", {}).get("count", 0))
    rate = float(metrics["http_reqs"]["rate"])
    return LoadFigures(
        due=over + unsent,
        over=over,
        failed=failed,
        seconds=over / rate if rate else 0.0,
        p50=time["med"] / 1000,
        p99=time["p(99)"] / 1000,
        longest=time["max"] / 1000,
        unsent=unsent,
        statuses={"failed": failed} if failed else {},
    )


def parse_oha_output(text: str, plan: LoadPlan) -> LoadFigures:
    """Parse oha's JSON output; its times are seconds. A status other than 2xx or 3xx is a failure.

    oha's percentiles exclude timeouts: with more than 1 % of them, p99 is the timeout.

    Raises:
        ValueError, KeyError, TypeError: not such output.
    """
    output: Mapping[str, Any] = json.loads(text)
    errors = {name: int(count) for name, count in output["errorDistribution"].items()}
    cut_off = errors.pop(_OHA_DEADLINE, 0)
    answers = {status: int(count) for status, count in output["statusCodeDistribution"].items()}
    good = sum(count for status, count in answers.items() if status[:1] in {"2", "3"})
    over = sum(answers.values()) + sum(errors.values())
    percentiles, timeouts = output["latencyPercentiles"], errors.get("timeout", 0)
    unsent = max(0, int(plan.schedule.stages[0].count) - over - cut_off)
    return LoadFigures(
        due=over + cut_off + unsent,
        over=over,
        failed=over - good,
        seconds=plan.schedule.seconds,
        p50=percentiles["p50"] or 0.0,
        p99=plan.timeout if timeouts > P99_TAIL * over else percentiles["p99"] or 0.0,
        longest=output["summary"]["slowest"] or 0.0,
        unsent=unsent,
        timeouts=timeouts,
        statuses={**answers, **errors},
    )


def _find_program(name: str) -> str:
    found = shutil.which(name)
    if found is None:
        raise UsageError(f"--{name}: {name} was not found on the PATH: install it")
    return found


def _parse_output(name: str, figures: Callable[[str], LoadFigures], text: str) -> LoadFigures:
    try:
        return figures(text)
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        why = make_one_line(f"{type(error).__name__}: {error}")[:_MAX_MESSAGE]
        raise TransientError(
            f"{name} wrote no readable summary ({why}): check that it sends requests"
        ) from error


def _run_program(command: Sequence[str], seconds: float, stop: Event, fine: set[int]) -> str:
    """Run a program and return its standard output; a failure quotes the end of standard error."""
    name = Path(command[0]).name
    with (
        TemporaryFile("w+", errors="replace") as messages,
        subprocess.Popen(  # noqa: S603 - the command that the user requested
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=messages,
            text=True,
            process_group=0,
        ) as process,
    ):
        try:
            output = _wait_for_output(process, seconds, stop)
        except subprocess.TimeoutExpired as error:
            raise TransientError(
                f"{name} was still running {_GRACE_SECONDS:g} s after its planned end"
            ) from error
        finally:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
        if process.returncode not in fine and not stop.is_set():
            raise TransientError(
                f"{name} exited with code {process.returncode}: {_last_message(messages)}"
            )
    return output


def _last_message(messages: IO[str]) -> str:
    messages.seek(0)
    lines = messages.read().strip().splitlines() or ["no message"]
    return make_one_line(lines[-1])[-_MAX_MESSAGE:]


def _wait_for_output(process: "subprocess.Popen[str]", seconds: float, stop: Event) -> str:
    """Return the output; once `stop` is set, interrupt the program and wait for its end."""
    left = seconds + _GRACE_SECONDS
    while left > 0 and not stop.is_set():
        try:
            return process.communicate(timeout=0.2)[0]
        except subprocess.TimeoutExpired:
            left -= 0.2
    process.send_signal(signal.SIGINT)
    output = process.communicate(timeout=_GRACE_SECONDS)[0]
    if left <= 0:
        raise subprocess.TimeoutExpired(process.args, seconds)
    return output
