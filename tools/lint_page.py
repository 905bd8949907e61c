"""docs/lint.md: how `canary lint` is used, and every rule with its remedy."""

from canary.lint.rules import RULES, Level, Rule

HEAD = """# What `canary lint` finds

The table is generated from `canary/lint/rules.py` by `make generate`.

```sh
canary lint release.yaml                                   # the file alone
canary lint deploy/                                        # a folder: beside the other manifests
canary lint --cluster release.yaml                         # does what it names exist?
canary lint --cluster --prometheus http://localhost:9090 release.yaml   # is there enough data?
canary lint --strict -o sarif release.yaml > lint.sarif    # for a pipeline's code scanning
```

Each finding is one line, `FILE:LINE:COLUMN: LEVEL: FIELD: what was found. What to do. [RULE]`. What
makes a file invalid (a misspelt field, a weight of 500) are errors without a rule: they are the
words of [the spec](spec.md). One CanaryRelease in any of the FILEs is enough; a field that is empty
(`replicas:`) counts as absent, as it does for the API server. A release that is valid is then
looked at as a careful reviewer would:

- alone: steps, times, thresholds, metrics that can never be asked for;
- beside the Deployment, the Service, the route and whatever selects pods by labels, be it among the
  FILEs or, with `--cluster`, in the cluster;
- with `--prometheus`, by asking what the operator would ask: does every query have data for the
  running pods, and would a good release end before its deadline under the traffic of the last ten
  minutes? That is computed with the judge's own test for promotion
  (`canary/core/evidence/promotion.py`): a canary without a single error needs 1,312 requests to
  rule out 0.5 % more errors, 6,557 for 0.1 %.

Without `--cluster` the pods are found by their series, which need labels `namespace` and `pod`.

Exit code 0: no error; 2: at least one (with `--strict`: or a warning); 1: the cluster or Prometheus
does not answer; 7: forbidden. `-o json` prints one object with `schemaVersion`, and with `rule`,
`level`, `message`, `remedy` and `query` (the PromQL to paste) for each risk; `-o sarif` is for code
scanning, where findings show beside the lines.

## Rules

| rule | level | needs | what it means | what to do |
|---|---|---|---|---|
"""


def lint_page() -> str:
    """The page as Markdown."""
    ordered = sorted(RULES, key=lambda rule: rule.level is Level.WARNING)
    return HEAD + "".join(_row(rule) for rule in ordered)


def _row(rule: Rule) -> str:
    cells = (f"`{rule.id}`", rule.level.value, rule.needs.value, rule.title, rule.remedy)
    return f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in cells)} |\n"
