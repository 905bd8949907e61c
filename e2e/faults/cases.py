"""The faults, a function each; `CASES` is the table's order."""

import json
import os
import signal
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path
from tempfile import NamedTemporaryFile

from canary.clock import now
from e2e.faults.broken_answers import (
    FAULTS_OF_PROMETHEUS,
    GoneWatches,
    LateWrite,
    OnWrite,
    Refuse,
    ShortWatches,
)
from e2e.faults.context import FaultCase, FaultContext, UnavailableError, component, stopped
from e2e.faults.processes import read_access
from e2e.faults.proxy import Fault
from e2e.faults.releases import STEPS, ReleaseUnderFault
from e2e.harness.auth import NAME, route
from e2e.harness.kubectl import KubectlError, apply, get, kubectl, wait_for
from e2e.harness.recorder import CANARY

FAKETIME = Path("/usr/lib/x86_64-linux-gnu/faketime/libfaketimeMT.so.1")
HOUR = 3600


def pause(seconds: float) -> None:
    """Wait while a fault lasts."""
    threading.Event().wait(seconds)


def no_fault(context: FaultContext) -> str:
    """Nothing happens: what a release looks like."""
    context.both_have_weight()
    return ""


def weight_written_by_hand(context: FaultContext) -> str:
    """A deliberate violation: somebody gives the canary 90 %."""
    context.good.weight_reaches(STEPS[0])
    write_weight(context.good, 90)
    return "somebody gave the canary 90 %"


def write_weight(release: ReleaseUnderFault, weight: int) -> None:
    """Write the canary's weight as somebody else would."""
    found = get(release.namespace, "httproute", NAME)
    assert found is not None
    refs = found["spec"]["rules"][0]["backendRefs"]
    for ref in refs:
        ref["weight"] = weight if ref["name"] == CANARY else 100 - weight
    patch = [{"op": "replace", "path": "/spec/rules/0/backendRefs", "value": refs}]
    kubectl(
        *("-n", release.namespace, "patch", "httproute", NAME, "--type=json"),
        *("-p", json.dumps(patch)),
    )


def component_away(name: str, seconds: float, context: FaultContext) -> str:
    """A component of the cluster is stopped for so long."""
    component(name)
    context.both_have_weight()
    with stopped(name):
        pause(seconds)
    return ""


def broken_prometheus(make: Callable[[], Fault], seconds: float, context: FaultContext) -> str:
    """Prometheus gives wrong answers to everybody for so long."""
    context.both_have_weight()
    for operator in context.operators:
        operator.prometheus.fault = make()
    pause(seconds)
    for operator in context.operators:
        operator.prometheus.fault = Fault()
    return ""


def broken_api(make: Callable[[], Fault], seconds: float, context: FaultContext) -> str:
    """The API server misbehaves for so long, from the start of the releases on."""
    context.operator.api.fault = fault = make()
    pause(seconds)
    context.operator.api.fault = Fault()
    refused = getattr(fault, "refused", 0)
    return f"{refused} requests refused" if refused else ""


def one_seat(context: FaultContext) -> str:
    """The operator's account has one seat at the API server, and others sit on it."""
    access = read_access()
    apply(*_one_seat())
    over = threading.Event()
    try:
        with ExitStack() as stack:
            for _ in range(6):
                thread = threading.Thread(target=_flood, args=(access.server, access.token, over))
                thread.start()
                stack.callback(thread.join)
            stack.callback(over.set)
            pause(45)
            context.both_have_weight()
    finally:
        names = ("flowschema/faults-one-seat", "prioritylevelconfiguration/faults-one-seat")
        kubectl("delete", "--ignore-not-found", *names)
    return ""


def _flood(server: str, token: str, over: threading.Event) -> None:
    while not over.is_set():
        flags = ("--server", server, "--token", token, "--insecure-skip-tls-verify")
        try:
            kubectl(*flags, "get", "pods", "-A", "-o", "name", "--kubeconfig", "/dev/null")
        except KubectlError:
            over.wait(0.05)


