"""What a watch has told us, kept by name, never older than what we wrote ourselves.

resourceVersions are compared as numbers, which Kubernetes promises since 1.35 for one kind.
"""

import logging
import threading
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

from canary.kube.objects import Kind, Object

_log = logging.getLogger(__name__)

Handler = Callable[[Object | None, Object | None], None]
"""Called with (old, new), None for "is not there"; must return at once."""
Index = Callable[[Object], Iterable[str]]
"""The words under which an object is to be found."""
Place = tuple[str, str]
_Change = tuple[Object | None, Object | None]


@dataclass(frozen=True, slots=True)
class Scope:
    """Which objects are watched: of one namespace ("" means all), with these labels."""

    kind: Kind
    namespace: str = ""
    labels: tuple[tuple[str, str], ...] = ()

    def covers(self, kind: Kind, namespace: str, labels: Mapping[str, str]) -> bool:
        """Whether all objects that a list asks for are watched."""
        here = self.namespace in {"", namespace}
        return kind == self.kind and here and set(self.labels) <= set(labels.items())


def owner_uids(item: Object) -> list[str]:
    """The uids of an object's owners, as an Index."""
    return [owner["uid"] for owner in item["metadata"].get("ownerReferences", ())]


def without_managed_fields(item: Object) -> Object:
    """Without managedFields, half of a pod's bytes; not for objects whose writer matters."""
    metadata = {key: value for key, value in item["metadata"].items() if key != "managedFields"}
    return item | {"metadata": metadata}


class Cache:
    """The objects of one scope. Thread-safe; what it returns must not be changed.

    `synced` is set after the first list. Handlers run in the thread that brought the news.
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
        self._words: dict[str, set[Place]] = defaultdict(set)
        self._deleted: set[str] = set()
        """Uids that we deleted and the watch has not yet reported gone."""
        self._version = 0
        """How far the watch is."""

    def on_change(self, handler: Handler) -> None:
        """Has the handler called from now on."""
        self._handlers.append(handler)

    def get(self, namespace: str, name: str) -> Object | None:
        """The object, None when there is none."""
        with self._lock:
            return self._items.get((namespace, name))

    def list(self, namespace: str = "", labels: Mapping[str, str] | None = None) -> list[Object]:
        """The objects of a namespace ("" means all) that have these labels."""
        wanted = (labels or {}).items()
        found = self.indexed(_namespace_key(namespace)) if namespace else self._all()
        return [item for item in found if wanted <= (item["metadata"].get("labels") or {}).items()]

    def indexed(self, word: str) -> Sequence[Object]:
        """The objects with this word in their index: by default, those that this uid owns."""
        with self._lock:
            return [self._items[place] for place in self._words.get(word, ())]

    def restart(self, items: Iterable[Object], version: str) -> None:
        """A fresh list: what is not in it is gone, unless we wrote it after the list was made.

        A list older than the watch means that the server was restored from a backup: it counts.
        """
        fresh = {place_of(item): self._trim(item) for item in items}
        with self._lock:
            back = version_number(version) < self._version
            self._version = version_number(version)
            changes = [self._put(place, item, back=back) for place, item in fresh.items()]
            changes += [
                self._drop(place)
                for place in self._items.keys() - fresh.keys()
                if back or version_of(self._items[place]) <= self._version
            ]
            self._deleted &= {item["metadata"]["uid"] for item in fresh.values()}
        self._tell(changes)
        self.synced.set()

    def seen(self, item: Object) -> None:
        """The watch says that the object now is so."""
        with self._lock:
            self._version = max(self._version, version_of(item))
            change = self._put(place_of(item), self._trim(item), back=False)
        self._tell([change])

    def gone(self, item: Object) -> None:
        """The watch says that the object was deleted, or left the scope."""
        with self._lock:
            self._version = max(self._version, version_of(item))
            self._deleted.discard(item["metadata"]["uid"])
            old = self._items.get(place_of(item))
            newer = old is not None and version_of(old) > version_of(item)
            change: _Change = (None, None) if newer else self._drop(place_of(item))
        self._tell([change])

    def passed(self, version: str) -> None:
        """The watch has come so far (a bookmark)."""
        with self._lock:
            self._version = max(self._version, version_number(version))

    def wrote(self, item: Object) -> None:
        """What the server answered to our own write; ignored when the watch is past it."""
        labels = item["metadata"].get("labels") or {}
        if not self.scope.covers(self.scope.kind, item["metadata"].get("namespace", ""), labels):
            return
        with self._lock:
            if version_of(item) <= self._version:
                return
            change = self._put(place_of(item), self._trim(item), back=False)
        self._tell([change])

    def deleted(self, namespace: str, name: str, uid: str) -> None:
        """The server has deleted the object at our wish: it must not come back with old news."""
        with self._lock:
            old = self._items.get((namespace, name))
            if old is None or old["metadata"]["uid"] != uid:
                return
            self._deleted.add(uid)
            change = self._drop((namespace, name))
        self._tell([change])

    def _all(self) -> Sequence[Object]:
        with self._lock:
            return [*self._items.values()]

    def _all_words(self, item: Object) -> Iterable[str]:
        return (*self._index(item), _namespace_key(item["metadata"].get("namespace", "")))

    def _put(self, place: Place, item: Object, *, back: bool) -> _Change:
        old = self._items.get(place)
        stale = old is not None and not back and version_of(item) <= version_of(old)
        if stale or item["metadata"]["uid"] in self._deleted:
            return None, None
        self._drop(place)
        self._items[place] = item
        for word in self._all_words(item):
            self._words[word].add(place)
        return old, item

    def _drop(self, place: Place) -> _Change:
        old = self._items.pop(place, None)
        for word in self._all_words(old) if old else ():
            self._words[word].discard(place)
            if not self._words[word]:
                del self._words[word]
        return old, None

    def _tell(self, changes: Iterable[_Change]) -> None:
        for old, new in changes:
            if old is new:
                continue
            for handler in self._handlers:
                try:
                    handler(old, new)
                except Exception:  # noqa: BLE001  # one handler must not end the watch for all
                    _log.exception("a handler of %s failed", self.scope.kind.plural)


def _namespace_key(namespace: str) -> str:
    """The word of all objects of a namespace: no uid begins like that."""
    return f"/{namespace}"


def place_of(item: Object) -> Place:
    """(namespace, name)."""
    return item["metadata"].get("namespace", ""), item["metadata"]["name"]


def version_of(item: Object) -> int:
    """The object's resourceVersion."""
    return version_number(item["metadata"].get("resourceVersion", ""))


def version_number(version: str) -> int:
    """A resourceVersion as a number; 0 where it is none."""
    return int(version) if version.isdecimal() else 0
