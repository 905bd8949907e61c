"""Reads from watch caches, writes to the API server: an idle release asks nothing."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Protocol

from canary.kube.cache import Cache, owner_uids
from canary.kube.objects import JsonPatch, Kind, Object, Objects


class ApiServer(Objects, Protocol):
    """What is read through and written to: canary.kube.client.Client."""

    def remove(self, kind: Kind, namespace: str, name: str, propagation: str) -> Object | None:
        """Deletes; returns the object that still ends, or a Status."""
        ...


class CachedObjects:
    """`Objects` that reads what is watched from the caches, and the rest from the server.

    We read our own writes: what the server answers to a write goes into the cache, which from
    then on serves nothing older.
    """

    def __init__(self, server: ApiServer, caches: Sequence[Cache]) -> None:
        self._server = server
        self._caches = caches

    def get(self, kind: Kind, namespace: str, name: str) -> Object | None:
        """The object; None when there is none."""
        for cache in self._covering(kind, namespace, {}):
            return cache.get(namespace, name)
        return self._server.get(kind, namespace, name)

    def list(self, kind: Kind, namespace: str, labels: Mapping[str, str]) -> list[Object]:
        """All objects with these labels."""
        for cache in self._covering(kind, namespace, labels):
            return cache.list(namespace, labels)
        return self._server.list(kind, namespace, labels)

    def owned(self, kind: Kind, namespace: str, owner: str) -> Sequence[Object]:
        """The objects of a namespace that the object with this uid owns."""
        for cache in self._covering(kind, namespace, {}):
            # Anybody may write somebody else's uid into a reference, in his own namespace.
            found = cache.indexed(owner)
            return [item for item in found if item["metadata"].get("namespace") == namespace]
        everything = self._server.list(kind, namespace, {})
        return [item for item in everything if owner in owner_uids(item)]

    def create(self, kind: Kind, namespace: str, body: Mapping[str, Any]) -> Object:
        """Creates it. ConflictError when it exists already."""
        return self._wrote(kind, self._server.create(kind, namespace, body))

    def patch(
        self, kind: Kind, namespace: str, name: str, patch: JsonPatch, subresource: str = ""
    ) -> Object:
        """Applies a JSON Patch; ConflictError when a `test` in it does not hold."""
        return self._wrote(kind, self._server.patch(kind, namespace, name, patch, subresource))

    def replace_status(self, kind: Kind, body: Mapping[str, Any]) -> Object:
        """Writes `status` of an object as read, guarded by its resourceVersion."""
        return self._wrote(kind, self._server.replace_status(kind, body))

    def delete(self, kind: Kind, namespace: str, name: str, propagation: str) -> None:
        """Deletes it with an explicit propagation policy; gone already is done."""
        self.remove(kind, namespace, name, propagation)

    def remove(self, kind: Kind, namespace: str, name: str, propagation: str) -> Object | None:
        """As `delete`; what the server answers."""
        answer = self._server.remove(kind, namespace, name, propagation)
        if answer is not None and answer.get("kind") == "Status":
            uid = answer.get("details", {}).get("uid", "")
            for cache in self._of(kind):
                cache.deleted(namespace, name, uid)
        elif answer is not None:
            self._wrote(kind, answer)
        return answer

    def _wrote(self, kind: Kind, item: Object) -> Object:
        for cache in self._of(kind):
            cache.wrote(item)
        return item

    def _of(self, kind: Kind) -> Iterable[Cache]:
        return (cache for cache in self._caches if cache.scope.kind == kind)

    def _covering(self, kind: Kind, namespace: str, labels: Mapping[str, str]) -> Iterable[Cache]:
        return (
            cache
            for cache in self._caches
            if cache.scope.covers(kind, namespace, labels) and cache.synced.is_set()
        )