def _one_seat() -> Iterator[dict[str, object]]:
    api = "flowcontrol.apiserver.k8s.io/v1"
    level = {
        "type": "Limited",
        "limited": {
            "nominalConcurrencyShares": 1,
            "lendablePercent": 0,
            "borrowingLimitPercent": 0,
            "limitResponse": {"type": "Reject"},
        },
    }
    name = "faults-one-seat"
    yield {
        "apiVersion": api,
        "kind": "PriorityLevelConfiguration",
        "metadata": {"name": name},
        "spec": level,
    }
    account = {
        "kind": "ServiceAccount",
        "serviceAccount": {"namespace": "canary-system", "name": "canary"},
    }
    rule = {
        "verbs": ["*"],
        "apiGroups": ["*"],
        "resources": ["*"],
        "namespaces": ["*"],
        "clusterScope": True,
    }
    yield {
        "apiVersion": api,
        "kind": "FlowSchema",
        "metadata": {"name": name},
        "spec": {
            "priorityLevelConfiguration": {"name": name},
            "matchingPrecedence": 10,
            "distinguisherMethod": {"type": "ByUser"},
            "rules": [{"subjects": [account], "resourceRules": [rule]}],
        },
    }


@contextmanager
def repeating(act: Callable[[], object], every: float) -> Iterator[list[int]]:
    """Call a function again and again while the block runs; yields how often it has worked."""
    over, count = threading.Event(), [0]

    def run() -> None:
        while not over.wait(every):
            try:
                act()
                count[0] += 1
            except (KubectlError, AssertionError):
                continue

    thread = threading.Thread(target=run)
    thread.start()
    try:
        yield count
    finally:
        over.set()
        thread.join()


def noisy_writers(context: FaultContext) -> str:
    """Another controller writes annotations into Deployment, Service and route all the time."""
    count = 0
    with ExitStack() as stack:
        counts = [
            stack.enter_context(repeating(partial(_annotate, release, kind), 0.2))
            for release in (context.good, context.bad)
            for kind in ("deployment", "service", "httproute")
        ]
        context.both_have_weight()
        context.good.over_within(900)
        count = sum(one[0] for one in counts)
    for release in (context.good, context.bad):
        for kind in ("deployment", "service", "httproute"):
            kubectl("-n", release.namespace, "annotate", kind, NAME, "faults/noise-")
    return f"{count} writes of another controller"


def _annotate(release: ReleaseUnderFault, kind: str) -> None:
    note = f"faults/noise={now()}"
    kubectl("-n", release.namespace, "annotate", "--overwrite", kind, NAME, note)


def route_applied_again(context: FaultContext) -> str:
    """A GitOps controller applies the user's route again every five seconds, for 30 s."""
    context.good.weight_reaches(STEPS[0])
    with repeating(lambda: apply(route(context.good.namespace)), 5.0) as count:
        pause(30)
    return f"the good one's route was applied {count[0]} times"


def deployment_unpaused(context: FaultContext) -> str:
    """Somebody unpauses the Deployments and scales the canaries to nothing, again and again."""
    context.both_have_weight()

    def act() -> None:
        for release in (context.good, context.bad):
            merge = ("--type=merge", "-p", '{"spec":{"paused":false}}')
            kubectl("-n", release.namespace, "patch", "deployment", NAME, *merge)

    with repeating(act, 1.0) as count:
        pause(20)
    return f"unpaused {count[0]} times"


def canary_service_deleted(context: FaultContext) -> str:
    """Somebody deletes the canary's Service and changes the selector of the next one."""
    context.good.weight_reaches(STEPS[0])
    kubectl("-n", context.good.namespace, "delete", "service", CANARY)
    wait_for("another", lambda: get(context.good.namespace, "service", CANARY) is not None, 60)
    return "the canary's Service was deleted"


def canary_deployment_deleted(context: FaultContext) -> str:
    """Somebody deletes the canary's Deployment."""
    context.good.weight_reaches(STEPS[0])
    kubectl("-n", context.good.namespace, "delete", "deployment", CANARY, "--wait=false")
    return "the canary's Deployment was deleted"


def killed_at_every_third_write(context: FaultContext) -> str:
    """SIGKILL when a write is forwarded: it happens, and its writer never learns of it."""
    context.operator.api.fault = OnWrite(3, context.operator.kill)
    context.good.over_within(900)
    context.operator.api.fault = Fault()
    return f"killed {len(context.operator.exits)} times"


