"""The demo: one act with everything real, and how an act is told."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from canary.api import Reason, Result, Status
from canary.api.status import HistoryEntry
from canary.cli.main import main
from canary.demo.act_result import ended_as_expected, guarded_result, outage_result
from canary.demo.choices import MetricsSourceName, ScenarioName
from canary.demo.load.tally import LoadRecord
from canary.demo.play import play_act
from canary.demo.scenarios import build_scenario
from canary.demo.settings import DemoSettings, load_builtin_release, load_release_file
from canary.errors import ExitCode, UsageError
from canary.render.timeline import Moment, Numbers, ReleaseDecision, Timeline


def test_a_crashing_version_is_taken_away_for_real() -> None:
    """PostgreSQL, Traefik, four instances, a canary that dies: rolled back, stable untouched."""
    seen: list[Moment] = []
    decisions: list[ReleaseDecision] = []

    def show(moment: Moment, fresh: list[ReleaseDecision]) -> None:
        seen.append(moment)
        decisions.extend(fresh)

    crash = build_scenario(ScenarioName.CRASH)
    settings = DemoSettings(seed=1, release=load_builtin_release(), history=3.0)
    timeline = play_act(crash, settings, show, guarded=True)
    assert ended_as_expected(crash, timeline)
    assert timeline.result.failed_by_version.get("v1", 0) == 0
    assert max(moment.weight for moment in seen) == 10
    assert seen[-1].weight == 0
    assert [d.phase for d in decisions][-2:] == ["RollingBack", "RolledBack"]


SUMS = LoadRecord(
    "summary", 9.0, 100, 90, 10, {}, {"v1": 80}, {"v2": 10}, {}, {}, 50, 40, 8, 1, 1, 1, 1
)


class Seen:
    """A recorder that has seen all there is."""

    def __init__(self, *moments: Moment, decisions: tuple[ReleaseDecision, ...] = ()) -> None:
        self.moments = list(moments)
        self.decisions = list(decisions)


def moment(time: float, weight: int = 0, errors: float = 0.0) -> Moment:
    """A moment at which so many of the new version's requests failed."""
    return Moment(time, weight, "Progressing", "Holding", "", "", Numbers(10, errors, 10, 1))


def entry(result: Result, reason: Reason) -> HistoryEntry:
    """How the release's own history has it."""
    return HistoryEntry(
        template="t", result=result, reason=reason, message="why", started_at=0, ended_at=9
    )


def test_times_count_from_the_first_weight() -> None:
    """Under traffic: from the first weight until the router shows 0 again."""
    status = Status(history=(entry(Result.ROLLED_BACK, Reason.CANARY_OUTAGE),))
    rolled = ReleaseDecision(8.0, 0, "RollingBack", "CanaryOutage", "why")
    seen = Seen(moment(-1), moment(3, 10), moment(7, 10), decisions=(rolled,))
    told = guarded_result(status, seen, SUMS, 8.4)
    assert (told.detected_after, told.weight_zero_after, told.exposed_for) == (8.0, 8.4, 5.4)
    assert (told.requests, told.failed, told.users_hit) == (90, 10, 8)


def test_without_canary_an_alert_is_the_detection() -> None:
    """The first 10 s with 5 % of requests failing, and nobody takes anything away."""
    told = outage_result(Seen(moment(-5, errors=0.5), moment(4, 100), moment(9, 100, 0.06)), SUMS)
    assert (told.ended, told.detected_after, told.weight_zero_after) == ("Outage", 9, None)
    quiet = outage_result(Seen(moment(4, 100), moment(9, 100, 0.04)), SUMS)
    assert (quiet.ended, quiet.detected_after) == ("Shipped", None)


def act(ended: str, reason: str = "", *, guarded: bool = True) -> Timeline:
    """An act that ended like this."""
    result = outage_result(Seen(), SUMS)
    return Timeline("", guarded, {}, (), (), replace(result, ended=ended, reason=reason))


@pytest.mark.parametrize(
    ("name", "timeline", "must"),
    [
        pytest.param(ScenarioName.LEAK, act("RolledBack", "ConnectionLeak"), True, id="leak found"),
        pytest.param(ScenarioName.LEAK, act("RolledBack", "Aborted"), False, id="wrong reason"),
        pytest.param(ScenarioName.LEAK, act("Promoted", "Promoted"), False, id="leak missed"),
        pytest.param(ScenarioName.GOOD, act("Promoted", "Promoted"), True, id="good promoted"),
        pytest.param(ScenarioName.GOOD, act("RolledBack", "AboveLimit"), False, id="false alarm"),
        pytest.param(
            ScenarioName.LEAK, act("Outage", guarded=False), True, id="the outage as it was"
        ),
        pytest.param(
            ScenarioName.LEAK, act("Shipped", guarded=False), False, id="no outage at all"
        ),
        pytest.param(
            ScenarioName.SLOW, act("Shipped", guarded=False), True, id="slow fails nothing"
        ),
    ],
)
def test_exit_code_follows_the_end(name: ScenarioName, timeline: Timeline, *, must: bool) -> None:
    """Exit 0 exactly when the act ended as its scenario must."""
    assert ended_as_expected(build_scenario(name), timeline) is must


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        pytest.param(["--scenario", "flood"], "flood", id="no such scenario"),
        pytest.param(
            ["--report", "/nowhere/at/all.html"], "existing directory", id="no such place"
        ),
        pytest.param(["--report", "/"], "existing directory", id="a directory"),
        pytest.param(["--error-rate", "1.5"], "at most 1", id="more than everything fails"),
        pytest.param(["--release", "/nowhere.yaml"], "cannot read", id="no such release"),
    ],
)
def test_wrong_input_costs_no_minutes(
    arguments: list[str], words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """It is refused before anything is started."""
    assert main(["demo", *arguments]) == ExitCode.USAGE
    assert words in capsys.readouterr().err


def release_file(change: Callable[[str], str], directory: Path) -> str:
    """The built-in release, changed."""
    path = Path("canary/demo/release.yaml").resolve()
    copy = directory / "release.yaml"
    copy.write_text(change(path.read_text(encoding="utf-8")), encoding="utf-8")
    return str(copy)


def test_a_release_of_ones_own(tmp_path: Path) -> None:
    """Other steps are fine; another target is not what the demo has."""
    steps = release_file(lambda text: text.replace("weight: 25", "weight: 30"), tmp_path)
    assert load_release_file(steps).spec.steps[1].weight == 30
    other = release_file(
        lambda text: text.replace("name: auth}\n  traffic", "name: a}\n  traffic"), tmp_path
    )
    with pytest.raises(UsageError, match="expected target"):
        load_release_file(other)


def test_the_source_is_written_into_the_spec() -> None:
    """What plays is what the release says."""
    spec = DemoSettings(1, load_builtin_release(), MetricsSourceName.PROMETHEUS).spec
    assert spec.analysis.source == "prometheus"
