"""The cache never goes back behind what the watch told or we wrote."""

import json
from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from canary.errors import NotFoundError
from canary.kube.cache import MOST_SHARED, Cache, Scope, SharedTexts, without_managed_fields
from canary.kube.cached import ABSENT_FOR, CachedObjects
from canary.kube.objects import DEPLOYMENTS, PODS, Kind, Object
from tests.kube.fake_cluster import FakeCluster
from tests.kube.manual_timing import ManualTiming

NS = "prod"


def pod(name: str, version: int, uid: str = "", **more: object) -> Object:
    """A pod as a watch brings it."""
    uid = uid or f"uid of {name}"
    metadata = {"namespace": NS, "name": name, "uid": uid, "resourceVersion": str(version), **more}
    return {"kind": "Pod", "metadata": metadata}


@pytest.fixture
def cache() -> Cache:
    """One pod at version 5, in a list of version 10."""
    cache = Cache(Scope(PODS))
    cache.replace([pod("a", 5, labels={"app": "auth"})], "10")
    return cache


def version(cache: Cache, name: str) -> str | None:
    """The version that is served."""
    found = cache.get(NS, name)
    return found and found["metadata"]["resourceVersion"]


@pytest.mark.parametrize(
    ("news", "served"),
    [
        pytest.param(
            [lambda c: c.apply_update(pod("a", 11))], "11", id="the watch brings a newer one"
        ),
        pytest.param(
            [lambda c: c.apply_deletion(pod("a", 11))], None, id="the watch says it is gone"
        ),
        pytest.param([lambda c: c.record_write(pod("a", 12))], "12", id="we wrote"),
        pytest.param(
            [lambda c: c.record_write(pod("a", 12)), lambda c: c.apply_update(pod("a", 11))],
            "12",
            id="we wrote, and old news come late",
        ),
        pytest.param(
            [lambda c: c.record_write(pod("a", 12)), lambda c: c.replace([pod("a", 11)], "11")],
            "12",
            id="we wrote, and a list from before comes late",
        ),
        pytest.param(
            [lambda c: c.record_write(pod("b", 12)), lambda c: c.replace([pod("a", 5)], "11")],
            "5",
            id="we created another while the list was made",
        ),
        pytest.param(
            [lambda c: c.apply_deletion(pod("a", 13)), lambda c: c.record_write(pod("a", 12))],
            None,
            id="it was deleted after our write, and the answer to the write comes last",
        ),
        pytest.param(
            [lambda c: c.advance("13"), lambda c: c.record_write(pod("a", 12))],
            "5",
            id="the watch is past our write, so it knows better",
        ),
        pytest.param(
            [
                lambda c: c.record_deletion(NS, "a", "uid of a"),
                lambda c: c.apply_update(pod("a", 11)),
            ],
            None,
            id="we deleted it, and old news come late",
        ),
        pytest.param(
            [
                lambda c: c.record_deletion(NS, "a", "uid of a"),
                lambda c: c.replace([pod("a", 11)], "11"),
            ],
            None,
            id="we deleted it, and a list from before comes late",
        ),
        pytest.param(
            [
                lambda c: c.record_deletion(NS, "a", "uid of a"),
                lambda c: c.apply_deletion(pod("a", 12)),
                lambda c: c.apply_update(pod("a", 13, uid="another")),
            ],
            "13",
            id="we deleted it, and somebody made another",
        ),
        pytest.param(
            [
                lambda c: c.record_write(pod("a", 14, uid="another")),
                lambda c: c.apply_deletion(pod("a", 12)),
            ],
            "14",
            id="we made another before the end of the first is reported",
        ),
        pytest.param(
            [lambda c: c.replace([], "12")], None, id="a list without it: we missed its end"
        ),
        pytest.param(
            [lambda c: c.replace([pod("a", 3)], "4")],
            "3",
            id="the server was restored from a backup",
        ),
    ],
)
def test_what_is_served(
    cache: Cache, news: list[Callable[[Cache], None]], served: str | None
) -> None:
    """News in any order: what is served is the newest that can be known."""
    for item in news:
        item(cache)
    assert version(cache, "a") == served


def test_created_during_list(cache: Cache) -> None:
    """What we created after a list was made survives that list."""
    cache.record_write(pod("b", 12))
    cache.replace([pod("a", 5)], "11")
    assert version(cache, "b") == "12"


