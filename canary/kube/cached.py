"""Reads from watch caches and writes to the API server: idle releases send no requests."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final, Protocol

from canary.errors import NotFoundError
from canary.kube.cache import Cache, owner_uids
from canary.kube.objects import JsonPatch, Kind, Object, Objects
from canary.kube.timing import SystemTiming, Timing

ABSENT_FOR: Final = 10.0
"""Seconds for which a kind that the cluster does not serve is not listed again."""


class ApiServer(Objects, Protocol):
    """The API server behind the caches: canary.kube.client.Client."""

    def remove(self, kind: Kind, namespace: str, name: str, propagation: str) -> Object | None:
        """Delete the object; return it while it terminates, else a Status."""
        ...


class CachedObjects:
    """`Objects` that reads watched kinds from the caches, and other kinds from the server.

    Writes are visible at once: the server's answer to a write goes into the cache, which returns
    nothing older afterwards. A kind that the cluster does not serve is listed every `ABSENT_FOR`
    seconds: each new release asks for those of other controllers, and there may be a thousand.
    """

    def __init__(
        self, server: ApiServer, caches: Sequence[Cache], timing: Timing | None = None
    ) -> None:
        self._server = server
        self._caches: dict[Kind, list[Cache]] = {}
        for cache in caches:
            self._caches.setdefault(cache.scope.kind, []).append(cache)
        self._timing = timing or SystemTiming()
        self._absent: dict[Kind, tuple[float, str]] = {}
        """Until when a kind is not listed again, and the error's message."""

    def get(self, kind: Kind, namespace: str, name: str) -> Object | None:
        """Return the object, or None when it does not exist."""
        for cache in self._covering_caches(kind, namespace, {}):
            return cache.get(namespace, name)
        return self._server.get(kind, namespace, name)

    def list(self, kind: Kind, namespace: str, labels: Mapping[str, str]) -> list[Object]:
        """Return all objects with these labels."""
        for cache in self._covering_caches(kind, namespace, labels):
            return cache.list(namespace, labels)
        until, message = self._absent.get(kind, (0.0, ""))
        if message and self._timing.now() < until:
            raise NotFoundError(message)
        try:
            return self._server.list(kind, namespace, labels)
        except NotFoundError as error:
            self._absent[kind] = self._timing.now() + ABSENT_FOR, str(error)
            raise

    def list_owned(self, kind: Kind, namespace: str, owner: str) -> Sequence[Object]:
        """Return the objects of a namespace that the object with this uid owns."""
        for cache in self._covering_caches(kind, namespace, {}):
            # Users may write any uid into an owner reference, in their own namespaces.
            found = cache.list_indexed(owner)
            return [item for item in found if item["metadata"].get("namespace") == namespace]
        everything = self._server.list(kind, namespace, {})
        return [item for item in everything if owner in owner_uids(item)]

    def create(self, kind: Kind, namespace: str, body: Mapping[str, Any]) -> Object:
        """Create an object. Raises ConflictError when it exists."""
        return self._record_write(kind, self._server.create(kind, namespace, body))

    def patch(
        self, kind: Kind, namespace: str, name: str, patch: JsonPatch, subresource: str = ""
    ) -> Object:
        """Apply a JSON Patch. Raises ConflictError when a `test` in it fails."""
        return self._record_write(
            kind, self._server.patch(kind, namespace, name, patch, subresource)
        )

    def replace_status(self, kind: Kind, body: Mapping[str, Any]) -> Object:
        """Write the `status` of an object as read, guarded by its resourceVersion."""
        return self._record_write(kind, self._server.replace_status(kind, body))

    def delete(self, kind: Kind, namespace: str, name: str, propagation: str) -> None:
        """Delete an object with an explicit propagation policy; an absent object is no error."""
        self.remove(kind, namespace, name, propagation)

    def remove(self, kind: Kind, namespace: str, name: str, propagation: str) -> Object | None:
        """Delete as `delete` does, and return the server's answer."""
        answer = self._server.remove(kind, namespace, name, propagation)
        if answer is not None and answer.get("kind") == "Status":
            uid = answer.get("details", {}).get("uid", "")
            for cache in self._caches_of(kind):
                cache.record_deletion(namespace, name, uid)
        elif answer is not None:
            self._record_write(kind, answer)
        return answer

    def _record_write(self, kind: Kind, item: Object) -> Object:
        for cache in self._caches_of(kind):
            cache.record_write(item)
        return item

    def _caches_of(self, kind: Kind) -> Sequence[Cache]:
        return self._caches.get(kind, ())

    def _covering_caches(
        self, kind: Kind, namespace: str, labels: Mapping[str, str]
    ) -> Iterable[Cache]:
        return (
            cache
            for cache in self._caches_of(kind)
            if cache.scope.covers(kind, namespace, labels) and cache.synced.is_set()
        )
