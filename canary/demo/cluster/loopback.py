"""HTTP to processes of this machine: never through a proxy, always with a timeout."""

import requests

REQUEST_TIMEOUT = (1.0, 2.0)
"""Seconds to connect and to answer."""


def send_get(url: str) -> requests.Response:
    """Send a GET to a process on this machine.

    Raises:
        requests.RequestException: no answer.
    """
    with requests.Session() as session:
        session.trust_env = False  # ignore proxies and .netrc
        return session.get(url, timeout=REQUEST_TIMEOUT, allow_redirects=False)


def answers_ok(url: str) -> bool:
    """Return whether the process answers with a status below 400."""
    try:
        return send_get(url).ok
    except requests.RequestException:
        return False
