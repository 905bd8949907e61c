"""How to log in to a Prometheus: the HTTP client configuration of Prometheus itself.

https://prometheus.io/docs/prometheus/latest/configuration/configuration/#http_config describes the
fields. What is missing here is an unknown field, so nothing is ignored. No message and no `repr`
contains a secret.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import (
    AfterValidator,
    ConfigDict,
    Field,
    GetCoreSchemaHandler,
    SecretStr,
    model_validator,
)
from pydantic_core import CoreSchema, core_schema

from canary.api.fields import Expect, Frozen, build_field_error
from canary.http.urls import split_credentials, split_url

_TOKEN = r"^[-!#$%&'*+.^_`|~0-9A-Za-z]+$"  # noqa: S105  # RFC 9110's token, the name of a header
_RESERVED = frozenset("""
    accept-encoding authorization connection content-encoding content-length content-type host
    proxy-authorization transfer-encoding user-agent www-authenticate
""".split())  # fmt: skip  # noqa: SIM905 - a list of so many words is easier to read
"""Headers that are set by the client, or have fields of their own."""


class PrometheusModel(Frozen):
    """A part of the file, in snake_case as in Prometheus' own files."""

    model_config = ConfigDict(alias_generator=None)


@dataclass(frozen=True, slots=True)
class _ReadableFile:
    """A file that exists; a relative path starts at the directory of the configuration."""

    def __get_pydantic_core_schema__(
        self, _source: object, _handler: GetCoreSchemaHandler
    ) -> CoreSchema:
        return core_schema.with_info_plain_validator_function(_check_readable)


def _check_readable(value: object, info: core_schema.ValidationInfo) -> Path:
    if not isinstance(value, str) or not value or "\0" in value:
        raise build_field_error("expected the path of a file")
    directory = (info.context or {}).get("directory", Path())
    path: Path = directory / value
    try:
        path.read_bytes()
    except OSError as error:
        raise build_field_error(
            f"expected a file that can be read, found {path}: {error.strerror}; correct the "
            f"path (a relative one starts at {directory}), or mount the file"
        ) from error
    return path


def _one_line(value: SecretStr) -> SecretStr:
    text = value.get_secret_value()
    if not text or not text.isprintable():
        raise ValueError
    return value


def _client_url(value: SecretStr) -> SecretStr:
    split_url(split_credentials(value.get_secret_value())[0])
    return value


def _plain_url(value: str) -> str:
    split_url(value)
    return value


Secret = Annotated[
    SecretStr,
    AfterValidator(_one_line),
    Expect("a text on one line (in quotes, if it looks like a number)"),
]
ConfigPath = Annotated[Path, _ReadableFile()]
Address = Annotated[
    str,
    AfterValidator(_plain_url),
    Expect("a URL such as https://HOST:PORT/PATH without name and password"),
]
ProxyAddress = Annotated[
    SecretStr, AfterValidator(_client_url), Expect("a URL such as http://HOST:PORT")
]
HeaderName = Annotated[str, Field(pattern=_TOKEN, max_length=100)]


class TlsConfig(PrometheusModel):
    """Certificates, in files in PEM format."""

    ca_file: ConfigPath | None = None
    """Certificate authorities of the server. Default: the usual ones."""
    cert_file: ConfigPath | None = None
    """Certificate of the client."""
    key_file: ConfigPath | None = None
    """Key of the client's certificate."""
    server_name: str | None = None
    """Name in the server's certificate. Default: the host of the URL."""
    insecure_skip_verify: bool = False
    """Accept any certificate of the server."""
    min_version: Literal["TLS10", "TLS11", "TLS12", "TLS13"] | None = None
    """Lowest version of TLS. Default: TLS12."""
    max_version: Literal["TLS10", "TLS11", "TLS12", "TLS13"] | None = None
    """Highest version of TLS."""

    @model_validator(mode="after")
    def certificate_with_key(self) -> Self:
        """A certificate is of no use without its key."""
        if (self.cert_file is None) != (self.key_file is None):
            missing, given = ("cert_file", "key_file")[:: -1 if self.key_file is None else 1]
            raise build_field_error(f"expected {missing} together with {given}", given)
        return self

    @property
    def files(self) -> tuple[Path, ...]:
        """The files that are read."""
        return tuple(one for one in (self.ca_file, self.cert_file, self.key_file) if one)


class Connection(PrometheusModel):
    """Certificates and proxy."""

    tls_config: TlsConfig = TlsConfig()
    """Certificates."""
    proxy_url: ProxyAddress | None = None
    """Proxy, with name and password if it needs them."""
    no_proxy: str = ""
    """Names and networks that need no proxy, separated by commas."""
    proxy_from_environment: bool = False
    """Use the proxy in HTTP_PROXY, HTTPS_PROXY and NO_PROXY."""
    proxy_connect_header: Mapping[HeaderName, tuple[Secret, ...]] = Field(default_factory=dict)
    """Headers for the proxy."""

    @model_validator(mode="after")
    def one_way_to_a_proxy(self) -> Self:
        """Prometheus refuses these combinations as well."""
        if self.proxy_from_environment and (self.proxy_url is not None or self.no_proxy):
            raise build_field_error(
                "expected either proxy_from_environment or proxy_url, found both",
                "proxy_from_environment",
            )
        if self.proxy_url is None and self.no_proxy:
            raise build_field_error("expected proxy_url together with no_proxy", "no_proxy")
        return self


