"""Every way in which a field can be wrong, and the sentence that a person reads about it."""

import pytest

from canary.api import SpecError, load_release

GOOD = """\
apiVersion: canary-controller.dev/v1alpha1
kind: CanaryRelease
metadata: {name: auth, namespace: prod}
spec:
  target: {kind: Deployment, name: auth}
  traffic: {gatewayAPI: {name: auth}}
  checks: [{name: smoke, webhook: {url: 'https://checks.example/smoke'}}]
  steps:
  - {weight: 5, duration: 2m, approval: false}
  - {weight: 25, duration: 5m}
  bake: 30m
  analysis:
    metrics:
    - {name: errors, ratio: {preset: traefik}}
    - {name: pool, pool: {preset: hikaricp}, limit: 0.75}
    - {name: queue, query: 'sum(queue_depth)', max: 100}
"""

SPAN = "expected a duration from 0s to 744h, such as 30s or 1h30m"
WEIGHT = "expected a weight from 1 to 100 (percent)"

WRONG_VALUES = [
    pytest.param(
        "weight: 5",
        "weight: 500",
        f"spec.steps[0].weight: {WEIGHT}, found 500",
        id="too large: the whole range is named",
    ),
    pytest.param(
        "weight: 5",
        "weight: 0",
        f"spec.steps[0].weight: {WEIGHT}, found 0",
        id="too small: the whole range is named",
    ),
    pytest.param(
        "weight: 5",
        "weight: 5.5",
        f"spec.steps[0].weight: {WEIGHT}, found 5.5",
        id="a fraction is no whole number",
    ),
    pytest.param(
        "weight: 5",
        "weight: '5'",
        f"spec.steps[0].weight: {WEIGHT}, found the text '5'",
        id="a quoted number is a text",
    ),
    pytest.param(
        "weight: 5",
        "weight: yes",
        f"spec.steps[0].weight: {WEIGHT}, found true",
        id="yes is true, not a number",
    ),
    pytest.param(
        "weight: 5",
        "weight: 08",
        f"spec.steps[0].weight: {WEIGHT}, found the text '08'",
        id="a leading zero makes a text, not an octal",
    ),
    pytest.param(
        "weight: 5",
        "weight: 0x10",
        f"spec.steps[0].weight: {WEIGHT}, found the text '0x10'",
        id="hexadecimal is a text",
    ),
    pytest.param(
        "weight: 5",
        "weight:",
        f"spec.steps[0].weight: {WEIGHT}, found nothing",
        id="an empty value is not a default",
    ),
    pytest.param(
        "weight: 5",
        "weight: [5]",
        f"spec.steps[0].weight: {WEIGHT}, found a list of 1",
        id="a list is no number",
    ),
    pytest.param(
        "weight: 5",
        "weight: {a: 5}",
        f"spec.steps[0].weight: {WEIGHT}, found a mapping",
        id="a mapping is no number",
    ),
    pytest.param(
        "weight: 5",
        "weight: .inf",
        "spec.steps[0].weight: expected a finite number, found .inf",
        id="infinity is no number, said once",
    ),
    pytest.param(
        "bake: 30m",
        "bake: .NaN",
        "spec.bake: expected a finite number, found .NaN",
        id="not-a-number is no number",
    ),
    pytest.param(
        "max: 100",
        "max: 1e999",
        "spec.analysis.metrics[2].max: expected a finite number, found 1e999",
        id="too large for a float",
    ),
    pytest.param(
        "max: 100",
        "max: '100'",
        "spec.analysis.metrics[2].max: expected a number, found the text '100'",
        id="a quoted bound is a text",
    ),
    pytest.param(
        "duration: 2m",
        "duration: 2 minutes",
        f"spec.steps[0].duration: {SPAN}, found the text '2 minutes'",
        id="a duration in words",
    ),
    pytest.param(
        "duration: 2m",
        "duration: -5",
        f"spec.steps[0].duration: {SPAN}, found -5",
        id="a negative duration",
    ),
    pytest.param(
        "  analysis:\n",
        "  analysis:\n    interval: 1500ms\n",
        "spec.analysis.interval: expected an interval of whole seconds, found 1s500ms",
        id="an interval between two seconds",
    ),
    pytest.param(
        "duration: 2m",
        "duration: 1:30",
        f"spec.steps[0].duration: {SPAN}, found the text '1:30'",
        id="1:30 is not 90",
    ),
    pytest.param(
        "duration: 2m",
        "duration: 120",
        f"spec.steps[0].duration: {SPAN}, found 120",
        id="a duration without a unit",
    ),
    pytest.param(
        "duration: 2m",
        "duration: true",
        f"spec.steps[0].duration: {SPAN}, found true",
        id="a duration is not a boolean",
    ),
    pytest.param(
        "bake: 30m",
        "bake: 745h",
        f"spec.bake: {SPAN}, found the text '745h'",
        id="longer than a month",
    ),
    pytest.param(
        "approval: false",
        "approval: 'yes'",
        "spec.steps[0].approval: expected true or false, found the text 'yes'",
        id="a quoted yes is a text",
    ),
    pytest.param(
        "approval: false",
        "approval: 1",
        "spec.steps[0].approval: expected true or false, found 1",
        id="one is not true",
    ),
    pytest.param(
        "name: auth, namespace",
        "name: Auth, namespace",
        "metadata.name: expected a Kubernetes name (at most 253 lower-case letters, digits, '-' and '.'), found the text 'Auth'",
        id="a name with a capital",
    ),
    pytest.param(
        "namespace: prod",
        "namespace: 5",
        "metadata.namespace: expected a DNS label (at most 63 lower-case letters, digits and '-', no '-' at either end), found 5",
        id="a number is no name",
    ),
    pytest.param(
        "Deployment, name: auth",
        f"Deployment, name: {'a' * 57}",
        "spec.target.name: expected a DNS label (at most 56 lower-case letters, digits and '-', because NAME-canary must be a valid name too), found the text '"
        + "a" * 57
        + "'",
        id="no room for the suffix -canary",
    ),
    pytest.param(
        "limit: 0.75",
        "limit: 75",
        "spec.analysis.metrics[1].limit: expected a share above 0 and below 1 (0.05 is 5 percent), found 75",
        id="percent where a share is meant",
    ),
    pytest.param(
        "https://checks",
        "ftp://checks",
        "spec.checks[0].webhook.url: expected a URL that starts with http:// or https://, found the text 'ftp://checks.example/smoke'",
        id="a URL of another kind",
    ),
    pytest.param(
        "kind: Deployment",
        "kind: StatefulSet",
        "spec.target.kind: expected 'Deployment', found the text 'StatefulSet'",
        id="a kind that is not supported",
    ),
    pytest.param(
        "  bake: 30m",
        "  onInconclusive: Ignore",
        "spec.onInconclusive: expected 'Pause', 'RollBack' or 'Promote', found the text 'Ignore'",
        id="a choice that does not exist",
    ),
    pytest.param(
        "v1alpha1",
        "v1",
        "apiVersion: expected 'canary-controller.dev/v1alpha1', found the text 'canary-controller.dev/v1'",
        id="another version of ours",
    ),
    pytest.param(
        "query: 'sum(queue_depth)'",
        f"query: {'x' * 8193}",
        "spec.analysis.metrics[2].query: expected a PromQL expression of 1 to 8,192 characters, found the text '"
        + "x" * 60
        + "…'",
        id="a found text is shortened",
    ),
]

