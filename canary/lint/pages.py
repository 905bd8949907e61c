"""Reads the files of a lint run: one page for each, with the releases and manifests in it."""

from collections.abc import Sequence

from canary.api import Loaded, Problem, load_releases
from canary.discovery.manifest_files import content_of, paths_of
from canary.discovery.release_file import unknown_presets
from canary.errors import UsageError
from canary.lint.review import Page, page_of


def read_pages(files: Sequence[str], namespace: str | None) -> list[Page]:
    """All files; one CanaryRelease in any of them is enough, the others stand beside it."""
    paths = [path for file in files for path in _paths(file)]
    pages = [_page(path, namespace, required=False) for path in paths]
    if any(page.loaded.releases or page.loaded.problems for page in pages):
        return pages
    return [_page(path, namespace, required=True) for path in paths[:1]] + pages[1:]


def _paths(file: str) -> list[str]:

    try:
        return list(paths_of(file))
    except UsageError:
        return [file]  # An empty folder: reading it says what is wrong, beside the other files.


def _page(file: str, namespace: str | None, *, required: bool) -> Page:

    name = "stdin" if file == "-" else file
    try:
        content = content_of(file)
    except OSError as error:
        found = error.strerror or "an error"
        unreadable = Problem(1, 1, "file", f"a readable file is expected, found: {found}")
        return Page(Loaded(name, (), (), (unreadable,)), (), ())
    loaded = load_releases(content, name, rules=(unknown_presets,), required=required)
    return page_of(loaded, content, namespace)
