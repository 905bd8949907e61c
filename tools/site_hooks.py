"""Hooks of mkdocs: what a page in the repository may link, and a site may not.

Pages link files beside docs/ (manifests, examples, source). On the site such a link leads to the
repository on its code host, named by the variable REPOSITORY_URL; without it the text stays.
"""

import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

Nav = list[str | dict[str, Any]]
DOCS = Path(__file__).resolve().parent.parent / "docs"
_LINK = re.compile(r"(!?)\[([^\]]*)\]\(([^)#\s]+)(#[^)\s]*)?\)")


def on_config(config: Any) -> Any:  # noqa: ANN401 - mkdocs' types
    """The configuration with a whole navigation.

    A folder becomes its pages, and pages that are nowhere else are listed under More.
    """
    config["nav"] = [_expand(entry) for entry in config["nav"]]
    listed = set(_names(config["nav"]))
    every = sorted(path.relative_to(DOCS).as_posix() for path in DOCS.rglob("*.md"))
    if rest := [name for name in every if name not in listed]:
        config["nav"].append({"More": rest})
    return config


def _names(content: Any) -> Iterator[str]:  # noqa: ANN401 - a tree of lists and mappings
    match content:
        case str():
            yield content
        case list():
            for entry in content:
                yield from _names(entry)
        case _:
            for value in content.values():
                yield from _names(value)


def _expand(entry: str | dict[str, Any]) -> str | dict[str, Any]:
    if isinstance(entry, str):
        return entry
    return {title: _pages(content) for title, content in entry.items()}


def _pages(content: str | Nav) -> str | Nav:
    if isinstance(content, list):
        return [_expand(entry) for entry in content]
    if not content.endswith("/"):
        return content
    names = sorted(path.name for path in (DOCS / content).glob("*.md"))
    first = [name for name in names if name == "README.md"]
    return [f"{content}{name}" for name in first + [name for name in names if name not in first]]


def on_page_markdown(markdown: str, page: Any, **_: Any) -> str:  # noqa: ANN401 - mkdocs' types
    """The page with its links out of docs/ replaced."""
    folder = DOCS / Path(page.file.src_uri).parent
    return _LINK.sub(lambda link: _replace(link, folder), markdown)


def _replace(link: re.Match[str], folder: Path) -> str:
    target = link[3]
    if "://" in target or target.startswith("mailto:"):
        return link[0]
    path = (folder / target).resolve()
    inside = path.is_relative_to(DOCS)
    if inside and not path.is_dir():
        return link[0]
    repository = os.environ.get("REPOSITORY_URL", "").rstrip("/")
    if not path.exists():
        return link[0]  # mkdocs reports it
    if inside:  # a folder: its index page
        index = f"{target.rstrip('/')}/README.md"
        return f"[{link[2]}]({index})" if (path / "README.md").exists() else link[2]
    root = DOCS.parent
    if not repository:
        return link[2]
    return f"[{link[2]}]({repository}/blob/main/{path.relative_to(root).as_posix()}{link[4] or ''})"
