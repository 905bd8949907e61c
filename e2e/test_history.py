"""`canary analyze` and `canary backtest` against the cluster's own Prometheus: whatever it holds."""

import json
import os

import pytest

from canary.cli.main import main
from canary.errors import ExitCode

# The router is scraped always, and its processor time always grows: as good as any counter here.
PAIR = ("--canary", "job=traefik", "--stable", 'job=~"traefik"')
COUNTERS = ("--total", "process_cpu_seconds_total", "--bad", 'process_cpu_seconds_total{job=""}')
POLICY = """
apiVersion: canary-controller.dev/v1alpha1
kind: CanaryRelease
metadata: {name: nobody, namespace: nowhere}
spec:
  target: {name: nobody}
  traffic: {replicas: {}}
  steps: [{weight: 10}]
  analysis: {metrics: [{name: errors, ratio: {preset: http}}]}
"""


@pytest.fixture(scope="module")
def prometheus() -> str:
    """Its address."""
    url = os.environ.get("PROMETHEUS_URL")
    if not url:
        pytest.skip("PROMETHEUS_URL is not set: there is no Prometheus to test against")
    return url


def test_a_look_back_counts_what_prometheus_holds(prometheus: str, capsys):
    """Two groups that are the same are not told apart: no Fail, and the same counts."""
    code = main(
        [*("analyze", "--prometheus", prometheus, *PAIR, *COUNTERS), "--from", "-10m", "-o", "json"]
    )
    (case,) = json.loads(capsys.readouterr().out)["cases"]
    assert code in {ExitCode.OK, ExitCode.INCONCLUSIVE}
    assert case["facts"]["canaryTotal"] > 0
    assert case["facts"]["canaryTotal"] == pytest.approx(case["facts"]["stableTotal"], rel=0.1)


def test_watching_folds_as_it_goes(prometheus: str, capsys):
    """Progress on standard error, and requests of the time since the start."""
    code = main(
        [*("analyze", "--prometheus", prometheus, *PAIR, *COUNTERS, "--for", "12s"), "--step", "2s"]
    )
    out, err = capsys.readouterr()
    assert code in {ExitCode.OK, ExitCode.INCONCLUSIVE}
    assert "errors" in out
    assert "Continue" in err


def test_no_release_is_no_verdict(prometheus: str, capsys, tmp_path):
    """A Deployment that never was has no history."""
    policy = tmp_path / "nobody.yaml"
    policy.write_text(POLICY)
    code = main(["backtest", str(policy), "--prometheus", prometheus, "--from", "-1h"])
    assert code == ExitCode.INCONCLUSIVE
    assert "found no version" in capsys.readouterr().err
