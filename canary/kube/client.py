"""`Objects` over the API server: raw dictionaries, bounded retries, errors with a remedy."""

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

_PAGE: Final = 100
"""Maximum number of objects per page of a list. A parsed page lives among what is kept of it, so
pages of 500 left 100 MiB for a thousand releases, and pages of 100 leave 54 MiB."""
FIELD_MANAGER: Final = "canary-controller"
"""The operator's name in `metadata.managedFields`."""
_OURS: Final = {"fieldManager": FIELD_MANAGER}
_GONE: Final = (HTTPStatus.NOT_FOUND,)


Compact = Callable[[Object], Object]
"""Returns what is kept of a listed object."""


def keep_all(item: Object) -> Object:
    """Return the object as it is."""
    return item


@dataclass(frozen=True, slots=True)
class Listing:
    """The objects of a list, and the resourceVersion to watch from."""

    items: list[Object]
    version: str


@dataclass(frozen=True, slots=True)
class WatchEvent:
    """One event of a watch; `type` is ADDED, MODIFIED, DELETED or BOOKMARK."""

    type: str
    object: Object


class Watch:
    """The events of one watch; can be iterated once.

    The iteration raises GoneError for an expired resourceVersion, and ResponseLostError for a lost
    connection.
    """

    def __init__(self, stream: ResponseStream, operation: ApiOperation) -> None:
        self._stream = stream
        self._operation = operation

    def __iter__(self) -> Iterator[WatchEvent]:
        for line in self._stream:
            yield self._parse_event(line)

    def interrupt(self) -> None:
        """End the iteration; called from another thread."""
        self._stream.interrupt()

    def _parse_event(self, line: bytes) -> WatchEvent:
        try:
            event = json.loads(line)
            kind, found = str(event["type"]), event["object"]
        except (ValueError, KeyError, TypeError) as error:
            raise ResponseLostError(
                f"cannot {self._operation}: an event cannot be parsed: {error}"
            ) from error
        if kind == "ERROR":
            words = str(found.get("message", found))
            raise error_from_status(int(found.get("code", 500)), found, words, self._operation)
        return WatchEvent(kind, found)


