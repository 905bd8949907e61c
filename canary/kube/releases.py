"""`ReleaseStore` over the API server: CanaryReleases as custom resources."""

import json
from collections.abc import Callable, Mapping
from typing import Any

from pydantic import ValidationError

from canary.api import CanaryRelease, Intent, Reason, Skip, SpecError, Status, load_release
from canary.api.status import Condition
from canary.api.status_reader import read_status
from canary.core.conditions import ConditionUpdate, keep_transition_times
from canary.core.rollout.terminate import CLEANUP_TIMEOUT
from canary.core.snapshot import ReleaseRequest, ReleaseResource, Verb
from canary.errors import NotFoundError, UsageError
from canary.interfaces import Key
from canary.kube.objects import RELEASES, Object, Objects
from canary.kube.workloads.names import FINALIZER, REQUEST, annotations_of
from canary.kube.workloads.patches import expect_unchanged
from canary.kube.workloads.pods import parse_timestamp

Warn = Callable[[Key, Reason, str], None]
"""Tells people about something that is left alone; saying it again and again is fine."""


class KubeReleases:
    """See ReleaseStore. `warn` hears of requests that nobody can understand."""

    def __init__(self, objects: Objects, warn: Warn) -> None:
        self._objects = objects
        self._warn = warn
        self._in_flight: dict[Key, tuple[str, str, CanaryRelease]] = {}
        """With uid and resourceVersion: the judge's state is too large to parse in every pass."""

    def read(self, key: Key) -> ReleaseResource:
        """The release as it is now.

        Raises NotFoundError, and UsageError that names every problem if it cannot be followed.
        """
        return self.from_object(key, self._get(key))

    def from_object(self, key: Key, found: Object) -> ReleaseResource:
        """Return the release of an object that was read already. Raises UsageError as `read`."""
        release, metadata = self._parsed(key, found), found["metadata"]
        deleted = metadata.get("deletionTimestamp")
        return ReleaseResource(
            name=key.name,
            namespace=key.namespace,
            generation=release.metadata.generation,
            spec=release.spec,
            status=release.status,
            version=metadata["resourceVersion"],
            deleting_since=parse_timestamp(deleted) if deleted else None,
            request=self._request(key, annotations_of(found)),
            finalizer=FINALIZER in (metadata.get("finalizers") or ()),
        )

    def _parsed(self, key: Key, found: Object) -> CanaryRelease:
        """Parse a release once per version while it is in flight; models are immutable."""
        uid, version = found["metadata"]["uid"], found["metadata"]["resourceVersion"]
        *known, release = self._in_flight.pop(key, ("", "", None))
        if release is None or known != [uid, version]:
            release = parse_release(found)
        if release.status.intent is not Intent.REST:
            self._in_flight[key] = uid, version, release
        return release

    def write_status(self, resource: ReleaseResource, status: Status) -> None:
        """Compare-and-swap against `resource.version`. Raises ConflictError."""
        metadata = {
            "name": resource.name,
            "namespace": resource.namespace,
            "resourceVersion": resource.version,
        }
        self._write(metadata, to_json(status))

    def remove_finalizer(self, resource: ReleaseResource) -> None:
        """Removes our finalizer; gone already is done."""
        found = self._objects.get(RELEASES, resource.namespace, resource.name)
        if found is not None:
            self._unbind(found)

    def _unbind(self, found: Object) -> None:
        have = found["metadata"].get("finalizers") or []
        if FINALIZER not in have:
            return
        rest = [one for one in have if one != FINALIZER]
        guard = expect_unchanged(found, "/metadata/uid", "/metadata/finalizers")
        patch = [*guard, {"op": "replace", "path": "/metadata/finalizers", "value": rest}]
        try:
            metadata = found["metadata"]
            self._objects.patch(RELEASES, metadata["namespace"], metadata["name"], patch)
        except NotFoundError:
            return

    def refuse(
        self, key: Key, message: str, now: float, reason: Reason = Reason.INVALID_SPEC
    ) -> None:
        """Says in the status that the spec cannot be followed; writes only what is new.

        The rest of the status stays: with a spec that can be followed the release goes on. One
        that is being deleted is let go in the end, whatever could not be put back.
        """
        found = self._get(key)
        deleted = found["metadata"].get("deletionTimestamp")
        if deleted and now - parse_timestamp(deleted) > CLEANUP_TIMEOUT:
            self._unbind(found)
            return
        status = found.get("status")
        status = status if isinstance(status, dict) else {}
        said = (
            ConditionUpdate("Ready", False, reason, message),
            ConditionUpdate("Stalled", True, reason, message),
        )
        before = read_status(status).conditions
        kept = [one for one in before if one.type not in {"Ready", "Stalled"}]
        generation = int(found["metadata"].get("generation", 0))
        made = [*kept, *keep_transition_times(before, said, now, generation)]
        wanted = {
            **status,
            "reason": reason.value,
            "message": message,
            "observedGeneration": generation,
            "conditions": [to_json(one) for one in made],
        }
        if wanted != status:
            names = ("name", "namespace", "resourceVersion")
            self._write({name: found["metadata"][name] for name in names}, wanted)

    def _get(self, key: Key) -> Object:
        found = self._objects.get(RELEASES, key.namespace, key.name)
        if found is None:
            self._in_flight.pop(key, None)
            raise NotFoundError(f"there is no CanaryRelease {key.name} in {key.namespace}")
        return found

    def _write(self, metadata: Mapping[str, Any], status: Mapping[str, Any]) -> None:
        body = {
            "apiVersion": RELEASES.api_version,
            "kind": RELEASES.kind,
            "metadata": dict(metadata),
            "status": status,
        }
        self._objects.replace_status(RELEASES, body)

    def _request(self, key: Key, notes: Mapping[str, str]) -> ReleaseRequest | None:
        if REQUEST not in notes:
            return None
        try:
            return parse_request(notes[REQUEST])
        except UsageError as error:
            self._warn(key, Reason.REQUEST_IGNORED, str(error))
            return None


