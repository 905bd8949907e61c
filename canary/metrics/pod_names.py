"""Matches pod names as Kubernetes generates them, truncated ones included. Pure; Python and RE2.

A Deployment's pod is called DEPLOYMENT-HASH-RANDOM, where HASH names the ReplicaSet (up to ten
letters) and RANDOM has five. The part before RANDOM is truncated to 58 letters, so from 47 letters
of the Deployment's name on the last dash and part of the hash may be missing. For example:

    auth                                                   auth-6c9d8f7b5-x2k4p
    customer-notification-preferences-service-production   …-production-66b8dbxz42  (63 letters)
    its canary                                             …-production-canarbxz42

Source: k8s.io/apiserver, pkg/storage/names/generate.go.
"""

import re

from canary.metrics.promql import escape_regex

RANDOM = "[bcdfghjklmnpqrstvwxz2456789]"
"""The letters used in generated names (k8s.io/apimachinery, util/rand)."""
LONGEST_BASE = 58
"""Maximum number of letters of a generated name before its random part."""
LONGEST_HASH = 10
RANDOM_LETTERS = 5
CANARY_SUFFIX = "-canary"
_SUFFIX = (
    f"(?:(?:-{RANDOM}{{1,{LONGEST_HASH}}})?-{RANDOM}{{5}}|-{RANDOM}{{6,15}}|-[0-9]+)?"  # last: cut
)
# From 51 letters of the service's name on, the word canary itself is truncated.
_CUT_CANARY = f"-ca(?:n(?:a(?:ry?)?)?)?{RANDOM}{{5}}"
SERVICE = f"(.+?)(?:{_CUT_CANARY}|(?:{CANARY_SUFFIX})?{_SUFFIX})"
"""A pod's or workload's name; the first group is the service."""
CANARY = f".+(?:{_CUT_CANARY}|{CANARY_SUFFIX}{_SUFFIX})"
"""Matches names of the canary's pods and of its workload."""


def pods_of(deployment: str) -> str:
    """Return a regular expression that matches the names of a Deployment's pods."""
    whole = f"{escape_regex(deployment)}-[a-z0-9]{{1,16}}-[a-z0-9]{{5}}"
    kept = f"{deployment}-"[:LONGEST_BASE]
    if len(f"{deployment}-") + LONGEST_HASH + 1 <= LONGEST_BASE:
        return whole
    cut = f"{escape_regex(kept)}[a-z0-9-]{{{LONGEST_BASE - len(kept)}}}[a-z0-9]{{5}}"
    return f"{whole}|{cut}"


def replica_set_of(pod: str, deployment: str) -> str | None:
    """Return the common prefix of all pods of the pod's ReplicaSet; None: another Deployment's.

    It is the ReplicaSet's name, truncated if the pod's name is.
    """
    if not re.fullmatch(pods_of(deployment), pod):
        return None
    return pod[:-RANDOM_LETTERS].rstrip("-")


def pods_of_replica_set(name: str) -> str:
    """Return a regular expression for the pods of a result of `replica_set_of`."""
    dash = "-?" if len(name) >= LONGEST_BASE - 1 else "-"
    return f"{escape_regex(name)}{dash}[a-z0-9]{{5}}"


def is_canary_of(replica_set: str, deployment: str) -> bool:
    """Return whether a result of `replica_set_of` is a canary that the operator created."""
    prefix = f"{deployment}{CANARY_SUFFIX}-"[:LONGEST_BASE].rstrip("-")
    return replica_set.startswith(prefix)
