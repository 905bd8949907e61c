"""Suggests names and namespaces for an object that does not exist."""

from canary.cli.kubeconfig import suggest_similar
from canary.errors import CanaryError
from canary.kube.client import Client
from canary.kube.objects import RELEASES, Kind

NAMESPACES = Kind("", "v1", "namespaces", "Namespace")
_MAX_NAMES = 5


def describe_missing(client: Client, kind: Kind, namespace: str, name: str) -> str:
    """Return a message that the object does not exist, with a similar name or its namespace.

    Without permission to list objects the message has no suggestion.
    """
    text = f"there is no {kind.kind} {name} in namespace {namespace}"
    places = _list_visible(client, kind, namespace)
    here = sorted(one for where, one in places if where == namespace)
    elsewhere = sorted(where for where, one in places if one == name and where != namespace)
    if similar := suggest_similar(name, here):
        return text + similar
    if unknown := _unknown_namespace(client, namespace):
        return unknown
    if elsewhere:
        return f"{text}, but there is one in {elsewhere[0]}: use -n {elsewhere[0]}"
    if here:
        more = ", …" if len(here) > _MAX_NAMES else ""
        return f"{text} (there are: {', '.join(here[:_MAX_NAMES])}{more})"
    look = "canary get -A" if kind == RELEASES else f"kubectl get {kind.plural} -A"
    return f"{text}, and no others; list all namespaces with `{look}`"


def _list_visible(client: Client, kind: Kind, namespace: str) -> list[tuple[str, str]]:
    """Return (namespace, name) of the objects that the account may list."""
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
    return f"there is no namespace {namespace}{suggest_similar(namespace, names)}"
