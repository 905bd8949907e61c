"""External links of the documentation: who is linked, what is promised, and the program that asks."""

from ipaddress import ip_network

import pytest

from canary.http.addresses import AddressRules
from canary.http.client import HttpClient, Limits
from tests.http_server import HttpServer, Reply
from tools.links import LINKED, NAMED, OWN, Link, ask, dead, documents, read_links, unmarked

LOOPBACK = AddressRules(allowed=(ip_network("127.0.0.0/8"),))


@pytest.fixture
def client() -> HttpClient:
    """As the program's, but for this machine."""
    return HttpClient(LOOPBACK, Limits(connect=1, read=1, whole=2))


def test_every_external_link_leads_to_a_host_that_somebody_has_chosen():
    """LINKED in tools/links.py is the list; an address of an example uses a reserved name."""
    hosts = {one.host for one in read_links(documents()) if not one.example}
    assert hosts <= LINKED | NAMED | OWN
    assert hosts >= LINKED, "a host that no page links any more"


@pytest.mark.parametrize(
    ("url", "example"),
    [
        ("http://localhost:9090/x", True),
        ("http://prometheus.monitoring:9090", True),
        ("https://grafana.example.com/d/pools", True),
        ("https://user:secret@git.example/team", True),
        ("https://github.com/OWNER/canary", True),
        ("https://hooks.slack.com/services/…", True),
        ("https://example.io", False),
        ("http://prometheus.io/docs", True),
        ("https://prometheus.io/docs", False),
        ("https://kind.sigs.k8s.io", False),
    ],
)
def test_an_address_of_an_example_is_not_asked(url: str, *, example: bool):
    """By reserved names, names in a cluster and placeholders; a page is linked by https."""
    assert Link("page:1", url).example is example


def test_what_is_not_published_is_said_to_be_so():
    """Nobody types a command that cannot work before release 0.1.0."""
    found = {
        path.name: lines for path in documents() if (lines := unmarked(path.read_text("utf-8")))
    }
    assert found == {}


def test_the_mark_counts_for_its_own_section():
    """And has to stand before what it is about, or beside it."""
    text = (
        "pip install canary-controller\n\nFrom release 0.1.0 on:\npip install canary-controller\n"
    )
    assert unmarked(text) == [1]
    assert unmarked(text + "\n## Image\n`ghcr.io/OWNER/canary-controller`\n") == [1, 7]
    assert unmarked("helm pull oci://x # from release 0.1.0 on") == []


@pytest.mark.parametrize(
    ("status", "asked", "why"),
    [
        (200, 1, None),
        (301, 1, None),
        (403, 1, None),
        (429, 1, None),
        (404, 1, "status 404"),
        (410, 1, "status 410"),
        (503, 3, "status 503"),
    ],
)
def test_a_link_is_dead_when_its_page_is_gone(
    client: HttpClient, server: HttpServer, status: int, asked: int, why: str | None
):
    """A page for people only is there; a server in trouble is asked again."""
    server.answer = lambda _: Reply(status=status)
    assert ask(server.url, client, pause=0) == why
    assert len(server.requests) == asked


def test_a_dead_link_is_reported_wherever_it_stands(client: HttpClient, server: HttpServer):
    """Its address is asked once."""
    server.answer = lambda request: Reply(status=404 if request.path == "/gone" else 200)
    links = [Link("a.md:1", f"{server.url}/gone"), Link("b.md:2", server.url)]
    links.append(Link("c.md:3", f"{server.url}/gone"))
    gone = f"{server.url}/gone: status 404"
    assert dead(links, client, pause=0) == [f"a.md:1: {gone}", f"c.md:3: {gone}"]
    assert len(server.requests) == 2


def test_a_name_that_does_not_resolve_is_dead(client: HttpClient):
    """Nobody has it any more."""
    assert ask("https://nobody.invalid/", client, pause=0) is not None
