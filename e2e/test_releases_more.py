"""The other scenarios, one by one: run with CANARY_E2E_FULL=1."""

from threading import Event

import pytest

from canary.api import Reason, Result
from canary.kube.objects import Object
from e2e.fixtures_releases import place
from e2e.harness.auth import NAME, AuthService, host, namespace, route, service
from e2e.harness.kubectl import KubectlError, apply, kubectl, now, wait_for
from e2e.harness.load import run_load
from e2e.harness.measurements import Measurements, read_measurements, write_measurements
from e2e.harness.release import ERRORS, POOL, REFUSED, SLOW, ReleaseManifest
from e2e.harness.scenario import Scenario, start_scenario
from e2e.test_releases import ABRUPT, label, ready, rolled_back

__all__ = ["place"]
QUICK = ReleaseManifest(weights=(20, 50))
"""Two steps, where the number of steps is not the point."""
ERRORS_REASONS = {Reason.WORSE_THAN_STABLE, Reason.ABOVE_LIMIT, Reason.CANARY_OUTAGE}


@pytest.mark.parametrize("time", ["first", "second", "third"])
def test_five_percent_of_errors_are_rolled_back(place: str, time: str):
    """As soon as they are no bad luck any more: three times, because that depends on luck."""
    rolled_back(place, "errors:0.05", ERRORS_REASONS, f"5 % errors, {time}", history=60)


def test_one_percent_of_errors_is_never_promoted(place: str):
    """At 20 % of the traffic that are six bad requests a minute, beside a stable without any."""
    guard = ReleaseManifest(weights=(20, 50), hold="4m", minimum="4m", smallest_regression=0.005)
    rolled_back(place, "errors:0.01", ERRORS_REASONS, "1 % errors at 20 %", guard, history=60)


def test_a_slow_version_is_rolled_back(place: str):
    """Answers that take 1.5 s are judged by the histogram of the service."""
    rolled_back(
        place, "slow:1.5", ERRORS_REASONS, "slow", ReleaseManifest(metrics=(ERRORS, SLOW, POOL))
    )


def test_a_version_that_refuses_everybody_is_rolled_back(place: str):
    """401 is no error of the server: the share of client errors beside stable's shows it."""
    guard = ReleaseManifest(metrics=(ERRORS, REFUSED, POOL))
    rolled_back(place, "refuse", ERRORS_REASONS, "refuse", guard)


def test_the_scrape_source_sees_a_dead_version_first(place: str):
    """The router's own metrics at 1 s instead of a Prometheus that scrapes every 5 s."""
    guard = ReleaseManifest(source="scrape")
    rolled_back(place, "errors:1", ERRORS_REASONS, "100 % errors, scrape source at 1 s", guard)


def test_a_version_that_never_becomes_ready_gets_no_traffic(place: str):
    """Its pods are waited for as long as progressDeadline says; no weight is ever written."""
    with start_scenario(place, ReleaseManifest(progress_deadline="20s"), ABRUPT) as stage:
        stage.ship(ABRUPT.next("v2", ready=False))
        entry = stage.ends(Result.ROLLED_BACK)
        stage.nothing_left()
    assert entry["reason"] == Reason.NEVER_READY
    assert max(frame.what for frame in stage.film.weights) == 0
    assert stage.load.failures == []


def test_the_last_step_waits_for_a_person(place: str):
    """Passed, but not promoted before somebody says so."""
    guard = ReleaseManifest(weights=(20, 50), approval=True)
    with start_scenario(place, guard, ABRUPT) as stage:
        stage.ship(ABRUPT.next("v2"))
        stage.phase("WaitingForApproval", 180)
        assert stage.film.weight == 50
        stage.ask("promote")
        entry = stage.ends(Result.PROMOTED)
    figures = read_measurements(stage, "approval", entry)
    assert figures.dropped == 0, stage.load.failures


def test_a_person_aborts_and_tries_the_same_version_again(place: str):
    """An aborted template starts nothing until `retry` is asked for."""
    with start_scenario(place, QUICK, ABRUPT) as stage:
        stage.ship(ABRUPT.next("v2"))
        stage.weight_reaches(20)
        stage.ask("abort")
        entry = stage.ends(Result.ROLLED_BACK)
        assert entry["reason"] == Reason.ABORTED
        stage.phase("RolledBack")
        stage.ask("retry")
        stage.weight_reaches(20)
        again = stage.ends(Result.PROMOTED, past=1)
    figures = read_measurements(stage, "abort and retry", again)
    assert figures.dropped == 0, stage.load.failures


