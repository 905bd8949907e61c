"""kubectl, as people use it, on the cluster of KUBECONFIG."""

import json
import subprocess
from collections.abc import Callable
from threading import Event

import yaml

from canary.clock import now
from canary.kube.objects import Object


class KubectlError(RuntimeError):
    """kubectl refused; the message has its words."""


def kubectl(*arguments: str, stdin: str = "", seconds: float = 120) -> str:
    """What it printed.

    Raises:
        KubectlError: it failed.
    """
    done = subprocess.run(
        ["kubectl", *arguments],  # noqa: S607 - whichever kubectl the person uses
        input=stdin,
        capture_output=True,
        text=True,
        timeout=seconds,
        check=False,
    )
    if done.returncode != 0:
        raise KubectlError(f"kubectl {' '.join(arguments)}: {done.stderr.strip()}")
    return done.stdout


def apply(*objects: Object, options: tuple[str, ...] = ()) -> None:
    """Applies manifests; client-side unless the options say otherwise."""
    kubectl("apply", *options, "-f", "-", stdin=yaml.safe_dump_all(objects))


def get(namespace: str, kind: str, name: str) -> Object | None:
    """The object, or None."""
    text = kubectl("-n", namespace, "get", kind, name, "--ignore-not-found", "-o", "json")
    found: Object | None = json.loads(text) if text.strip() else None
    return found


def wait_for(what: str, holds: Callable[[], bool], seconds: float, every: float = 0.2) -> None:
    """Returns once it holds.

    Raises:
        TimeoutError: it did not in time.
    """
    end, pause = now() + seconds, Event()
    while not holds():
        if now() > end:
            raise TimeoutError(f"{what}: not within {seconds:g} s")
        pause.wait(every)


def not_ending(namespace: str) -> None:
    """Waits while a namespace of this name is still being removed, by the run before perhaps."""

    def ending() -> bool:
        found = get("default", "namespace", namespace)
        return found is not None and "deletionTimestamp" in found["metadata"]

    wait_for(f"namespace {namespace} to be gone", lambda: not ending(), 240, every=1.0)
