"""Client, caches, reflector and elector against a real API server."""

import json
import queue
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import pytest
from kubernetes import client as kubernetes_client
from kubernetes import config as kubernetes_config

from canary.clock import SystemClock
from canary.kube.api_errors import ForbiddenError, NotLeaderError, UnauthorizedError
from canary.kube.cache import Cache, Scope
from canary.kube.cached import CachedObjects
from canary.kube.client import Client, keep_all
from canary.kube.leases import ELECTION, Elector, LeaderCallbacks, LeaseName, LeaseTerms
from canary.kube.objects import DEPLOYMENTS, LEASES, Kind
from canary.kube.reflector import Reflector
from canary.kube.timing import Stopper, SystemTiming
from canary.kube.transport import ApiRequest, RequestTimeouts, Transport, configure_client
from e2e.fixtures_plumbing import cluster, namespace
from tests.kube.api_contract import CONFIG_MAPS, build_config_map

__all__ = ["cluster", "namespace"]

PATIENCE = 30.0
ACCOUNTS = Kind("", "v1", "serviceaccounts", "ServiceAccount")
ROLES = Kind("rbac.authorization.k8s.io", "v1", "roles", "Role")
BINDINGS = Kind("rbac.authorization.k8s.io", "v1", "rolebindings", "RoleBinding")
DATA = [{"op": "replace", "path": "/data/x", "value": "2"}]


@contextmanager
def followed(client: Client, scope: Scope) -> Iterator[tuple[Cache, "queue.Queue[str]"]]:
    """A cache that is kept true, and what its handlers hear."""
    cache = Cache(scope)
    heard: queue.Queue[str] = queue.Queue()

    def hear(old: Any, new: Any) -> None:
        heard.put(
            ("+" if old is None else "-" if new is None else "~") + (new or old)["metadata"]["name"]
        )

    cache.on_change(hear)
    reflector = Reflector(client, cache, Stopper(SystemTiming()))
    reflector.start()
    assert cache.synced.wait(PATIENCE)
    yield cache, heard
    assert reflector.stop(PATIENCE), "the watch did not end when told"


def test_version(cluster: Client) -> None:
    """The server says what it is and what it serves."""
    assert cluster.version() >= (1, 28)
    assert cluster.serves_kind(DEPLOYMENTS)


def test_reflector(cluster: Client, namespace: str) -> None:
    """A cache follows the server through list and watch, and ends at once when told."""
    cluster.create(CONFIG_MAPS, namespace, build_config_map("first", {"follow": "yes"}))
    scope = Scope(CONFIG_MAPS, namespace, (("follow", "yes"),))
    with followed(cluster, scope) as (cache, heard):
        assert heard.get(timeout=PATIENCE) == "+first"
        cluster.create(CONFIG_MAPS, namespace, build_config_map("second", {"follow": "yes"}))
        assert heard.get(timeout=PATIENCE) == "+second"
        cluster.patch(CONFIG_MAPS, namespace, "first", DATA)
        assert heard.get(timeout=PATIENCE) == "~first"
        cluster.delete(CONFIG_MAPS, namespace, "second", "Background")
        assert heard.get(timeout=PATIENCE) == "-second"
        assert cache.list() == cluster.list(CONFIG_MAPS, namespace, {"follow": "yes"})


def test_own_writes(cluster: Client, namespace: str) -> None:
    """Right after each of our writes the cache serves it, and each change is heard once."""
    with followed(cluster, Scope(CONFIG_MAPS, namespace)) as (cache, _):
        objects = CachedObjects(cluster, [cache])
        for turn in range(20):
            name = f"own-{turn}"
            made = objects.create(CONFIG_MAPS, namespace, build_config_map(name))
            assert objects.get(CONFIG_MAPS, namespace, name) == made
            patched = objects.patch(CONFIG_MAPS, namespace, name, DATA)
            assert objects.get(CONFIG_MAPS, namespace, name) == patched
            objects.delete(CONFIG_MAPS, namespace, name, "Background")
            assert objects.get(CONFIG_MAPS, namespace, name) is None


def test_bookmarks(cluster: Client, namespace: str) -> None:
    """A watch on which nothing happens is given a bookmark, from which the next goes on."""
    since = cluster.listing(CONFIG_MAPS, namespace, {}).version
    watch = cluster.watch(CONFIG_MAPS, namespace, {"bookmark": "yes"}, since, 120)
    first = next(iter(watch))
    watch.interrupt()
    assert first.type == "BOOKMARK"
    cluster.create(CONFIG_MAPS, namespace, build_config_map("later", {"bookmark": "yes"}))
    version = first.object["metadata"]["resourceVersion"]
    again = cluster.watch(CONFIG_MAPS, namespace, {"bookmark": "yes"}, version, 120)
    assert next(iter(again)).object["metadata"]["name"] == "later"
    again.interrupt()


def test_pages(cluster: Client, namespace: str) -> None:
    """A list of more than one page is whole."""
    for number in range(12):
        cluster.create(CONFIG_MAPS, namespace, build_config_map(f"page-{number}", {"page": "yes"}))
    pages = cluster._list_pages(CONFIG_MAPS, namespace, {"page": "yes"}, keep_all, 5)
    assert len(pages.items) == 12
    assert int(pages.version) > 0