def test_a_template_that_changes_twice_goes_through_zero(place: str):
    """The version in between is superseded; the newest one is promoted."""
    with start_scenario(place, QUICK, ABRUPT) as stage:
        stage.ship(ABRUPT.next("v2"))
        stage.weight_reaches(20)
        stage.ship(ABRUPT.next("v3"))
        stage.ends(Result.SUPERSEDED)
        entry = stage.ends(Result.PROMOTED, past=1)
        weights = [frame.what for frame in stage.film.weights]
        assert 0 in weights[weights.index(20) : len(weights) - weights[::-1].index(20)]
        assert {label(pod) for pod in stage.pods() if ready(pod)} == {"v3"}
    figures = read_measurements(stage, "template changed twice", entry)
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
    with start_scenario(place, QUICK, ABRUPT) as stage:
        stage.ship(ABRUPT.next("v2"))
        stage.weight_reaches(20)
        apply(*again(stage), options=options)
        entry = stage.ends(Result.PROMOTED)
    figures = read_measurements(stage, f"manifests applied again {how}", entry)
    assert figures.dropped == 0, stage.load.failures


def again(stage: Scenario) -> list[Object]:
    """All manifests, with the route's weights as the team's repository might have them."""
    manifests = stage.manifests()
    refs = manifests[2]["spec"]["rules"][0]["backendRefs"]
    refs[0]["weight"] = 1
    return manifests


def test_unforced_server_side_apply_is_refused_by_the_api_server(place: str):
    """The weights are ours while a release runs: the conflict names us."""
    with start_scenario(place, QUICK, ABRUPT) as stage:
        stage.ship(ABRUPT.next("v2"))
        stage.weight_reaches(20)
        with pytest.raises(KubectlError, match="canary-controller"):
            apply(route(place), options=("--server-side",))
        stage.ask("abort")
        stage.ends(Result.ROLLED_BACK)


def test_without_traffic_a_release_waits_and_then_pauses(place: str):
    """No data is no verdict: a person is asked."""
    with start_scenario(
        place, ReleaseManifest(weights=(20, 50), patience="20s"), ABRUPT, rate=0
    ) as stage:
        stage.ship(ABRUPT.next("v2"))
        started = stage.weight_reaches(20)
        paused = stage.phase("Paused", 120)
        assert stage.film.weight == 20
        stage.ask("abort")
        stage.ends(Result.ROLLED_BACK)
    seconds = stage.film.statuses[-1].at - started
    reason = paused["release"]["pause"]["reason"]
    assert reason in (Reason.NO_DATA, Reason.INCONCLUSIVE)
    write_measurements(Measurements("no traffic", "Paused", reason, round(seconds, 1)))


def test_a_version_as_bad_as_stable_is_promoted(place: str):
    """Both fail 2 % of the requests: that is not the new version's fault."""
    stable = AuthService(flaw="errors:0.02", abrupt=True)
    guard = ReleaseManifest(weights=(20, 50), smallest_regression=0.03)
    with start_scenario(place, guard, stable) as stage:
        stage.ship(stable.next("v2", "errors:0.02"))
        entry = stage.ends(Result.PROMOTED, seconds=300)
    figures = read_measurements(stage, "both versions at 2 %", entry)
    assert figures.dropped == 0, stage.load.failures


def test_hiccups_in_both_versions_never_roll_back(place: str):
    """Each pod fails 30 % of its requests for 8 s of every minute, in the old and new version."""
    stable = AuthService(flaw="hiccups:0.3", replicas=2, abrupt=True)
    guard = ReleaseManifest(
        weights=(5, 20), hold="5m", minimum="8m", deadline="30m", metrics=(ERRORS,)
    )
    with start_scenario(place, guard, stable, history=120) as stage:
        stage.ship(stable.next("v2", "hiccups:0.3"))
        began = stage.weight_reaches(5)
        Event().wait(330)
        status = stage.film.status
        assert status.get("intent") in {"Advance", "Promote"} or not status.get("history"), status
        assert not [one for one in status.get("history") or () if one["result"] == "RolledBack"]
        weight, seconds = stage.film.weight, stage.film.statuses[-1].at - began
        stage.ask("abort")
        stage.ends(Result.ROLLED_BACK)
    note = f"at {weight} % after {seconds:.0f} s"
    write_measurements(
        Measurements("hiccups in both versions", "Advance", status["reason"], note=note)
    )


