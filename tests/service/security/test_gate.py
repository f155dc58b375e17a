"""Who is let in: keys, scopes, rates, origins; and the headers of every answer."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Iterator

import httpx
import pytest

from model_export.contract.bundle import Bundle
from service.stores.connection import Connection
from service.stores.rate_limits import RateLimits
from tests.service.conftest import running_shop
from tests.service.test_problems import assert_problem

READ, WRITE, ADMIN = "read-key-0123456789", "write-key-0123456789", "admin-key-0123456789"
KEYS = f"app:read:{READ} shop:read+write:{WRITE} ops:admin:{ADMIN}"
LENS = {"history": ["lens"]}


@pytest.fixture(scope="module")
def guarded(shop: Bundle, redis_url: str) -> Iterator[httpx.Client]:
    """The shop behind keys, with the page of one origin let in."""
    with running_shop(
        shop, redis_url, api_keys=KEYS, cors_origins="https://shop.example"
    ) as client:
        yield client


def bearer(key: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {key}"}


def test_every_call_of_the_api_but_the_open_ones_needs_a_key(guarded: httpx.Client) -> None:
    document = guarded.get("/openapi.json").json()
    open_to_all = set()
    for path, operations in document["paths"].items():
        for method, operation in operations.items():
            for headers in ({}, {"X-API-Key": "wrong-key-0123456789"}):
                answer = guarded.request(method, path, content=b"{", headers=headers)
                if "security" not in operation:
                    open_to_all.add(path)
                    assert answer.status_code == 200
                    continue
                assert_problem(answer, 401)
                assert answer.headers["www-authenticate"] == "Bearer"
            assert {"401", "403", "429"} <= operation["responses"].keys() or path in open_to_all
    assert open_to_all == {"/livez", "/readyz"}


def test_the_document_names_the_scope_of_each_call(guarded: httpx.Client) -> None:
    document = guarded.get("/openapi.json").json()
    assert document["paths"]["/recommend"]["post"]["security"] == [
        {"bearer": ["read"]},
        {"api_key": ["read"]},
    ]
    assert document["paths"]["/events"]["post"]["security"][0] == {"bearer": ["write"]}
    assert document["components"]["securitySchemes"]["bearer"]["scheme"] == "bearer"


@pytest.mark.parametrize(
    ("key", "statuses"),
    [
        (READ, (200, 403, 403)),
        (WRITE, (200, 202, 403)),
        (ADMIN, (403, 403, 200)),
    ],
)
def test_scopes(guarded: httpx.Client, key: str, statuses: tuple[int, ...]) -> None:
    events = {"events": [{"user_id": "gate", "item_id": "lens"}]}
    calls = (("/recommend", LENS), ("/events", events), ("/admin/reload", None))
    for headers in (bearer(key), {"X-API-Key": key}):
        for (path, body), status in zip(calls, statuses, strict=True):
            assert guarded.post(path, json=body, headers=headers).status_code == status


def test_a_refusal_is_counted_and_tells_no_secret(guarded: httpx.Client) -> None:
    wrong = "guessed-key-0123456789"
    refused = guarded.post("/recommend", json=LENS, headers=bearer(wrong))
    metrics = guarded.get("/metrics", headers=bearer(READ)).text
    assert 'streamrec_rejected_total{reason="unauthorized"}' in metrics
    for text in (refused.text, metrics):
        assert not any(key in text for key in (wrong, READ, WRITE, ADMIN))


def test_admin_calls_are_closed_where_no_key_is_configured(client: httpx.Client) -> None:
    refused = client.post("/admin/reload")
    assert_problem(refused, 403)
    assert "none configured" in refused.json()["detail"]
    assert client.post("/recommend", json=LENS).status_code == 200


def test_a_rate_holds_for_each_key_and_address_and_over_all_workers(
    shop: Bundle, redis_url: str
) -> None:
    limits = {"rate_limit": 0.2, "rate_burst": 3, "api_keys": KEYS}
    with (
        running_shop(shop, redis_url, **limits) as one,
        running_shop(shop, redis_url, **limits) as other,
    ):
        answers = [
            worker.post("/recommend", json=LENS, headers=bearer(READ))
            for worker in (one, other, one, other)
        ]
        assert [answer.status_code for answer in answers] == [200, 200, 200, 429]
        assert_problem(answers[-1], 429)
        assert 1 <= int(answers[-1].headers["retry-after"]) <= 5
        assert one.post("/recommend", json=LENS, headers=bearer(WRITE)).status_code == 200
        # Guessing keys is limited too, by address.
        guesses = [one.get("/items", headers=bearer("?" * 20)).status_code for _ in range(4)]
        assert guesses == [401, 401, 401, 429]
        assert one.get("/livez").status_code == 200


def test_a_client_may_come_again_after_the_time_that_it_is_told(redis_url: str) -> None:
    async def run() -> None:
        connection = Connection(redis_url, timeout=5, max_connections=1)
        limits = RateLimits(connection, rate=1.0, burst=1)
        assert await limits.take("again") == 0
        wait = await limits.take("again")
        assert 0 < wait <= 1
        assert await limits.take("another") == 0
        await asyncio.sleep(wait + 0.01)
        assert await limits.take("again") == 0
        await connection.close()

    asyncio.run(run())


def test_without_redis_nobody_is_limited(shop: Bundle) -> None:
    with running_shop(
        shop, "redis://127.0.0.1:1", rate_limit=0.01, rate_burst=1, redis_timeout=0.2
    ) as client:
        for _ in range(3):
            assert client.post("/recommend", json=LENS).status_code == 200


def test_other_origins_stay_out_unless_they_are_named(
    guarded: httpx.Client, client: httpx.Client
) -> None:
    def asked(by: httpx.Client, origin: str) -> httpx.Headers:
        wanted = {"Origin": origin, "Access-Control-Request-Method": "POST"}
        return by.options("/recommend", headers=wanted).headers

    allow = "access-control-allow-origin"
    assert asked(guarded, "https://shop.example")[allow] == "https://shop.example"
    assert allow not in asked(guarded, "https://evil.example")
    assert allow not in asked(client, "https://shop.example")
    refused = guarded.post("/recommend", json=LENS, headers={"Origin": "https://shop.example"})
    assert refused.headers[allow] == "https://shop.example"


@pytest.mark.parametrize("path", ["/livez", "/nowhere", "/items/lens", "/", "/docs"])
def test_every_answer_carries_the_security_headers(client: httpx.Client, path: str) -> None:
    headers = client.get(path).headers
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["x-frame-options"] == "DENY"
    assert headers["referrer-policy"] == "no-referrer"
    assert "frame-ancestors 'none'" in headers["content-security-policy"]
    assert headers["cache-control"] == ("no-cache" if path == "/" else "no-store")


def test_the_documentation_can_be_switched_off(shop: Bundle, redis_url: str) -> None:
    with running_shop(shop, redis_url, docs=False) as client:
        for path in ("/docs", "/redoc", "/openapi.json"):
            assert_problem(client.get(path), 404)
        assert client.post("/recommend", json=LENS).status_code == 200


def test_a_body_that_dribbles_in_is_given_up(shop: Bundle, redis_url: str) -> None:
    def dribble() -> Iterator[bytes]:
        for byte in json.dumps(LENS).encode():
            yield bytes([byte])
            time.sleep(0.1)

    with running_shop(shop, redis_url, body_seconds=0.4) as client:
        answer = client.post(
            "/recommend", content=dribble(), headers={"Content-Type": "application/json"}
        )
        assert_problem(answer, 408)
        assert answer.headers["connection"] == "close"


@pytest.mark.parametrize(("scheme", "told"), [("https", True), ("http", False)])
def test_whoever_came_by_https_is_told_to_stay_there(
    client: httpx.Client, scheme: str, told: bool
) -> None:
    """As a proxy that ends TLS says it."""
    answer = client.get("/livez", headers={"X-Forwarded-Proto": scheme})
    assert ("strict-transport-security" in answer.headers) is told
