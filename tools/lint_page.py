"""Write docs/lint.md: how `canary lint` is used, and every rule with its remedy."""

from canary.lint.rules import RULES, LintLevel, LintRule

HEAD = """# `canary lint`: check CanaryRelease files

`canary lint` checks CanaryRelease files for errors and for risks, in an editor, in a pipeline or
before `kubectl apply`. This page shows how to run it and lists every rule.

```sh
canary lint release.yaml                                   # the file alone
canary lint deploy/                                        # a folder with other manifests
canary lint --cluster release.yaml                         # also the objects that it references
canary lint --cluster --prometheus http://localhost:9090 release.yaml   # also the data and traffic
canary lint --strict -o sarif release.yaml > lint.sarif    # for code scanning in a pipeline
```

Each finding is one line: `FILE:LINE:COLUMN: LEVEL: FIELD: what was found. What to do. [RULE]`.
An invalid file (a misspelled field, a weight of 500) is an error without a rule; see
[the spec](spec.md). An empty field (`replicas:`) counts as absent, as in the API server. At least
one of the files must contain a CanaryRelease. A valid release is checked for risks:

- from the spec alone: steps, times, thresholds, and metrics that can never be queried;
- with other manifests among the files, or with `--cluster`: the Deployment, the Service, the route,
  and objects that select pods by labels;
- with `--prometheus`: whether each query of the operator has data for the running pods, and whether
  a good release would end before its deadline with the traffic of the last ten minutes. The
  forecast uses the operator's own test for promotion: a canary without a single error needs 1,312
  requests to exclude 0.5 % more errors than stable, and 6,557 to exclude 0.1 %.

Without `--cluster`, the pods are found in the metrics, whose series need the labels `namespace` and
`pod`.

| exit code | when |
|---|---|
| 0 | no error |
| 1 | the cluster or Prometheus does not respond |
| 2 | at least one error (with `--strict`: or a warning) |
| 7 | forbidden |

`-o json` prints one object with `schemaVersion`; each risk has `rule`, `level`, `message`, `remedy`
and `query` (the PromQL query). `-o sarif` is for code scanning, which shows findings next to the
lines.

## Examples

```console
$ canary lint docs/examples/auth.yaml
```

```console
$ canary lint docs/examples/misspelt.yaml
```

A valid release can still have risks:

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
