"""`ReleaseStore` over the API server: CanaryReleases are custom resources."""

import json
from collections.abc import Callable, Mapping
from typing import Any

from pydantic import ValidationError

from canary.api import CanaryRelease, Intent, Reason, Skip, SpecError, Status, load_release
from canary.api.status import Condition
from canary.api.status_reader import read_status
from canary.core.conditions import ConditionUpdate, keep_transition_times
from canary.core.rollout.time_limits import CLEANUP_TIMEOUT
from canary.core.snapshot import ReleaseRequest, ReleaseResource, Verb
from canary.errors import NotFoundError, UsageError
from canary.interfaces import Key
from canary.kube.objects import RELEASES, Object, Objects
from canary.kube.workloads.names import FINALIZER, REQUEST, annotations_of
from canary.kube.workloads.patches import expect_unchanged
from canary.kube.workloads.pods import parse_timestamp

Warn = Callable[[Key, Reason, str], None]
"""Reports a problem with a release to people; repeated calls with the same message are fine."""


class KubeReleases:
    """See ReleaseStore. `warn` receives the request annotations that cannot be parsed."""

    def __init__(self, objects: Objects, warn: Warn) -> None:
        self._objects = objects
        self._warn = warn
        self._in_flight: dict[Key, tuple[str, str, CanaryRelease]] = {}
        """Releases in flight with uid and resourceVersion: the judge's state takes long to parse.

        A release is put in when it is read and when its status is written, and taken out at the
        next read, which puts it back only if that is still its version.
        """

    def read(self, key: Key) -> ReleaseResource:
        """Read the release.

        Raises NotFoundError, and UsageError that names every problem of an invalid spec.
        """
        return self.from_object(key, self._get_release(key))

    def from_object(self, key: Key, found: Object) -> ReleaseResource:
        """Return the release of an object that was read already. Raises UsageError as `read`."""
        release, metadata = self._parse_release(key, found), found["metadata"]
        deleted = metadata.get("deletionTimestamp")
        return ReleaseResource(
            name=key.name,
            namespace=key.namespace,
            generation=release.metadata.generation,
            spec=release.spec,
            status=release.status,
            version=metadata["resourceVersion"],
            deleting_since=parse_timestamp(deleted) if deleted else None,
            request=self._parse_request(key, annotations_of(found)),
            finalizer=FINALIZER in (metadata.get("finalizers") or ()),
            uid=metadata["uid"],
        )

    def _parse_release(self, key: Key, found: Object) -> CanaryRelease:
        """Parse a release once per resourceVersion while it is in flight; models are immutable."""
        uid, version = found["metadata"]["uid"], found["metadata"]["resourceVersion"]
        *known, release = self._in_flight.pop(key, ("", "", None))
        if release is None or known != [uid, version]:
            release = parse_release(found)
        if release.status.intent is not Intent.REST:
            self._in_flight[key] = uid, version, release
        return release

    def write_status(self, resource: ReleaseResource, status: Status) -> None:
        """Write the status if the release still has `resource.version`. Raises ConflictError."""
        metadata = {
            "name": resource.name,
            "namespace": resource.namespace,
            "resourceVersion": resource.version,
        }
        sent = to_json(status)
        stored = self._write_status(metadata, sent)
        key = Key(resource.namespace, resource.name)
        uid, version, release = self._in_flight.get(key, ("", "", None))
        if release is None or (uid, version) != (resource.uid, resource.version):
            return
        # A server with another CRD may have dropped fields: then the next read parses the answer.
        if (
            stored.get("status") == sent
            and stored["metadata"].get("generation") == resource.generation
        ):
            written = release.model_copy(update={"status": status})
            self._in_flight[key] = uid, stored["metadata"]["resourceVersion"], written

    def remove_finalizer(self, resource: ReleaseResource) -> None:
        """Remove the operator's finalizer; an absent finalizer or release is no error."""
        found = self._objects.get(RELEASES, resource.namespace, resource.name)
        if found is not None:
            self._patch_finalizer(found)

    def _patch_finalizer(self, found: Object) -> None:
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
        """Report in the status that the release cannot be reconciled; writes only changes.

        The rest of the status stays, so the release continues once the spec is valid. A release
        that is being deleted loses its finalizer after CLEANUP_TIMEOUT in any case.
        """
        found = self._get_release(key)
        deleted = found["metadata"].get("deletionTimestamp")
        if deleted and now - parse_timestamp(deleted) > CLEANUP_TIMEOUT:
            self._patch_finalizer(found)
            return
        status = found.get("status")
        status = status if isinstance(status, dict) else {}
        updates = (
            ConditionUpdate("Ready", False, reason, message),
            ConditionUpdate("Stalled", True, reason, message),
        )
        before = read_status(status).conditions
        kept = [one for one in before if one.type not in {"Ready", "Stalled"}]
        generation = int(found["metadata"].get("generation", 0))
        made = [*kept, *keep_transition_times(before, updates, now, generation)]
        wanted = {
            **status,
            "reason": reason.value,
            "message": message,
            "observedGeneration": generation,
            "conditions": [to_json(one) for one in made],
        }
        if wanted != status:
            names = ("name", "namespace", "resourceVersion")
            self._write_status({name: found["metadata"][name] for name in names}, wanted)

    def _get_release(self, key: Key) -> Object:
        found = self._objects.get(RELEASES, key.namespace, key.name)
        if found is None:
            self._in_flight.pop(key, None)
            raise NotFoundError(f"there is no CanaryRelease {key.name} in {key.namespace}")
        return found

    def _write_status(self, metadata: Mapping[str, Any], status: Mapping[str, Any]) -> Object:
        body = {
            "apiVersion": RELEASES.api_version,
            "kind": RELEASES.kind,
            "metadata": dict(metadata),
            "status": status,
        }
        return self._objects.replace_status(RELEASES, body)

    def _parse_request(self, key: Key, notes: Mapping[str, str]) -> ReleaseRequest | None:
        if REQUEST not in notes:
            return None
        try:
            return parse_request(notes[REQUEST])
        except UsageError as error:
            self._warn(key, Reason.REQUEST_IGNORED, str(error))
            return None


