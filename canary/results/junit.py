"""Renders a result as JUnit XML, as Jenkins, GitLab, GitHub actions and IDEs read it.

Pure. Fail is a `failure`. NoData and Unavailable are an `error`, because the cause is missing data
and not a fault. Continue is `skipped`, because the analysis did not finish. A result that did not
pass always has a red case: if no case explains it (a time-out, a pause), the result itself becomes
one.
"""

import math
from collections.abc import Sequence
from xml.etree.ElementTree import Element, SubElement, indent, tostring

from canary.api import Verdict
from canary.errors import ExitCode
from canary.results.gate_result import GateResult, ResultCase
from canary.results.marks import RESULT_NAMES, failing_cases, format_fact
from canary.text.sanitize import make_one_line, make_printable


def render_junit(outcome: GateResult) -> str:
    """Return `<testsuites>` with one suite, which has a `<testcase>` per case."""
    root = Element("testsuites")
    suite = SubElement(root, "testsuite", name=_suite_name(outcome))
    cases = [*outcome.cases, *_result_as_case(outcome)]
    for case in cases:
        _add_case(suite, outcome, case)
    if outcome.facts:
        _add_properties(suite, outcome)
    for element in (root, suite):
        element.attrib.update(_count_cases(suite, outcome))
    indent(root)
    return f'<?xml version="1.0" encoding="UTF-8"?>\n{tostring(root, encoding="unicode")}\n'


def _result_as_case(outcome: GateResult) -> Sequence[ResultCase]:
    """Return the result as a case of its own if the other cases do not explain it."""
    if outcome.cases and (outcome.passed or failing_cases(outcome)):
        return ()
    verdict = Verdict.PASS if outcome.passed else Verdict.UNAVAILABLE
    failed = outcome.code is ExitCode.FAILED
    sentence = f"{RESULT_NAMES[outcome.code]}: {outcome.headline}"
    return (ResultCase("outcome", Verdict.FAIL if failed else verdict, sentence, outcome.seconds),)


def _add_case(suite: Element, outcome: GateResult, case: ResultCase) -> None:
    made = SubElement(
        suite,
        "testcase",
        classname=_suite_name(outcome),
        name=make_one_line(case.name),
        time=_format_time(case.seconds),
    )
    tag = _tag_of(case.verdict)
    if tag is not None:
        told = {"message": make_one_line(case.sentence)}
        told |= {} if tag == "skipped" else {"type": str(case.verdict)}
        SubElement(made, tag, told).text = _format_report(outcome, case)
    SubElement(made, "system-out").text = _format_report(outcome, case)


def _tag_of(verdict: Verdict) -> str | None:
    match verdict:
        case Verdict.PASS:
            return None
        case Verdict.FAIL:
            return "failure"
        case Verdict.NO_DATA | Verdict.UNAVAILABLE:
            return "error"
        case Verdict.CONTINUE:
            return "skipped"


def _format_report(outcome: GateResult, case: ResultCase) -> str:
    """Return the text of an opened case: sentence, figures and next steps."""
    lines = [case.sentence, *(f"{name}: {format_fact(fact)}" for name, fact in case.facts.items())]
    if not outcome.passed and case.verdict is not Verdict.PASS:
        lines += ["", outcome.headline, *outcome.next_steps]
    return make_printable("\n".join(lines))


def _add_properties(suite: Element, outcome: GateResult) -> None:
    held = Element("properties")
    for name, fact in outcome.facts.items():
        SubElement(held, "property", name=make_one_line(name), value=format_fact(fact))
    suite.insert(0, held)


def _count_cases(suite: Element, outcome: GateResult) -> dict[str, str]:
    numbers = {
        "tests": len(suite.findall("testcase")),
        "failures": len(suite.findall("testcase/failure")),
        "errors": len(suite.findall("testcase/error")),
        "skipped": len(suite.findall("testcase/skipped")),
    }
    return {name: str(number) for name, number in numbers.items()} | {
        "time": _format_time(outcome.seconds)
    }


def _suite_name(outcome: GateResult) -> str:
    """Return the suite name. Jenkins shows `canary.gate` as package and the subject as class."""
    return f"canary.{outcome.command}.{make_one_line(outcome.subject).replace('.', '_')}"


def _format_time(seconds: float) -> str:
    return f"{seconds if math.isfinite(seconds) else 0.0:.3f}"