WRONG_SHAPES = [
    pytest.param(
        "weight: 5, ",
        "",
        "spec.steps[0].weight: this field is required, found nothing",
        id="a missing field",
    ),
    pytest.param(
        "approval: false",
        "aproval: false",
        "spec.steps[0].aproval: unknown field 'aproval'; did you mean approval? (allowed: weight, duration, approval)",
        id="a misspelt field",
    ),
    pytest.param(
        "approval: false",
        "zzz: 1",
        "spec.steps[0].zzz: unknown field 'zzz' (allowed: weight, duration, approval)",
        id="an unknown field that resembles none",
    ),
    pytest.param(
        "  bake: 30m",
        "  on_inconclusive: Pause",
        "spec.on_inconclusive: unknown field 'on_inconclusive'; did you mean onInconclusive? (allowed: target, service, isolation, traffic, suspend, checks, steps, bake, deadline, progressDeadline, analysis, rollbackWindow, onInconclusive, notify)",
        id="the name inside Python is not the name in YAML",
    ),
    pytest.param(
        "traffic: {gatewayAPI: {name: auth}}",
        "traffic: auth",
        "spec.traffic: expected a mapping (gatewayAPI, istio, traefik, replicas, routes, propagationDelay), found the text 'auth'",
        id="a text where a mapping is meant",
    ),
    pytest.param(
        "traffic: {gatewayAPI: {name: auth}}",
        "traffic: {replicas: 3}",
        "spec.traffic.replicas: expected a mapping (without fields), found 3",
        id="a mapping that has no fields",
    ),
    pytest.param(
        "traffic: {gatewayAPI: {name: auth}}",
        "traffic: {}",
        "spec.traffic: expected exactly one of gatewayAPI, istio, traefik, replicas, routes, found none",
        id="no router",
    ),
    pytest.param(
        "traffic: {gatewayAPI: {name: auth}}",
        "traffic: {gatewayAPI: {name: auth}, replicas: {}}",
        "spec.traffic: expected exactly one of gatewayAPI, istio, traefik, replicas, routes, found gatewayAPI and replicas",
        id="two routers",
    ),
    pytest.param(
        "traffic: {gatewayAPI: {name: auth}}",
        "traffic: {routes: [{gatewayAPI: {name: auth}}, {istio: {virtualService: auth}, traefik: {traefikService: auth}}]}",
        "spec.traffic.routes[1]: expected exactly one of gatewayAPI, istio, traefik, found istio and traefik",
        id="two routes in one entry",
    ),
    pytest.param(
        "traffic: {gatewayAPI: {name: auth}}",
        "traffic: {routes: [{gatewayAPI: {name: auth, rule: a}}, {gatewayAPI: {name: auth, rule: b}}]}",
        "spec.traffic.routes: expected each route once (without a rule, all of its rules are weighted), found HTTPRoute auth twice",
        id="one route twice",
    ),
    pytest.param(
        "webhook: {url: 'https://checks.example/smoke'}",
        "webhook:",
        "spec.checks[0]: expected exactly one of jobFrom and webhook, found none",
        id="a check that checks nothing",
    ),
    pytest.param(
        "name: smoke,",
        "name: smoke, jobFrom: {cronJob: a},",
        "spec.checks[0]: expected exactly one of jobFrom and webhook, found both",
        id="a check of two kinds",
    ),
    pytest.param(
        "[{name: smoke, webhook: {url: 'https://checks.example/smoke'}}]",
        "[{name: a, jobFrom: {cronJob: a}}, {name: a, jobFrom: {cronJob: b}}]",
        "spec.checks[1].name: expected unique names, found 'a' twice",
        id="two checks of one name",
    ),
    pytest.param(
        "checks: [{name: smoke, webhook: {url: 'https://checks.example/smoke'}}]",
        "checks: smoke",
        "spec.checks: expected a list, found the text 'smoke'",
        id="a text where a list is meant",
    ),
    pytest.param(
        "  steps:\n  - {weight: 5, duration: 2m, approval: false}\n  - {weight: 25, duration: 5m}\n",
        "  steps: []\n",
        "spec.steps: expected a list of 1 or more, found a list of 0",
        id="no steps",
    ),
    pytest.param(
        "  - {weight: 25, duration: 5m}\n",
        "".join(f"  - {{weight: {weight}}}\n" for weight in range(6, 27)),
        "spec.steps: expected a list of at most 20, found a list of 22",
        id="too many steps",
    ),
    pytest.param(
        "weight: 25",
        "weight: 5",
        "spec.steps[1].weight: expected a weight above the step before, found 5 after 5",
        id="weights that do not rise",
    ),
    pytest.param(
        "  bake: 30m",
        "  deadline: 7m",
        "spec.deadline: expected more than 20m (the longer of all step durations together and analysis.minDuration), found 7m",
        id="a deadline that no release can meet",
    ),
    pytest.param(
        "ratio: {preset: traefik}",
        "tolerance: 2",
        "spec.analysis.metrics[0]: expected exactly one of ratio, latency, clientErrors, pool, query, found none",
        id="a metric without a source",
    ),
    pytest.param(
        "pool: {preset: hikaricp}",
        "pool: {preset: hikaricp}, query: up",
        "spec.analysis.metrics[1]: expected exactly one of ratio, latency, clientErrors, pool, query, found pool and query",
        id="a metric with two sources",
    ),
    pytest.param(
        "preset: traefik",
        "preset: traefik, total: a",
        "spec.analysis.metrics[0].ratio: expected either preset, or total with bad or good, found preset and total",
        id="a preset and a selector",
    ),
    pytest.param(
        "preset: traefik",
        "total: a",
        "spec.analysis.metrics[0].ratio: expected either preset, or total with bad or good, found total",
        id="all requests without the bad ones",
    ),
    pytest.param(
        "preset: traefik}",
        "preset: traefik}, max: 5",
        "spec.analysis.metrics[0].max: a ratio metric has only tolerance, limit, floor, found max",
        id="a field that this source ignores",
    ),
    pytest.param(
        "max: 100",
        "for: 2m",
        "spec.analysis.metrics[2]: expected min, max or both with a query: without them it never fails",
        id="a query without bounds",
    ),
    pytest.param(
        "max: 100",
        "max: 1, min: 2",
        "spec.analysis.metrics[2].min: expected min to be at most max, found 2 and 1",
        id="bounds the wrong way round",
    ),
    pytest.param(
        "name: pool,",
        "name: errors,",
        "spec.analysis.metrics[1].name: expected unique names, found 'errors' twice",
        id="two metrics of one name",
    ),
    pytest.param(
        "  bake: 30m\n",
        "  bake: 30m\n  bake: 1h\n",
        "spec.bake: expected this key once, found it in line 11 too",
        id="a key given twice",
    ),
    pytest.param(
        "bake: 30m",
        "bake: !!binary aGk=",
        "spec.bake: expected no tag here, found !!binary",
        id="a YAML tag",
    ),
    pytest.param(
        "bake: 30m",
        "? [bake]\n  : 30m",
        "spec: expected text as a key, found a list or a mapping",
        id="a key that is no text",
    ),
    pytest.param(
        "{weight: 25, duration: 5m}",
        "{<<: 5, weight: 25}",
        "spec.steps[1]: expected a mapping after <<, found something else",
        id="a merge of no mapping",
    ),
]


