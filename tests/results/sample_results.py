"""Outcomes as gates really find them, and one that is nasty all over."""

import math

from canary.api import Verdict
from canary.errors import ExitCode
from canary.results.gate_result import GateResult, ResultCase

NASTY = (
    "50 %, a:b\r\n\x1b[31m<b>&]]>|`*_ \x00\ud800\ufffe ::error::no ##[set-output name=code]0 @team"
)

PASSED = GateResult(
    "gate",
    "prod/auth",
    ExitCode.OK,
    "promoted",
    (
        ResultCase(
            "errors", Verdict.PASS, "0.1 % fails, as with stable", 2.5, {"bad": 3, "share": 0.001}
        ),
    ),
    120.0,
)
FAILED = GateResult(
    "gate",
    "prod/auth",
    ExitCode.FAILED,
    "rolled back: ConnectionLeak",
    (
        ResultCase("errors", Verdict.PASS, "0.1 % fails"),
        ResultCase(
            "pool", Verdict.FAIL, "4 connections are never given back", 9.0, {"leaked": 4.0}
        ),
        ResultCase("slow", Verdict.CONTINUE, "too few requests yet"),
        ResultCase("queue", Verdict.NO_DATA, "nothing is there"),
        ResultCase("cpu", Verdict.UNAVAILABLE, "the monitoring does not answer"),
    ),
    61.5,
    {"reason": "ConnectionLeak", "weights": [1, 5], "nan": math.nan},
    ("canary explain auth -n prod", "https://canary-controller.dev/runbooks/ConnectionLeak"),
)
TIMED_OUT = GateResult("gate", "prod/auth", ExitCode.TIMED_OUT, "did not end within 30m")
PAUSED = GateResult(
    "gate",
    "prod/auth",
    ExitCode.PAUSED,
    "waits for approval",
    (ResultCase("errors", Verdict.CONTINUE, "too few requests yet"),),
)
HOSTILE = GateResult(
    "analyze",
    NASTY,
    ExitCode.FAILED,
    NASTY,
    (ResultCase(NASTY, Verdict.FAIL, NASTY, math.inf, {NASTY: NASTY, "x": -math.inf}),),
    math.nan,
    {NASTY: [NASTY, {"deep": math.nan}]},
    (NASTY,),
    file="deploy/a,b:c.yaml",
)
ALL = (PASSED, FAILED, TIMED_OUT, PAUSED, HOSTILE)
