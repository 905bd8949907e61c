"""What `Objects` promises, asked of the fake (tests/kube) and of a real API server (e2e)."""

from collections.abc import Mapping
from typing import Any

import pytest

from canary.errors import ConflictError, NotFoundError, PermanentError
from canary.kube.api_errors import GoneError
from canary.kube.client import Client
from canary.kube.objects import DEPLOYMENTS, HTTP_ROUTES, Kind, Object
from tests.kube.fake_cluster import FakeCluster

CONFIG_MAPS = Kind("", "v1", "configmaps", "ConfigMap")
NOT_SERVED = Kind("nosuch.canary-controller.dev", "v1", "nothings", "Nothing")

Cluster = Client | FakeCluster


def build_config_map(name: str, labels: Mapping[str, str] | None = None, **more: Any) -> Object:
    """A small object without a controller."""
    return {"metadata": {"name": name, "labels": dict(labels or {}), **more}, "data": {"x": "1"}}


def build_deployment(name: str) -> Object:
    """A Deployment of no pods."""
    labels = {"app": name}
    container = {"name": "main", "image": "localhost/none:none"}
    return {
        "metadata": {"name": name, "labels": labels},
        "spec": {
            "replicas": 0,
            "paused": True,
            "selector": {"matchLabels": labels},
            "template": {"metadata": {"labels": labels}, "spec": {"containers": [container]}},
        },
    }


def build_route(name: str) -> Object:
    """An HTTPRoute that nobody serves."""
    backend = {"name": "x", "port": 80}
    return {"metadata": {"name": name}, "spec": {"rules": [{"backendRefs": [backend]}]}}


def read_version(item: Object) -> str:
    """Its resourceVersion."""
    return str(item["metadata"]["resourceVersion"])


