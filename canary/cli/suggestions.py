"""What a person may have meant who named something that is not there."""

from canary.cli.kubeconfig import close
from canary.errors import CanaryError
from canary.kube.client import Client
from canary.kube.objects import RELEASES, Kind

NAMESPACES = Kind("", "v1", "namespaces", "Namespace")
_FEW = 5


def missing(client: Client, kind: Kind, namespace: str, name: str) -> str:
    """What is not there, and what is: elsewhere, or under a similar name.

    Looks only as far as the account may; a refusal makes the hint shorter, nothing else.
    """
    text = f"there is no {kind.kind} {name} in namespace {namespace}"
    places = _places(client, kind, namespace)
    here = sorted(one for where, one in places if where == namespace)
    elsewhere = sorted(where for where, one in places if one == name and where != namespace)
    if similar := close(name, here):
        return text + similar
    if unknown := _unknown_namespace(client, namespace):
        return unknown
    if elsewhere:
        return f"{text}, but there is one in {elsewhere[0]}: give -n {elsewhere[0]}"
    if here:
        more = ", …" if len(here) > _FEW else ""
        return f"{text} (there are: {', '.join(here[:_FEW])}{more})"
    look = "canary get -A" if kind == RELEASES else f"kubectl get {kind.plural} -A"
    return f"{text}, nor any other; `{look}` lists all namespaces"


def _places(client: Client, kind: Kind, namespace: str) -> list[tuple[str, str]]:
    """(namespace, name) of all that may be seen."""
    for scope in ("", namespace):
        try:
            found = client.list(kind, scope, {})
        except CanaryError:
            continue
        return [(one["metadata"].get("namespace", ""), one["metadata"]["name"]) for one in found]
    return []


def _unknown_namespace(client: Client, namespace: str) -> str:
    try:
        names = [one["metadata"]["name"] for one in client.list(NAMESPACES, "", {})]
    except CanaryError:
        return ""
    if not names or namespace in names:
        return ""
    return f"there is no namespace {namespace}{close(namespace, names)}"
