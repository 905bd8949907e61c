"""Outcomes as gates really find them, and one that is nasty all over."""

import math

from canary.api import Verdict
from canary.errors import ExitCode
from canary.results.gate_result import Case, Outcome

NASTY = (
    "50 %, a:b\r\n\x1b[31m<b>&]]>|`*_ \x00\ud800\ufffe ::error::no ##[set-output name=code]0 @team"
)

PASSED = Outcome(
    "gate",
    "prod/auth",
    ExitCode.OK,
    "promoted",
    (Case("errors", Verdict.PASS, "0.1 % fails, as with stable", 2.5, {"bad": 3, "share": 0.001}),),
    120.0,
)
FAILED = Outcome(
    "gate",
    "prod/auth",
    ExitCode.FAILED,
    "rolled back: ConnectionLeak",
    (
        Case("errors", Verdict.PASS, "0.1 % fails"),
        Case("pool", Verdict.FAIL, "4 connections are never given back", 9.0, {"leaked": 4.0}),
        Case("slow", Verdict.CONTINUE, "too few requests yet"),
        Case("queue", Verdict.NO_DATA, "nothing is there"),
        Case("cpu", Verdict.UNAVAILABLE, "the monitoring does not answer"),
    ),
    61.5,
    {"reason": "ConnectionLeak", "weights": [1, 5], "nan": math.nan},
    ("canary explain auth -n prod", "https://canary-controller.dev/runbooks/ConnectionLeak"),
)
TIMED_OUT = Outcome("gate", "prod/auth", ExitCode.TIMED_OUT, "did not end within 30m")
PAUSED = Outcome(
    "gate",
    "prod/auth",
    ExitCode.PAUSED,
    "waits for approval",
    (Case("errors", Verdict.CONTINUE, "too few requests yet"),),
)
HOSTILE = Outcome(
    "analyze",
    NASTY,
    ExitCode.FAILED,
    NASTY,
    (Case(NASTY, Verdict.FAIL, NASTY, math.inf, {NASTY: NASTY, "x": -math.inf}),),
    math.nan,
    {NASTY: [NASTY, {"deep": math.nan}]},
    (NASTY,),
    file="deploy/a,b:c.yaml",
)
ALL = (PASSED, FAILED, TIMED_OUT, PAUSED, HOSTILE)
