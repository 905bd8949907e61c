"""What people's commands ask beyond `Objects`: selectors as they type them, and dry runs."""

from collections.abc import Mapping

from canary.errors import CanaryError, PermanentError, UsageError
from canary.kube.api_errors import ApiOperation, ForbiddenError, UnauthorizedError
from canary.kube.client import FIELD_MANAGER, Listing, Watch
from canary.kube.objects import JsonPatch, Kind, Object
from canary.kube.retrying import Caller, RetryPolicy
from canary.kube.timing import Stopper, SystemTiming
from canary.kube.transport import ApiRequest, Transport


class SelectedObjects:
    """A reflector's source that sees only what these selectors choose, chosen by the server.

    `fields` and `labels` are written as kubectl takes them: `metadata.name=auth`, `tier!=test`.
    `refused` is the last refusal that trying again does not change: no rights, no credentials.
    """

    def __init__(
        self, transport: Transport, stopper: Stopper, fields: str = "", labels: str = ""
    ) -> None:
        self._calls = Caller(transport, RetryPolicy(attempts=2, budget=3.0), stopper)
        self._selectors = {"fieldSelector": fields, "labelSelector": labels}
        self.refused: PermanentError | None = None

    def listing(self, kind: Kind, namespace: str, _labels: Mapping[str, str]) -> Listing:
        """All that are chosen, and the version from which to watch.

        Raises UsageError when the server cannot read a selector.
        """
        deed = ApiOperation("list", kind, namespace)
        try:
            answer = self._calls.call(deed, self._request(kind, namespace, {}))
        except PermanentError as error:
            raise self._noted(error) from error
        found = answer.object(deed)
        typed = {"apiVersion": kind.api_version, "kind": kind.kind}
        items = [typed | item for item in found.get("items") or []]
        return Listing(items, str((found.get("metadata") or {}).get("resourceVersion", "")))

    def watch(
        self, kind: Kind, namespace: str, _labels: Mapping[str, str], since: str, seconds: float
    ) -> Watch:
        """What happens after version `since` to what is chosen."""
        query = {
            "watch": "true",
            "allowWatchBookmarks": "true",
            "resourceVersion": since,
            "timeoutSeconds": str(int(seconds)),
        }
        deed = ApiOperation("watch", kind, namespace)
        try:
            stream = self._calls.stream(deed, self._request(kind, namespace, query))
        except PermanentError as error:
            raise self._noted(error) from error
        return Watch(stream, deed)

    def _request(self, kind: Kind, namespace: str, query: Mapping[str, str]) -> ApiRequest:
        chosen = {name: text for name, text in self._selectors.items() if text}
        return ApiRequest("GET", _resource_path(kind, namespace), {**query, **chosen})

    def _noted(self, error: PermanentError) -> PermanentError:
        labels = self._selectors["labelSelector"]
        if labels and "unable to parse" in str(error):
            error = UsageError(
                f"labels such as team=auth,tier!=test are expected, found {labels!r}"
            )
        if isinstance(error, ForbiddenError | UnauthorizedError | UsageError):
            self.refused = error
        return error


def patch_object(
    transport: Transport, kind: Kind, found: Object, patch: JsonPatch, *, dry_run: bool
) -> Object:
    """The object after the patch; with `dry_run` the server only says what would come of it.

    Raises:
        ConflictError: a `test` in the patch does not hold.
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
    deed = ApiOperation("patch", kind, namespace, name)
    return calls.call(deed, request, repeatable=True).object(deed)


def user_name(transport: Transport) -> str:
    """Who the API server takes us for; empty where it does not say."""
    path = "/apis/authentication.k8s.io/v1/selfsubjectreviews"
    body = {"apiVersion": "authentication.k8s.io/v1", "kind": "SelfSubjectReview"}
    calls = Caller(transport, RetryPolicy(attempts=1, budget=3.0), Stopper(SystemTiming()))
    deed = ApiOperation(
        "create", Kind("authentication.k8s.io", "v1", "selfsubjectreviews", body["kind"]), ""
    )
    try:
        found = calls.call(deed, ApiRequest("POST", path, {}, body), repeatable=True).object(deed)
    except CanaryError:
        return ""
    return str(((found.get("status") or {}).get("userInfo") or {}).get("username", ""))


def _resource_path(kind: Kind, namespace: str) -> str:
    root = f"/apis/{kind.group}/{kind.version}" if kind.group else f"/api/{kind.version}"
    return f"{root}/namespaces/{namespace}/{kind.plural}" if namespace else f"{root}/{kind.plural}"
