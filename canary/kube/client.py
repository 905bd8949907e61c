"""The API server as `Objects`: raw dictionaries, bounded retries, errors that say what to do."""

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from http import HTTPStatus
from typing import Any, Final
from urllib.parse import quote

from canary.kube.api_errors import (
    ApiOperation,
    GoneError,
    ResponseLostError,
    error_from_response,
    error_from_status,
)
from canary.kube.objects import JsonPatch, Kind, Object
from canary.kube.retrying import Caller, RetryPolicy
from canary.kube.timing import Stopper, SystemTiming
from canary.kube.transport import ApiRequest, ResponseStream, Transport

_PAGE: Final = 500
"""Objects per page of a list."""
FIELD_MANAGER: Final = "canary-controller"
"""Names us in `metadata.managedFields`."""
_OURS: Final = {"fieldManager": FIELD_MANAGER}
_GONE: Final = (HTTPStatus.NOT_FOUND,)


@dataclass(frozen=True, slots=True)
class Listing:
    """All objects of a list, and the resourceVersion from which to watch."""

    items: list[Object]
    version: str


@dataclass(frozen=True, slots=True)
class WatchEvent:
    """One event of a watch: ADDED, MODIFIED, DELETED or BOOKMARK."""

    type: str
    object: Object


class Watch:
    """The events of one watch; iterate once.

    Raises GoneError for a resourceVersion that is too old, ResponseLostError for a lost connection.
    """

    def __init__(self, stream: ResponseStream, deed: ApiOperation) -> None:
        self._stream = stream
        self._deed = deed

    def __iter__(self) -> Iterator[WatchEvent]:
        for line in self._stream:
            yield self._event(line)

    def interrupt(self) -> None:
        """Ends the iteration, from another thread."""
        self._stream.interrupt()

    def _event(self, line: bytes) -> WatchEvent:
        try:
            event = json.loads(line)
            kind, found = str(event["type"]), event["object"]
        except (ValueError, KeyError, TypeError) as error:
            raise ResponseLostError(f"cannot {self._deed}: an event is broken: {error}") from error
        if kind == "ERROR":
            words = str(found.get("message", found))
            raise error_from_status(int(found.get("code", 500)), found, words, self._deed)
        return WatchEvent(kind, found)


