"""Turns watched releases into what status, explain and report display."""

from collections.abc import Callable

from canary import clock
from canary.kube.objects import Object
from canary.kube.releases import parse_release
from canary.render.release_view import ReleaseView

PrintLine = Callable[[str], None]


def view_of(found: Object) -> ReleaseView:
    """Return the release as it is displayed. Raises UsageError for an invalid spec."""
    release, metadata = parse_release(found), found["metadata"]
    return ReleaseView(
        str(metadata["namespace"]), str(metadata["name"]), release.spec, release.status, clock.now()
    )


class ConnectionReporter:
    """Reports the loss of the watch and its recovery, each once."""

    def __init__(self, print_line: PrintLine) -> None:
        self._print = print_line
        self._last = ""

    def report(self, trouble: str) -> None:
        """Report a change; `trouble` is why the watch is broken, empty if it works."""
        if trouble and not self._last:
            self._print(f"{trouble}; retrying")
        elif self._last and not trouble:
            self._print("the watch works again")
        self._last = trouble
