"""The documentation as a site: every page has its place, and every link leads somewhere."""

import re
from pathlib import Path

import pytest

from canary.runbooks import BASE
from tools.documented_commands import pages
from tools.site_hooks import on_config, on_page_markdown

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"
CONFIG = (ROOT / "mkdocs.yml").read_text("utf-8")
PAGES = [*pages(), *(ROOT / name for name in ("SECURITY.md", "CODE_OF_CONDUCT.md"))]
MOST_BYTES = 200_000


def test_every_page_of_the_navigation_exists():
    """And the folders, whose pages follow by themselves; what is left out is listed under More."""
    listed = set(re.findall(r"- (?:\w[\w ]*: )?([\w/-]+(?:\.md|/))", CONFIG.split("\nnav:\n")[1]))
    assert listed
    assert [name for name in listed if not (DOCS / name).exists()] == []
    config = {"nav": [{"Home": "index.md"}, {"Runbooks": "runbooks/"}]}
    home, runbooks, more = on_config(config)["nav"]
    assert home == {"Home": "index.md"}
    assert runbooks["Runbooks"][:2] == ["runbooks/README.md", "runbooks/Aborted.md"]
    assert "install.md" in more["More"]
    assert "runbooks/Aborted.md" not in more["More"]


def test_runbooks_are_published_where_alerts_link_them():
    """One base for the program and the site."""
    address = re.search(r"^site_url: (\S+)", CONFIG, re.MULTILINE)
    assert address is not None
    assert f"{address[1]}runbooks" == BASE


def anchors(path: Path) -> set[str]:
    """As code hosts make them of headings."""
    headings = re.findall(r"^#+ (.+)$", path.read_text("utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", one.lower()).replace(" ", "-") for one in headings}


@pytest.mark.parametrize(
    "path", [pytest.param(one, id=str(one.relative_to(ROOT))) for one in PAGES]
)
def test_every_link_leads_somewhere(path: Path):
    """Files and headings, as a reader of the repository follows them."""
    text = re.sub(r"^```.*?^```$", "", path.read_text("utf-8"), flags=re.MULTILINE | re.DOTALL)
    for target, anchor in re.findall(r"\]\(([^)#\s]*)#?([^)\s]*)\)", text):
        if "://" in target:
            continue
        file = (path.parent / target).resolve() if target else path
        assert file.exists(), target
        assert not anchor or file.suffix != ".md" or anchor in anchors(file), f"{target}#{anchor}"


def test_pictures_are_small():
    """A page is read on a train as well."""
    found = list((DOCS / "pictures").iterdir())
    assert found
    assert [file.name for file in found if file.stat().st_size > MOST_BYTES] == []


class Page:
    """What mkdocs gives a hook."""

    def __init__(self, name: str) -> None:
        self.file = self
        self.src_uri = name


def test_a_link_out_of_the_documentation_leads_to_the_repository(monkeypatch: pytest.MonkeyPatch):
    """The site has no such file; without an address of the repository the words stay."""
    text = "[the policy](../manifests/hold/policy.yaml), [install](install.md), [decisions](decisions/)"
    monkeypatch.delenv("REPOSITORY_URL", raising=False)
    assert (
        on_page_markdown(text, Page("index.md")) == "the policy, [install](install.md), decisions"
    )
    monkeypatch.setenv("REPOSITORY_URL", "https://code.example/canary/")
    assert on_page_markdown(text, Page("index.md")).startswith(
        "[the policy](https://code.example/canary/blob/main/manifests/hold/policy.yaml), "
    )
