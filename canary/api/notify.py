"""Receivers of notifications: entries of `spec.notify` and of the operator's receiver file.

A credential is never sent to an address in the spec, because everyone who may write a release could
redirect it. Receivers with a credential read their whole address from the Secret.
"""

from collections.abc import Iterator
from enum import StrEnum
from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from canary.api.fields import Expect, Frozen, ObjectName, SecretKey, Url, build_field_error
from canary.api.reasons import Reason


class Group(StrEnum):
    """Groups of reasons, for users who do not want to list reasons."""

    POOL = "pool"
    ROLLBACK = "rollback"
    STUCK = "stuck"
    APPROVAL = "approval"
    PROMOTION = "promotion"
    START = "start"
    ALL = "all"


DEFAULT_GROUPS = (Group.ROLLBACK, Group.STUCK, Group.APPROVAL, Group.PROMOTION)
"""Groups of a receiver that names none: how releases end, and when they need a person."""


class SecretRef(Frozen):
    """One key of a Secret in the release's namespace."""

    name: ObjectName
    """Name of the Secret."""
    key: SecretKey
    """Key in the Secret."""


class SecretSource(Frozen):
    """A value in a Secret."""

    secret_ref: SecretRef
    """The Secret with the value."""


class PagerDuty(Frozen):
    """A PagerDuty service with an Events API v2 integration.

    Incidents are resolved automatically.
    """

    secret_ref: SecretRef
    """The Secret with the integration's routing key."""
    region: Literal["us", "eu"] = "us"
    """Service region of the PagerDuty account."""


class Alertmanager(Frozen):
    """Alertmanager's API v2: exactly one of `url` and `secretRef`."""

    url: Url | None = None
    """Address, such as http://alertmanager.monitoring:9093."""
    secret_ref: SecretRef | None = None
    """The Secret with the address, if it contains user and password."""

    @model_validator(mode="after")
    def one_address(self) -> Self:
        """Reject an entry without exactly one of both."""
        if (self.url is None) == (self.secret_ref is None):
            found = "none" if self.url is None else "both"
            raise build_field_error(f"expected exactly one of url and secretRef, found {found}")
        return self


class Hook(Frozen):
    """A web service that accepts CloudEvents 1.0, signed according to Standard Webhooks."""

    url: Url
    """Address for POST requests."""
    secret_ref: SecretRef | None = None
    """The Secret with the key of the HMAC-SHA256 signature; without it requests are not signed."""


class Notify(Frozen):
    """One receiver and its subscriptions: exactly one of the receiver fields."""

    slack: SecretSource | None = None
    """Slack: the Secret contains the URL of an incoming webhook."""
    teams: SecretSource | None = None
    """Microsoft Teams: the Secret contains the URL of a Workflows webhook."""
    pagerduty: PagerDuty | None = None
    """PagerDuty, through Events API v2."""
    alertmanager: Alertmanager | None = None
    """Prometheus' Alertmanager."""
    webhook: Hook | None = None
    """Your own web service."""
    apprise: SecretSource | None = None
    """Any service that Apprise supports: the Secret contains an Apprise URL (extra `apprise`)."""
    groups: Annotated[tuple[Group, ...], Field(max_length=10)] = ()
    """Subscribed groups; without `groups` and `reasons`: rollback, stuck, approval, promotion."""
    reasons: Annotated[
        tuple[Annotated[Reason, Expect("a reason such as ConnectionLeak or NoData")], ...],
        Field(max_length=60),
    ] = ()
    """Subscribed reasons, in addition to the groups."""

    @model_validator(mode="after")
    def exactly_one_receiver(self) -> Self:
        """Reject an entry without exactly one receiver."""
        given = [name for name, one in self._list_members() if one is not None]
        if len(given) != 1:
            found = " and ".join(given) or "none"
            names = ", ".join(RECEIVERS)
            raise build_field_error(f"expected exactly one of {names}, found {found}")
        return self

    @property
    def receiver(self) -> SecretSource | PagerDuty | Alertmanager | Hook:
        """The receiver that is set."""
        return next(one for _, one in self._list_members() if one is not None)

    @property
    def kind(self) -> str:
        """Name of the receiver field: `slack`, `pagerduty`, …."""
        return next(name for name, one in self._list_members() if one is not None)

    @property
    def secret(self) -> SecretRef | None:
        """The Secret of the receiver, if it has one."""
        return self.receiver.secret_ref

    def _list_members(
        self,
    ) -> Iterator[tuple[str, SecretSource | PagerDuty | Alertmanager | Hook | None]]:
        yield from (
            ("slack", self.slack),
            ("teams", self.teams),
            ("pagerduty", self.pagerduty),
            ("alertmanager", self.alertmanager),
            ("webhook", self.webhook),
            ("apprise", self.apprise),
        )


RECEIVERS = ("slack", "teams", "pagerduty", "alertmanager", "webhook", "apprise")
"""The kinds of receivers."""
