"""Requests of the commands beyond `Objects`: selectors as people type them, and dry runs."""

from collections.abc import Mapping

from canary.errors import CanaryError, PermanentError, UsageError
from canary.kube.api_errors import ApiOperation, ForbiddenError, UnauthorizedError
from canary.kube.client import FIELD_MANAGER, Compact, Listing, Watch, keep_all
from canary.kube.objects import JsonPatch, Kind, Object
from canary.kube.retrying import Caller, RetryPolicy
from canary.kube.timing import Stopper, SystemTiming
from canary.kube.transport import ApiRequest, Transport


class SelectedObjects:
    """A reflector's source that the server filters by selectors.

    `fields` and `labels` have kubectl's syntax: `metadata.name=auth`, `tier!=test`. `refused` is
    the last error that a retry cannot change, such as missing rights or credentials.
    """

    def __init__(
        self, transport: Transport, stopper: Stopper, fields: str = "", labels: str = ""
    ) -> None:
        self._calls = Caller(transport, RetryPolicy(attempts=2, budget=3.0), stopper)
        self._selectors = {"fieldSelector": fields, "labelSelector": labels}
        self.refused: PermanentError | None = None

    def listing(
        self, kind: Kind, namespace: str, _labels: Mapping[str, str], compact: Compact = keep_all
    ) -> Listing:
        """Return the selected objects, and the version to watch from.

        Raises UsageError when the server cannot parse a selector.
        """
        operation = ApiOperation("list", kind, namespace)
        try:
            answer = self._calls.call(operation, self._build_request(kind, namespace, {}))
        except PermanentError as error:
            raise self._record_refusal(error) from error
        found = answer.object(operation)
        typed = {"apiVersion": kind.api_version, "kind": kind.kind}
        items = [compact(typed | item) for item in found.get("items") or []]
        return Listing(items, str((found.get("metadata") or {}).get("resourceVersion", "")))

    def watch(
        self, kind: Kind, namespace: str, _labels: Mapping[str, str], since: str, seconds: float
    ) -> Watch:
        """Watch the selected objects from version `since`."""
        query = {
            "watch": "true",
            "allowWatchBookmarks": "true",
            "resourceVersion": since,
            "timeoutSeconds": str(int(seconds)),
        }
        operation = ApiOperation("watch", kind, namespace)
        try:
            stream = self._calls.stream(operation, self._build_request(kind, namespace, query))
        except PermanentError as error:
            raise self._record_refusal(error) from error
        return Watch(stream, operation)

    def _build_request(self, kind: Kind, namespace: str, query: Mapping[str, str]) -> ApiRequest:
        chosen = {name: text for name, text in self._selectors.items() if text}
        return ApiRequest("GET", _resource_path(kind, namespace), {**query, **chosen})

    def _record_refusal(self, error: PermanentError) -> PermanentError:
        labels = self._selectors["labelSelector"]
        if labels and "unable to parse" in str(error):
            error = UsageError(f"expected labels such as team=auth,tier!=test, found {labels!r}")
        if isinstance(error, ForbiddenError | UnauthorizedError | UsageError):
            self.refused = error
        return error


def patch_object(
    transport: Transport, kind: Kind, found: Object, patch: JsonPatch, *, dry_run: bool
) -> Object:
    """Return the object after the patch; with `dry_run` the server does not store it.

    Raises:
        ConflictError: a `test` in the patch failed.
    """
    metadata = found["metadata"]
    namespace, name = str(metadata["namespace"]), str(metadata["name"])
    query = {"fieldManager": FIELD_MANAGER} | ({"dryRun": "All"} if dry_run else {})
    request = ApiRequest(
        "PATCH",
        f"{_resource_path(kind, namespace)}/{name}",
        query,
        [dict(step) for step in patch],
        "application/json-patch+json",
    )
    calls = Caller(transport, RetryPolicy(attempts=2, budget=3.0), Stopper(SystemTiming()))
    operation = ApiOperation("patch", kind, namespace, name)
    return calls.call(operation, request, repeatable=True).object(operation)


def user_name(transport: Transport) -> str:
    """Return the user name of the credentials; empty when the API server does not answer."""
    path = "/apis/authentication.k8s.io/v1/selfsubjectreviews"
    body = {"apiVersion": "authentication.k8s.io/v1", "kind": "SelfSubjectReview"}
    calls = Caller(transport, RetryPolicy(attempts=1, budget=3.0), Stopper(SystemTiming()))
    operation = ApiOperation(
        "create", Kind("authentication.k8s.io", "v1", "selfsubjectreviews", body["kind"]), ""
    )
    try:
        found = calls.call(operation, ApiRequest("POST", path, {}, body), repeatable=True).object(
            operation
        )
    except CanaryError:
        return ""
    return str(((found.get("status") or {}).get("userInfo") or {}).get("username", ""))


def _resource_path(kind: Kind, namespace: str) -> str:
    root = f"/apis/{kind.group}/{kind.version}" if kind.group else f"/api/{kind.version}"
    return f"{root}/namespaces/{namespace}/{kind.plural}" if namespace else f"{root}/{kind.plural}"
