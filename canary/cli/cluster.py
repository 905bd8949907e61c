"""Connects a command to its cluster, and adds advice to errors.

For example:

    def command(namespace: Namespace = None, context: Context = None) -> None:
        with open_session(namespace, context=context) as cluster:
            release = cluster.release("auth")  # or NotFoundError with "did you mean"
            target = cluster.get_object(DEPLOYMENTS, "auth")  # the same for any kind
            pods = cluster.client.list(PODS, cluster.namespace, {})
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
    from canary.cli.kubeconfig import ClusterReference
    from canary.kube.client import Client
    from canary.kube.objects import Kind, Object
    from canary.kube.transport import Transport

INSTALL_CRD = "canary manifests crd | kubectl apply -f -"


@dataclass(frozen=True, slots=True)
class Session:
    """A connection to one cluster, and the namespace in which names are looked up."""

    client: "Client"
    transport: "Transport"
    place: "ClusterReference"

    @property
    def namespace(self) -> str:
        """The namespace of -n, else of the context, else `default`."""
        return self.place.namespace

    def release(self, name: str) -> "Object":
        """Return the CanaryRelease of this name in the namespace of the session.

        Raises:
            NotFoundError: it does not exist; the message suggests another name or namespace.
        """
        from canary.kube.objects import RELEASES  # noqa: PLC0415 - keeps --help quick

        return self.get_object(RELEASES, name)

    def get_object(self, kind: "Kind", name: str) -> "Object":
        """Return the object of this kind and name in the namespace of the session.

        Raises:
            NotFoundError: it does not exist; the message suggests another name or namespace.
        """
        found = self.client.get(kind, self.namespace, name)
        if found is None:
            from canary.cli.suggestions import describe_missing  # noqa: PLC0415 - rarely needed

            raise NotFoundError(describe_missing(self.client, kind, self.namespace, name))
        return found


@contextmanager
def open_session(
    namespace: str | None = None, *, context: str | None = None, kubeconfig: str | None = None
) -> Iterator[Session]:
    """Connect to the cluster that kubectl would use; closed at the end.

    Errors raised inside get advice, and keep their exit codes: no cluster configured (1), not
    reachable (1), invalid credentials (7), forbidden (7), no CRD (7), unknown context (7).
    """
    from canary.cli.kubeconfig import resolve_cluster  # noqa: PLC0415 - keeps --help quick
    from canary.kube.client import Client  # noqa: PLC0415 - as above
    from canary.kube.retrying import RetryPolicy  # noqa: PLC0415 - as above
    from canary.kube.transport import load_transport  # noqa: PLC0415 - as above

    found = resolve_cluster(kubeconfig, context, namespace)
    try:
        transport = load_transport(found.files, found.context)
    except UsageError as error:
        raise PermanentError(f"cannot use {found}: {error}") from error
    client = Client(transport, RetryPolicy(attempts=2, budget=3.0))
    try:
        yield Session(client, transport, found)
    except (PermanentError, TransientError) as error:
        raise _add_advice(error, found) from error
    finally:
        client.close()


def _add_advice(error: CanaryError, found: "ClusterReference") -> CanaryError:
    """Return the same error with advice; its exit code stays."""
    from canary.kube.api_errors import (  # noqa: PLC0415 - keeps --help quick
        UnauthorizedError,
        UnreachableError,
    )

    match error:
        case UnauthorizedError():
            return UnauthorizedError(
                f"the API server rejects the credentials of {found}: they are missing, invalid or "
                "expired; log in again, or select another context with --context"
            )
        case UnreachableError():
            return UnreachableError(
                f"{error}; check that the cluster of {found} is running and is the intended one"
            )
        case ConflictError():
            return error
        case NotFoundError() if "the cluster does not serve CanaryRelease" in str(error):
            return NotFoundError(
                f"the cluster of {found} does not have the CRD of CanaryReleases; install it: "
                f"{INSTALL_CRD}"
            )
        case _:
            return error