@pytest.mark.parametrize(("right", "wrong", "sentence"), WRONG_VALUES + WRONG_SHAPES)
def test_one_mistake_is_one_sentence(right: str, wrong: str, sentence: str) -> None:
    """A mistake gives one problem, and nothing that only follows from it."""
    assert right in GOOD
    with pytest.raises(SpecError) as caught:
        load_release(GOOD.replace(right, wrong, 1), "auth.yaml")
    assert [f"{p.where}: {p.message}" for p in caught.value.problems] == [sentence]


ACCEPTED = [
    pytest.param(
        "weight: 5", "weight: 1e1", id="a whole number may be written with an exponent, as in JSON"
    ),
    pytest.param(
        "weight: 5", "weight: 5.0", id="a whole number may be written with a point, as in JSON"
    ),
    pytest.param("duration: 2m", "duration: 1.5h", id="half hours"),
    pytest.param(
        "{gatewayAPI: {name: auth}}",
        "{routes: [{gatewayAPI: {name: auth}}, {gatewayAPI: {name: internal}}]}",
        id="two routes, their kind left out",
    ),
    pytest.param(
        "{gatewayAPI: {name: auth}}",
        "{routes: [{gatewayAPI: {name: auth}}, {gatewayAPI: {kind: GRPCRoute, name: auth}}, "
        "{istio: {virtualService: auth}}, {traefik: {traefikService: auth}}]}",
        id="routes of all kinds with the same name",
    ),
    pytest.param(
        "name: auth, namespace: prod",
        "name: auth, namespace: prod, labels: {a: b}",
        id="metadata that is not ours",
    ),
    pytest.param(
        "{weight: 5, duration: 2m, approval: false}\n  - {weight: 25, duration: 5m}",
        "&step {weight: 5, duration: 2m}\n  - {<<: *step, weight: 25}",
        id="anchors, aliases and merges",
    ),
    pytest.param("apiVersion", "%YAML 1.2\n---\napiVersion", id="a directive"),
    pytest.param("kind: CanaryRelease", "kind: CanaryRelease\r", id="lines ended as on Windows"),
]


