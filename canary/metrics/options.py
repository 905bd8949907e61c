"""Which Prometheus a command or the operator queries, from an address and a file.

The file has one source, whose fields stand at the top, or several with names:

    default: main
    sources:
      main: {url: 'https://thanos.example.com'}
      team-a:
        url: https://mimir.example.com/prometheus
        http_headers: {X-Scope-OrgID: {values: [team-a]}}
"""

import logging
import threading
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Self
from urllib.parse import urlsplit

from pydantic import Field, model_validator

from canary.api.config_file import load_config
from canary.api.fields import Name, build_field_error
from canary.errors import CanaryError, UsageError
from canary.http.urls import split_url
from canary.metrics.credentials import stamp_of
from canary.metrics.http import check_config
from canary.metrics.http_config import AUTHENTICATION, Address, HttpConfig
from canary.metrics.query_api import PrometheusOptions

_log = logging.getLogger(__name__)
_HISTORY_TIMEOUT = 60.0
"""Query timeout in seconds. A week of history takes longer than the operator's queries."""
_HISTORY_BYTES = 256 << 20
_THIS_MACHINE = {"localhost", "127.0.0.1", "::1"}
_MOST_SOURCES = 50
_UNNAMED = ""
"""Name of the one source of a file without names."""
COMMAND = PrometheusOptions("", attempts=2)
"""Limits of a command."""
HISTORY = replace(COMMAND, read_timeout=60.0, max_bytes=256 << 20)
"""Limits of a command that reads a past: a week takes a server longer than the last minute."""


class PrometheusSource(HttpConfig):
    """One Prometheus, Thanos, Mimir or VictoriaMetrics."""

    url: Address | None = None
    """Address, without `/api/v1`."""


class PrometheusFile(PrometheusSource):
    """The content of the file: one source, or several with names."""

    sources: Annotated[Mapping[Name, PrometheusSource], Field(max_length=_MOST_SOURCES)] = Field(
        default_factory=dict
    )
    """Sources by name; `spec.analysis.prometheus` selects one."""
    default: Name | None = None
    """Name of the source of releases that name none. Needed if there are several."""

    @model_validator(mode="after")
    def one_or_several(self) -> Self:
        """Fields at the top belong to the one source."""
        top = sorted(self.model_fields_set - {"sources", "default"})
        if self.sources and top:
            raise build_field_error("expected this field in each of the sources", top[0])
        without = [name for name, one in self.sources.items() if one.url is None]
        if without:
            raise build_field_error("expected url, found none", "sources", without[0])
        if self.default is not None and self.default not in self.sources:
            raise build_field_error(
                f"expected the name of a source: {', '.join(self.sources) or 'there is none'}",
                "default",
            )
        if len(self.sources) > 1 and self.default is None:
            raise build_field_error("expected default together with several sources", "sources")
        return self


