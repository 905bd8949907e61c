"""From an object of the API server to what status, explain and report look at."""

from canary.clock import now
from canary.kube.objects import Object
from canary.kube.releases import parse_release
from canary.render.release_view import ReleaseView


def sight_of(found: Object) -> ReleaseView:
    """The release now. Raises UsageError for a spec that cannot be followed."""
    release, metadata = parse_release(found), found["metadata"]
    return ReleaseView(
        str(metadata["namespace"]), str(metadata["name"]), release.spec, release.status, now()
    )
