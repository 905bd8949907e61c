"""Where runbooks are."""

import pytest

from canary.api import Reason
from canary.runbooks import BASE, VARIABLE, runbook_url


def test_a_runbook_is_named_like_its_reason(monkeypatch: pytest.MonkeyPatch) -> None:
    """Ours, unless somebody says where theirs are; what is said at the place itself comes first."""
    monkeypatch.delenv(VARIABLE, raising=False)
    assert runbook_url(Reason.CONNECTION_LEAK) == f"{BASE}/ConnectionLeak"
    monkeypatch.setenv(VARIABLE, "https://wiki.example/oncall/")
    assert runbook_url(Reason.CONNECTION_LEAK) == "https://wiki.example/oncall/ConnectionLeak"
    assert runbook_url("CanaryDown", "https://here.example") == "https://here.example/CanaryDown"
