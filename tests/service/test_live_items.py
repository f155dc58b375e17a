"""Items that come, change and go while the service runs."""

from __future__ import annotations

import shutil
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from redis import Redis
from structlog.testing import CapturingLogger

from model_export.contract import scoring
from model_export.contract.bundle import read_manifest, seal_bundle
from service.embedded_redis import embedded_redis
from service.live import changes, sync
from service.stores import items
from tests.service.live_service import eventually, ids, recommended, serving, write_live_bundle
from tests.service.tiny_bundle import add_index

TWIN = {"title": "Item 6", "categories": ["even", "new"], "properties": {"price": 5}}
"""Reads like item i6."""


@pytest.fixture(scope="module")
def live_bundle(tiny_bundle: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("live") / "bundle"
    write_live_bundle(tiny_bundle, path)
    return path


@pytest.fixture(scope="module")
def own_redis(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with embedded_redis(tmp_path_factory.mktemp("redis")) as url:
        yield url


@pytest.fixture(scope="module")
def app(live_bundle: Path, own_redis: str) -> Iterator[httpx.Client]:
    with serving(live_bundle, own_redis) as client:
        yield client


@pytest.fixture
def twin(app: httpx.Client) -> Iterator[str]:
    """A new item that reads like i6."""
    created = app.put("/items/twin", json=TWIN)
    assert created.status_code == 201, created.text
    yield "twin"
    app.delete("/items/twin")


def test_a_new_item_is_recommended_at_once_to_who_liked_what_reads_like_it(
    app: httpx.Client, twin: str
) -> None:
    assert recommended(app, "i6")[0] == twin
    assert twin in recommended(app, "i6", effort="deep", count=12)
    answer = app.post("/recommend", json={"history": ["i6"], "effort": "fast"}).json()
    assert answer["items"][0]["reasons"][0] == {
        "kind": "similar",
        "text": "is like “Item 6”",
        "item_ids": ["i6"],
    }


def test_a_catalogue_with_an_index_recommends_a_new_item_that_the_index_does_not_know(
    live_bundle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(scoring, "IN_DEMAND", 2)
    shutil.copytree(live_bundle, tmp_path / "bundle")
    add_index(tmp_path / "bundle", reach=4)
    with (
        embedded_redis(tmp_path / "redis") as url,
        serving(tmp_path / "bundle", url) as client,
    ):
        client.put("/items/twin", json=TWIN)
        client.put("/items/odd", json={"title": "Wholly other words", "categories": ["other"]})
        assert recommended(client, "i6")[0] == "twin"
        assert "twin" in recommended(client, "i6", effort="deep", count=12)
        assert recommended(client, "i6", filter={"categories": {"any": ["other"]}}) == ["odd"]
        assert {"twin", "odd"} <= set(recommended(client, "i6", effort="deep", count=50))


def test_and_what_reads_like_it_to_who_liked_the_new_one(app: httpx.Client, twin: str) -> None:
    assert "i6" in recommended(app, twin)
    assert twin not in recommended(app, twin, count=50)
    assert twin in recommended(app, twin, count=50, exclude_seen=False)


def test_filters_hold_for_it_and_a_filtered_answer_is_full(app: httpx.Client, twin: str) -> None:
    assert recommended(app, "i3", filter={"categories": {"any": ["new"]}}) == [twin]
    wanted = {"include_items": [twin, "i1", "i2"]}
    assert set(recommended(app, "i3", effort="deep", filter=wanted)) == {twin, "i1", "i2"}
    assert twin not in recommended(app, "i6", count=50, filter={"exclude_items": [twin]})
    without = {"categories": {"none": ["new"]}}
    assert twin not in recommended(app, "i6", count=50, filter=without)
    assert len(recommended(app, "i6", effort="deep", count=20, filter=without)) == 20


def test_it_is_found_shown_and_compared(app: httpx.Client, twin: str) -> None:
    shown = app.get(f"/items/{twin}").json()
    assert shown == {"item_id": twin, "brand": None, "description": None, "available": True, **TWIN}
    assert twin in ids(app.get("/items", params={"query": "item new"}))
    assert ids(app.get(f"/items/{twin}/similar"))[0] == "i6"
    assert twin in ids(app.get("/items/i6/similar", params={"count": 3}))
    full = app.post(
        "/recommend",
        json={"history": ["i6"], "effort": "fast", "include_properties": True},
    ).json()
    assert full["items"][0]["properties"]["properties"] == {"price": 5}


def test_an_explanation_names_it_and_says_so_once_it_is_gone(app: httpx.Client) -> None:
    app.put("/items/brief", json={"title": "Item 8", "categories": ["even"]})
    answer = app.post("/recommend", json={"history": ["i8", "i5"], "effort": "deep", "count": 12})
    path = f"/explain/{answer.json()['recommendation_id']}"
    explained = app.get(path).json()
    assert ("brief", "Item 8") in [(item["item_id"], item["title"]) for item in explained["items"]]
    assert app.delete("/items/brief").status_code == 204
    gone = app.get(path)
    assert gone.status_code == 404
    assert "deleted" in gone.json()["detail"]


def test_a_category_is_known_for_as_long_as_an_item_has_it(app: httpx.Client) -> None:
    wanted = {"count": 1, "filter": {"categories": {"any": ["short-lived"]}}}
    for change in (None, {**TWIN, "categories": ["short-lived"]}, None):
        if change:
            app.put("/items/mayfly", json=change)
        else:
            app.delete("/items/mayfly")
        answer = app.post("/recommend", json=wanted).json()
        assert answer["unknown_categories"] == ([] if change else ["short-lived"])


def test_a_deleted_item_is_gone(app: httpx.Client) -> None:
    app.put("/items/passing", json=TWIN)
    assert app.delete("/items/passing").status_code == 204
    assert app.get("/items/passing").status_code == 404
    assert app.delete("/items/passing").status_code == 404
    assert "passing" not in recommended(app, "i6", count=50)
    assert "passing" not in ids(app.get("/items", params={"query": "new"}))
    assert "passing" not in ids(app.get("/items/i6/similar", params={"count": 50}))
    unknown = app.post("/recommend", json={"history": ["passing", "i6"]}).json()
    assert unknown["unknown_items"] == ["passing"]


def test_an_item_of_the_bundle_can_go_and_come_back(app: httpx.Client) -> None:
    everything = {"available_only": False}
    assert app.delete("/items/i9").status_code == 204
    assert app.get("/items/i9").status_code == 404
    assert "i9" not in recommended(app, "i7", count=50, filter=everything)
    assert "i9" not in ids(app.get("/popular", params={"count": 50}))
    put = app.put("/items/i9", json={"title": "Item 9", "categories": ["odd"]})
    assert put.status_code == 201
    assert "i9" in recommended(app, "i7", count=50)


def test_availability(app: httpx.Client, twin: str) -> None:
    for item in (twin, "i8"):
        patched = app.patch(f"/items/{item}", json={"available": False})
        assert patched.status_code == 200
        assert patched.json()["available"] is False
    found = recommended(app, "i6", count=50)
    assert not {twin, "i8"} & set(found)
    assert {twin, "i8"} <= set(recommended(app, "i6", count=50, filter={"available_only": False}))
    assert twin not in ids(app.get("/items/i6/similar", params={"count": 50}))
    app.patch("/items/i8", json={"available": True})
    assert "i8" in recommended(app, "i6", count=50)


def test_a_patch_changes_what_it_names_and_takes_away_what_is_null(app: httpx.Client) -> None:
    first = app.patch("/items/i10", json={"brand": "Lumo", "properties": {"a": 1, "b": 2}}).json()
    assert first["title"] == "Item 10"
    second = app.patch("/items/i10", json={"brand": None, "properties": {"a": None, "c": 3}})
    assert second.json()["brand"] is None
    assert second.json()["properties"] == {"b": 2, "c": 3}
    assert app.get("/items/i10").json() == second.json()


def test_a_patch_that_takes_all_properties_away(app: httpx.Client, twin: str) -> None:
    for item in (twin, "i11"):
        app.patch(f"/items/{item}", json={"properties": {"a": 1}})
        patched = app.patch(f"/items/{item}", json={"properties": None}).json()
        assert patched["properties"] == {}
        assert app.get(f"/items/{item}").json() == patched
        added = app.patch(f"/items/{item}", json={"properties": {"b": 2}}).json()
        assert added["properties"] == {"b": 2}
        assert app.get(f"/items/{item}").json() == added


def test_patches_together_say_no_more_than_one_body_may(app: httpx.Client, twin: str) -> None:
    for item in (twin, "i12"):
        many = [{f"{part}-{n}": n for n in range(150)} for part in "ab"]
        assert app.patch(f"/items/{item}", json={"properties": many[0]}).status_code == 200
        kept = app.get(f"/items/{item}").json()
        for more in (many[1], {"large": "x" * 65_000}):
            refused = app.patch(f"/items/{item}", json={"properties": more})
            assert refused.status_code == 422
            assert refused.json()["errors"][0]["location"] == "body.properties"
        assert app.get(f"/items/{item}").json() == kept


def test_nulls_of_what_was_never_there_are_not_kept(app: httpx.Client, own_redis: str) -> None:
    app.patch("/items/i13", json={"properties": {f"ghost-{n}": None for n in range(200)}})
    app.patch("/items/i13", json={"properties": {"a": 1}})
    with Redis.from_url(own_redis) as redis:
        stored = redis.hget("streamrec:{items}:changes", "i13")
    assert stored == b'["patch", {"properties": {"a": 1}}]'


def test_a_bundle_that_waits_in_the_same_place_is_not_mixed_in(
    live_bundle: Path, tmp_path: Path
) -> None:
    place = tmp_path / "bundle"
    shutil.copytree(live_bundle, place)
    with (
        embedded_redis(tmp_path / "redis") as url,
        serving(place, url, bundle_poll=3600) as client,
    ):
        hidden = client.patch("/items/i3", json={"available": False}).json()
        place.rename(tmp_path / "old")
        write_live_bundle(live_bundle, place, "live-2")
        refused = client.put("/items/fresh", json=TWIN)
        assert refused.status_code == 409
        assert client.get("/items/fresh").status_code == 404
        assert client.patch("/items/i3", json={"brand": "Lumo"}).status_code == 200
        assert client.get("/items/i3").json() == hidden | {"brand": "Lumo"}


def test_a_new_text_places_an_added_item_anew(app: httpx.Client, twin: str) -> None:
    replaced = app.put(f"/items/{twin}", json={"title": "Item 11", "categories": ["odd"]})
    assert replaced.status_code == 200
    assert recommended(app, "i11")[0] == twin
    assert twin not in recommended(app, "i6")
    assert recommended(app, "i11", count=50).count(twin) == 1


@pytest.mark.parametrize(
    ("method", "path", "body", "status"),
    [
        ("PUT", "/items/x", {"title": 7}, 422),
        ("PUT", "/items/x", {"item_id": "y"}, 422),
        ("PUT", "/items/x", {"title": "t" * 1001}, 422),
        ("PUT", "/items/x", {"categories": ["c"] * 101}, 422),
        ("PUT", "/items/x", {"properties": {"large": "x" * 65_536}}, 422),
        ("PUT", "/items/" + "x" * 257, {}, 422),
        ("PATCH", "/items/i1", {"surprise": 1}, 422),
        ("PATCH", "/items/ghost", {"available": False}, 404),
        ("DELETE", "/items/ghost", None, 404),
        ("GET", "/popular?count=0", None, 422),
    ],
)
def test_problems(
    app: httpx.Client, method: str, path: str, body: dict[str, object] | None, status: int
) -> None:
    answer = app.request(method, path, json=body)
    assert answer.status_code == status
    assert answer.headers["content-type"] == "application/problem+json"


def test_popular_items_by_category(app: httpx.Client) -> None:
    answer = app.get("/popular", params={"category": "even", "count": 3}).json()
    popular = answer["items"]
    assert answer["unknown_categories"] == []
    assert [item["rank"] for item in popular] == [1, 2, 3]
    counts = [item["interactions"] for item in popular]
    assert counts == sorted(counts, reverse=True)
    assert all(int(item["item_id"][1:]) % 2 == 0 for item in popular)
    unknown = app.get("/popular", params={"category": "none"}).json()
    assert unknown == {"items": [], "unknown_categories": ["none"]}
    assert app.get("/popular").json()["unknown_categories"] == []


def test_replicas_follow_a_restart_keeps_and_the_limit_holds(
    live_bundle: Path, tmp_path: Path
) -> None:
    with embedded_redis(tmp_path) as url:
        with (
            serving(live_bundle, url, max_added_items=2) as one,
            serving(live_bundle, url, max_added_items=2) as other,
        ):
            for name in ("a", "b"):
                assert one.put(f"/items/{name}", json=TWIN).status_code == 201
            full = other.put("/items/c", json=TWIN)
            assert full.status_code == 409
            assert "limit" in full.json()["detail"]
            assert one.put("/items/i1", json={"title": "Item 1"}).status_code == 200
            assert eventually(lambda: {"a", "b"} <= set(recommended(other, "i6")))
            answer = one.post("/recommend", json={"history": ["i6"], "count": 12}).json()
            path = f"/explain/{answer['recommendation_id']}"
            assert other.get(path).json()["items"] == one.get(path).json()["items"]
            assert other.delete("/items/a").status_code == 204
            assert eventually(lambda: "a" not in recommended(one, "i6", count=50))
            assert other.put("/items/c", json=TWIN).status_code == 201
        with serving(live_bundle, url) as again:
            assert {"b", "c"} <= set(recommended(again, "i6"))
            assert again.get("/items/a").status_code == 404


def test_what_cannot_be_read_is_left_out_and_named(
    live_bundle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    told = CapturingLogger()
    for module in (changes, items):
        monkeypatch.setattr(module, "log", told)
    with embedded_redis(tmp_path) as url:
        stored = {"i1": "no JSON", "i2": '["swap", {}]', "i3": '["put", {"titel": "typo"}]'}
        good = {"i4": '["patch", {"available": false}]', "new": '["put", {"title": "Item 6"}]'}
        with Redis.from_url(url) as redis:
            redis.hset("streamrec:{items}:changes", mapping=stored | good)
        with serving(live_bundle, url) as client:
            assert sorted(call.kwargs["item_id"] for call in told.calls) == ["i1", "i2", "i3"]
            assert client.get("/items/i3").json()["title"] == "Item 3"
            assert client.get("/items/i4").json()["available"] is False
            assert client.get("/items/new").json()["title"] == "Item 6"
            for item in stored:
                assert client.patch(f"/items/{item}", json={"brand": "Lumo"}).status_code == 200
                assert client.get(f"/items/{item}").json()["brand"] == "Lumo"


def test_what_stands_in_the_way_of_changes_is_said_once_and_they_come_later(
    live_bundle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    told = CapturingLogger()
    monkeypatch.setattr(sync, "log", told)
    monkeypatch.setattr(sync, "_SECONDS", 0.05)
    with embedded_redis(tmp_path) as url, Redis.from_url(url) as redis:
        redis.set("streamrec:{items}:versions", "of another program")
        with serving(live_bundle, url) as client:
            time.sleep(0.5)
            assert recommended(client, "i6")
            assert [call.args[0] for call in told.calls] == ["changes of items are not taken in"]
            redis.delete("streamrec:{items}:versions")
            redis.hset("streamrec:{items}:changes", "i4", '["patch", {"available": false}]')
            assert eventually(lambda: client.get("/items/i4").json()["available"] is False)


def test_a_bundle_that_cannot_place_new_items_takes_every_other_change(
    live_bundle: Path, tmp_path: Path
) -> None:
    old = tmp_path / "old"
    shutil.copytree(live_bundle, old)
    shutil.rmtree(old / "tokenizer")
    seal_bundle(old, read_manifest(old))
    with (
        embedded_redis(tmp_path / "redis") as url,
        serving(live_bundle, url) as new,
        serving(old, url) as client,
    ):
        assert new.put("/items/fresh", json=TWIN).status_code == 201
        assert client.patch("/items/i3", json={"available": False}).status_code == 200
        assert client.get("/items/i3").json()["available"] is False
        assert client.get("/items/fresh").status_code == 404
        assert client.put("/items/other", json=TWIN).status_code == 409
        assert client.get("/readyz").json()["status"] == "ready"
        assert client.delete("/items/fresh").status_code == 204


@pytest.mark.parametrize("lost", ["everything", "the last writes"])
def test_what_redis_has_lost_is_not_kept_even_if_it_is_written_to_again(
    live_bundle: Path, tmp_path: Path, lost: str
) -> None:
    """Both come before the next look, so that what is written is newer than what was lost."""
    with (
        embedded_redis(tmp_path) as url,
        serving(live_bundle, url) as client,
        Redis.from_url(url) as redis,
    ):
        client.put("/items/kept", json=TWIN)
        before = {key: redis.dump(key) for key in redis.scan_iter()}
        client.put("/items/lost", json=TWIN)
        client.patch("/items/i3", json={"available": False})
        with redis.pipeline() as pipe:
            pipe.flushall()
            for key, value in before.items() if lost == "the last writes" else ():
                pipe.restore(key, 0, value)
            pipe.execute()
        assert client.put("/items/later", json=TWIN).status_code == 201
        assert client.get("/items/lost").status_code == 404
        assert client.get("/items/i3").json()["available"] is True
        there = client.get("/items/kept").status_code == 200
        assert there == (lost == "the last writes")


def test_changes_of_items_that_no_bundle_has_had_for_long_are_dropped(
    live_bundle: Path, tmp_path: Path
) -> None:
    day = 86_400_000_000
    with embedded_redis(tmp_path) as url, Redis.from_url(url) as redis:
        kinds = {"patch": '["patch", {"brand": "x"}]', "gone": '["deleted", {}]'}
        for age in ("new", "old"):
            for name, change in kinds.items():
                redis.hset("streamrec:{items}:changes", f"{age}-{name}", change)
                at = time.time_ns() // 1_000 - (40 if age == "old" else 20) * day
                redis.zadd("streamrec:{items}:versions", {f"{age}-{name}": at})
        redis.hset("streamrec:{items}:changes", "i3", kinds["patch"])
        with serving(live_bundle, url):
            left = redis.hkeys("streamrec:{items}:changes")
    assert sorted(left) == [b"i3", b"new-gone", b"new-patch"]


def test_a_new_model_takes_the_changes_over(
    tiny_bundle: Path, live_bundle: Path, own_redis: str, tmp_path: Path
) -> None:
    link = tmp_path / "bundle"
    link.symlink_to(live_bundle)
    with serving(link, own_redis, bundle_poll=0.1) as client:
        client.put("/items/heir", json=TWIN)
        write_live_bundle(tiny_bundle, tmp_path / "next", "live-2")
        swapped = tmp_path / "swapped"
        swapped.symlink_to(tmp_path / "next")
        swapped.rename(link)
        asked = {"history": ["i6"], "effort": "fast"}
        assert eventually(
            lambda: client.post("/recommend", json=asked).json()["model_version"] == "live-2"
        )
        assert "heir" in recommended(client, "i6")
        client.delete("/items/heir")
