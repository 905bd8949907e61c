"""docs/lint.md: how `canary lint` is used, and every rule with its remedy."""

from canary.lint.rules import RULES, LintLevel, LintRule

HEAD = """# What `canary lint` finds

The table is generated from `canary/lint/rules.py` by `make generate`.

```sh
canary lint release.yaml                                   # the file alone
canary lint deploy/                                        # a folder with other manifests
canary lint --cluster release.yaml                         # do the referenced objects exist?
canary lint --cluster --prometheus http://localhost:9090 release.yaml   # is there enough data?
canary lint --strict -o sarif release.yaml > lint.sarif    # for code scanning in a pipeline
```

Each finding is one line, `FILE:LINE:COLUMN: LEVEL: FIELD: what was found. What to do. [RULE]`. What
makes a file invalid (a misspelled field, a weight of 500) is an error without a rule; see
[the spec](spec.md). One CanaryRelease in any of the FILEs is enough; an empty field (`replicas:`)
counts as absent, as it does for the API server. Valid releases are checked for risks:

- the spec alone: steps, times, thresholds, metrics that can never be queried;
- the Deployment, the Service, the route and objects that select pods by labels, read from the
  FILEs or, with `--cluster`, from the cluster;
- with `--prometheus`, the operator's queries: does each have data for the running pods, and would a
  good release end before its deadline with the traffic of the last ten minutes? The forecast uses
  the judge's own test for promotion
  (`canary/core/evidence/promotion.py`): a canary without a single error needs 1,312 requests to
  rule out 0.5 % more errors, 6,557 for 0.1 %.

Without `--cluster`, pods are found by their series, which need the labels `namespace` and `pod`.

Exit code 0: no error; 2: at least one (with `--strict`: or a warning); 1: the cluster or Prometheus
does not respond; 7: forbidden. `-o json` prints one object with `schemaVersion`, and with `rule`,
`level`, `message`, `remedy` and `query` (the PromQL query) for each risk; `-o sarif` is for code
scanning, which shows findings next to the lines.

## Examples

```console
$ canary lint docs/examples/auth.yaml
```

```console
$ canary lint docs/examples/misspelt.yaml
```

What is valid may still be a risk:

```console
$ canary lint docs/examples/risky.yaml
```

## Rules

| rule | level | needs | what it means | what to do |
|---|---|---|---|---|
"""


def lint_page() -> str:
    """The page as Markdown."""
    ordered = sorted(RULES, key=lambda rule: rule.level is LintLevel.WARNING)
    return HEAD + "".join(_row(rule) for rule in ordered)


def _row(rule: LintRule) -> str:
    cells = (f"`{rule.id}`", rule.level.value, rule.needs.value, rule.title, rule.remedy)
    return f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in cells)} |\n"