class Client:
    """`Objects` on the API server. Thread-safe; views (`fenced`, `tuned`) share connections.

    Only what is transient is tried again: no connection, 429, and, where a repetition does no
    harm, lost answers and 5xx. A create is never repeated once it may have been carried out.
    """

    def __init__(
        self,
        transport: Transport,
        policy: RetryPolicy | None = None,
        stopper: Stopper | None = None,
    ) -> None:
        self._calls = Caller(transport, policy or RetryPolicy(), stopper or Stopper(SystemTiming()))

    def fenced(self, remaining: Callable[[], float]) -> "Client":
        """A view whose writes are refused with NotLeaderError unless `remaining()` (s) is left.

        Asked before every attempt; no write waits for an answer beyond that time.
        """
        return self._view(replace(self._calls, remaining=remaining))

    def tuned(self, policy: RetryPolicy) -> "Client":
        """A view with other time-outs and attempts."""
        return self._view(replace(self._calls, policy=policy))

    def close(self) -> None:
        """Ends waits between attempts, and lets connections go; of all views."""
        self._calls.stopper.stop()
        self._calls.transport.close()

    def get(self, kind: Kind, namespace: str, name: str) -> Object | None:
        """The object; None when there is none. NotFoundError when its kind is not served."""
        deed = ApiOperation("get", kind, namespace, name)
        request = ApiRequest("GET", _resource_path(kind, namespace, name))
        answer = self._calls.call(deed, request, accept=_GONE)
        if answer.status not in _GONE:
            return answer.object(deed)
        if not answer.details.get("details"):  # not the object: its kind is unknown
            raise error_from_response(answer, deed)
        return None

    def list(self, kind: Kind, namespace: str, labels: Mapping[str, str]) -> list[Object]:
        """All objects with these labels; namespace "" means everywhere."""
        return self.listing(kind, namespace, labels).items

    def listing(self, kind: Kind, namespace: str, labels: Mapping[str, str]) -> Listing:
        """As `list`, with the resourceVersion. Read in pages; again whole when a page is gone."""
        try:
            return self._pages(kind, namespace, labels, _PAGE)
        except GoneError:
            return self._pages(kind, namespace, labels, 0)

    def watch(
        self, kind: Kind, namespace: str, labels: Mapping[str, str], since: str, seconds: float
    ) -> Watch:
        """What happens after resourceVersion `since`, with bookmarks, for about so long.

        One attempt: who follows it has a backoff of its own.
        """
        deed = ApiOperation("watch", kind, namespace)
        query = {
            "watch": "true",
            "allowWatchBookmarks": "true",
            "resourceVersion": since,
            "timeoutSeconds": str(int(seconds)),
            **_label_selector(labels),
        }
        request = ApiRequest("GET", _resource_path(kind, namespace), query)
        return Watch(self._calls.stream(deed, request), deed)

    def create(self, kind: Kind, namespace: str, body: Mapping[str, Any]) -> Object:
        """Creates it. ConflictError when it exists already."""
        name = str(body.get("metadata", {}).get("name", ""))
        deed = ApiOperation("create", kind, namespace, name)
        request = ApiRequest(
            "POST", _resource_path(kind, namespace), _OURS, _type_meta(kind) | dict(body)
        )
        return self._calls.call(deed, request).object(deed)

    def patch(
        self, kind: Kind, namespace: str, name: str, patch: JsonPatch, subresource: str = ""
    ) -> Object:
        """Applies a JSON Patch; ConflictError when it does not fit, be it by a `test` in it."""
        deed = ApiOperation("patch", kind, namespace, name, subresource)
        path = _resource_path(kind, namespace, name, subresource)
        body = [dict(step) for step in patch]
        request = ApiRequest("PATCH", path, _OURS, body, "application/json-patch+json")
        guarded = any(step.get("op") == "test" for step in body)
        return self._calls.call(deed, request, repeatable=guarded).object(deed)

    def replace_status(self, kind: Kind, body: Mapping[str, Any]) -> Object:
        """Writes `status` of an object as read, guarded by its resourceVersion."""
        metadata = body["metadata"]
        namespace, name = str(metadata.get("namespace", "")), str(metadata["name"])
        deed = ApiOperation("update", kind, namespace, name, "status")
        path = _resource_path(kind, namespace, name, "status")
        guarded = "resourceVersion" in metadata
        request = ApiRequest("PUT", path, _OURS, dict(body))
        return self._calls.call(deed, request, repeatable=guarded).object(deed)

    def delete(self, kind: Kind, namespace: str, name: str, propagation: str) -> None:
        """Deletes it with an explicit propagation policy; gone already is done."""
        self.remove(kind, namespace, name, propagation)

    def remove(self, kind: Kind, namespace: str, name: str, propagation: str) -> Object | None:
        """As `delete`; what the server answers: the object that still ends, or a Status."""
        deed = ApiOperation("delete", kind, namespace, name)
        options = {"apiVersion": "v1", "kind": "DeleteOptions", "propagationPolicy": propagation}
        request = ApiRequest("DELETE", _resource_path(kind, namespace, name), body=options)
        answer = self._calls.call(deed, request, repeatable=True, accept=_GONE)
        return None if answer.status in _GONE else answer.object(deed)

    def served(self, kind: Kind) -> bool:
        """Whether the cluster serves this kind in this version."""
        deed = ApiOperation("get", kind)
        answer = self._calls.call(deed, ApiRequest("GET", _api_root(kind)), accept=_GONE)
        if answer.status in _GONE:
            return False
        resources = answer.object(deed).get("resources", [])
        return any(found.get("name") == kind.plural for found in resources)

    def version(self) -> tuple[int, int]:
        """The API server's version, such as (1, 37)."""
        deed = ApiOperation("get", Kind("", "", "version", "Version"))
        found = self._calls.call(deed, ApiRequest("GET", "/version")).object(deed)
        major, minor = (str(found.get(part, "0")).rstrip("+") for part in ("major", "minor"))
        return int(major), int(minor)

    def _pages(self, kind: Kind, namespace: str, labels: Mapping[str, str], limit: int) -> Listing:
        deed = ApiOperation("list", kind, namespace)
        query = _label_selector(labels) | ({"limit": str(limit)} if limit else {})
        items: list[Object] = []
        while True:
            request = ApiRequest("GET", _resource_path(kind, namespace), query)
            page = self._calls.call(deed, request).object(deed)
            if "items" not in page:
                raise ResponseLostError(
                    f"cannot {deed}: a list is expected, found none; "
                    "is that address an API server's?"
                )
            items += [_type_meta(kind) | item for item in page["items"] or []]
            metadata = page.get("metadata", {})
            if not metadata.get("continue"):
                return Listing(items, str(metadata.get("resourceVersion", "")))
            query = {**query, "continue": str(metadata["continue"])}

    def _view(self, calls: Caller) -> "Client":
        view = Client(calls.transport)
        view._calls = calls
        return view


def _type_meta(kind: Kind) -> Object:
    """What items of a list lack, and custom resources must have."""
    return {"apiVersion": kind.api_version, "kind": kind.kind}


def _api_root(kind: Kind) -> str:
    return f"/apis/{kind.group}/{kind.version}" if kind.group else f"/api/{kind.version}"


def _resource_path(kind: Kind, namespace: str, name: str = "", subresource: str = "") -> str:
    parts = ["namespaces", namespace] if namespace else []
    parts += [part for part in (kind.plural, name, subresource) if part]
    return "/".join([_api_root(kind), *(quote(part, safe="") for part in parts)])


def _label_selector(labels: Mapping[str, str]) -> dict[str, str]:
    wanted = ",".join(f"{label}={value}" for label, value in sorted(labels.items()))
    return {"labelSelector": wanted} if wanted else {}
