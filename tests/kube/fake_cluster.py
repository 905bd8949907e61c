"""An API server in memory: resourceVersion, generation, JSON Patch, finalizers, owners, watches.

It has the methods of `canary.kube.client.Client`, and raises the same errors.
tests/kube/api_contract.py holds it to what a real one does.
"""

import threading
from collections.abc import Callable, Mapping
from copy import deepcopy
from datetime import UTC, datetime
from typing import Any

from canary.errors import CanaryError, ConflictError, NotFoundError
from canary.kube.api_errors import ApiOperation, GoneError
from canary.kube.client import Compact, Listing, keep_all
from canary.kube.objects import (
    CRON_JOBS,
    DEPLOYMENTS,
    GRPC_ROUTES,
    HTTP_ROUTES,
    JOBS,
    PODS,
    RELEASES,
    REPLICA_SETS,
    TRAEFIK_SERVICES,
    VIRTUAL_SERVICES,
    JsonPatch,
    Kind,
    Object,
)
from tests.kube.fake_watch import FakeWatch, RecordedChange, matches
from tests.kube.json_patch import PatchTestError, apply_patch

WITH_GENERATION = {
    *(CRON_JOBS, DEPLOYMENTS, GRPC_ROUTES, HTTP_ROUTES, JOBS, PODS, RELEASES, REPLICA_SETS),
    *(TRAEFIK_SERVICES, VIRTUAL_SERVICES),
}
WITHOUT_STATUS = {TRAEFIK_SERVICES}

Place = tuple[Kind, str, str]
Hook = Callable[[str, Kind, str, str], None]
"""(verb, kind, namespace, name); verbs as in RBAC. Raises what the request should raise."""


