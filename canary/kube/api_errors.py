"""The API server's answers as errors of this project: what to do next decides the class."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any

from canary.errors import (
    CanaryError,
    ConflictError,
    ExitCode,
    NotFoundError,
    PermanentError,
    TransientError,
)
from canary.kube.objects import Kind, Object

_MAX_MESSAGE = 600
"""Characters of the server's message that are passed on."""
_MAX_PAGE = 120
"""The same, of what does not come from an API server."""


class ForbiddenError(PermanentError):
    """Our account may not do that; the message says what to grant."""

    exit_code = ExitCode.NOT_FOUND


class UnauthorizedError(PermanentError):
    """The API server does not accept our credentials."""

    exit_code = ExitCode.NOT_FOUND


class UnreachableError(TransientError):
    """No connection: the request was never sent, so it is safe to send it again."""


class ResponseLostError(TransientError):
    """Sent, but there is no usable answer: it may or may not have been carried out."""


class ServerFailedError(ResponseLostError):
    """The server answered that it failed (5xx): it may or may not have been carried out."""


class BusyError(TransientError):
    """Turned away before anything was done (429): to be sent again after `retry_after`."""


class GoneError(TransientError):
    """The resourceVersion or page token is too old (410): list again."""


class NotLeaderError(TransientError):
    """This replica does not hold the lease (any more), so it must not write."""


@dataclass(frozen=True, slots=True)
class ApiOperation:
    """What a request is about, for messages."""

    verb: str
    """As in RBAC: get, list, watch, create, update, patch, delete."""
    kind: Kind
    namespace: str = ""
    name: str = ""
    subresource: str = ""

    @property
    def resource(self) -> str:
        """`deployments` or `deployments/status`, as RBAC names it."""
        return f"{self.kind.plural}/{self.subresource}" if self.subresource else self.kind.plural

    def __str__(self) -> str:
        where = f" in namespace {self.namespace}" if self.namespace else ""
        return " ".join(part for part in (self.verb, self.resource, self.name) if part) + where


@dataclass(frozen=True, slots=True)
class ApiResponse:
    """One HTTP answer."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def details(self) -> Mapping[str, Any]:
        """The `Status` object; empty when the body is something else."""
        try:
            body = json.loads(self.body)
        except ValueError:
            return {}
        return body if isinstance(body, dict) and body.get("kind") == "Status" else {}

    def object(self, deed: ApiOperation) -> Object:
        """The object that it is. Raises ResponseLostError when it is something else."""
        try:
            found = json.loads(self.body)
        except ValueError:
            found = None
        if not isinstance(found, dict):
            what = self.headers.get("Content-Type", "nothing")
            raise ResponseLostError(
                f"cannot {deed}: an object in JSON is expected, found {what}; "
                "is that address an API server's?"
            )
        return found


def error_from_response(answer: ApiResponse, deed: ApiOperation) -> CanaryError:
    """The error for an answer with a status of 300 or more."""
    status = answer.details
    words = str(status.get("message") or _quote_page(answer))[:_MAX_MESSAGE]
    return error_from_status(answer.status, status, words, deed, _retry_after(answer))


def _quote_page(answer: ApiResponse) -> str:
    """The beginning of what is no `Status`: a proxy's page; where a redirect leads."""
    if place := answer.headers.get("Location"):
        return f"HTTP {answer.status}, a redirect to {place}; is that address an API server's?"
    text = " ".join(answer.body.decode(errors="replace").split())[:_MAX_PAGE]
    return f"HTTP {answer.status}: {text}" if text else f"HTTP {answer.status}"


def error_from_status(
    code: int,
    status: Mapping[str, Any],
    words: str,
    deed: ApiOperation,
    retry_after: float | None = None,
) -> CanaryError:
    """The error for a `Status` object, be it an answer or an ERROR event of a watch."""
    text = f"cannot {deed}: {words}{_HINTS.get(code, '')}"
    match code:
        case HTTPStatus.FORBIDDEN:
            return ForbiddenError(text + _suggest_grant(words, deed))
        case HTTPStatus.NOT_FOUND if not status.get("details"):
            served = f"{deed.kind.kind} ({deed.kind.api_version})"
            return NotFoundError(f"{text}: the cluster does not serve {served}")
        case HTTPStatus.UNPROCESSABLE_ENTITY if deed.verb == "patch" and not status.get("details"):
            return ConflictError(f"cannot {deed}: the object is not as the patch expects")
        case HTTPStatus.TOO_MANY_REQUESTS:
            return BusyError(text, retry_after=retry_after or 1.0)
        case _ if code >= HTTPStatus.INTERNAL_SERVER_ERROR:
            return ServerFailedError(text, retry_after=retry_after or 1.0)
        case _:
            return _CLASSES.get(code, PermanentError)(text)


_HINTS: Mapping[int, str] = {
    HTTPStatus.UNAUTHORIZED: " (our credentials are missing, wrong or expired)"
}
_CLASSES: Mapping[int, type[CanaryError]] = {
    HTTPStatus.UNAUTHORIZED: UnauthorizedError,
    HTTPStatus.NOT_FOUND: NotFoundError,
    HTTPStatus.REQUEST_TIMEOUT: ResponseLostError,
    HTTPStatus.CONFLICT: ConflictError,
    HTTPStatus.GONE: GoneError,
}


def _suggest_grant(words: str, deed: ApiOperation) -> str:
    """What to add to the role, when the refusal is RBAC's (quota and admission also say 403)."""
    if f"cannot {deed.verb} resource" not in words:
        return ""
    where = f"a Role in namespace {deed.namespace}" if deed.namespace else "a ClusterRole"
    return (
        f' (grant it in {where}: apiGroups ["{deed.kind.group}"], '
        f'resources ["{deed.resource}"], verbs ["{deed.verb}"])'
    )


def _retry_after(answer: ApiResponse) -> float | None:
    """Seconds; the API server sends whole seconds, never a date."""
    text = answer.headers.get("Retry-After", "")
    return float(text) if text.isdecimal() else None
