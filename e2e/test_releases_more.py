"""The other scenarios, one by one: run with CANARY_E2E_FULL=1."""

from threading import Event

import pytest

from canary.api import Reason, Result
from canary.kube.objects import Object
from e2e.fixtures_releases import place
from e2e.harness.auth import NAME, Auth, host, namespace, route, service
from e2e.harness.figures import Figures, measured, write_down
from e2e.harness.kubectl import KubectlError, apply, kubectl, wait_for
from e2e.harness.load import loading
from e2e.harness.release import ERRORS, POOL, SLOW, Guard
from e2e.harness.stage import Stage, staged
from e2e.test_releases import ABRUPT, label, ready, rolled_back

__all__ = ["place"]
QUICK = Guard(weights=(20, 50))
"""Two steps, where the number of steps is not the point."""
ERRORS_REASONS = {Reason.WORSE_THAN_STABLE, Reason.ABOVE_LIMIT, Reason.CANARY_OUTAGE}


@pytest.mark.parametrize("time", ["first", "second", "third"])
def test_five_percent_of_errors_are_rolled_back(place: str, time: str):
    """As soon as they are no bad luck any more: three times, because that depends on luck."""
    rolled_back(place, "errors:0.05", ERRORS_REASONS, f"5 % errors, {time}", history=60)


def test_one_percent_of_errors_is_never_promoted(place: str):
    """At 20 % of the traffic that are six bad requests a minute, beside a stable without any."""
    guard = Guard(weights=(20, 50), hold="4m", minimum="4m", smallest_regression=0.005)
    rolled_back(place, "errors:0.01", ERRORS_REASONS, "1 % errors at 20 %", guard, history=60)


def test_a_slow_version_is_rolled_back(place: str):
    """Answers that take 1.5 s are judged by the histogram of the service."""
    rolled_back(place, "slow:1.5", ERRORS_REASONS, "slow", Guard(metrics=(ERRORS, SLOW, POOL)))


def test_the_scrape_source_sees_a_dead_version_first(place: str):
    """The router's own metrics at 1 s instead of a Prometheus that scrapes every 5 s."""
    guard = Guard(source="scrape")
    rolled_back(place, "errors:1", ERRORS_REASONS, "100 % errors, scrape source at 1 s", guard)


def test_a_version_that_never_becomes_ready_gets_no_traffic(place: str):
    """Its pods are waited for as long as progressDeadline says; no weight is ever written."""
    with staged(place, Guard(progress_deadline="20s"), ABRUPT) as stage:
        stage.ship(ABRUPT.next("v2", ready=False))
        entry = stage.ends(Result.ROLLED_BACK)
        stage.nothing_left()
    assert entry["reason"] == Reason.NEVER_READY
    assert max(frame.what for frame in stage.film.weights) == 0
    assert stage.load.failures == []


def test_the_last_step_waits_for_a_person(place: str):
    """Passed, but not promoted before somebody says so."""
    guard = Guard(weights=(20, 50), approval=True)
    with staged(place, guard, ABRUPT) as stage:
        stage.ship(ABRUPT.next("v2"))
        stage.phase("WaitingForApproval", 180)
        assert stage.film.weight == 50
        stage.ask("promote")
        entry = stage.ends(Result.PROMOTED)
    figures = measured(stage, "approval", entry)
    assert figures.dropped == 0, stage.load.failures


def test_a_person_aborts_and_tries_the_same_version_again(place: str):
    """An aborted template starts nothing until `retry` is asked for."""
    with staged(place, QUICK, ABRUPT) as stage:
        stage.ship(ABRUPT.next("v2"))
        stage.weight_reaches(20)
        stage.ask("abort")
        entry = stage.ends(Result.ROLLED_BACK)
        assert entry["reason"] == Reason.ABORTED
        stage.phase("RolledBack")
        stage.ask("retry")
        stage.weight_reaches(20)
        again = stage.ends(Result.PROMOTED, past=1)
    figures = measured(stage, "abort and retry", again)
    assert figures.dropped == 0, stage.load.failures