class ApiContract:
    """Subclasses bring the fixtures `cluster` and `namespace`."""

    def test_absent(self, cluster: Cluster, namespace: str) -> None:
        """What is not there is None, not an error."""
        assert cluster.get(CONFIG_MAPS, namespace, "nobody") is None

    def test_create(self, cluster: Cluster, namespace: str) -> None:
        """What create returns is what get returns, with its type and version."""
        made = cluster.create(CONFIG_MAPS, namespace, build_config_map("made"))
        assert cluster.get(CONFIG_MAPS, namespace, "made") == made
        assert (made["apiVersion"], made["kind"]) == ("v1", "ConfigMap")
        assert int(read_version(made)) > 0

    def test_create_twice(self, cluster: Cluster, namespace: str) -> None:
        """Creating what exists is a conflict."""
        cluster.create(CONFIG_MAPS, namespace, build_config_map("twice"))
        with pytest.raises(ConflictError, match="already exists"):
            cluster.create(CONFIG_MAPS, namespace, build_config_map("twice"))

    def test_list(self, cluster: Cluster, namespace: str) -> None:
        """A list has what carries all the labels, and each item knows its type."""
        cluster.create(
            CONFIG_MAPS, namespace, build_config_map("one", {"list": "a", "side": "left"})
        )
        cluster.create(
            CONFIG_MAPS, namespace, build_config_map("two", {"list": "a", "side": "right"})
        )
        assert len(cluster.list(CONFIG_MAPS, namespace, {"list": "a"})) == 2
        (left,) = cluster.list(CONFIG_MAPS, "", {"list": "a", "side": "left"})
        assert left == cluster.get(CONFIG_MAPS, namespace, "one")

    def test_patch(self, cluster: Cluster, namespace: str) -> None:
        """A patch whose test holds is applied, and the version rises."""
        made = cluster.create(CONFIG_MAPS, namespace, build_config_map("patched"))
        patch = [
            {"op": "test", "path": "/metadata/resourceVersion", "value": read_version(made)},
            {"op": "test", "path": "/data/x", "value": "1"},
            {"op": "replace", "path": "/data/x", "value": "2"},
            {"op": "add", "path": "/data/y", "value": "3"},
        ]
        patched = cluster.patch(CONFIG_MAPS, namespace, "patched", patch)
        assert patched["data"] == {"x": "2", "y": "3"}
        assert int(read_version(patched)) > int(read_version(made))

    def test_patch_of_special_characters(self, cluster: Cluster, namespace: str) -> None:
        """A test holds for any text: an API server compares how it is encoded."""
        text = 'a && b > c < d, é, \u2028, \b\t\x7f, \U0001f600, \\ and "'
        body = build_config_map("special") | {"data": {"x": text}}
        cluster.create(CONFIG_MAPS, namespace, body)
        patch = [
            {"op": "test", "path": "/data", "value": {"x": text}},
            {"op": "add", "path": "/data/y", "value": text},
        ]
        patched = cluster.patch(CONFIG_MAPS, namespace, "special", patch)
        assert patched["data"] == {"x": text, "y": text}

    @pytest.mark.parametrize(
        "step",
        [
            pytest.param(
                {"op": "test", "path": "/data/x", "value": "other"}, id="another value was expected"
            ),
            pytest.param(
                {"op": "test", "path": "/metadata/resourceVersion", "value": "1"},
                id="the object has been written since",
            ),
            pytest.param({"op": "remove", "path": "/data/y"}, id="what is to go is not there"),
            pytest.param(
                {"op": "replace", "path": "/spec/deep/down", "value": 1}, id="the path is not there"
            ),
        ],
    )
    def test_patch_refused(self, cluster: Cluster, namespace: str, step: dict[str, Any]) -> None:
        """A patch that does not fit is a conflict, and nothing of it is applied."""
        if cluster.get(CONFIG_MAPS, namespace, "refused") is None:
            cluster.create(CONFIG_MAPS, namespace, build_config_map("refused"))
        before = cluster.get(CONFIG_MAPS, namespace, "refused")
        change = {"op": "replace", "path": "/data/x", "value": "2"}
        with pytest.raises(ConflictError, match="not in the state that the patch expects"):
            cluster.patch(CONFIG_MAPS, namespace, "refused", [change, step])
        assert cluster.get(CONFIG_MAPS, namespace, "refused") == before

    def test_patch_of_nothing(self, cluster: Cluster, namespace: str) -> None:
        """What is not there cannot be patched."""
        with pytest.raises(NotFoundError, match="not found"):
            cluster.patch(CONFIG_MAPS, namespace, "nobody", [])

    def test_nothing_changed(self, cluster: Cluster, namespace: str) -> None:
        """A patch that changes nothing is no write: the version stays."""
        made = cluster.create(CONFIG_MAPS, namespace, build_config_map("same"))
        patch = [{"op": "replace", "path": "/data/x", "value": "1"}]
        assert read_version(cluster.patch(CONFIG_MAPS, namespace, "same", patch)) == read_version(
            made
        )

    def test_generation(self, cluster: Cluster, namespace: str) -> None:
        """The generation counts changes of the spec; annotations only of a Deployment."""
        for kind, body, spec, counted in (
            (DEPLOYMENTS, build_deployment("counted"), "/spec/replicas", 1),
            (HTTP_ROUTES, build_route("counted"), "/spec/hostnames", 0),
        ):
            made = cluster.create(kind, namespace, body)["metadata"]["generation"]
            noted = cluster.patch(
                kind,
                namespace,
                "counted",
                [{"op": "add", "path": "/metadata/annotations", "value": {"a": "b"}}],
            )["metadata"]["generation"]
            value: Any = 0 if kind == DEPLOYMENTS else ["a.example"]
            patch = [{"op": "add", "path": spec, "value": value}]
            if kind == DEPLOYMENTS:
                patch += [{"op": "add", "path": "/spec/minReadySeconds", "value": 3}]
            changed = cluster.patch(kind, namespace, "counted", patch)["metadata"]["generation"]
            assert (noted - made, changed - noted) == (counted, 1)

    def test_status(self, cluster: Cluster, namespace: str) -> None:
        """Status is written through its own door, and only status."""
        made = cluster.create(
            HTTP_ROUTES, namespace, build_route("status") | {"status": {"parents": []}}
        )
        assert "status" not in made
        body = made | {"status": {"parents": []}, "spec": {"hostnames": ["ignored.example"]}}
        written = cluster.replace_status(HTTP_ROUTES, body)
        assert written["status"] == {"parents": []}
        assert written["spec"] == made["spec"]
        assert written["metadata"]["generation"] == made["metadata"]["generation"]
        with pytest.raises(ConflictError, match="modified"):
            cluster.replace_status(HTTP_ROUTES, made | {"status": {"parents": []}})

    def test_delete(self, cluster: Cluster, namespace: str) -> None:
        """Deleting what is gone already is done."""
        cluster.create(CONFIG_MAPS, namespace, build_config_map("gone"))
        for _ in range(2):
            cluster.delete(CONFIG_MAPS, namespace, "gone", "Background")
        assert cluster.get(CONFIG_MAPS, namespace, "gone") is None

    def test_finalizer(self, cluster: Cluster, namespace: str) -> None:
        """A finalizer keeps what is deleted until it is removed."""
        ours = {"finalizers": ["canary-controller.dev/test"]}
        cluster.create(CONFIG_MAPS, namespace, build_config_map("kept", **ours))
        cluster.delete(CONFIG_MAPS, namespace, "kept", "Background")
        kept = cluster.get(CONFIG_MAPS, namespace, "kept")
        assert kept is not None
        assert kept["metadata"]["deletionTimestamp"]
        cluster.patch(
            CONFIG_MAPS, namespace, "kept", [{"op": "remove", "path": "/metadata/finalizers"}]
        )
        assert cluster.get(CONFIG_MAPS, namespace, "kept") is None

    def test_owned(self, cluster: Cluster, namespace: str) -> None:
        """What is owned goes with its owner."""
        owner = cluster.create(CONFIG_MAPS, namespace, build_config_map("owner"))["metadata"]
        reference = {"apiVersion": "v1", "kind": "ConfigMap", "name": "owner", "uid": owner["uid"]}
        owned = build_config_map("owned", {"owned": "yes"}, ownerReferences=[reference])
        cluster.create(CONFIG_MAPS, namespace, owned)
        since = cluster.listing(CONFIG_MAPS, namespace, {}).version
        watch = cluster.watch(CONFIG_MAPS, namespace, {"owned": "yes"}, since, 60)
        cluster.delete(CONFIG_MAPS, namespace, "owner", "Background")
        types = {
            event.object["metadata"].get("name"): event.type for event in _until(watch, "DELETED")
        }
        watch.interrupt()
        assert types["owned"] == "DELETED"

    def test_watch(self, cluster: Cluster, namespace: str) -> None:
        """A watch tells in order what happened since a list, within its labels."""
        since = cluster.listing(CONFIG_MAPS, namespace, {}).version
        for name, labels in (("in", {"watch": "a"}), ("out", {"watch": "b"})):
            cluster.create(CONFIG_MAPS, namespace, build_config_map(name, labels))
        data = [{"op": "replace", "path": "/data/x", "value": "2"}]
        changed = cluster.patch(CONFIG_MAPS, namespace, "in", data)
        leaves = [{"op": "replace", "path": "/metadata/labels/watch", "value": "b"}]
        cluster.patch(CONFIG_MAPS, namespace, "in", leaves)
        watch = cluster.watch(CONFIG_MAPS, namespace, {"watch": "a"}, since, 60)
        added, modified, deleted = _until(watch, "DELETED")
        watch.interrupt()
        assert (added.type, modified.type, deleted.type) == ("ADDED", "MODIFIED", "DELETED")
        assert modified.object == changed

    def test_watch_too_old(self, cluster: Cluster, namespace: str) -> None:
        """A watch that starts before what the server remembers says so.

        What the server remembers of a kind begins when the kind does: routes came with a
        definition, so not even a server that has just started knows of an earlier time.
        """
        if isinstance(cluster, FakeCluster):
            cluster.create(CONFIG_MAPS, namespace, build_config_map("old"))
            cluster.compact()
        with pytest.raises(GoneError, match="too old resource version"):
            list(cluster.watch(HTTP_ROUTES, "", {}, "1", 5))

    def test_not_served(self, cluster: Cluster, namespace: str) -> None:
        """A kind that the cluster does not know is not mistaken for an object that is absent."""
        if isinstance(cluster, FakeCluster):
            cluster.unserved.add(NOT_SERVED)
        assert cluster.serves_kind(DEPLOYMENTS)
        assert not cluster.serves_kind(NOT_SERVED)
        with pytest.raises(NotFoundError, match="does not serve Nothing"):
            cluster.get(NOT_SERVED, namespace, "x")
        with pytest.raises(PermanentError, match="does not serve Nothing"):
            cluster.list(NOT_SERVED, namespace, {})


def _until(watch: Any, last: str) -> list[Any]:
    found = []
    for event in watch:
        if event.type != "BOOKMARK":
            found.append(event)
        if event.type == last:
            break
    return found