def terminated_at_every_sixth_write(context: FaultContext) -> str:
    """SIGTERM while the operator writes; it must end by itself, with exit code 0."""
    operator = context.operator
    operator.api.fault = OnWrite(6, lambda: operator.send(signal.SIGTERM))
    context.good.over_within(900)
    operator.api.fault = Fault()
    wrong = [code for code in operator.exits if code != 0]
    context.violations += [f"exit codes {wrong}"] if wrong else []
    return f"ended by SIGTERM {len(operator.exits)} times"


def frozen_leader(context: FaultContext) -> str:
    """SIGSTOP for the leader, until the other one has taken over; then SIGCONT."""
    context.both_have_weight()
    leader = context.leader
    others = [one for one in context.operators if one is not leader]
    leader.send(signal.SIGSTOP)
    frozen = now()
    taken_over = _wait_for_writes(others, frozen)
    pause(3)
    thawed = now()
    leader.send(signal.SIGCONT)
    pause(5)
    late = [one for one in leader.api.writes if thawed - 0.05 <= one.at and one.status < 300]
    again = {one.at for other in others for one in other.api.writes if one.at > thawed}
    overlap = [one for one in late if again and one.at < max(again)]
    context.violations += [f"the thawed leader wrote {one.request}" for one in overlap]
    return f"the other one wrote after {taken_over - frozen:.1f} s; thawed after {thawed - frozen:.0f} s"


def _wait_for_writes(operators: list, since: float) -> float:  # type: ignore[type-arg]
    def newest() -> float:
        return max((one.api.writes[-1].at for one in operators if one.api.writes), default=0.0)

    wait_for("a write of another operator", lambda: newest() > since, 180)
    return newest()


def late_write(context: FaultContext) -> str:
    """The leader's next write is under way for 25 s; meanwhile it is cut off and replaced."""
    context.both_have_weight()
    leader = context.leader
    leader.api.fault = fault = LateWrite(25.0)
    assert fault.arrived.wait(180), "no write came"
    pause(3)
    leader.api.fault = Fault()
    status = next(
        (one.status for one in reversed(leader.api.writes) if str(one.request) == fault.held), 0
    )
    return f"{fault.held.split('/')[-2:]} arrived 25 s late: {status}"


def many_operators(context: FaultContext) -> str:
    """Twenty operators with one lease; the one that leads is killed four times."""
    context.both_have_weight()
    for _ in range(4):
        leader = context.leader
        killed = now()
        leader.kill()
        pause(5)
        if context.good.over() and context.bad.over():
            break
        _wait_for_writes(list(context.operators), killed)
    return "the leader was killed four times"


def evicted(context: FaultContext) -> str:
    """Every pod of both releases is evicted, the canary's first, then stable's one by one."""
    context.both_have_weight()
    count = 0
    for release in (context.good, context.bad):
        for name in release.pods():
            evict(release.namespace, name)
            count += 1
            pause(1)
    return f"{count} pods evicted"


def evict(namespace: str, name: str) -> None:
    """What draining a node does to a pod."""
    body = {
        "apiVersion": "policy/v1",
        "kind": "Eviction",
        "metadata": {"name": name, "namespace": namespace},
    }
    path = f"/api/v1/namespaces/{namespace}/pods/{name}/eviction"
    try:
        kubectl("create", "--raw", path, "-f", "-", stdin=json.dumps(body))
    except KubectlError as error:
        if "not found" not in str(error):
            raise


def canary_pods_lost(context: FaultContext) -> str:
    """The canary's pods vanish as with their node: deleted by force, twice."""
    context.good.weight_reaches(STEPS[0])
    for _ in range(2):
        names = [name for name in context.good.pods() if name.startswith(f"{CANARY}-")]
        flags = ("--grace-period=0", "--force", "--wait=false", "--ignore-not-found")
        kubectl("-n", context.good.namespace, "delete", "pod", *names, *flags)
        pause(8)
    return "all canary pods vanished twice"


def node_deleted(context: FaultContext) -> str:
    """The node is deleted, its pods with it; the kubelet comes back after 30 s."""
    run = component("KUBELET")
    context.both_have_weight()
    (node,) = kubectl("get", "nodes", "-l", "!type", "-o", "name").split()
    run("STOP")
    try:
        kubectl("delete", node, "--wait=false")
        pause(30)
    finally:
        run("START")
    kubectl("wait", node, "--for=condition=Ready", "--timeout=300s")
    return "the only node was lost, with stable's pods"


