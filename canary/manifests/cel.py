"""Writes the models' rules in CEL, so that the API server gives the same messages as our loader.

Rules for one value are derived from its JSON schema. Rules across fields are written by hand, each
with the name of the validator in `canary.api` that it repeats.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from canary.api.analysis import FIELDS_OF, Metric
from canary.api.fields import DURATION, format_duration
from canary.api.notify import RECEIVERS
from canary.api.spec import Step
from canary.api.traffic import GatewayRoute

MAX_STEPS = 20
_BOUNDS = {"minimum": ">=", "exclusiveMinimum": ">", "maximum": "<=", "exclusiveMaximum": "<"}
_RANGE = {"least": ">=", "most": "<="}
_SIZES = {"minLength": ">=", "maxLength": "<="}


@dataclass(frozen=True, slots=True)
class CelRule:
    """One entry of x-kubernetes-validations.

    `found` is a CEL expression that adds the value that was found to the message. It is empty where
    the API server cannot bound the cost of the expression, as when numbers are converted to text.
    """

    validator: str
    """The validator in `canary.api` with the same rule."""
    holds: str
    message: str
    found: str = ""
    field: str = ""

    def to_schema(self) -> dict[str, str]:
        """Return the rule as written in the schema."""
        entry = {"rule": self.holds, "message": self.message}
        if self.found:
            entry["messageExpression"] = (
                f"{quote_literal(self.message + ', found ')} + {self.found}"
            )
        return entry | ({"fieldPath": f".{self.field}"} if self.field else {})


def quote_literal(value: str) -> str:
    """Return a CEL string literal."""
    escaped = value.replace("\\", "\\\\").replace("'", "\\'")
    return f"'{escaped}'"


def value_rule(schema: Mapping[str, Any]) -> list[dict[str, str]]:
    """Return the rule for a value that has `words`: its bounds, its pattern, its range in time."""
    if "words" not in schema or "enum" in schema:
        return []
    number = float if schema["type"] == "number" else int
    parts = ["self != ''"] if "least" in schema else []
    parts += [f"size(self) {sign} {schema[key]}" for key, sign in _SIZES.items() if key in schema]
    parts += [f"self.matches({quote_literal(schema['pattern'])})"] if "pattern" in schema else []
    parts += [
        f"self {sign} {number(schema[key])}" for key, sign in _BOUNDS.items() if key in schema
    ]
    parts += [
        f"duration(self) {sign} duration('{schema[key]}')"
        for key, sign in _RANGE.items()
        if key in schema
    ]
    return [{"rule": " && ".join(parts), "message": f"expected {schema['words']}"}]


def _present_fields(names: Sequence[str]) -> str:
    """Return CEL that lists the fields that are set, in the words of our loader."""
    return _join_names([(name, f"has(self.{name})") for name in names])


def _join_names(named: Sequence[tuple[str, str]]) -> str:
    """Return CEL that lists names whose condition holds; literals have a cost that is known."""
    conditions = [f"({condition})" for _, condition in named]
    parts = [f"(!({' || '.join(conditions)}) ? 'none' : '')"]
    for index, (name, _) in enumerate(named):
        first = f"({' || '.join(conditions[:index]) or 'false'}) ? ' and {name}' : '{name}'"
        parts.append(f"({conditions[index]} ? ({first}) : '')")
    return " + ".join(parts)


def _one_of(names: Sequence[str]) -> str:
    """Return CEL: exactly one of the fields is set."""
    return f"[{', '.join(f'has(self.{name})' for name in names)}].exists_one(given, given)"


def _only_field(kind: str) -> str:
    others = (f"!has(self.{other})" for other in FIELDS_OF if other != kind)
    return " && ".join((f"has(self.{kind})", *others))


def _stray_field(field: str) -> tuple[str, str]:
    """Return a metric's field, and CEL for whether it differs from its default."""
    name, default = field.rstrip("_"), Metric.model_fields[field].default
    there = "has(self.__for__)" if name == "for" else f"has(self.{name})"
    if default is None:
        return name, there
    if name == "for":
        return name, f"{there} && {parse_duration('self.__for__')} != duration('{default}s')"
    return name, f"{there} && self.{name} != {default}"


def _field_rule(kind: str) -> CelRule:
    fields = {field for fields in FIELDS_OF.values() for field in fields}
    strays = [_stray_field(field) for field in sorted(fields - set(FIELDS_OF[kind]))]
    allowed = ", ".join(field.rstrip("_") for field in FIELDS_OF[kind])
    return CelRule(
        "fields_fit_the_source",
        f"!({_only_field(kind)}) || !({' || '.join(f'({stray})' for _, stray in strays)})",
        f"a {kind} metric has only {allowed}",
        _join_names(strays),
    )


def parse_duration(value: str) -> str:
    """Return CEL for the duration; an invalid one is reported elsewhere and is 0 here."""
    readable = f"{value} != '' && {value}.matches({quote_literal(f'^{DURATION}$')})"
    return f"({readable} ? duration({value}) : duration('0s'))"


