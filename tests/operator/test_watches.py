"""The start of the watches."""

import threading
from collections.abc import Iterator

import pytest

from canary.errors import PermanentError
from canary.kube.api_errors import ForbiddenError
from canary.kube.objects import PODS, SERVICES, Kind
from canary.kube.timing import SystemTiming
from canary.operator.watches import Watches
from tests.kube.fake_cluster import FakeCluster


class FastTiming(SystemTiming):
    """A minute passes whenever somebody looks at the clock."""

    def __init__(self) -> None:
        self._time = 0.0

    def now(self) -> float:
        self._time += 60.0
        return self._time


@pytest.fixture
def cluster() -> Iterator[FakeCluster]:
    """A cluster without objects, which answers again at the end."""
    made = FakeCluster()
    yield made
    made.before = None


def test_a_start_goes_on_while_the_api_server_still_answers_a_long_list(
    cluster: FakeCluster,
) -> None:
    """Thousands of pods and a busy server take longer than the time in which an error shows."""
    listing, go_on = threading.Event(), threading.Event()

    def be_slow(verb: str, kind: Kind, _namespace: str, _name: str) -> None:
        if (verb, kind) == ("list", PODS):
            listing.set()
            assert go_on.wait(30)

    cluster.before = be_slow
    watches = Watches(cluster, FastTiming(), (PODS, SERVICES))
    watches.start(lambda *_: None)
    assert listing.wait(30)
    waiting = threading.Thread(target=watches.wait, args=(20.0, lambda: False))
    waiting.start()
    waiting.join(0.5)
    assert waiting.is_alive()
    go_on.set()
    waiting.join(30)
    assert not waiting.is_alive()
    assert watches.synced
    watches.stop(5.0)


def test_a_start_without_rights_ends_with_the_cause(cluster: FakeCluster) -> None:
    """The message is what the API server said."""

    def forbid(verb: str, kind: Kind, _namespace: str, _name: str) -> None:
        if kind == PODS:
            raise ForbiddenError(f"you may not {verb} pods")

    cluster.before = forbid
    watches = Watches(cluster, FastTiming(), (PODS, SERVICES))
    watches.start(lambda *_: None)
    with pytest.raises(PermanentError, match="you may not list pods"):
        watches.wait(20.0, lambda: False)
    watches.stop(5.0)
