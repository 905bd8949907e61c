"""AWS Signature Version 4, for Amazon Managed Service for Prometheus.

https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv.html describes the steps.
"""

import hashlib
import hmac
import os
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from urllib.parse import quote, unquote, urlsplit

from canary.errors import UsageError
from canary.metrics.http_config import SigV4

_ALGORITHM = "AWS4-HMAC-SHA256"


@dataclass(frozen=True, slots=True)
class AwsKeys:
    """Credentials."""

    access_key: str
    secret_key: str = field(repr=False)
    session_token: str | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True)
class SigningScope:
    """What a signature is valid for."""

    region: str
    service: str


def keys_of(config: SigV4, environment: Mapping[str, str] = os.environ) -> AwsKeys:
    """Return the credentials of the file, or of the environment. Raises UsageError."""
    if config.access_key is not None and config.secret_key is not None:
        return AwsKeys(config.access_key.get_secret_value(), config.secret_key.get_secret_value())
    try:
        return AwsKeys(
            environment["AWS_ACCESS_KEY_ID"],
            environment["AWS_SECRET_ACCESS_KEY"],
            environment.get("AWS_SESSION_TOKEN"),
        )
    except KeyError as error:
        raise UsageError(
            "sigv4: expected access_key and secret_key, or AWS_ACCESS_KEY_ID and "
            "AWS_SECRET_ACCESS_KEY; for the role of a pod run AWS' signing proxy beside the "
            "operator (docs/prometheus.md)"
        ) from error


def sign_request(  # noqa: PLR0913, PLR0917 - what is signed, by whom, for what and when
    method: str,
    url: str,
    content_type: str,
    body: bytes,
    keys: AwsKeys,
    scope: SigningScope,
    now: float,
) -> dict[str, str]:
    """Return the headers to add: Authorization, X-Amz-Date and the session token, if any.

    `now` is in seconds since the epoch. An empty `content_type` is not signed. The URL has no
    query: queries are sent in the body.
    """
    parts, moment = urlsplit(url), time.strftime("%Y%m%dT%H%M%SZ", time.gmtime(now))
    signed = {"host": parts.netloc, "x-amz-date": moment}
    if content_type:
        signed["content-type"] = content_type
    if keys.session_token is not None:
        signed["x-amz-security-token"] = keys.session_token
    names = ";".join(sorted(signed))
    canonical = _build_canonical(method, parts.path, signed, body)
    credential = f"{moment[:8]}/{scope.region}/{scope.service}/aws4_request"
    signature = _compute_signature(keys.secret_key, moment, credential, canonical)
    added = {
        "X-Amz-Date": moment,
        "Authorization": f"{_ALGORITHM} Credential={keys.access_key}/{credential}, "
        f"SignedHeaders={names}, Signature={signature}",
    }
    if keys.session_token is not None:
        added["X-Amz-Security-Token"] = keys.session_token
    return added


def _build_canonical(method: str, path: str, signed: Mapping[str, str], body: bytes) -> str:
    """Return the request in AWS' canonical form; the query is empty."""
    names = sorted(signed)
    headers = (f"{name}:{signed[name]}" for name in names)
    path = quote(unquote(path) or "/", safe="/-_.~")
    body_hash = hashlib.sha256(body).hexdigest()
    return "\n".join((method, path, "", *headers, "", ";".join(names), body_hash))


def _compute_signature(secret: str, moment: str, credential: str, canonical: str) -> str:
    """Sign the canonical request; each part of the credential narrows the key that signs it."""
    key = b"AWS4" + secret.encode()
    for part in credential.split("/"):
        key = _compute_hmac(key, part)
    digest = hashlib.sha256(canonical.encode()).hexdigest()
    return _compute_hmac(key, f"{_ALGORITHM}\n{moment}\n{credential}\n{digest}").hex()


def _compute_hmac(key: bytes, text: str) -> bytes:
    return hmac.new(key, text.encode(), hashlib.sha256).digest()