def test_handlers(cache: Cache) -> None:
    """Handlers hear of each change once, whoever brings it, and a broken one harms nobody."""
    heard = []

    def broken(_old: Object | None, _new: Object | None) -> None:
        raise RuntimeError

    cache.on_change(broken)
    cache.on_change(
        lambda old, new: heard.append(
            tuple(item and item["metadata"]["resourceVersion"] for item in (old, new))
        )
    )
    cache.record_write(pod("a", 11))
    cache.apply_update(pod("a", 11))
    cache.apply_update(pod("b", 12))
    cache.advance("13")
    cache.replace([pod("b", 12)], "14")
    assert heard == [("5", "11"), (None, "12"), ("11", None)]


def test_list(cache: Cache) -> None:
    """Lists by namespace, labels and owner."""
    owner = [{"uid": "replica set"}]
    cache.apply_update(
        pod("b", 11, labels={"app": "auth", "role": "canary"}, ownerReferences=owner)
    )
    cache.apply_update(pod("c", 12, namespace="else", ownerReferences=owner))

    def names(items: object) -> set[str]:
        return {item["metadata"]["name"] for item in items}

    assert names(cache.list()) == {"a", "b", "c"}
    assert names(cache.list(NS)) == {"a", "b"}
    assert names(cache.list(NS, {"app": "auth", "role": "canary"})) == {"b"}
    assert names(cache.list_indexed("replica set")) == {"b", "c"}
    cache.apply_update(pod("b", 13))
    assert names(cache.list_indexed("replica set")) == {"c"}


def test_trimmed() -> None:
    """What nobody reads is not kept, and the original is left as it is."""
    item = pod("a", 1, managedFields=[{}])
    cache = Cache(Scope(PODS), trim=without_managed_fields)
    cache.apply_update(item)
    assert cache.list() == [pod("a", 1)]
    assert "managedFields" in item["metadata"]


def test_what_the_watch_repeats_is_not_compacted_again() -> None:
    """Each of the operator's own writes comes twice: as its answer, and by the watch."""
    compacted: list[Object] = []

    def trim(item: Object) -> Object:
        compacted.append(item)
        return item

    cache = Cache(Scope(PODS), trim=trim)
    cache.replace([], "10")
    cache.record_write(pod("a", 12))
    cache.apply_update(pod("a", 12))
    assert len(compacted) == 1
    cache.apply_update(pod("a", 13))
    assert (len(compacted), version(cache, "a")) == (2, "13")


def test_objects_share_their_texts() -> None:
    """Each object of a watch is parsed apart; a thousand of them hold a text once."""
    cache = Cache(Scope(PODS))
    for name, version in (("a", 1), ("b", 2)):
        cache.apply_update(json.loads(json.dumps(pod(name, version, labels={"team": "payments"}))))
    one, two = (item["metadata"]["labels"] for item in cache.list())
    assert one == two == {"team": "payments"}
    assert [*one.keys(), *one.values()] == [*two.keys(), *two.values()]
    assert all(a is b for a, b in zip([*one, *one.values()], [*two, *two.values()], strict=True))


def test_texts_of_objects_that_are_gone_are_not_kept_forever() -> None:
    """Each pod has a name, an address and times of its own, and an operator runs for months."""
    shared = SharedTexts()
    for number in range(3 * MOST_SHARED):
        shared.share({"name": f"auth-{number}"})
        assert len(shared) <= MOST_SHARED
    one, two = (shared.share(json.loads('{"name": "auth"}')) for _ in range(2))
    assert one["name"] is two["name"]


@pytest.mark.parametrize(
    ("scope", "covers"),
    [
        pytest.param(Scope(PODS), True, id="everything of the kind"),
        pytest.param(Scope(PODS, NS), True, id="the namespace"),
        pytest.param(Scope(PODS, NS, (("app", "auth"),)), True, id="a label that is asked for"),
        pytest.param(Scope(PODS, "else"), False, id="another namespace"),
        pytest.param(Scope(PODS, NS, (("role", "x"),)), False, id="a label that is not asked for"),
        pytest.param(Scope(DEPLOYMENTS), False, id="another kind"),
    ],
)
def test_scope(scope: Scope, covers: bool) -> None:  # noqa: FBT001
    """A cache answers only what it has been told all about."""
    assert scope.covers(PODS, NS, {"app": "auth"}) is covers


def test_reads_from_server_until_synced() -> None:
    """A cache that has not been filled answers nothing, and neither does one of something else."""
    cluster = FakeCluster()
    cluster.create(PODS, NS, {"metadata": {"name": "a"}})
    cache = Cache(Scope(PODS, "else"))
    cache.replace([], "1")
    objects = CachedObjects(cluster, [Cache(Scope(PODS)), cache])
    assert objects.get(PODS, NS, "a") == cluster.get(PODS, NS, "a")
    assert len(objects.list(PODS, NS, {})) == 1