class Client:
    """`Objects` over the API server. Thread-safe.

    Views (`with_fence`, `with_policy`) share its connections.

    Only transient errors are retried: no connection, 429 and, for requests that may be repeated,
    lost responses and 5xx. A create that the server may have carried out is not repeated.
    """

    def __init__(
        self,
        transport: Transport,
        policy: RetryPolicy | None = None,
        stopper: Stopper | None = None,
    ) -> None:
        self._calls = Caller(transport, policy or RetryPolicy(), stopper or Stopper(SystemTiming()))

    def with_fence(self, remaining: Callable[[], float]) -> "Client":
        """Return a view that writes only while `remaining()` is above 0 seconds.

        `remaining` is called before every attempt, and limits its time-out. Afterwards writes raise
        NotLeaderError.
        """
        return self._build_view(replace(self._calls, remaining=remaining))

    def with_policy(self, policy: RetryPolicy) -> "Client":
        """Return a view with other time-outs and retries."""
        return self._build_view(replace(self._calls, policy=policy))

    def close(self) -> None:
        """End waits between attempts and close the connections, of all views."""
        self._calls.stopper.stop()
        self._calls.transport.close()

    def get(self, kind: Kind, namespace: str, name: str) -> Object | None:
        """Return the object, or None when it does not exist.

        Raises NotFoundError when the cluster does not serve its kind.
        """
        operation = ApiOperation("get", kind, namespace, name)
        request = ApiRequest("GET", _resource_path(kind, namespace, name))
        answer = self._calls.call(operation, request, accept=_GONE)
        if answer.status not in _GONE:
            return answer.object(operation)
        if not answer.details.get("details"):  # the kind is unknown, not the object
            raise error_from_response(answer, operation)
        return None

    def list(self, kind: Kind, namespace: str, labels: Mapping[str, str]) -> list[Object]:
        """Return all objects with these labels; namespace "" means all namespaces."""
        return self.listing(kind, namespace, labels).items

    def listing(
        self,
        kind: Kind,
        namespace: str,
        labels: Mapping[str, str],
        compact: Compact = keep_all,
    ) -> Listing:
        """List in pages, with the resourceVersion; in one request when a page token has expired.

        Each object is replaced by `compact` of it before the next page is read, so that memory does
        not hold all objects whole.
        """
        try:
            return self._list_pages(kind, namespace, labels, compact, _PAGE)
        except GoneError:
            return self._list_pages(kind, namespace, labels, compact, 0)

    def watch(
        self, kind: Kind, namespace: str, labels: Mapping[str, str], since: str, seconds: float
    ) -> Watch:
        """Watch from resourceVersion `since`, with bookmarks, for about `seconds`.

        One attempt: the reflector retries with its own backoff.
        """
        operation = ApiOperation("watch", kind, namespace)
        query = {
            "watch": "true",
            "allowWatchBookmarks": "true",
            "resourceVersion": since,
            "timeoutSeconds": str(int(seconds)),
            **_label_selector(labels),
        }
        request = ApiRequest("GET", _resource_path(kind, namespace), query)
        return Watch(self._calls.stream(operation, request), operation)

    def create(self, kind: Kind, namespace: str, body: Mapping[str, Any]) -> Object:
        """Create an object. Raises ConflictError when it exists."""
        name = str(body.get("metadata", {}).get("name", ""))
        operation = ApiOperation("create", kind, namespace, name)
        request = ApiRequest(
            "POST", _resource_path(kind, namespace), _OURS, _type_meta(kind) | dict(body)
        )
        return self._calls.call(operation, request).object(operation)

    def patch(
        self, kind: Kind, namespace: str, name: str, patch: JsonPatch, subresource: str = ""
    ) -> Object:
        """Apply a JSON Patch. Raises ConflictError when it, or a `test` in it, does not fit."""
        operation = ApiOperation("patch", kind, namespace, name, subresource)
        path = _resource_path(kind, namespace, name, subresource)
        body = [dict(step) for step in patch]
        request = ApiRequest("PATCH", path, _OURS, body, "application/json-patch+json")
        guarded = any(step.get("op") == "test" for step in body)
        return self._calls.call(operation, request, repeatable=guarded).object(operation)

    def replace_status(self, kind: Kind, body: Mapping[str, Any]) -> Object:
        """Write the `status` of an object as read, guarded by its resourceVersion."""
        metadata = body["metadata"]
        namespace, name = str(metadata.get("namespace", "")), str(metadata["name"])
        operation = ApiOperation("update", kind, namespace, name, "status")
        path = _resource_path(kind, namespace, name, "status")
        guarded = "resourceVersion" in metadata
        request = ApiRequest("PUT", path, _OURS, dict(body))
        return self._calls.call(operation, request, repeatable=guarded).object(operation)

    def delete(self, kind: Kind, namespace: str, name: str, propagation: str) -> None:
        """Delete an object with an explicit propagation policy; an absent object is no error."""
        self.remove(kind, namespace, name, propagation)

    def remove(self, kind: Kind, namespace: str, name: str, propagation: str) -> Object | None:
        """Delete as `delete` does; return the object while it terminates, else a Status."""
        operation = ApiOperation("delete", kind, namespace, name)
        options = {"apiVersion": "v1", "kind": "DeleteOptions", "propagationPolicy": propagation}
        request = ApiRequest("DELETE", _resource_path(kind, namespace, name), body=options)
        answer = self._calls.call(operation, request, repeatable=True, accept=_GONE)
        return None if answer.status in _GONE else answer.object(operation)

    def serves_kind(self, kind: Kind) -> bool:
        """Return whether the cluster serves this kind in this version."""
        operation = ApiOperation("get", kind)
        answer = self._calls.call(operation, ApiRequest("GET", _api_root(kind)), accept=_GONE)
        if answer.status in _GONE:
            return False
        resources = answer.object(operation).get("resources", [])
        return any(found.get("name") == kind.plural for found in resources)

    def version(self) -> tuple[int, int]:
        """Return the API server's version, such as (1, 37)."""
        operation = ApiOperation("get", Kind("", "", "version", "Version"))
        found = self._calls.call(operation, ApiRequest("GET", "/version")).object(operation)
        major, minor = (str(found.get(part, "0")).rstrip("+") for part in ("major", "minor"))
        return int(major), int(minor)

    def _list_pages(
        self,
        kind: Kind,
        namespace: str,
        labels: Mapping[str, str],
        compact: Compact,
        limit: int,
    ) -> Listing:
        operation = ApiOperation("list", kind, namespace)
        query = _label_selector(labels) | ({"limit": str(limit)} if limit else {})
        items: list[Object] = []
        while True:
            request = ApiRequest("GET", _resource_path(kind, namespace), query)
            page = self._calls.call(operation, request).object(operation)
            if "items" not in page:
                raise ResponseLostError(
                    f"cannot {operation}: expected a list, found none; "
                    "is this the address of an API server?"
                )
            items += [compact(_type_meta(kind) | item) for item in page["items"] or []]
            metadata = page.get("metadata", {})
            if not metadata.get("continue"):
                return Listing(items, str(metadata.get("resourceVersion", "")))
            query = {**query, "continue": str(metadata["continue"])}

    def _build_view(self, calls: Caller) -> "Client":
        view = Client(calls.transport)
        view._calls = calls
        return view


def _type_meta(kind: Kind) -> Object:
    """Return apiVersion and kind, which items of a list lack."""
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