def test_a_template_that_changes_twice_goes_through_zero(place: str):
    """The version in between is superseded; the newest one is promoted."""
    with staged(place, QUICK, ABRUPT) as stage:
        stage.ship(ABRUPT.next("v2"))
        stage.weight_reaches(20)
        stage.ship(ABRUPT.next("v3"))
        stage.ends(Result.SUPERSEDED)
        entry = stage.ends(Result.PROMOTED, past=1)
        weights = [frame.what for frame in stage.film.weights]
        assert 0 in weights[weights.index(20) : len(weights) - weights[::-1].index(20)]
        assert {label(pod) for pod in stage.pods() if ready(pod)} == {"v3"}
    figures = measured(stage, "template changed twice", entry)
    assert figures.dropped == 0, stage.load.failures


@pytest.mark.parametrize(
    ("how", "options"),
    [
        pytest.param("client-side", (), id="client-side"),
        pytest.param("server-side", ("--server-side", "--force-conflicts"), id="server-side"),
    ],
)
def test_manifests_applied_again_on_the_way_break_nothing(
    place: str, how: str, options: tuple[str, ...]
):
    """The weights in the route go back to stable, are put right once, and the release goes on."""
    with staged(place, QUICK, ABRUPT) as stage:
        stage.ship(ABRUPT.next("v2"))
        stage.weight_reaches(20)
        apply(*again(stage), options=options)
        entry = stage.ends(Result.PROMOTED)
    figures = measured(stage, f"manifests applied again {how}", entry)
    assert figures.dropped == 0, stage.load.failures


def again(stage: Stage) -> list[Object]:
    """All manifests, with the route's weights as the team's repository might have them."""
    manifests = stage.manifests()
    refs = manifests[2]["spec"]["rules"][0]["backendRefs"]
    refs[0]["weight"] = 1
    return manifests


def test_unforced_server_side_apply_is_refused_by_the_api_server(place: str):
    """The weights are ours while a release runs: the conflict names us."""
    with staged(place, QUICK, ABRUPT) as stage:
        stage.ship(ABRUPT.next("v2"))
        stage.weight_reaches(20)
        with pytest.raises(KubectlError, match="canary-controller"):
            apply(route(place), options=("--server-side",))
        stage.ask("abort")
        stage.ends(Result.ROLLED_BACK)


def test_without_traffic_a_release_waits_and_then_pauses(place: str):
    """No data is no verdict: a person is asked."""
    with staged(place, Guard(weights=(20, 50), patience="20s"), ABRUPT, rate=0) as stage:
        stage.ship(ABRUPT.next("v2"))
        started = stage.weight_reaches(20)
        paused = stage.phase("Paused", 120)
        assert stage.film.weight == 20
        stage.ask("abort")
        stage.ends(Result.ROLLED_BACK)
    seconds = stage.film.statuses[-1].at - started
    reason = paused["release"]["pause"]["reason"]
    assert reason in (Reason.NO_DATA, Reason.INCONCLUSIVE)
    write_down(Figures("no traffic", "Paused", reason, round(seconds, 1)))


def test_a_version_as_bad_as_stable_is_promoted(place: str):
    """Both fail 2 % of the requests: that is not the new version's fault."""
    stable = Auth(flaw="errors:0.02", abrupt=True)
    guard = Guard(weights=(20, 50), smallest_regression=0.03)
    with staged(place, guard, stable) as stage:
        stage.ship(stable.next("v2", "errors:0.02"))
        entry = stage.ends(Result.PROMOTED, seconds=300)
    figures = measured(stage, "both versions at 2 %", entry)
    assert figures.dropped == 0, stage.load.failures


def test_a_plain_rolling_update_drops_requests_that_a_release_does_not(place: str):
    """The same application, which exits at once on SIGTERM, without a CanaryRelease."""
    apply(namespace(place))
    try:
        apply(ABRUPT.deployment(place), service(place), route(place))
        status = ("-n", place, "rollout", "status", f"deployment/{NAME}", "--timeout=120s")
        kubectl(*status)
        with loading(host(place)) as load:
            wait_for("requests", lambda: sum(load.answered.values()) > 100, 60)
            apply(ABRUPT.next("v2").deployment(place))
            kubectl(*status)
            Event().wait(12)  # a request to a pod that is gone fails after 10 s
        name = "plain rolling update, no release"
        dropped = len(load.failures)
        write_down(Figures(name, "Rolled", "-", dropped=dropped, sent=load.sent))
    finally:
        kubectl("delete", "namespace", place, "--wait=false")
    assert dropped > 0