def parse_release(found: Object) -> CanaryRelease:
    """Parse an object. Raises UsageError that names every problem."""
    text = json.dumps(found)
    try:
        return CanaryRelease.model_validate_json(text, strict=True, by_alias=True, by_name=False)
    except ValidationError:
        return _raise_problems(text, found["metadata"]["name"])


def _raise_problems(text: str, name: str) -> CanaryRelease:
    """Parse the release as a file is parsed, which is slower and reports every problem."""
    try:
        return load_release(text, name)
    except SpecError as error:
        wrong = "; ".join(f"{one.where}: {one.message}" for one in error.problems)
        raise UsageError(f"CanaryRelease {name} is invalid: {wrong}") from error


def to_json(model: Status | Condition) -> dict[str, Any]:
    """Return the model as JSON; fields that are None are left out, as the schema requires."""
    return model.model_dump(mode="json", by_alias=True, exclude_none=True)


def parse_request(text: str) -> ReleaseRequest:
    """Parse a request such as `{"verb": "promote", "id": "…"}`.

    `skip` requires a `reason`. `by`, `reason` and `to` are cut to 300 characters.

    Raises:
        UsageError: the text is not a valid request; the message names the expected format.
    """
    try:
        found = json.loads(text)
        verb, number = Verb(found["verb"]), _require_text(found["id"])
        skip = Skip(found["skip"]) if found.get("skip") else None
        reason = _optional_text(found, "reason")
        if skip is not None and not reason.strip():
            raise UsageError(
                f"annotation {REQUEST} is ignored: expected a reason with skip, found none"
            )
        return ReleaseRequest(
            verb,
            number,
            skip=skip,
            reason=reason,
            by=_optional_text(found, "by"),
            to=_optional_text(found, "to") or None,
        )
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        verbs = ", ".join(Verb)
        raise UsageError(
            f'annotation {REQUEST} is ignored: expected {{"verb": "…", "id": "…"}} '
            f"with a verb of {verbs}, found {text[:100]!r}"
        ) from error


def _optional_text(found: Mapping[str, object], name: str) -> str:
    """Return the text of this field in one line of at most 300 characters; empty if absent."""
    value = found.get(name, "")
    if not isinstance(value, str):
        raise TypeError(value)
    return " ".join(value.split())[:300]


def _require_text(value: object) -> str:
    if not isinstance(value, str) or not value:
        raise TypeError(value)
    return value