def test_field_manager(cluster: Client, namespace: str) -> None:
    """What we write is ours by name."""
    cluster.create(CONFIG_MAPS, namespace, build_config_map("managed"))
    managed = cluster.patch(CONFIG_MAPS, namespace, "managed", DATA)["metadata"]["managedFields"]
    assert {entry["manager"] for entry in managed} == {"canary-controller"}


@pytest.fixture(scope="module")
def restricted(cluster: Client, namespace: str) -> Iterator[Client]:
    """A client with the token of a ServiceAccount that may only read and list ConfigMaps."""
    cluster.create(ACCOUNTS, namespace, {"metadata": {"name": "reader"}})
    rule = {"apiGroups": [""], "resources": ["configmaps"], "verbs": ["get", "list"]}
    cluster.create(ROLES, namespace, {"metadata": {"name": "reader"}, "rules": [rule]})
    subject = {"kind": "ServiceAccount", "name": "reader", "namespace": namespace}
    role = {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": "reader"}
    binding = {"metadata": {"name": "reader"}, "subjects": [subject], "roleRef": role}
    cluster.create(BINDINGS, namespace, binding)
    path = f"/api/v1/namespaces/{namespace}/serviceaccounts/reader/token"
    body = {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": {}}
    answer = cluster._calls.transport.send(ApiRequest("POST", path, body=body), RequestTimeouts())
    client = Client(_as(json.loads(answer.body)["status"]["token"]))
    yield client
    client.close()


def _as(token: str) -> Transport:
    def connect() -> kubernetes_client.ApiClient:
        settings = kubernetes_client.Configuration()
        kubernetes_config.load_kube_config(client_configuration=settings, persist_config=False)
        settings.refresh_api_key_hook = None
        settings.cert_file = settings.key_file = None
        settings.api_key["BearerToken"] = f"Bearer {token}"
        return configure_client(settings)

    return Transport(connect)


def test_forbidden(cluster: Client, restricted: Client, namespace: str) -> None:
    """Where RBAC says no, the message says what to grant; what is granted works."""
    cluster.create(CONFIG_MAPS, namespace, build_config_map("secret"))
    assert restricted.get(CONFIG_MAPS, namespace, "secret") is not None
    with pytest.raises(ForbiddenError) as refused:
        restricted.patch(CONFIG_MAPS, namespace, "secret", DATA)
    assert str(refused.value).endswith(
        f'(grant it in a Role in namespace {namespace}: apiGroups [""], '
        'resources ["configmaps"], verbs ["patch"])'
    )
    with pytest.raises(ForbiddenError, match=r'a ClusterRole: apiGroups \["apps"\]'):
        restricted.list(DEPLOYMENTS, "", {})
    with pytest.raises(ForbiddenError, match=r'verbs \["watch"\]'):
        restricted.watch(CONFIG_MAPS, namespace, {}, "0", 5)


def test_unauthorized(cluster: Client) -> None:
    """A wrong token is said to be one."""
    assert cluster.serves_kind(DEPLOYMENTS)
    client = Client(_as("wrong"))
    with pytest.raises(UnauthorizedError, match="credentials are missing, wrong or expired"):
        client.get(CONFIG_MAPS, "default", "x")


@dataclass
class Contender:
    """One elector in its thread."""

    client: Client
    namespace: str
    name: str
    changed: threading.Event = field(default_factory=threading.Event)

    def __post_init__(self) -> None:
        self.stopper = Stopper(SystemTiming())
        self.elector = Elector(
            self.client.with_policy(ELECTION),
            LeaseName(self.namespace, "contest", self.name),
            LeaderCallbacks(self.changed.set, self.changed.clear),
            SystemClock(),
            self.stopper,
            LeaseTerms(duration=3.0, renew_deadline=2.0, retry=0.3),
        )
        self.thread = threading.Thread(target=self.elector.run, daemon=True)
        self.thread.start()

    def stop(self) -> None:
        self.stopper.stop()
        self.thread.join(PATIENCE)


def test_lease_contest(cluster: Client, namespace: str) -> None:
    """Of two electors one leads and may write; when it resigns the other follows."""
    one = Contender(cluster, namespace, "one")
    assert one.changed.wait(PATIENCE)
    two = Contender(cluster, namespace, "two")
    assert not two.changed.wait(4.0), "two leaders"
    assert (one.elector.holds(), two.elector.holds()) == (True, False)
    cluster.create(CONFIG_MAPS, namespace, build_config_map("fenced"))
    cluster.with_fence(one.elector.remaining).patch(CONFIG_MAPS, namespace, "fenced", DATA)
    with pytest.raises(NotLeaderError):
        cluster.with_fence(two.elector.remaining).patch(CONFIG_MAPS, namespace, "fenced", DATA)
    one.stop()
    assert two.changed.wait(2.0), "a lease that was given back is taken at once"
    assert not one.elector.holds()
    lease = cluster.get(LEASES, namespace, "contest")
    assert lease is not None
    assert (lease["spec"]["holderIdentity"], lease["spec"]["leaseTransitions"]) == ("two", 1)
    two.stop()