@pytest.mark.parametrize(("plain", "other"), ACCEPTED)
def test_what_is_right_is_taken(plain: str, other: str) -> None:
    """Other ways to write a right thing are taken as well."""
    assert plain in GOOD
    assert load_release(GOOD.replace(plain, other, 1), "auth.yaml").metadata.name == "auth"


def test_all_mistakes_are_said_at_once_in_the_order_of_the_file() -> None:
    """A file with several mistakes says all of them, each with its line and column."""
    text = GOOD.replace("weight: 5,", "weight: 500,").replace("bake: 30m", "bake: soon")
    text = text.replace("namespace: prod", "namespace: Prod").replace("max: 100", "mox: 100")
    with pytest.raises(SpecError) as caught:
        load_release(text, "auth.yaml")
    assert [(p.line, p.column, p.where) for p in caught.value.problems] == [
        (3, 24, "metadata.namespace"),
        (9, 6, "spec.steps[0].weight"),
        (11, 3, "spec.bake"),
        (16, 48, "spec.analysis.metrics[2].mox"),
    ]
    first, second, *_ = str(caught.value).splitlines()
    assert first == "auth.yaml is not a valid CanaryRelease, 4 problems:"
    assert second.startswith("  line 3, column 24: metadata.namespace: expected a DNS label")


def test_an_element_of_a_list_that_is_wrong_does_not_make_the_list_too_short() -> None:
    """With its only element wrong, a list is not also called empty."""
    text = GOOD.replace("  - {weight: 25, duration: 5m}\n", "").replace("weight: 5", "weight: 500")
    with pytest.raises(SpecError) as caught:
        load_release(text, "auth.yaml")
    assert [p.where for p in caught.value.problems] == ["spec.steps[0].weight"]