def clock_jumps(first: int, second: int, context: FaultContext) -> str:
    """The operator's clock jumps by so many seconds, and 20 s later to another offset."""
    context.both_have_weight()
    clock = Path(context.operator.environment["FAKETIME_TIMESTAMP_FILE"])
    clock.write_text(f"{first:+d}")
    pause(20)
    clock.write_text(f"{second:+d}")
    return f"{first:+d} s, then {second:+d} s"


def fake_clock() -> Mapping[str, str]:
    """A clock that a file sets; the monotonic clock is the real one."""
    if not FAKETIME.exists():
        raise UnavailableError(f"{FAKETIME} is not there: install libfaketime")
    with NamedTemporaryFile("w", prefix="canary-clock-", delete=False) as file:
        file.write("+0")
    return {
        "LD_PRELOAD": str(FAKETIME),
        "FAKETIME_TIMESTAMP_FILE": file.name,
        "FAKETIME_NO_CACHE": "1",
        "FAKETIME_DONT_FAKE_MONOTONIC": "1",
        "DONT_FAKE_MONOTONIC": "1",
    }


def full_disk() -> Mapping[str, str]:
    """Nothing can be written: /dev/full has no space, and there is no directory for files."""
    if not os.access("/dev/full", os.W_OK):
        raise UnavailableError("/dev/full cannot be written")
    return {"TMPDIR": "/dev/null", "HOME": "/dev/null"}


CASES: tuple[FaultCase, ...] = (
    FaultCase("none", no_fault),
    FaultCase(
        "a deliberate violation", weight_written_by_hand, finds="weight 90, which is no step"
    ),
    FaultCase("operator killed after every third write", killed_at_every_third_write),
    FaultCase("SIGTERM at every sixth write", terminated_at_every_sixth_write),
    FaultCase("leader frozen, then thawed", frozen_leader, operators=2, elect=True, alone=True),
    FaultCase(
        "leader cut off, its write 25 s late", late_write, operators=2, elect=True, alone=True
    ),
    FaultCase(
        "20 operators, the leader killed 4 times",
        many_operators,
        operators=20,
        elect=True,
        alone=True,
    ),
    FaultCase("API server away for 60 s", partial(component_away, "APISERVER", 60), alone=True),
    FaultCase("etcd away for 30 s", partial(component_away, "ETCD", 30), alone=True),
    FaultCase("kubelet away for 30 s", partial(component_away, "KUBELET", 30), alone=True),
    FaultCase("Prometheus away for 90 s", partial(component_away, "MONITORING", 90), alone=True),
    *(
        FaultCase(f"Prometheus {name}", partial(broken_prometheus, make, 40))
        for name, make in FAULTS_OF_PROMETHEUS.items()
    ),
    FaultCase("410 Gone for every watch", partial(broken_api, GoneWatches, 45)),
    FaultCase("watches closed every second", partial(broken_api, ShortWatches, 45)),
    FaultCase("429 for 70 % of requests", partial(broken_api, partial(Refuse, 429, 0.7), 45)),
    FaultCase("500 for 50 % of requests", partial(broken_api, partial(Refuse, 500, 0.5), 45)),
    FaultCase("a flow schema of one seat, and a flood", one_seat, alone=True),
    FaultCase("another controller writes all the time", noisy_writers),
    FaultCase(
        "the route applied again every 5 s", route_applied_again, changes={"own_weights": False}
    ),
    FaultCase("Deployments unpaused every second", deployment_unpaused),
    FaultCase("the canary's Service deleted", canary_service_deleted),
    FaultCase("the canary's Deployment deleted", canary_deployment_deleted),
    FaultCase("every pod evicted", evicted),
    FaultCase("canary pods lost twice", canary_pods_lost),
    FaultCase("the node deleted", node_deleted, alone=True),
    FaultCase(
        "clock jumps an hour ahead, and back",
        partial(clock_jumps, HOUR, 0),
        environment=fake_clock,
        changes={"steady_clock": False},
    ),
    FaultCase(
        "clock jumps an hour back, and ahead",
        partial(clock_jumps, -HOUR, 0),
        environment=fake_clock,
        changes={"steady_clock": False},
    ),
    FaultCase("disk full", no_fault, environment=full_disk, log="/dev/full"),
)