def parse_release(found: Object) -> CanaryRelease:
    """The resource of an object. Raises UsageError that names every problem."""
    text = json.dumps(found)
    try:
        return CanaryRelease.model_validate_json(text, strict=True, by_alias=True, by_name=False)
    except ValidationError:
        return _raise_problems(text, found["metadata"]["name"])


def _raise_problems(text: str, name: str) -> CanaryRelease:
    """Reads it once more as a file is read, which is slower and says well what is wrong."""
    try:
        return load_release(text, name)
    except SpecError as error:
        wrong = "; ".join(f"{one.where}: {one.message}" for one in error.problems)
        raise UsageError(f"CanaryRelease {name} cannot be followed: {wrong}") from error


def to_json(model: Status | Condition) -> dict[str, Any]:
    """As the resource holds it; what is None is absent, as its schema wants it."""
    return model.model_dump(mode="json", by_alias=True, exclude_none=True)


def parse_request(text: str) -> ReleaseRequest:
    """`{"verb": "promote", "id": "…"}`. Raises UsageError that says what is expected.

    With `skip` a `reason` has to be given; `by`, `reason` and `to` are cut to what a status holds.
    """
    try:
        found = json.loads(text)
        verb, number = Verb(found["verb"]), _require_text(found["id"])
        skip = Skip(found["skip"]) if found.get("skip") else None
        reason = _optional_text(found, "reason")
        if skip is not None and not reason.strip():
            raise UsageError(
                f"annotation {REQUEST} is ignored: a reason is expected with skip, found none"
            )
        return ReleaseRequest(
            verb,
            number,
            skip=skip,
            reason=reason,
            by=_optional_text(found, "by"),
            to=_optional_text(found, "to") or None,
        )
    except (ValueError, KeyError, TypeError) as error:
        verbs = ", ".join(Verb)
        raise UsageError(
            f'annotation {REQUEST} is ignored: {{"verb": "…", "id": "…"}} is expected, '
            f"the verb one of {verbs}; found {text[:100]!r}"
        ) from error


def _optional_text(found: Mapping[str, object], name: str) -> str:
    """The text of that name, in one line of at most 300 characters; empty where there is none."""
    value = found.get(name, "")
    if not isinstance(value, str):
        raise TypeError(value)
    return " ".join(value.split())[:300]


def _require_text(value: object) -> str:
    if not isinstance(value, str) or not value:
        raise TypeError(value)
    return value
