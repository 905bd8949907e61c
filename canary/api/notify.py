"""Who is told what: the entries of `spec.notify`, and of the operator's own file of receivers.

A credential is never sent to an address that stands in the spec: whoever may write a release could
have it sent to himself. So what needs a secret takes its whole address from the Secret.
"""

from collections.abc import Iterator
from enum import StrEnum
from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from canary.api.fields import Expect, Frozen, ObjectName, SecretKey, Url, build_field_error
from canary.api.reasons import Reason


class Group(StrEnum):
    """Kinds of news, for those who do not want to list reasons."""

    POOL = "pool"
    ROLLBACK = "rollback"
    STUCK = "stuck"
    APPROVAL = "approval"
    PROMOTION = "promotion"
    START = "start"
    ALL = "all"


DEFAULT_GROUPS = (Group.ROLLBACK, Group.STUCK, Group.APPROVAL, Group.PROMOTION)
"""What a receiver is told that asks for nothing: how releases end, and when they need a person."""


class SecretRef(Frozen):
    """One key of a Secret in the release's namespace."""

    name: ObjectName
    """Name of the Secret."""
    key: SecretKey
    """Which of its keys."""


class SecretSource(Frozen):
    """A value that stays in a Secret."""

    secret_ref: SecretRef
    """Where the value is."""


class PagerDuty(Frozen):
    """A service with an Events API v2 integration: triggered, and resolved when it is over."""

    secret_ref: SecretRef
    """Where the integration's routing key is."""
    region: Literal["us", "eu"] = "us"
    """Service region of the PagerDuty account."""


class Alertmanager(Frozen):
    """Alertmanager's API v2: exactly one of `url` and `secretRef`."""

    url: Url | None = None
    """Its address, such as http://alertmanager.monitoring:9093."""
    secret_ref: SecretRef | None = None
    """Where its address is, if that holds a user and a password."""

    @model_validator(mode="after")
    def one_address(self) -> Self:
        """Neither none nor two."""
        if (self.url is None) == (self.secret_ref is None):
            found = "none" if self.url is None else "both"
            raise build_field_error(f"expected exactly one of url and secretRef, found {found}")
        return self


class Hook(Frozen):
    """Any web service: a CloudEvents 1.0 envelope, signed as Standard Webhooks has it."""

    url: Url
    """Where it is posted to."""
    secret_ref: SecretRef | None = None
    """Where the key of the HMAC-SHA256 signature is; without it nothing is signed."""


class Notify(Frozen):
    """One receiver, and what it is told: exactly one of the kinds of receivers."""

    slack: SecretSource | None = None
    """Slack: the Secret holds the URL of an incoming webhook."""
    teams: SecretSource | None = None
    """Microsoft Teams: the Secret holds the URL of a Workflows webhook."""
    pagerduty: PagerDuty | None = None
    """PagerDuty, by Events API v2."""
    alertmanager: Alertmanager | None = None
    """Prometheus' Alertmanager."""
    webhook: Hook | None = None
    """A web service of your own."""
    apprise: SecretSource | None = None
    """Anything that Apprise knows: the Secret holds an Apprise URL (the extra `apprise`)."""
    groups: Annotated[tuple[Group, ...], Field(max_length=10)] = ()
    """Kinds of news; without `groups` and `reasons`: rollback, stuck, approval, promotion."""
    reasons: Annotated[
        tuple[Annotated[Reason, Expect("a reason such as ConnectionLeak or NoData")], ...],
        Field(max_length=60),
    ] = ()
    """Single reasons, besides the groups."""

    @model_validator(mode="after")
    def exactly_one_receiver(self) -> Self:
        """An entry without a receiver would be silent; with two, one filter would rule both."""
        given = [name for name, one in self._members() if one is not None]
        if len(given) != 1:
            found = " and ".join(given) or "none"
            names = ", ".join(RECEIVERS)
            raise build_field_error(f"expected exactly one of {names}, found {found}")
        return self

    @property
    def receiver(self) -> SecretSource | PagerDuty | Alertmanager | Hook:
        """The one member that is there."""
        return next(one for _, one in self._members() if one is not None)

    @property
    def kind(self) -> str:
        """Its name: `slack`, `pagerduty`, …."""
        return next(name for name, one in self._members() if one is not None)

    @property
    def secret(self) -> SecretRef | None:
        """Where its secret is, if it has one."""
        return self.receiver.secret_ref

    def _members(
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
