"""For tests of whole releases: a namespace named like the test. `make e2e` sets the cluster up."""

import os
import re

import pytest

from e2e.harness.installed import NAME, NAMESPACE
from e2e.harness.kubectl import KubectlError, get

LONGEST = 30
RUN = os.environ.get("CANARY_E2E_RUN", "")
"""Ends all names: routers and Prometheus remember what the same name did an hour ago."""


def namespace_of(test: str) -> str:
    """`e2e-`, the test's name as far as it fits, which of its cases, and which run."""
    name, _, case = test.removeprefix("test_").rstrip("]").partition("[")
    words = [f"e2e-{name}"[:LONGEST].strip("_"), case, RUN]
    return re.sub(r"[^a-z0-9]+", "-", "-".join(filter(None, words)).lower())


@pytest.fixture
def place(request: pytest.FixtureRequest) -> str:
    """The name of this test's namespace; the operator is installed and the gateway known."""
    missing = {"KUBECONFIG", "GATEWAY_URL", "PROMETHEUS_URL"} - os.environ.keys()
    if missing:
        pytest.skip(f"needs a cluster ({', '.join(sorted(missing))} not set): see `make e2e`")
    try:
        found = get(NAMESPACE, "deployment", NAME)
    except KubectlError as error:
        pytest.skip(f"the cluster does not answer: {error}")
    if found is None:
        # `make e2e` has installed it: gone meanwhile is a failure, not a reason to skip.
        missing_is = pytest.fail if "CANARY_E2E_FIGURES" in os.environ else pytest.skip
        missing_is("the operator is not installed: `make e2e` does that")
    return namespace_of(request.node.name)
