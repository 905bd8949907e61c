"""The recording of the judge's verdicts: what a faster judge is compared with."""

import json

from bench.verdicts import differences, releases, said


def test_a_release_that_is_judged_twice_says_the_same():
    """The comparison after a change finds only what the change has done."""
    _, policy, intervals = next(releases(1))
    once = json.loads(json.dumps(said(policy, intervals)))
    assert not list(differences(once, json.loads(json.dumps(said(policy, intervals)))))


def test_another_time_or_another_figure_is_a_difference():
    """Rounding is none."""
    before = {"end": {"failed_at": 300.0, "reason": "AboveLimit"}, "course": [[1.0, None]]}
    rounded = {"end": {"failed_at": 300.0, "reason": "AboveLimit"}, "course": [[1.0 + 1e-12, None]]}
    after = {"end": {"failed_at": 315.0, "reason": "AboveLimit"}, "course": [[1.1, 3.0]]}
    assert not list(differences(before, rounded))
    assert list(differences(before, after)) == [
        ".end.failed_at: 300.0 became 315.0",
        ".course[0][0]: 1.0 became 1.1",
        ".course[0][1]: None became 3.0",
    ]
    assert list(differences(before, {})) == [f": {before!r} became {{}}"]
