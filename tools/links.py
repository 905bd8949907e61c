"""External links of the documentation: `python -m tools.links` asks whether each still answers.

Addresses of examples are never asked: reserved names (RFC 2606), names of a cluster, this machine.
What the project publishes itself is asked from its first release on. Links inside the repository
are the business of `make docs` and of tests.
"""

import os
import re
import sys
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path
from threading import Event

from canary import __version__
from canary.errors import CanaryError
from canary.http.addresses import AddressRules
from canary.http.client import HttpClient, Limits, Proxy
from tools.documented_commands import ROOT, pages

LINKED = {
    "github.com",
    "keepachangelog.com",
    "kind.sigs.k8s.io",
    "prometheus.io",
    "semver.org",
    "www.contributor-covenant.org",
    "www.standardwebhooks.com",
}
"""Hosts that pages link. A new one is added here, by somebody who has read what is there."""
OWN = {"canary-controller.dev"}
"""What a release publishes."""
NAMED = {"hooks.slack.com", "token.actions.githubusercontent.com"}
"""Addresses that a program uses, and that are no pages."""
UNPUBLISHED = re.compile(
    r"pip install ['\"]?canary-controller|ghcr\.io/OWNER|oci://|https://canary-controller\.dev"
)
"""Ways to get what nobody can get before a release."""
MARK = "from release 0.1.0 on"
_URL = re.compile(r"https?://[^\s)`\"'>|,\]}]+")
_PLACEHOLDER = re.compile(r"[A-Z]{3}|[{…$]")
_EXAMPLE = re.compile(r"^localhost$|^127\.|(^|\.)(example(\.com)?|test|svc)$")
_ATTEMPTS, _PAUSE = 3, 5.0
_REFUSED = {HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN, HTTPStatus.TOO_MANY_REQUESTS}
"""A page that answers people only."""


@dataclass(frozen=True, slots=True)
class Link:
    """An address as a page has it."""

    where: str
    """PAGE:LINE, from the root of the repository."""
    url: str

    @property
    def host(self) -> str:
        """Its host, without a port."""
        return re.split(r"[/:?#]", self.url.partition("://")[2].rpartition("@")[2])[0]

    @property
    def example(self) -> bool:
        """Whether nobody is meant to open it; `http://prometheus.monitoring` is in a cluster."""
        in_cluster = self.url.startswith("http://") and self.host.count(".") == 1
        unknown = self.host.count(".") == 0 or bool(_EXAMPLE.search(self.host))
        return in_cluster or unknown or bool(_PLACEHOLDER.search(self.url))


def documents() -> list[Path]:
    """The pages, and the files that they show."""
    top = (ROOT / name for name in ("SECURITY.md", "CODE_OF_CONDUCT.md", "CHANGELOG.md"))
    files = (one for one in (ROOT / "docs").rglob("*") if one.suffix in {".yaml", ".Dockerfile"})
    return [*pages(), *top, *sorted(files)]


def read_links(paths: Iterable[Path]) -> Iterator[Link]:
    """All addresses, in order."""
    for path in paths:
        for number, line in enumerate(path.read_text("utf-8").splitlines(), 1):
            for url in _URL.findall(line):
                yield Link(f"{path.relative_to(ROOT)}:{number}", url.rstrip(".;:*"))


def unmarked(text: str) -> list[int]:
    """Lines (from 1) that name what is not published, without MARK in their section before them."""
    found, marked = [], False
    for number, line in enumerate(text.splitlines(), 1):
        marked = (marked and not line.startswith("#")) or MARK in line.lower()
        if UNPUBLISHED.search(line) and not marked:
            found.append(number)
    return found


def ask(url: str, client: HttpClient, pause: float = _PAUSE) -> str | None:
    """Why the address is dead; None when it answers, if only to say that it is for people."""
    problem = ""
    for attempt in range(_ATTEMPTS):
        if attempt:
            Event().wait(pause)
        try:
            status = client.send("GET", url).status
        except CanaryError as error:
            problem = str(error)
            continue
        if status < HTTPStatus.BAD_REQUEST or status in _REFUSED:
            return None
        problem = f"status {status}"
        if status < HTTPStatus.INTERNAL_SERVER_ERROR:
            break
    return problem


def dead(links: Sequence[Link], client: HttpClient, pause: float = _PAUSE) -> list[str]:
    """One sentence for each address that does not answer."""
    problems = {url: ask(url, client, pause) for url in dict.fromkeys(one.url for one in links)}
    return [f"{one.where}: {one.url}: {why}" for one in links if (why := problems[one.url])]


def main() -> int:
    """1 when a link is dead."""
    every = [one for one in read_links(documents()) if not one.example]
    asked = [one for one in every if one.host in LINKED or (one.host in OWN and _released())]
    proxy = os.environ.get("HTTPS_PROXY")
    client = HttpClient(AddressRules(), Limits(), proxy=Proxy(proxy) if proxy else None)
    problems = dead(asked, client)
    print("\n".join([*problems, f"{len(asked)} links asked, {len(problems)} dead"]))
    return int(bool(problems))


def _released() -> bool:
    """Whether this version is in the changelog as one that was published."""
    return f"## [{__version__}]" in (ROOT / "CHANGELOG.md").read_text("utf-8")


if __name__ == "__main__":
    sys.exit(main())
