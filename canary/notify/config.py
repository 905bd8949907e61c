"""Loads the operator's receivers from the file of `--notify-file`."""

from pathlib import Path
from typing import Annotated

from pydantic import AfterValidator, Field

from canary.api.analysis import reject_duplicates
from canary.api.config_file import load_config
from canary.api.fields import Frozen, Name, Url, build_field_error
from canary.api.notify import Notify
from canary.errors import CanaryError, UsageError
from canary.notify.message import VARIABLES, Links, unknown_variables
from canary.notify.secrets import MountedSecrets
from canary.runbooks import BASE


class OperatorReceiver(Notify):
    """A receiver for all namespaces or some of them."""

    name: Name
    """Name in metrics and log lines."""
    namespaces: Annotated[tuple[Name, ...], Field(max_length=1000)] = ()
    """Namespaces whose releases it receives; empty: all."""


def validate_template(template: str) -> str:
    """Validate that the address uses only known variables in braces."""
    try:
        unknown = unknown_variables(template)
    except ValueError:
        raise build_field_error("expected matching braces") from None
    if unknown:
        names = ", ".join(VARIABLES)
        raise build_field_error(f"expected only {names} in braces, found {unknown[0]!r}")
    return template


def validate_names(routes: tuple[OperatorReceiver, ...]) -> tuple[OperatorReceiver, ...]:
    """Validate that names are unique, as metrics and log lines identify receivers by them."""
    reject_duplicates([route.name for route in routes])
    return routes


LinkTemplate = Annotated[Url, AfterValidator(validate_template)]


class LinkSettings(Frozen):
    """Addresses of the pages that messages link to."""

    runbooks: Url = BASE
    """Base address; the reason is appended."""
    dashboard: LinkTemplate | None = None
    """Dashboard of a release."""
    pools: LinkTemplate | None = None
    """Dashboard of connection pools, linked if the reason is about them."""


class NotifyFile(Frozen):
    """The content of the file."""

    receivers: Annotated[
        tuple[OperatorReceiver, ...], Field(max_length=100), AfterValidator(validate_names)
    ] = ()
    """Receivers in addition to those of each release's spec."""
    links: LinkSettings = LinkSettings()

    def pages(self) -> Links:
        """Return the links in the form that messages use."""
        return Links(self.links.runbooks, self.links.dashboard, self.links.pools)


def load_receivers(path: Path | None, secrets: Path) -> NotifyFile:
    """Load the file and check that every Secret exists, before the first incident needs it."""
    if path is None:
        return NotifyFile()
    loaded, mounted = load_notify(path), MountedSecrets(secrets)
    for route in loaded.receivers:
        if route.secret is not None:
            try:
                mounted.read("", route.secret)
            except CanaryError as error:
                raise UsageError(f"receiver {route.name}: {error}") from error
    return loaded


def load_notify(path: Path) -> NotifyFile:
    """Load the file. Raises UsageError that lists every problem with line and column."""
    return load_config(path, NotifyFile)
