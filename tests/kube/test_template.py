"""The canary's objects from the user's, word for word; and what makes two templates the same."""

from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest
import yaml

from canary.api import Spec
from canary.kube.objects import Object
from canary.kube.workloads.canary_objects import (
    canary_deployment,
    canary_service,
)
from canary.kube.workloads.isolation import replaced_labels
from canary.kube.workloads.template import (
    canary_template,
    canary_value,
    same_template,
    template_hash,
    users_template,
)
from tests.kube.fixtures_release import DEPLOYMENT, RELEASE, SERVICE, build_deployment

GOLDEN = Path(__file__).parent / "golden"
TEMPLATE = build_deployment(DEPLOYMENT)["spec"]["template"]
OWNER = {"metadata": {"name": "auth", "namespace": "prod", "uid": "u1"}}


def spec(**changes: Any) -> Spec:
    """The spec of the release."""
    body = build_deployment(RELEASE)["spec"] | changes
    return Spec.model_validate(body)


def with_change(change: Any) -> Object:
    """The user's template after a change."""
    made: Object = deepcopy(TEMPLATE)
    change(made)
    return made


def test_the_canarys_objects_are_the_users_kept_apart() -> None:
    """Golden: what is copied, what is replaced, what is ours."""
    target, service = build_deployment(DEPLOYMENT), build_deployment(SERVICE)
    replaced = replaced_labels(spec(), service, [service], target)
    assert isinstance(replaced, dict)
    canary = canary_deployment("auth-canary", OWNER, target, replaced, "abc")
    made = [canary, canary_service("auth-canary", OWNER, service, canary)]
    assert made == list(yaml.safe_load_all((GOLDEN / "canary.yaml").read_text()))


def test_what_was_read_is_never_changed() -> None:
    """Caches share objects, so making the canary's leaves the user's alone."""
    target, service = build_deployment(DEPLOYMENT), build_deployment(SERVICE)
    made = canary_deployment("c", OWNER, target, {"app": "x"}, "abc")
    made["spec"]["template"]["spec"]["containers"][0]["image"] = "changed"
    canary_service("c", OWNER, service, made)["spec"]["ports"][0]["port"] = 1
    assert (target, service) == (build_deployment(DEPLOYMENT), build_deployment(SERVICE))


ISOLATION = [
    pytest.param({}, {"app": "auth-canary"}, id="the Service's first label"),
    pytest.param(
        {"isolation": {"labels": ["app", "tier"]}},
        {"app": "auth-canary", "tier": "api-canary"},
        id="the labels that the user named",
    ),
    pytest.param(
        {"traffic": {"replicas": {}}}, {}, id="without a router the Service has to find both"
    ),
]


@pytest.mark.parametrize(("changes", "replaced"), ISOLATION)
def test_which_labels_differ(changes: dict[str, Any], replaced: dict[str, str]) -> None:
    """Neither the Service nor the target's own selector finds a canary pod."""
    service = build_deployment(SERVICE)
    made = replaced_labels(spec(**changes), service, [service], build_deployment(DEPLOYMENT))
    assert made == replaced


SAME = [
    pytest.param(
        lambda t: t["metadata"]["labels"].update({"pod-template-hash": "x"}),
        id="a ReplicaSet's label",
    ),
    pytest.param(
        lambda t: t["metadata"].update({"creationTimestamp": None}), id="an old server's null"
    ),
]
DIFFERENT = [
    pytest.param(
        lambda t: t["metadata"]["annotations"].update({"kubectl.kubernetes.io/restartedAt": "now"}),
        id="rollout restart",
    ),
    pytest.param(lambda t: t["spec"]["containers"][0].update(image="auth:2"), id="an image"),
    pytest.param(lambda t: t["metadata"]["labels"].update(more="x"), id="a label"),
    pytest.param(lambda t: t["spec"]["containers"].reverse(), id="the order of containers"),
]


@pytest.mark.parametrize("change", SAME)
def test_what_is_no_change(change: Any) -> None:
    """The same template has the same hash, and comes back as the user had it."""
    made = with_change(change)
    assert template_hash(made) == template_hash(TEMPLATE)
    assert same_template(made, TEMPLATE)
    assert users_template(made) == TEMPLATE


@pytest.mark.parametrize("change", DIFFERENT)
def test_what_is_a_change(change: Any) -> None:
    """Whatever makes other pods starts a release."""
    made = with_change(change)
    assert template_hash(made) != template_hash(TEMPLATE)
    assert not same_template(made, TEMPLATE)


def test_the_order_of_keys_is_no_change() -> None:
    """Maps have no order, so neither has the hash."""
    assert template_hash(dict(reversed(TEMPLATE.items()))) == template_hash(TEMPLATE)


GRACE = [
    pytest.param(30, 35, id="the application keeps the time that the user gave it"),
    pytest.param(None, 35, id="the default is added to as well"),
    pytest.param(0, 5, id="at once means at once after draining"),
]


@pytest.mark.parametrize(("grace", "made"), GRACE)
def test_draining_comes_on_top_of_the_grace_period(grace: int | None, made: int) -> None:
    """The hook counts towards the grace period, so that has to grow."""
    template = with_change(lambda t: t["spec"].update(terminationGracePeriodSeconds=grace))
    assert canary_template(template, {})["spec"]["terminationGracePeriodSeconds"] == made


def test_hooks_of_the_user_are_left_alone() -> None:
    """Where every container drains by itself nothing is added, and no time either."""
    template = with_change(lambda t: t["spec"]["containers"].pop(0))
    made = canary_template(template, {})
    assert made["spec"] == template["spec"]


@pytest.mark.parametrize("value", ["auth", "", "a" * 63, "a" * 55 + "." + "b" * 7, "v1.2_x"])
def test_a_canarys_label_value_is_one(value: str) -> None:
    """At most 63 characters, letters or digits at both ends, and not what the user has."""
    made = canary_value(value)
    assert len(made) <= 63
    assert made != value
    assert made[0].isalnum()
    assert made.endswith("canary")
