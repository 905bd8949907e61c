"""Counting outcomes."""

from canary.demo.load.schedule import RequestKind
from canary.demo.load.tally import LoadRecord, LoadStatistics, RequestResult


def login(user: int, status: str, version: str = "v1", seconds: float = 0.01) -> RequestResult:
    """A login that is over."""
    return RequestResult(RequestKind.LOGIN, user, status, seconds, version, f"auth-{version}")


def test_a_user_who_fails_twice_is_hit_once():
    """Users are people, not requests."""
    ledger = LoadStatistics(users=10)
    for outcome in (login(1, "503"), login(1, "503"), login(2, "200"), login(3, "timeout", "none")):
        ledger.add(outcome)
    summary = ledger.summary(1.0)
    assert (summary.users, summary.users_seen, summary.users_hit) == (10, 3, 2)
    assert summary.logins_failed == {"v1": 2, "none": 1}
    assert summary.logins_ok == {"v1": 1}
    assert summary.statuses == {"503": 2, "200": 1, "timeout": 1}


def test_a_failed_registration_is_no_failed_login():
    """It counts among the requests only."""
    ledger = LoadStatistics(users=10)
    ledger.add(RequestResult(RequestKind.REGISTER, 1, "500", 0.1, "v1"))
    summary = ledger.summary(1.0)
    assert (summary.failed, summary.logins_failed, summary.users_hit) == (1, {}, 0)


def test_seconds_add_up_to_the_summary():
    """Each outcome is in one second and in the sums; users hit count from the start."""
    ledger = LoadStatistics(users=10)
    ledger.sent()
    ledger.add(login(1, "500"))
    first = ledger.next_second(1.0)
    ledger.sent()
    ledger.add(login(2, "500"))
    second = ledger.next_second(2.0)
    assert (first.sent, first.failed, second.sent, second.failed) == (1, 1, 1, 1)
    assert (first.users_hit, second.users_hit) == (1, 2)
    assert (ledger.summary(2.0).sent, ledger.summary(2.0).failed) == (2, 2)


def test_a_line_survives_the_way_through_a_file():
    """And a newer version's extra keys do not hurt."""
    ledger = LoadStatistics(users=10)
    ledger.add(login(1, "200"))
    record = ledger.summary(1.0)
    line = record.to_json()
    assert "\n" not in line
    assert LoadRecord.from_json(line) == record
    assert LoadRecord.from_json(line.replace("{", '{"new":1,', 1)) == record