class BasicAuth(PrometheusModel):
    """Name and password."""

    username: Secret | None = None
    """The name."""
    username_file: ConfigPath | None = None
    """File with the name."""
    password: Secret | None = None
    """The password."""
    password_file: ConfigPath | None = None
    """File with the password; read again for every request."""

    @model_validator(mode="after")
    def one_of_each(self) -> Self:
        """Exactly one name, at most one password."""
        _require_one(self, "username", "username_file")
        _require_one(self, "password", "password_file", optional=True)
        return self


class Authorization(PrometheusModel):
    """The header Authorization, such as `Bearer TOKEN`."""

    type: Annotated[str, Field(pattern=_TOKEN)] = "Bearer"
    """The scheme."""
    credentials: Secret | None = None
    """What follows the scheme."""
    credentials_file: ConfigPath | None = None
    """File with it; read again for every request."""

    @model_validator(mode="after")
    def one_credential(self) -> Self:
        """Exactly one, and not what basic_auth is for."""
        if self.type.lower() == "basic":
            raise build_field_error("expected basic_auth for the type Basic", "type")
        _require_one(self, "credentials", "credentials_file")
        return self


class OAuth2(Connection):
    """A token from the client credentials grant of OAuth 2.0."""

    client_id: Secret
    """Identifier of the client."""
    client_secret: Secret | None = None
    """Secret of the client."""
    client_secret_file: ConfigPath | None = None
    """File with it; read again for every token."""
    scopes: tuple[str, ...] = ()
    """Scopes of the token."""
    token_url: Address
    """Where the token comes from."""
    endpoint_params: Mapping[str, Secret] = Field(default_factory=dict)
    """More parameters of the request for a token."""

    @model_validator(mode="after")
    def one_secret(self) -> Self:
        """Exactly one secret."""
        _require_one(self, "client_secret", "client_secret_file")
        return self


class SigV4(PrometheusModel):
    """AWS Signature Version 4, for Amazon Managed Service for Prometheus."""

    region: str
    """Region, such as eu-central-1."""
    access_key: Secret | None = None
    """Access key. Default: AWS_ACCESS_KEY_ID and the other variables of the environment."""
    secret_key: Secret | None = None
    """Secret of the access key."""
    service_name: str = "aps"
    """Name of the service in the signature."""

    @model_validator(mode="after")
    def key_with_secret(self) -> Self:
        """A key is of no use without its secret."""
        if (self.access_key is None) != (self.secret_key is None):
            raise build_field_error("expected access_key and secret_key together")
        return self


class GoogleIam(PrometheusModel):
    """An access token of Google Cloud, for Managed Service for Prometheus."""

    credentials_file: ConfigPath | None = None
    """Credentials in JSON; read again when the file changes. Default: those of the environment,
    such as the service account of the pod."""


class HeaderValues(PrometheusModel):
    """The values of a header, from three places."""

    values: tuple[Secret, ...] = ()
    """Values."""
    secrets: tuple[Secret, ...] = ()
    """Values that Prometheus would hide."""
    files: tuple[ConfigPath, ...] = ()
    """Files with one value each; read again for every request."""


AUTHENTICATION = ("basic_auth", "authorization", "oauth2", "sigv4", "google_iam")


class HttpConfig(Connection):
    """How to log in to one Prometheus."""

    basic_auth: BasicAuth | None = None
    """Name and password."""
    authorization: Authorization | None = None
    """The header Authorization."""
    oauth2: OAuth2 | None = None
    """A token from an authorization server."""
    sigv4: SigV4 | None = None
    """A signature for AWS."""
    google_iam: GoogleIam | None = None
    """A token of Google Cloud; needs the extra `google`."""
    http_headers: Annotated[Mapping[HeaderName, HeaderValues], Field(max_length=50)] = Field(
        default_factory=dict
    )
    """More headers, such as X-Scope-OrgID."""
    follow_redirects: Literal[False] = False
    """Redirects are not followed: they could carry the credentials elsewhere."""

    @model_validator(mode="after")
    def one_way_in(self) -> Self:
        """Two ways to log in would set the same header."""
        given = [name for name in AUTHENTICATION if getattr(self, name) is not None]
        if len(given) > 1:
            found = " and ".join(given)
            raise build_field_error(
                f"expected at most one of {', '.join(AUTHENTICATION)}, found {found}", given[1]
            )
        return self

    @model_validator(mode="after")
    def no_reserved_header(self) -> Self:
        """Some headers are set by the client, and some have fields of their own."""
        wrong = [name for name in self.http_headers if name.lower() in _RESERVED]
        if wrong:
            raise build_field_error(
                f"expected a header other than {wrong[0]}: the client sets it itself, or a field"
                " such as authorization does",
                "http_headers",
                wrong[0],
            )
        return self


def _require_one(model: PrometheusModel, one: str, other: str, *, optional: bool = False) -> None:
    given = sum(getattr(model, name) is not None for name in (one, other))
    if given == 2:  # noqa: PLR2004  # both
        raise build_field_error(f"expected either {one} or {other}, found both", other)
    if given == 0 and not optional:
        raise build_field_error(f"expected {one} or {other}, found neither")
