"""HTTP to our own processes: never through a proxy, always with a time-out."""

import requests

REQUEST_TIMEOUT = (1.0, 2.0)
"""Seconds to connect and to answer."""


def send_get(url: str) -> requests.Response:
    """The answer of a process on this machine.

    Raises:
        requests.RequestException: it did not answer.
    """
    with requests.Session() as session:
        session.trust_env = False  # proxies and .netrc are for the world outside
        return session.get(url, timeout=REQUEST_TIMEOUT, allow_redirects=False)


def answers_ok(url: str) -> bool:
    """Whether the process answers with a status below 400."""
    try:
        return send_get(url).ok
    except requests.RequestException:
        return False