_ROUTES = ("gatewayAPI", "istio", "traefik")
_ROUTERS = (*_ROUTES, "replicas", "routes")


def _same_route(one: str, other: str) -> str:
    """Return CEL: both entries name the same route. The API server sets no defaults in lists."""

    def same(field: str, name: str) -> str:
        both = (f"has({one}.{field})", f"has({other}.{field})")
        equal = f"{one}.{field}.{name} == {other}.{field}.{name}"
        return " && ".join((*both, equal))

    def kind(of: str) -> str:
        default = GatewayRoute.model_fields["kind"].default
        return f"(has({of}.gatewayAPI.kind) ? {of}.gatewayAPI.kind : '{default}')"

    gateway = f"{same('gatewayAPI', 'name')} && {kind(one)} == {kind(other)}"
    others = (same("istio", "virtualService"), same("traefik", "traefikService"))
    return " || ".join(f"({way})" for way in (gateway, *others))


_DURATION = format_duration(Step.model_fields["duration"].default)
_FALLING = (
    f"{list(range(1, MAX_STEPS))}.filter(i, i < size(self.steps)"
    " && self.steps[i].weight <= self.steps[i - 1].weight)"
)
_DURATIONS = (
    f"self.steps.map(step, has(step.duration) ? {parse_duration('step.duration')}"
    f" : duration('{_DURATION}')).sum()"
)
_MINIMUM = parse_duration("self.analysis.minDuration")
_DEADLINE = parse_duration("self.deadline")

RULES: Mapping[str, Sequence[CelRule]] = {
    "TrafficSpec": (
        CelRule(
            "exactly_one_router",
            _one_of(_ROUTERS),
            f"expected exactly one of {', '.join(_ROUTERS)}",
            _present_fields(_ROUTERS),
        ),
        CelRule(
            "each_route_once",
            "!has(self.routes) || self.routes.all(one,"
            f" self.routes.exists_one(other, {_same_route('one', 'other')}))",
            "expected each route once (without a rule, all of its rules are weighted)",
            field="routes",
        ),
    ),
    "Router": (
        CelRule(
            "exactly_one_route",
            _one_of(_ROUTES),
            f"expected exactly one of {', '.join(_ROUTES)}",
            _present_fields(_ROUTES),
        ),
    ),
    "RatioSource": (
        CelRule(
            "preset_or_selectors",
            "has(self.preset) ? !has(self.total) && !has(self.bad) && !has(self.good)"
            " : has(self.total) && has(self.bad) != has(self.good)",
            "expected either preset, or total with bad or good",
            _present_fields(("preset", "total", "bad", "good")),
        ),
    ),
    "Metric": (
        CelRule(
            "exactly_one_source",
            _one_of(tuple(FIELDS_OF)),
            f"expected exactly one of {', '.join(FIELDS_OF)}",
            _present_fields(tuple(FIELDS_OF)),
        ),
        *(_field_rule(kind) for kind in FIELDS_OF),
        CelRule(
            "bounds_make_sense",
            f"!({_only_field('query')}) || has(self.min) || has(self.max)",
            "expected min, max or both with a query: without them it never fails",
        ),
        CelRule(
            "bounds_make_sense",
            f"!({_only_field('query')}) || !has(self.min) || !has(self.max)"
            " || self.min <= self.max",
            "expected min to be at most max",
            field="min",
        ),
    ),
    "Analysis": (
        CelRule(
            "prometheus_is_used",
            "!has(self.prometheus) || !has(self.source) || self.source == 'prometheus'",
            "expected no name of a Prometheus with source scrape",
            field="prometheus",
        ),
        CelRule(
            "whole_seconds",
            f"!has(self.interval)"
            f" || {parse_duration('self.interval')}.getMilliseconds() % 1000 == 0",
            "expected an interval of whole seconds",
            "self.interval",
            "interval",
        ),
    ),
    "Check": (
        CelRule(
            "exactly_one_kind",
            "has(self.jobFrom) != has(self.webhook)",
            "expected exactly one of jobFrom and webhook",
            "(has(self.jobFrom) ? 'both' : 'none')",
        ),
    ),
    "Alertmanager": (
        CelRule(
            "one_address",
            "has(self.url) != has(self.secretRef)",
            "expected exactly one of url and secretRef",
            "(has(self.url) ? 'both' : 'none')",
        ),
    ),
    "Notify": (
        CelRule(
            "exactly_one_receiver",
            _one_of(RECEIVERS),
            f"expected exactly one of {', '.join(RECEIVERS)}",
            _present_fields(RECEIVERS),
        ),
    ),
    "Spec": (
        CelRule(
            "require_rising_weights",
            f"{_FALLING} == []",
            "expected a weight above the step before",
            field="steps",
        ),
        CelRule(
            "deadline_allows_the_steps",
            f"{_DURATIONS} < {_DEADLINE} && {_MINIMUM} < {_DEADLINE}",
            "expected more than the longer of all step durations together and analysis.minDuration",
            "self.deadline",
            "deadline",
        ),
    ),
}
