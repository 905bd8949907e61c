"""Files that are more, less or other than one CanaryRelease in YAML."""

import pytest

from canary.api import LoadedReleases, SpecError, load_release, load_releases
from canary.api.yaml_documents import MAX_BYTES

GOOD = """\
apiVersion: canary-controller.dev/v1alpha1
kind: CanaryRelease
metadata: {name: auth}
spec:
  target: {name: auth}
  traffic: {replicas: {}}
  steps: [{weight: 5}]
  analysis: {metrics: [{name: errors, ratio: {preset: traefik}}]}
"""
DEPLOYMENT = "apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: auth}\n"


def said(loaded: LoadedReleases) -> list[str]:
    """Its problems as a person reads them."""
    return [str(problem) for problem in loaded.problems]


BROKEN = [
    pytest.param(
        b"",
        "line 1, column 1: file: expected a CanaryRelease, found nothing",
        id="an empty file",
    ),
    pytest.param(
        b"# later\n---\n",
        "line 1, column 1: file: expected a CanaryRelease, found nothing",
        id="only comments",
    ),
    pytest.param(
        DEPLOYMENT.encode(),
        "line 1, column 1: file: expected a CanaryRelease, found Deployment auth",
        id="only objects of other kinds",
    ),
    pytest.param(
        b"auth",
        "line 1, column 1: file: expected a mapping (apiVersion, kind, metadata, spec, status), found the text 'auth'",
        id="a text",
    ),
    pytest.param(
        b"[]",
        "line 1, column 1: file: expected a mapping (apiVersion, kind, metadata, spec, status), found a list of 0",
        id="a list",
    ),
    pytest.param(
        b"a:\n\tb: 1\n",
        "line 2, column 1: file: this is not YAML: expected spaces for indentation, found a tab",
        id="a tab",
    ),
    pytest.param(
        b"a: [1, 2\n",
        "line 2, column 1: file: this is not YAML: expected ',' or ']', but got '<stream end>'",
        id="a bracket left open",
    ),
    pytest.param(
        b"a: *b\n",
        "line 1, column 4: file: this is not YAML: found undefined alias 'b'",
        id="an alias without an anchor",
    ),
    pytest.param(
        "a: ä".encode("utf-16"),
        "line 1, column 1: file: expected UTF-8 text, found UTF-16",
        id="UTF-16",
    ),
    pytest.param(
        b"a: 1\nb: \xff",
        "line 2, column 4: file: expected UTF-8 text, found the byte 0xff",
        id="bytes that are no text",
    ),
    pytest.param(
        b"a: 1\nb: \x00",
        "line 2, column 4: file: expected text, found the control character U+0000",
        id="a control character",
    ),
    pytest.param(
        b"#" * (MAX_BYTES + 1),
        "line 1, column 1: file: expected at most 1 MiB of YAML, found more",
        id="a huge file",
    ),
    pytest.param(
        b"[" * 3000,
        "line 1, column 1: file: expected at most 40 levels, found more (or an alias inside its anchor)",
        id="nested without end",
    ),
    pytest.param(
        b"a: &a [*a]",
        "line 1, column 4: a[0][0]: expected at most 40 levels, found more (or an alias inside its anchor)",
        id="an alias inside its own anchor",
    ),
]


@pytest.mark.parametrize(("content", "sentence"), BROKEN)
def test_a_broken_file_is_one_clear_sentence(content: bytes, sentence: str) -> None:
    """Whatever the bytes are, there is one problem with its place, and no traceback."""
    assert said(load_releases(content, "x.yaml")) == [sentence]


def test_aliases_that_multiply_are_stopped() -> None:
    """A billion laughs end at the limit of values."""
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, 10)]
    (sentence,) = said(load_releases("\n".join(lines), "x.yaml"))
    assert "expected at most 50000 values (aliases written out), found more" in sentence


def test_several_documents_are_judged_one_by_one() -> None:
    """A broken document spoils no other, and lines count from the start of the file."""
    wrong = GOOD.replace("weight: 5", "weight: 0")
    loaded = load_releases(f"{GOOD}---\n{wrong}---\na: [\n---\n{DEPLOYMENT}---\n# end\n", "x.yaml")
    assert [release.metadata.name for release in loaded.releases] == ["auth"]
    assert loaded.others == ("Deployment auth",)
    assert [(problem.line, problem.where) for problem in loaded.problems] == [
        (16, "spec.steps[0].weight"),
        (20, "file"),
    ]


def test_a_byte_order_mark_is_no_mistake() -> None:
    """Editors on Windows write one."""
    assert load_releases(GOOD.encode("utf-8-sig"), "x.yaml").problems == ()


def test_one_release_is_expected_where_one_is_asked_for() -> None:
    """Two releases in a file that should hold one are an error that names both."""
    with pytest.raises(SpecError, match="expected one CanaryRelease, found auth, auth"):
        load_release(f"{GOOD}---\n{GOOD}", "x.yaml")


def test_rules_from_outside_are_part_of_the_problems() -> None:
    """A rule beyond the models says path and sentence, and the file's place is added."""
    loaded = load_releases(GOOD, "x.yaml", rules=[lambda _: [(("spec", "steps"), "no")]])
    assert loaded.releases == ()
    assert said(loaded) == ["line 7, column 3: spec.steps: no"]
