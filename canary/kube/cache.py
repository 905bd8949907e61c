"""A cache of the objects of one watch, never older than the operator's own writes.

resourceVersions of one kind are compared as numbers, which Kubernetes guarantees since 1.35.

Example: the watch has delivered version 10 of a pod, and the operator patches it. The server
answers with version 12, which goes into the cache. The watch then delivers version 11, which
somebody else wrote in between: it is older than 12 and is skipped.
"""

import logging
import threading
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from canary.kube.objects import Kind, Object

_log = logging.getLogger(__name__)

Handler = Callable[[Object | None, Object | None], None]
"""Called with (old, new), None for an absent object; must return immediately."""
Index = Callable[[Object], Iterable[str]]
"""Returns the keys under which an object is indexed."""
_LONGEST_SHARED: Final = 64
"""Characters of the longest text that is shared: longer ones are rarely equal."""
MOST_SHARED: Final = 1 << 14
"""Maximum number of texts that are kept for sharing."""
_NUMBERS: Final = (float, int)
"""Types of the judge's numbers, of which a release has hundreds, in lists."""
Place = tuple[str, str]
_Change = tuple[Object | None, Object | None]


@dataclass(frozen=True, slots=True)
class Scope:
    """The objects of a watch: one kind, one namespace ("" means all), and labels."""

    kind: Kind
    namespace: str = ""
    labels: tuple[tuple[str, str], ...] = ()

    def covers(self, kind: Kind, namespace: str, labels: Mapping[str, str]) -> bool:
        """Return whether the watch delivers every object of such a list request."""
        here = self.namespace in {"", namespace}
        return kind == self.kind and here and set(self.labels) <= set(labels.items())


def owner_uids(item: Object) -> list[str]:
    """Return the uids of an object's owners; the default Index."""
    return [owner["uid"] for owner in item["metadata"].get("ownerReferences", ())]


def without_managed_fields(item: Object) -> Object:
    """Return the object without managedFields, which are half of a pod's bytes.

    Not for kinds whose managedFields are read: see canary.kube.claims.
    """
    metadata = {key: value for key, value in item["metadata"].items() if key != "managedFields"}
    return item | {"metadata": metadata}


class SharedTexts:
    """Texts that parts of different objects share. Thread-safe.

    JSON is parsed into new texts for each object, although thousands of objects have the same keys,
    labels and names. Sharing them halves the memory: 16 KiB of a Deployment become 8 KiB. Not
    `sys.intern`: Python 3.12 never frees what it returns, so that the names, uids and times of all
    pods that ever were would be kept. Here at most MOST_SHARED texts are kept; then they are
    dropped, and the texts of later objects are shared among each other.
    """

    def __init__(self) -> None:
        self._texts: dict[str, str] = {}

    def __len__(self) -> int:
        """Return the number of kept texts."""
        return len(self._texts)

    def share(self, value: Any) -> Any:  # noqa: ANN401  # whatever JSON holds
        """Return an equal value whose keys and short texts are shared with those of others."""
        kind = type(value)
        if kind is str:
            return self._share_text(value) if len(value) <= _LONGEST_SHARED else value
        if kind is dict:
            return {self._share_text(key): self.share(item) for key, item in value.items()}
        if kind is list and value and type(value[0]) not in _NUMBERS:
            return [self.share(item) for item in value]
        return value

    def _share_text(self, text: str) -> str:
        if len(self._texts) >= MOST_SHARED:
            self._texts = {}
        return self._texts.setdefault(text, text)


_SHARED: Final = SharedTexts()
"""Texts that all caches share."""