class PrometheusSources:
    """The sources of one file, or of an address. Reads the file again when it changes."""

    def __init__(
        self,
        address: str | None,
        path: Path | None,
        defaults: PrometheusOptions,
        option: str = "--prometheus",
    ) -> None:
        """`address`, the value of `option`, is a URL or the name of a source in the file.

        `defaults` has the limits, and the URL if none is given.

        Raises UsageError: not a URL, a wrong file, or two URLs.
        """
        named = path is not None and address is not None and "://" not in address
        self._preferred = address if named else None
        self._url = None if named or address is None else checked_url(option, address)
        self._option = option
        self._path = path
        self._defaults = defaults
        self._lock = threading.Lock()
        self._stamp = self._stamp_files()
        self._sources = self._load_file()

    def current(self) -> Mapping[str, PrometheusOptions]:
        """Return the options by name; the first is the default. Never raises."""
        stamp = self._stamp_files()
        with self._lock:
            if stamp != self._stamp:
                self._stamp = stamp
                try:
                    self._sources = self._load_file()
                    _log.info("%s has changed and was read again", self._path)
                except CanaryError as error:
                    _log.error("the changed %s is not used: %s", self._path, error)
            return self._sources

    def select(self, name: str | None) -> PrometheusOptions:
        """Return the source of this name, or the default. Raises UsageError if there is none."""
        sources = self.current()
        if name is None:
            return next(iter(sources.values()))
        if name in sources and name != _UNNAMED:
            return sources[name]
        known = f"expected one of {', '.join(self.named)}" if self.named else "no source has a name"
        where = self._path or f"without --prometheus-config ({self._option} is one address)"
        raise UsageError(f"no Prometheus is named {name!r}: {known} in {where}")

    def select_for(self, release: str | None) -> PrometheusOptions:
        """Return the source that a person chose, or else that of a release.

        `release` is its spec.analysis.prometheus; it counts only if the sources have names.
        """
        return self.select(self._preferred or (release if self.named else None))

    def chosen(self) -> tuple[PrometheusOptions, ...]:
        """Return the source that a person chose, or else all."""
        if self._preferred is not None:
            return (self.select(self._preferred),)
        return tuple(self.current().values())

    @property
    def named(self) -> tuple[str, ...]:
        """The names of the sources."""
        return tuple(name for name in self.current() if name != _UNNAMED)

    def _stamp_files(self) -> tuple[object, ...]:
        return stamp_of([self._path] if self._path is not None else [])

    def _load_file(self) -> Mapping[str, PrometheusOptions]:
        if self._path is None:
            config = PrometheusSource(proxy_from_environment=True)
            return {_UNNAMED: self._build_options(_UNNAMED, config)}
        file = load_config(self._path, PrometheusFile, secret=True)
        if file.sources and self._url is not None:
            raise UsageError(
                f"{self._option} and {self._path} both have addresses: omit {self._option}"
            )
        default = file.default or next(iter(file.sources), _UNNAMED)
        names = dict.fromkeys([default, *file.sources])
        return {name: self._build_options(name, file.sources.get(name, file)) for name in names}

    def _build_options(self, name: str, source: PrometheusSource) -> PrometheusOptions:
        if source.url is not None and self._url is not None:
            raise UsageError(
                f"{self._option} and url in {self._path} are both given: omit one of them"
            )
        url = source.url or self._url or self._defaults.url
        if not url:
            raise UsageError(f"{self._path}: expected url, or {self._option}; found neither")
        try:
            check_config(url, source)
        except CanaryError as error:
            raise UsageError(f"{self._path or self._option}: {error}") from error
        _warn_of_plain_secret(url, source)
        return replace(self._defaults, url=url, http=source, name=name)


def options_of(
    address: str | None, config: Path | None, limits: PrometheusOptions = COMMAND
) -> PrometheusOptions | None:
    """Return the Prometheus of a command; None if there is neither address nor file.

    Raises UsageError: not a URL, a wrong file, or an unknown name.
    """
    sources = sources_of(address, config, limits)
    return None if sources is None else sources.select_for(None)


def sources_of(
    address: str | None, config: Path | None, limits: PrometheusOptions = COMMAND
) -> PrometheusSources | None:
    """Return the sources of a command; None if there is neither address nor file."""
    if address is None and config is None:
        return None
    return PrometheusSources(address, config, limits)


def require_sources(
    address: str | None, config: Path | None, limits: PrometheusOptions = COMMAND
) -> PrometheusSources:
    """Return the sources of a command that needs them. Raises UsageError if there are none."""
    sources = sources_of(address, config, limits)
    if sources is None:
        raise UsageError(
            "--prometheus: expected the URL of a Prometheus, found none; give it, or "
            "--prometheus-config FILE"
        )
    return sources


def _warn_of_plain_secret(url: str, source: HttpConfig) -> None:
    """Warn if credentials are sent unencrypted, unless they stay on this machine."""
    parts = urlsplit(url)
    used = [name for name in AUTHENTICATION if getattr(source, name) is not None]
    if used and parts.scheme == "http" and parts.hostname not in _THIS_MACHINE:
        _log.warning("%s is sent to %s without encryption: use https", used[0], url)


def checked_url(flag: str, url: str) -> str:
    """Return the URL unchanged. Raises UsageError if it is invalid or contains a password."""
    if "@" in url:
        raise UsageError(
            f"{flag}: expected an address without name and password, found one with them: messages "
            "would show them, and they are not sent; give them in --prometheus-config"
        )
    try:
        split_url(url)
    except ValueError:
        raise UsageError(f"{flag}: expected http://HOST:PORT or https://…, found {url!r}") from None
    return url
