"""An outcome as JUnit XML, in the dialect that Jenkins, GitLab, GitHub's actions and IDEs read.

Pure. Fail is a `failure`. NoData and Unavailable are an `error`: nothing was wrong with what was
judged, and nothing can be said for it. Continue is `skipped`, as it was not judged to its end. A
gate that did not pass always has a red case: where no case says why (a time-out, a pause), the gate
itself becomes one.
"""

import math
from collections.abc import Sequence
from xml.etree.ElementTree import Element, SubElement, indent, tostring

from canary.api import Verdict
from canary.errors import ExitCode
from canary.results.gate_result import Case, Outcome
from canary.results.marks import RESULTS, faults, shown
from canary.text.sanitize import make_one_line, make_printable


def junit(outcome: Outcome) -> str:
    """One `<testsuites>` with one suite, and in it one `<testcase>` for each case."""
    root = Element("testsuites")
    suite = SubElement(root, "testsuite", name=_name(outcome))
    cases = [*outcome.cases, *_whole(outcome)]
    for case in cases:
        _add(suite, outcome, case)
    if outcome.facts:
        _properties(suite, outcome)
    for element in (root, suite):
        element.attrib.update(_counts(suite, outcome))
    indent(root)
    return f'<?xml version="1.0" encoding="UTF-8"?>\n{tostring(root, encoding="unicode")}\n'


def _whole(outcome: Outcome) -> Sequence[Case]:
    """The gate as a case of its own, where the others do not tell how it ended."""
    if outcome.cases and (outcome.passed or faults(outcome)):
        return ()
    verdict = Verdict.PASS if outcome.passed else Verdict.UNAVAILABLE
    failed = outcome.code is ExitCode.FAILED
    sentence = f"{RESULTS[outcome.code]}: {outcome.headline}"
    return (Case("outcome", Verdict.FAIL if failed else verdict, sentence, outcome.seconds),)


def _add(suite: Element, outcome: Outcome, case: Case) -> None:
    made = SubElement(
        suite,
        "testcase",
        classname=_name(outcome),
        name=make_one_line(case.name),
        time=_time(case.seconds),
    )
    tag = _tag(case.verdict)
    if tag is not None:
        told = {"message": make_one_line(case.sentence)}
        told |= {} if tag == "skipped" else {"type": str(case.verdict)}
        SubElement(made, tag, told).text = _report(outcome, case)
    SubElement(made, "system-out").text = _report(outcome, case)


def _tag(verdict: Verdict) -> str | None:
    match verdict:
        case Verdict.PASS:
            return None
        case Verdict.FAIL:
            return "failure"
        case Verdict.NO_DATA | Verdict.UNAVAILABLE:
            return "error"
        case Verdict.CONTINUE:
            return "skipped"


def _report(outcome: Outcome, case: Case) -> str:
    """What a person reads who opens the case: the sentence, its figures, what to do."""
    lines = [case.sentence, *(f"{name}: {shown(fact)}" for name, fact in case.facts.items())]
    if not outcome.passed and case.verdict is not Verdict.PASS:
        lines += ["", outcome.headline, *outcome.next_steps]
    return make_printable("\n".join(lines))


def _properties(suite: Element, outcome: Outcome) -> None:
    held = Element("properties")
    for name, fact in outcome.facts.items():
        SubElement(held, "property", name=make_one_line(name), value=shown(fact))
    suite.insert(0, held)


def _counts(suite: Element, outcome: Outcome) -> dict[str, str]:
    numbers = {
        "tests": len(suite.findall("testcase")),
        "failures": len(suite.findall("testcase/failure")),
        "errors": len(suite.findall("testcase/error")),
        "skipped": len(suite.findall("testcase/skipped")),
    }
    return {name: str(number) for name, number in numbers.items()} | {
        "time": _time(outcome.seconds)
    }


def _name(outcome: Outcome) -> str:
    """Dots make packages in Jenkins' tree: `canary.gate` is one, the subject its class."""
    return f"canary.{outcome.command}.{make_one_line(outcome.subject).replace('.', '_')}"


def _time(seconds: float) -> str:
    return f"{seconds if math.isfinite(seconds) else 0.0:.3f}"
