"""One case of a fault: three releases, some operators, and what came of it."""

import os
import subprocess
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field

from canary.clock import now
from e2e.faults.environment import FaultEnvironment, LoadFailures
from e2e.faults.processes import OperatorProcess
from e2e.faults.releases import STEPS, ReleaseUnderFault, state_of_service

ENDS_WITHIN = 900.0
"""Seconds that a release may take after the fault is over."""


class UnavailableError(Exception):
    """This cluster or machine cannot make the fault; the message says why."""


@dataclass
class FaultContext:
    """What a fault acts on."""

    good: ReleaseUnderFault
    bad: ReleaseUnderFault
    resting: ReleaseUnderFault
    operators: Sequence[OperatorProcess]
    violations: list[str] = field(default_factory=list)
    """What a case has found itself."""

    @property
    def operator(self) -> OperatorProcess:
        """The only operator."""
        return self.operators[0]

    @property
    def leader(self) -> OperatorProcess:
        """The operator that wrote last."""
        return max(self.operators, key=lambda one: one.api.writes[-1].at if one.api.writes else 0.0)

    def both_have_weight(self) -> None:
        """Wait until the new versions have traffic."""
        self.good.weight_reaches(STEPS[0])
        self.bad.weight_reaches(STEPS[0])


@dataclass(frozen=True, slots=True)
class FaultCase:
    """A fault, and what it needs."""

    name: str
    act: Callable[[FaultContext], str]
    """Makes the fault, ends it, and returns what happened; called once versions are shipped."""
    operators: int = 1
    elect: bool = False
    environment: Callable[[], Mapping[str, str]] = dict
    """Environment variables of the operators; may raise UnavailableError."""
    log: str = ""
    """Where the operators write their logs, if not into a file."""
    changes: Mapping[str, bool] = field(default_factory=dict)
    """Fields of ReleasePlan."""
    alone: bool = False
    """Whether it concerns every operator on the cluster."""
    finds: str = ""
    """The violation that this case provokes on purpose: it fails if nobody sees that one."""


@dataclass(frozen=True, slots=True)
class FaultResult:
    """A row of the table."""

    name: str
    happened: str
    violations: tuple[str, ...]
    seconds: float
    skipped: bool = False


def component(name: str) -> Callable[[str], None]:
    """Return what stops and starts a component, as CANARY_E2E_NAME_STOP and _START say.

    Raises UnavailableError when they say nothing.
    """
    variables = {verb: f"CANARY_E2E_{name}_{verb}" for verb in ("STOP", "START")}
    commands = {verb: os.environ.get(variable) for verb, variable in variables.items()}
    if not all(commands.values()):
        raise UnavailableError(f"{' and '.join(variables.values())} are not set")

    def run(verb: str) -> None:
        subprocess.run(["bash", "-c", str(commands[verb])], check=True, timeout=90)  # noqa: S607

    return run


@contextmanager
def stopped(name: str) -> Iterator[None]:
    """A component of the cluster is stopped while the block runs."""
    run = component(name)
    run("STOP")
    try:
        yield
    finally:
        run("START")


def try_fault(
    case: FaultCase,
    env: FaultEnvironment,
    releases: Sequence[ReleaseUnderFault],
    failures: LoadFailures,
) -> FaultResult:
    """Ship a good and a bad version, make the fault, and check every invariant."""
    good, bad, resting = releases
    began = now()
    try:
        environment = case.environment()
        with _operators(case, env, environment, [one.namespace for one in releases]) as operators:
            context = FaultContext(good, bad, resting, operators)
            happened, found = _play(case, context, failures)
    except UnavailableError as error:
        return FaultResult(case.name, str(error), (), 0.0, skipped=True)
    except (TimeoutError, AssertionError, RuntimeError, OSError) as error:
        happened, found = "did not end", [f"{type(error).__name__}: {error}"]
    if found:
        env.operators.keep_logs(case.name)
    if case.finds:
        seen = [one for one in found if case.finds in one]
        found = [one for one in found if one not in seen]
        found += [] if seen else [f"the observer did not see: {case.finds}"]
    return FaultResult(case.name, happened, tuple(found), now() - began)


@contextmanager
def _operators(
    case: FaultCase,
    env: FaultEnvironment,
    environment: Mapping[str, str],
    namespaces: Sequence[str],
) -> Iterator[list[OperatorProcess]]:
    with ExitStack() as stack:
        made = [
            stack.enter_context(
                env.operators.operator(
                    f"{namespaces[0]}-{number}",
                    namespaces,
                    elect=case.elect,
                    environment=environment,
                )
            )
            for number in range(case.operators)
        ]
        for operator in made:
            if case.log:
                operator.log = operator.log.__class__(case.log)
            operator.start()
            stack.enter_context(operator.supervised())
        yield made


def _play(case: FaultCase, context: FaultContext, failures: LoadFailures) -> tuple[str, list[str]]:
    good, bad, resting = context.good, context.bad, context.resting
    for release in (good, bad, resting):
        release.wait("it is at rest", 180, intent="Rest", phase=release.resting_phase)
    before = state_of_service(resting)
    good.ship(healthy=True, **case.changes)
    bad.ship(healthy=False, **case.changes)
    happened = case.act(context)
    ends = [release.end(ENDS_WITHIN) for release in (good, bad)]
    found = [*good.violations(), *bad.violations(), *context.violations]
    if state_of_service(resting) != before:
        found.append(f"the release at rest was written: {before}, {state_of_service(resting)}")
    for operator in context.operators:
        found += [f"log: {line}" for line in operator.crashes()]
    lost = failures.lost(good) + failures.lost(bad)
    words = [happened, f"good: {good.weights}, {ends[0]}", f"bad: {bad.weights}, {ends[1]}"]
    words += [f"{lost} requests lost"] if lost else []
    return "; ".join(filter(None, words)), found
