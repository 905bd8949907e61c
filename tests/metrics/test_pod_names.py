"""Pod names as Kubernetes generates them: whole ones, and those of long Deployments, which are cut."""

import random
import re

import pytest

from canary.metrics.pod_names import (
    LONGEST_BASE,
    is_canary_of,
    pods_of,
    pods_of_replica_set,
    replica_set_of,
)
from canary.metrics.preset_groups import service_and_version

LETTERS = "bcdfghjklmnpqrstvwxz2456789"
P16 = "customer-notification-preferences-service-production"


def generated(deployment: str, seed: int) -> tuple[str, str]:
    """A ReplicaSet's hash and the name of one of its pods, as the API server makes it."""
    chance = random.Random(seed)  # noqa: S311 - names, not secrets
    replica_set = f"{deployment}-{''.join(chance.choices(LETTERS, k=chance.choice((8, 9, 10))))}"
    base = f"{replica_set}-"[:LONGEST_BASE]
    return replica_set, base + "".join(chance.choices(LETTERS, k=5))


@pytest.mark.parametrize("length", range(1, 57))
def test_p16_a_deployments_pods_are_recognized_whatever_its_length(length: int) -> None:
    """As its own, by their ReplicaSet, and as nobody else's."""
    name = (P16 * 2)[:length].rstrip("-") or "a"
    for seed in range(40):
        replica_set, pod = generated(name, seed)
        assert re.fullmatch(pods_of(name), pod)
        found = replica_set_of(pod, name)
        assert found is not None
        assert replica_set.startswith(found)
        assert re.fullmatch(pods_of_replica_set(found), pod)
        assert not re.fullmatch(pods_of(f"{name[:-1]}x"), pod)


@pytest.mark.parametrize("length", range(1, 56))
def test_p16_a_canarys_pods_are_told_from_stable_ones(length: int) -> None:
    """By the operator's naming, as far as it was not cut; with 56 letters one hash in 27 is alike."""
    name = (P16 * 2)[:length].rstrip("-") or "a"
    for seed in range(40):
        _, pod = generated(f"{name}-canary", seed)
        found = replica_set_of(pod, f"{name}-canary")
        assert found is not None
        assert is_canary_of(found, name)
        _, stable = generated(name, seed)
        other = replica_set_of(stable, name)
        assert other is not None
        assert not is_canary_of(other, name)


def test_p16_a_name_says_service_and_version_although_it_was_cut() -> None:
    """What the alert rules and `canary pools` go by."""
    assert service_and_version(f"{P16}-66b8dbxz42") == (P16, "stable")
    assert service_and_version(f"{P16}-canarbxz42") == (P16, "canary")
    for length in range(30, 56):
        name = (P16 * 2)[:length].rstrip("-")
        if re.search(f"-[{LETTERS}]{{1,15}}$", name):
            continue  # a name that itself ends like a generated one
        for seed in range(20):
            assert service_and_version(generated(name, seed)[1]) == (name, "stable")
            assert service_and_version(generated(f"{name}-canary", seed)[1]) == (name, "canary")


def test_another_deployment_with_the_same_beginning_is_not_ours() -> None:
    """`auth` and `auth-admin`."""
    assert replica_set_of("auth-admin-6c9d8f7b5-x2k4p", "auth") is None
    assert replica_set_of("auth-6c9d8f7b5-x2k4p", "auth") == "auth-6c9d8f7b5"
