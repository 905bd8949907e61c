"""The rules as Prometheus itself evaluates them: `promtool test rules`."""

import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

_SAMPLE = re.compile(r"(?:\{([^{}]*)\} )?([-+.0-9E]+|NaN|[+-]Inf)(?:, |\s*$)", re.MULTILINE)
RULES = Path(__file__).parents[2] / "manifests/monitoring/rules.yaml"
Rows = dict[str, str]
"""Series and their values in promtool's notation: `0+60x20` is 0, 60, 120 …, one per interval."""
Found = list[tuple[dict[str, str], float]]


def evaluate_rules(
    expression: str, rows: Rows, home: Path, *, at: str, every: str = "15s"
) -> Found:
    """Labels and values that `expression` has at a time, with the rules evaluated until then.

    promtool compares, and prints what it got instead of nothing.
    """
    (home / "rules.yaml").write_text(json.dumps({"groups": _concerned(rows)}), "utf-8")
    document = {
        "rule_files": ["rules.yaml"],
        "evaluation_interval": every,
        "tests": [
            {
                "interval": every,
                "input_series": [{"series": key, "values": row} for key, row in rows.items()],
                "promql_expr_test": [{"expr": expression, "eval_time": at, "exp_samples": []}],
            }
        ],
    }
    (home / "test.yaml").write_text(json.dumps(document), "utf-8")
    done = run_promtool("test", "rules", str(home / "test.yaml"))
    said = done.stdout + done.stderr
    if done.returncode == 0:
        return []
    assert "got:" in said, said
    return [
        (dict(re.findall(r'(\w+)="((?:[^"\\]|\\.)*)"', labels)), float(value))
        for labels, value in _SAMPLE.findall(said.partition("got:")[2])
    ]


def _concerned(rows: Rows) -> list[dict[str, Any]]:
    """All rules, but not those that record what an exporter says which is not there: it is quick."""
    names = {re.split(r"[{ ]", row)[0] for row in rows}
    groups = yaml.safe_load(RULES.read_text("utf-8"))["groups"]
    for group in groups:
        group["rules"] = [
            rule
            for rule in group["rules"]
            if not rule.get("labels", {}).keys() & {"preset", "source"}
            or any(re.search(rf"\b{name}\b", rule["expr"]) for name in names)
        ]
    return groups


def run_promtool(*arguments: str, program: str = "promtool") -> subprocess.CompletedProcess[str]:
    """One call; skips where the program is not installed."""
    found = shutil.which(program)
    if found is None:
        pytest.skip(f"{program} is not installed")
    return subprocess.run(
        [found, *arguments], capture_output=True, text=True, timeout=60, check=False
    )