class FakeCluster:
    """The objects of a cluster.

    `before` is called ahead of each request: let it raise TransientError for a server that is
    down, or write with `put` for somebody who is quicker. `writes` counts accepted writes that
    changed something.
    """

    def __init__(self, now: Callable[[], float] = lambda: 0.0) -> None:
        self.before: Hook | None = None
        self.logs: dict[tuple[str, str], str] = {}
        self.unserved: set[Kind] = set()
        self.writes = 0
        self._now = now
        self._objects: dict[Place, Object] = {}
        self.history: list[RecordedChange] = []
        self._version = 100
        self._compacted = 0
        self.changed = threading.Condition(threading.RLock())
        self._watches: list[FakeWatch] = []

    # what everybody may do: canary.kube.client.Client

    def get(self, kind: Kind, namespace: str, name: str) -> Object | None:
        with self._asked("get", kind, namespace, name):
            return deepcopy(self._objects.get((kind, namespace, name)))

    def list(self, kind: Kind, namespace: str, labels: Mapping[str, str]) -> list[Object]:
        return self.listing(kind, namespace, labels).items

    def listing(
        self, kind: Kind, namespace: str, labels: Mapping[str, str], compact: Compact = keep_all
    ) -> Listing:
        with self._asked("list", kind, namespace):
            found = [
                compact(deepcopy(item))
                for (of, _, _), item in sorted(self._objects.items(), key=lambda pair: pair[0][1:])
                if of == kind and matches(item, namespace, labels)
            ]
            return Listing(found, str(self._version))

    def watch(
        self, kind: Kind, namespace: str, labels: Mapping[str, str], since: str, seconds: float
    ) -> FakeWatch:
        """Goes on until `break_watches` or `interrupt`, whatever `seconds` says."""
        _ = seconds
        with self._asked("watch", kind, namespace):
            if int(since) < self._compacted:
                raise GoneError(f"cannot watch {kind.plural}: too old resource version: {since}")
            watch = FakeWatch(self, kind, namespace, labels, int(since))
            self._watches.append(watch)
            return watch

    def create(self, kind: Kind, namespace: str, body: Mapping[str, Any]) -> Object:
        made = deepcopy(dict(body))
        metadata = made.setdefault("metadata", {})
        name = metadata.get("name") or f"{metadata['generateName']}{self._version:05d}"
        with self._asked("create", kind, namespace, name) as operation:
            if (kind, namespace, name) in self._objects:
                raise ConflictError(f'cannot {operation}: {kind.plural} "{name}" already exists')
            metadata |= {"name": name} | ({"namespace": namespace} if namespace else {})
            if kind not in WITHOUT_STATUS:
                made.pop("status", None)
            return self._store(kind, None, made)

    def patch(
        self, kind: Kind, namespace: str, name: str, patch: JsonPatch, subresource: str = ""
    ) -> Object:
        with self._asked("patch", kind, namespace, name) as operation:
            old = self._there(operation)
            try:
                body = apply_patch(old, patch)
            except PatchTestError as error:
                words = "the object is not in the state that the patch expects"
                raise ConflictError(f"cannot {operation}: {words} ({error})") from error
            return self._update(operation, old, body, subresource)

    def replace_status(self, kind: Kind, body: Mapping[str, Any]) -> Object:
        metadata = body["metadata"]
        with self._asked(
            "update", kind, metadata.get("namespace", ""), metadata["name"]
        ) as operation:
            return self._update(operation, self._there(operation), deepcopy(dict(body)), "status")

    def delete(self, kind: Kind, namespace: str, name: str, propagation: str) -> None:
        self.remove(kind, namespace, name, propagation)

    def remove(self, kind: Kind, namespace: str, name: str, propagation: str) -> Object | None:
        with self._asked("delete", kind, namespace, name):
            old = self._objects.get((kind, namespace, name))
            if old is None:
                return None
            if old["metadata"].get("finalizers"):
                going = deepcopy(old)
                going["metadata"].setdefault("deletionTimestamp", self._stamp())
                return self._store(kind, old, going)
            self._drop(kind, old, orphan=propagation == "Orphan")
            details = {"name": name, "uid": old["metadata"]["uid"]}
            return {"kind": "Status", "status": "Success", "details": details}

    def log(self, namespace: str, pod: str, lines: int, container: str = "") -> str:
        _ = container
        with self._asked("get", PODS, namespace, pod):
            return "\n".join(self.logs.get((namespace, pod), "").splitlines()[-lines:])

    def serves_kind(self, kind: Kind) -> bool:
        return kind not in self.unserved

    def version(self) -> tuple[int, int]:
        return (1, 37)

    # what tests do: other people, and faults

    def put(self, kind: Kind, body: Mapping[str, Any]) -> Object:
        """Somebody else writes the whole object with its status, whatever was there before."""
        body = deepcopy(dict(body))
        metadata = body["metadata"]
        namespace, name = metadata.get("namespace", ""), metadata["name"]
        with self.changed:
            old = self._objects.get((kind, namespace, name))
            return self._store(kind, old, body)

    def edit(self, kind: Kind, namespace: str, name: str, patch: JsonPatch) -> Object:
        """Somebody else patches the object, status and all."""
        with self.changed:
            return self.put(kind, apply_patch(self._objects[kind, namespace, name], patch))

    def compact(self) -> None:
        """Forgets history: a watch that starts in the past gets 410."""
        with self.changed:
            self._compacted, self.history = self._version, []

    def break_watches(self, error: CanaryError | None = None) -> None:
        """Ends all watches, as a server does now and then; with an error they raise it."""
        with self.changed:
            watches, self._watches = self._watches, []
            for watch in watches:
                watch.end(error)

    def bookmark(self) -> None:
        """Tells all watches how far they are."""
        with self.changed:
            for watch in self._watches:
                watch.bookmarked = True
            self.changed.notify_all()

    @property
    def watching(self) -> int:
        """Watches that are open."""
        return len(self._watches)

    # inside

    def _asked(self, verb: str, kind: Kind, namespace: str, name: str = "") -> "_Asked":
        return _Asked(self, ApiOperation(verb, kind, namespace, name))

    def _there(self, operation: ApiOperation) -> Object:
        found = self._objects.get((operation.kind, operation.namespace, operation.name))
        if found is None:
            raise NotFoundError(
                f'cannot {operation}: {operation.kind.plural} "{operation.name}" not found'
            )
        return found

    def _update(
        self, operation: ApiOperation, old: Object, body: Object, subresource: str
    ) -> Object:
        version = body["metadata"].get("resourceVersion")
        if version is not None and version != old["metadata"]["resourceVersion"]:
            raise ConflictError(f"cannot {operation}: the object has been modified")
        if subresource == "status":
            status = {"status": body["status"]} if "status" in body else {}
            body = {**{key: value for key, value in old.items() if key != "status"}, **status}
        elif operation.kind not in WITHOUT_STATUS:
            body.pop("status", None)
            body |= {"status": old["status"]} if "status" in old else {}
        return self._store(operation.kind, old, body)

    def _store(self, kind: Kind, old: Object | None, body: Object) -> Object:
        before = old["metadata"] if old else {}
        made = {"apiVersion": kind.api_version, "kind": kind.kind, **deepcopy(body)}
        metadata = made["metadata"]
        metadata["uid"] = before.get("uid", f"uid-{self._version + 1}")
        metadata["creationTimestamp"] = before.get("creationTimestamp", self._stamp())
        metadata["resourceVersion"] = before.get("resourceVersion")
        metadata.pop("generation", None)
        if kind in WITH_GENERATION:
            raised = old is None or _intent(kind, old) != _intent(kind, made)
            raised |= "deletionTimestamp" in metadata and "deletionTimestamp" not in before
            metadata["generation"] = before.get("generation", 0) + int(raised)
        if made == old:
            return deepcopy(made)
        if metadata.get("deletionTimestamp") and not metadata.get("finalizers"):
            self._drop(kind, made, orphan=False)
            return deepcopy(made)
        self._version += 1
        metadata["resourceVersion"] = str(self._version)
        self._objects[kind, metadata.get("namespace", ""), metadata["name"]] = made
        self._record(RecordedChange(self._version, kind, old, made))
        return deepcopy(made)

    def _drop(self, kind: Kind, gone: Object, *, orphan: bool) -> None:
        metadata = gone["metadata"]
        self._version += 1
        del self._objects[kind, metadata.get("namespace", ""), metadata["name"]]
        last = deepcopy(gone)
        last["metadata"]["resourceVersion"] = str(self._version)
        self._record(RecordedChange(self._version, kind, last, None))
        for (of, namespace, name), item in list(self._objects.items()):
            owners = item["metadata"].get("ownerReferences", [])
            if not orphan and any(owner["uid"] == metadata["uid"] for owner in owners):
                self.remove(of, namespace, name, "Background")

    def _record(self, change: RecordedChange) -> None:
        self.writes += 1
        self.history.append(change)
        self.changed.notify_all()

    def _stamp(self) -> str:
        return datetime.fromtimestamp(self._now(), UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


class _Asked:
    """A request under way: the hook has run, the lock is held."""

    def __init__(self, cluster: FakeCluster, operation: ApiOperation) -> None:
        self._cluster = cluster
        self._operation = operation

    def __enter__(self) -> ApiOperation:
        operation = self._operation
        if operation.kind in self._cluster.unserved:
            served = f"{operation.kind.kind} ({operation.kind.api_version})"
            raise NotFoundError(f"cannot {operation}: the cluster does not serve {served}")
        if self._cluster.before is not None:
            self._cluster.before(
                operation.verb, operation.kind, operation.namespace, operation.name
            )
        self._cluster.changed.acquire()
        return operation

    def __exit__(self, *_: object) -> None:
        self._cluster.changed.release()


def _intent(kind: Kind, item: Object) -> object:
    """What raises the generation: all but metadata and status; of Deployments also annotations."""
    spec = {key: value for key, value in item.items() if key not in {"metadata", "status"}}
    notes = item["metadata"].get("annotations") if kind == DEPLOYMENTS else None
    return spec, notes or {}
