"""Translates answers of the API server into this project's errors.

The class of an error decides what the caller does next: retry, read again, or report it.
"""

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
"""Maximum length of a server's message in an error, in characters."""
_MAX_PAGE = 120
"""The same for a page that does not come from an API server, such as a proxy's."""


class ForbiddenError(PermanentError):
    """RBAC or admission refuses the request; the message names the right to grant."""

    exit_code = ExitCode.NOT_FOUND


class UnauthorizedError(PermanentError):
    """The API server does not accept our credentials."""

    exit_code = ExitCode.NOT_FOUND


class UnreachableError(TransientError):
    """There was no connection: the request was not sent, so any request may be repeated."""


class ResponseLostError(TransientError):
    """The request was sent without a usable answer: the server may have carried it out."""


class ServerFailedError(ResponseLostError):
    """The server answered with an error of its own (5xx): it may have carried the request out."""


class BusyError(TransientError):
    """The server rejected the request unprocessed (429): repeat it after `retry_after` seconds."""


class GoneError(TransientError):
    """The resourceVersion or page token has expired (410): list again."""


class NotLeaderError(TransientError):
    """This replica does not hold the lease, so it must not write."""


@dataclass(frozen=True, slots=True)
class ApiOperation:
    """The operation of a request, as error messages name it."""

    verb: str
    """An RBAC verb: get, list, watch, create, update, patch or delete."""
    kind: Kind
    namespace: str = ""
    name: str = ""
    subresource: str = ""

    @property
    def resource(self) -> str:
        """The resource as RBAC names it, such as `deployments` or `deployments/status`."""
        return f"{self.kind.plural}/{self.subresource}" if self.subresource else self.kind.plural

    def __str__(self) -> str:
        where = f" in namespace {self.namespace}" if self.namespace else ""
        return " ".join(part for part in (self.verb, self.resource, self.name) if part) + where


@dataclass(frozen=True, slots=True)
class ApiResponse:
    """One HTTP response of the API server."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def details(self) -> Mapping[str, Any]:
        """The `Status` object in the body; empty when the body is something else."""
        try:
            body = json.loads(self.body)
        except (ValueError, RecursionError):
            return {}
        return body if isinstance(body, dict) and body.get("kind") == "Status" else {}

    def object(self, operation: ApiOperation) -> Object:
        """Return the object in the body. Raises ResponseLostError when it is not an object."""
        try:
            found = json.loads(self.body)
        except (ValueError, RecursionError):
            found = None
        if not isinstance(found, dict):
            what = self.headers.get("Content-Type", "nothing")
            raise ResponseLostError(
                f"cannot {operation}: expected an object in JSON, found {what}; "
                "is this the address of an API server?"
            )
        return found


def error_from_response(answer: ApiResponse, operation: ApiOperation) -> CanaryError:
    """Return the error for a response with a status of 300 or more."""
    status = answer.details
    words = str(status.get("message") or _quote_page(answer))[:_MAX_MESSAGE]
    return error_from_status(answer.status, status, words, operation, _retry_after(answer))


def _quote_page(answer: ApiResponse) -> str:
    """Describe a body that is not a `Status`: the start of a page, or a redirect's target."""
    if place := answer.headers.get("Location"):
        return f"HTTP {answer.status}, a redirect to {place}; is this the address of an API server?"
    text = " ".join(answer.body.decode(errors="replace").split())[:_MAX_PAGE]
    return f"HTTP {answer.status}: {text}" if text else f"HTTP {answer.status}"


def error_from_status(
    code: int,
    status: Mapping[str, Any],
    words: str,
    operation: ApiOperation,
    retry_after: float | None = None,
) -> CanaryError:
    """Return the error for a `Status` object, from a response or from an ERROR event of a watch."""
    text = f"cannot {operation}: {words}{_HINTS.get(code, '')}"
    match code:
        case HTTPStatus.FORBIDDEN:
            return ForbiddenError(text + _suggest_grant(words, operation))
        case HTTPStatus.NOT_FOUND if not status.get("details"):
            served = f"{operation.kind.kind} ({operation.kind.api_version})"
            return NotFoundError(f"{text}: the cluster does not serve {served}")
        case HTTPStatus.UNPROCESSABLE_ENTITY if operation.verb == "patch" and not status.get(
            "details"
        ):
            return ConflictError(
                f"cannot {operation}: the object is not in the state that the patch expects"
            )
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


def _suggest_grant(words: str, operation: ApiOperation) -> str:
    """Name the missing rule when RBAC refused (quota and admission answer 403 as well)."""
    if f"cannot {operation.verb} resource" not in words:
        return ""
    where = f"a Role in namespace {operation.namespace}" if operation.namespace else "a ClusterRole"
    return (
        f' (grant it in {where}: apiGroups ["{operation.kind.group}"], '
        f'resources ["{operation.resource}"], verbs ["{operation.verb}"])'
    )


def _retry_after(answer: ApiResponse) -> float | None:
    """Read the Retry-After header in seconds; the API server never sends a date."""
    text = answer.headers.get("Retry-After", "")
    return float(text) if text.isdecimal() else None
