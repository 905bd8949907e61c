"""A real API server refuses what our own loader refuses, and takes what it takes."""

import json

import pytest

from canary.api.yaml_documents import read_documents
from e2e.fixtures_manifests import NAMESPACE, ROOT, Kubectl, cluster
from tests.api.test_load import ACCEPTED, GOOD, WRONG_SHAPES, WRONG_VALUES
from tests.manifests.server_reasons import FILE_ONLY, WORDS

__all__ = ["cluster"]
WRONG = [case for case in [*WRONG_VALUES, *WRONG_SHAPES] if case.id not in FILE_ONLY]
PATH = f"/apis/canary-controller.dev/v1alpha1/namespaces/{NAMESPACE}/canaryreleases"
TRIED = f"{PATH}?dryRun=All&fieldValidation=Strict"


def sent(cluster: Kubectl, text: str) -> tuple[bool, str]:
    """Whether the API server would take it, and what it said."""
    text = text.replace("namespace: prod", f"namespace: {NAMESPACE}")
    (document,) = read_documents(text)
    done = cluster("create", "--raw", TRIED, "-f", "-", stdin=json.dumps(document.data))
    return done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize(
    ("right", "wrong", "sentence", "server"),
    [pytest.param(*case.values, WORDS.get(case.id), id=case.id) for case in WRONG],
)
def test_a_mistake_is_refused_in_our_words(
    cluster: Kubectl, right: str, wrong: str, sentence: str, server: str | None
) -> None:
    """Each bad spec of the loader's table is refused by the server, at the same place."""
    accepted, said = sent(cluster, GOOD.replace(right, wrong, 1))
    assert not accepted, said
    assert "evaluating rule" not in said, "the rule itself failed"
    assert (server or sentence.partition(": ")[2].partition(", found ")[0]) in said


@pytest.mark.parametrize(
    ("plain", "other"), [pytest.param(*case.values, id=case.id) for case in ACCEPTED]
)
def test_what_our_loader_takes_is_taken(cluster: Kubectl, plain: str, other: str) -> None:
    """Other ways to write a right thing are taken as well."""
    accepted, said = sent(cluster, GOOD.replace(plain, other, 1))
    assert accepted, said


def test_the_example_of_the_documentation_is_taken(cluster: Kubectl) -> None:
    """docs/examples/auth.yaml can be applied."""
    text = (ROOT / "docs/examples/auth.yaml").read_text("utf-8")
    accepted, said = sent(cluster, text)
    assert accepted, said


def test_what_is_filled_in_is_read_back(cluster: Kubectl) -> None:
    """The server's defaults stand in the answer outside lists and nowhere in them."""
    accepted, said = sent(cluster, GOOD)
    assert accepted, said
    spec = json.loads(said)["spec"]
    assert (spec["deadline"], spec["analysis"]["interval"]) == ("2h", "10s")
    assert spec["steps"][1] == {"weight": 25, "duration": "5m"}
