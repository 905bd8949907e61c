"""The cluster as a command sees it: a client, and errors that say what to do.

def command(
namespace: Namespace = None, context: Context = None, kubeconfig: Kubeconfig = None
) -> None:
with session(namespace, context=context, kubeconfig=kubeconfig) as cluster:
release = cluster.release("auth")             # or NotFoundError with "did you mean"
target = cluster.named(DEPLOYMENTS, "auth")   # the same for any kind
cluster.client.list(PODS, cluster.namespace, {})
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from canary.errors import (
    CanaryError,
    ConflictError,
    NotFoundError,
    PermanentError,
    TransientError,
    UsageError,
)

if TYPE_CHECKING:
    from canary.cli.kubeconfig import Place
    from canary.kube.client import Client
    from canary.kube.objects import Kind, Object
    from canary.kube.transport import Transport

INSTALL = "canary manifests crd | kubectl apply -f -"


@dataclass(frozen=True, slots=True)
class Session:
    """A connection to one cluster, and the namespace in which names are looked up."""

    client: "Client"
    transport: "Transport"
    place: "Place"

    @property
    def namespace(self) -> str:
        """The namespace asked for, else the context's, else `default`."""
        return self.place.namespace

    def release(self, name: str) -> "Object":
        """The CanaryRelease, as the API server has it.

        Raises:
            NotFoundError: there is none here; the message says where, or which, there is.
        """
        from canary.kube.objects import RELEASES  # noqa: PLC0415 - keeps --help quick

        return self.named(RELEASES, name)

    def named(self, kind: "Kind", name: str) -> "Object":
        """The object of this kind in the session's namespace.

        Raises:
            NotFoundError: there is none here; the message says where, or which, there is.
        """
        found = self.client.get(kind, self.namespace, name)
        if found is None:
            from canary.cli.suggestions import missing  # noqa: PLC0415 - rarely needed

            raise NotFoundError(missing(self.client, kind, self.namespace, name))
        return found


@contextmanager
def session(
    namespace: str | None = None, *, context: str | None = None, kubeconfig: str | None = None
) -> Iterator[Session]:
    """The cluster that kubectl would talk to; closed at the end.

    What goes wrong inside is said for people: no cluster configured (exit code 1), not reachable
    (1), credentials not accepted (7), forbidden (7), no CRD (7), unknown context (7).
    """
    from canary.cli.kubeconfig import place  # noqa: PLC0415 - keeps --help quick
    from canary.kube.client import Client  # noqa: PLC0415 - as above
    from canary.kube.retrying import RetryPolicy  # noqa: PLC0415 - as above
    from canary.kube.transport import load_transport  # noqa: PLC0415 - as above

    found = place(kubeconfig, context, namespace)
    try:
        transport = load_transport(found.files, found.context)
    except UsageError as error:
        raise PermanentError(f"{found} cannot be used: {error}") from error
    client = Client(transport, RetryPolicy(attempts=2, budget=3.0))
    try:
        yield Session(client, transport, found)
    except (PermanentError, TransientError) as error:
        raise _for_people(error, found) from error
    finally:
        client.close()


def _for_people(error: CanaryError, found: "Place") -> CanaryError:
    """The same error with what to do next; its exit code stays."""
    from canary.kube.api_errors import (  # noqa: PLC0415 - keeps --help quick
        UnauthorizedError,
        UnreachableError,
    )

    match error:
        case UnauthorizedError():
            return UnauthorizedError(
                f"the API server does not accept the credentials of {found}: they are missing, "
                "wrong or expired; log in again, or choose another with --context"
            )
        case UnreachableError():
            return UnreachableError(f"{error}; is the cluster of {found} up, and the right one?")
        case ConflictError():
            return error
        case NotFoundError() if "the cluster does not serve CanaryRelease" in str(error):
            return NotFoundError(
                f"the cluster of {found} does not know CanaryReleases (the definition is not "
                f"installed); install it: {INSTALL}"
            )
        case _:
            return error