def test_a_revert_of_the_last_version_is_everywhere_within_two_minutes(place: str):
    """No steps and no canary: it was stable a moment ago."""
    with start_scenario(place, QUICK, ABRUPT) as stage:
        stage.ship(ABRUPT.next("v2"))
        stage.ends(Result.PROMOTED, seconds=240)
        applied = now()
        stage.ship(ABRUPT)
        entry = stage.ends(Result.PROMOTED, seconds=120, past=1)
        seconds = now() - applied
        assert entry["reason"] == Reason.RETURNED_TO_STABLE
        assert {label(pod) for pod in stage.pods() if ready(pod)} == {"v1"}
        stage.nothing_left()
    note = f"everywhere {seconds:.0f} s after it was applied"
    dropped, sent = len(stage.load.failures), stage.load.sent
    write_measurements(
        Measurements("revert", "Promoted", entry["reason"], dropped=dropped, sent=sent, note=note)
    )
    assert seconds < 120


def test_undo_goes_back_to_the_version_before(place: str):
    """What was undone is rejected: applying it again starts nothing."""
    with start_scenario(place, QUICK, ABRUPT) as stage:
        stage.ship(ABRUPT.next("v2"))
        stage.ends(Result.PROMOTED, seconds=240)
        stage.ask("undo", by="ada")
        entry = stage.ends(Result.ROLLED_BACK, seconds=120, past=1)
        assert entry["reason"] == Reason.UNDONE
        assert entry["message"].startswith("ada rolled back from template ")
        assert {label(pod) for pod in stage.pods() if ready(pod)} == {"v1"}
        apply(ABRUPT.next("v2").deployment(place))
        stage.phase("RolledBack", 30)
        stage.ask("restart")
        assert {label(pod) for pod in stage.pods() if ready(pod)} == {"v1"}


def test_a_fix_skips_the_analysis_while_stable_is_broken(place: str):
    """Half of stable's requests fail; the fix is everywhere soon, with who and why in history."""
    broken = AuthService(flaw="errors:0.5", abrupt=True)
    with start_scenario(place, QUICK, broken) as stage:
        shipped = now()
        stage.ship(broken.next("v2", "good"))
        stage.ask("promote", skip="Analysis", reason="half of the logins fail", by="ada")
        entry = stage.ends(Result.PROMOTED, seconds=180)
        seconds = now() - shipped
        stage.nothing_left()
    assert entry["override"]["by"] == "ada"
    assert entry["message"] == "ada skipped the analysis: half of the logins fail"
    note = f"everywhere {seconds:.0f} s after it was applied"
    write_measurements(
        Measurements("fix, analysis skipped", "Promoted", entry["reason"], note=note)
    )
    assert seconds < 180


def test_a_restart_needs_no_release(place: str):
    """Every pod of the stable version is new; no canary was made."""
    with start_scenario(place, QUICK, ABRUPT) as stage:
        before = {pod["metadata"]["name"] for pod in stage.pods()}
        stage.ask("restart", by="ada")
        entry = stage.ends(Result.PROMOTED, seconds=120)
        assert entry["reason"] == Reason.RESTARTED
        assert not before & {pod["metadata"]["name"] for pod in stage.pods() if ready(pod)}
        assert stage.film.weights == [] or max(one.what for one in stage.film.weights) == 0
        stage.nothing_left()


def test_a_plain_rolling_update_drops_requests_that_a_release_does_not(place: str):
    """The same application, which exits at once on SIGTERM, without a CanaryRelease."""
    apply(namespace(place))
    try:
        apply(ABRUPT.deployment(place), service(place), route(place))
        status = ("-n", place, "rollout", "status", f"deployment/{NAME}", "--timeout=120s")
        kubectl(*status)
        with run_load(host(place)) as load:
            wait_for("requests", lambda: sum(load.answered.values()) > 100, 60)
            apply(ABRUPT.next("v2").deployment(place))
            kubectl(*status)
            Event().wait(12)  # a request to a pod that is gone fails after 10 s
        name = "plain rolling update, no release"
        dropped = len(load.failures)
        write_measurements(Measurements(name, "Rolled", "-", dropped=dropped, sent=load.sent))
    finally:
        kubectl("delete", "namespace", place, "--wait=false")
    assert dropped > 0