class Play:
    """A cluster, a cache that lags behind it, and somebody who hears of changes."""

    def __init__(self) -> None:
        self.cluster = FakeCluster()
        self.cache = Cache(Scope(PODS))
        self.objects = CachedObjects(self.cluster, [self.cache])
        self.listing = self.cluster.listing(PODS, "", {})
        self.cache.replace(self.listing.items, self.listing.version)
        self.cache.on_change(self.hear)
        self.told = int(self.listing.version)
        self.heard: Object | None = None
        self.ours: Object | None = None
        """What our last write left: nothing older may be served."""
        self.deleted = ""
        """The uid that we deleted: never to be served again."""
        self.answers: list[Object] = []
        """Of our writes, under way."""
        self.count = 0

    def hear(self, old: Object | None, new: Object | None) -> None:
        assert self.heard == old, "a handler was told of a change from what was not"
        self.heard = new

    def label(self) -> list[dict[str, object]]:
        self.count += 1
        return [{"op": "add", "path": "/metadata/labels", "value": {"n": str(self.count)}}]

    def there(self) -> Object | None:
        return self.cluster.get(PODS, NS, "a")

    def create(self) -> None:
        if self.there() is None:
            self.ours = self.objects.create(PODS, NS, {"metadata": {"name": "a"}})

    def write(self) -> None:
        if self.there() is not None:
            self.ours = self.objects.patch(PODS, NS, "a", self.label())

    def delete(self) -> None:
        known = self.objects.get(PODS, NS, "a")
        now = self.there()
        self.objects.delete(PODS, NS, "a", "Background")
        if known and now and known["metadata"]["uid"] == now["metadata"]["uid"]:
            assert self.objects.get(PODS, NS, "a") is None
            self.ours, self.deleted = None, now["metadata"]["uid"]

    def slow_write(self) -> None:
        if self.there() is not None:
            self.answers.append(self.cluster.patch(PODS, NS, "a", self.label()))

    def answer(self) -> None:
        if self.answers:
            self.cache.record_write(self.answers.pop(0))

    def they_write(self) -> None:
        if self.there() is not None:
            self.cluster.patch(PODS, NS, "a", self.label())

    def they_delete(self) -> None:
        self.cluster.delete(PODS, NS, "a", "Background")

    def take_list(self) -> None:
        self.listing = self.cluster.listing(PODS, "", {})

    def relist(self) -> None:
        if int(self.listing.version) >= self.told:
            self.cache.replace(self.listing.items, self.listing.version)
            self.told = int(self.listing.version)

    def watch(self, many: int = 1) -> None:
        news = [change for change in self.cluster.history if change.version > self.told]
        for change in news[:many]:
            (self.cache.apply_update if change.new else self.cache.apply_deletion)(
                change.new or change.old or {}
            )
            self.told = change.version

    def check(self) -> None:
        served = self.objects.get(PODS, NS, "a")
        assert served == self.heard
        assert served is None or served["metadata"]["uid"] != self.deleted
        if self.ours is not None and self.told < int(self.ours["metadata"]["resourceVersion"]):
            assert served is not None, "what we wrote is not there"
            wrote, found = (item["metadata"]["resourceVersion"] for item in (self.ours, served))
            assert int(found) >= int(wrote), "older than what we wrote"


OPERATIONS = st.sampled_from(
    [
        *(Play.create, Play.write, Play.delete, Play.they_write),
        *(Play.they_delete, Play.take_list, Play.relist, Play.watch),
        *(Play.slow_write, Play.answer),
    ]
)


@given(st.lists(OPERATIONS, max_size=40))
@settings(max_examples=300)
def test_law(operations: list[Callable[[Play], None]]) -> None:
    """However late watch and lists are: never older than our last write, in the end all is told."""
    play = Play()
    for operation in operations:
        operation(play)
        play.check()
    play.watch(many=999)
    for _ in range(len(play.answers)):
        play.answer()
    assert play.objects.get(PODS, NS, "a") == play.there() == play.heard


def test_a_kind_that_is_not_served_is_not_listed_for_each_release() -> None:
    """A thousand new releases ask whether another controller scales their target."""
    server, timing = FakeCluster(), ManualTiming()
    asked = []

    def refuse(verb: str, kind: Kind, _namespace: str, _name: str) -> None:
        asked.append(verb)
        raise NotFoundError(f"the cluster has no {kind.plural}")

    objects = CachedObjects(server, [], timing)
    server.before = refuse
    for _ in range(1000):
        with pytest.raises(NotFoundError, match="has no deployments"):
            objects.list(DEPLOYMENTS, NS, {})
    assert asked == ["list"]
    server.before = lambda *_: None
    timing.time += ABSENT_FOR
    assert objects.list(DEPLOYMENTS, NS, {}) == [], "it may have been installed since"