class Cache:
    """The objects of one scope. Thread-safe; callers must not modify what it returns.

    `synced` is set after the first list. Handlers run in the thread that applies the change.
    """

    def __init__(
        self,
        scope: Scope,
        index: Index = owner_uids,
        trim: Callable[[Object], Object] | None = None,
    ) -> None:
        self.scope = scope
        self.synced = threading.Event()
        self._index = index
        self._trim = trim or (lambda item: item)
        self._handlers: list[Handler] = []
        self._lock = threading.Lock()
        self._items: dict[Place, Object] = {}
        self._index_keys: dict[str, set[Place]] = defaultdict(set)
        self._deleted: set[str] = set()
        """Uids that the operator deleted and whose deletion the watch has not delivered yet."""
        self._version = 0
        """The newest resourceVersion that the watch has delivered."""

    def compact(self, item: Object) -> Object:
        """Return what is kept of an object: without fields that nobody reads, texts shared."""
        kept: Object = _SHARED.share(self._trim(item))
        return kept

    def on_change(self, handler: Handler) -> None:
        """Call the handler with every change from now on."""
        self._handlers.append(handler)

    def get(self, namespace: str, name: str) -> Object | None:
        """Return the object, or None when it does not exist."""
        with self._lock:
            return self._items.get((namespace, name))

    def list(self, namespace: str = "", labels: Mapping[str, str] | None = None) -> list[Object]:
        """Return the objects of a namespace ("" means all) with these labels."""
        wanted = (labels or {}).items()
        found = self.list_indexed(_namespace_key(namespace)) if namespace else self._copy_items()
        return [item for item in found if wanted <= (item["metadata"].get("labels") or {}).items()]

    def list_indexed(self, index_key: str) -> Sequence[Object]:
        """Return the objects with this index key: by default those that this uid owns."""
        with self._lock:
            return [self._items[place] for place in self._index_keys.get(index_key, ())]

    def replace(self, items: Iterable[Object], version: str) -> None:
        """Replace the content by a new list of objects, as `compact` returns them.

        Objects that are not in it are removed, unless the operator wrote them after the list was
        made. A list that is older than the watch means that the server was restored from a backup:
        then the list wins.
        """
        fresh = {place_of(item): item for item in items}
        with self._lock:
            back = version_number(version) < self._version
            self._version = version_number(version)
            newer = [item for item in fresh.values() if not self._is_stale(item, back=back)]
            changes = [self._store_item(item) for item in newer]
            changes += [
                self._remove_item(place)
                for place in self._items.keys() - fresh.keys()
                if back or version_of(self._items[place]) <= self._version
            ]
            self._deleted &= {item["metadata"]["uid"] for item in fresh.values()}
        self._notify_handlers(changes)
        self.synced.set()

    def apply_update(self, item: Object) -> None:
        """Apply an ADDED or MODIFIED event of the watch."""
        with self._lock:
            self._version = max(self._version, version_of(item))
            change = self._put_newer(item)
        self._notify_handlers([change])

    def apply_deletion(self, item: Object) -> None:
        """Apply a DELETED event of the watch: the object was deleted or left the scope."""
        with self._lock:
            self._version = max(self._version, version_of(item))
            self._deleted.discard(item["metadata"]["uid"])
            old = self._items.get(place_of(item))
            newer = old is not None and version_of(old) > version_of(item)
            change: _Change = (None, None) if newer else self._remove_item(place_of(item))
        self._notify_handlers([change])

    def advance(self, version: str) -> None:
        """Apply a BOOKMARK event of the watch: all changes up to this version were delivered."""
        with self._lock:
            self._version = max(self._version, version_number(version))

    def record_write(self, item: Object) -> None:
        """Store the server's answer to a write of the operator, unless the watch has passed it."""
        labels = item["metadata"].get("labels") or {}
        if not self.scope.covers(self.scope.kind, item["metadata"].get("namespace", ""), labels):
            return
        with self._lock:
            if version_of(item) <= self._version:
                return
            change = self._put_newer(item)
        self._notify_handlers([change])

    def record_deletion(self, namespace: str, name: str, uid: str) -> None:
        """Remove an object that the operator deleted; older events must not bring it back."""
        with self._lock:
            old = self._items.get((namespace, name))
            if old is None or old["metadata"]["uid"] != uid:
                return
            self._deleted.add(uid)
            change = self._remove_item((namespace, name))
        self._notify_handlers([change])

    def _copy_items(self) -> Sequence[Object]:
        with self._lock:
            return [*self._items.values()]

    def _keys_of(self, item: Object) -> Iterable[str]:
        return (*self._index(item), _namespace_key(item["metadata"].get("namespace", "")))

    def _put_newer(self, item: Object) -> _Change:
        """Compact and store the object, unless it is known: the watch repeats our own writes."""
        return (None, None) if self._is_stale(item) else self._store_item(self.compact(item))

    def _is_stale(self, item: Object, *, back: bool = False) -> bool:
        """Return whether the object is known or deleted; with `back` any version is news."""
        old = self._items.get(place_of(item))
        known = old is not None and version_of(item) <= version_of(old)
        return (known and not back) or item["metadata"]["uid"] in self._deleted

    def _store_item(self, item: Object) -> _Change:
        place = place_of(item)
        old, _ = self._remove_item(place)
        self._items[place] = item
        for index_key in self._keys_of(item):
            self._index_keys[index_key].add(place)
        return old, item

    def _remove_item(self, place: Place) -> _Change:
        old = self._items.pop(place, None)
        for index_key in self._keys_of(old) if old else ():
            self._index_keys[index_key].discard(place)
            if not self._index_keys[index_key]:
                del self._index_keys[index_key]
        return old, None

    def _notify_handlers(self, changes: Iterable[_Change]) -> None:
        for old, new in changes:
            if old is new:
                continue
            for handler in self._handlers:
                try:
                    handler(old, new)
                except Exception:  # noqa: BLE001  # one handler must not end the watch for all
                    _log.exception("a handler for changes of %s failed", self.scope.kind.plural)


def _namespace_key(namespace: str) -> str:
    """Return the index key of a namespace; the slash keeps it apart from uids."""
    return f"/{namespace}"


def place_of(item: Object) -> Place:
    """Return (namespace, name)."""
    return item["metadata"].get("namespace", ""), item["metadata"]["name"]


def version_of(item: Object) -> int:
    """Return the object's resourceVersion as a number."""
    return version_number(item["metadata"].get("resourceVersion", ""))


def version_number(version: str) -> int:
    """Return a resourceVersion as a number; 0 when it is not one."""
    return int(version) if version.isdecimal() else 0
