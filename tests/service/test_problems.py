"""Every error is a problem document with the id of its request."""

from __future__ import annotations

import json
import socket
import threading
import time
from collections.abc import Iterator, Sequence

import httpx
import pytest

from model_export.contract.bundle import Bundle
from service.trace import Answer, Query
from tests.service.conftest import CountingReasoner, running_shop

MEMBERS = {"type", "title", "status", "detail", "instance", "request_id", "errors"}


def assert_problem(response: httpx.Response, status: int) -> None:
    assert response.status_code == status
    assert response.headers["content-type"] == "application/problem+json"
    problem = response.json()
    assert problem.keys() == MEMBERS
    assert problem["status"] == status
    assert problem["request_id"] == response.headers["x-request-id"]


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/nowhere", 404),
        ("GET", "/items/ghost", 404),
        ("GET", "/items/ghost/similar", 404),
        ("GET", "/items/lens/similar?count=0", 422),
        ("GET", "/explain/ghost", 404),
        ("GET", "/recommend", 405),
        ("POST", "/items/lens", 405),
        ("GET", "/users/" + "u" * 257 + "/history", 422),
    ],
)
def test_problems(client: httpx.Client, method: str, path: str, status: int) -> None:
    response = client.request(method, path)
    assert_problem(response, status)
    if status == 405:
        assert response.headers["allow"]


@pytest.mark.parametrize(
    ("body", "problem"),
    [
        ({"user": "u-1"}, "body.user: unknown key; known are user_id, history, count"),
        (
            {"filter": {"category": "x"}},
            "body.filter.category: unknown key; known are include_items",
        ),
        ({"filter": {"categories": {"or": []}}}, "unknown key; known are any, all, none"),
        ({"history": [{"id": "camera"}]}, "unknown key; known are item_id, timestamp, event_type"),
    ],
)
def test_an_unknown_key_names_the_known_ones(
    client: httpx.Client, body: dict[str, object], problem: str
) -> None:
    response = client.post("/recommend", json=body)
    assert_problem(response, 422)
    assert problem in response.json()["detail"]


def test_an_event_with_an_unknown_key_is_told_the_known_ones(client: httpx.Client) -> None:
    event = {"user_id": "u", "item_id": "camera", "kind": "view"}
    (rejected,) = client.post("/events", json={"events": [event]}).json()["rejected"]
    assert rejected["problem"].startswith("kind: unknown key; known are event_id, user_id, item_id")


def test_a_path_names_all_of_its_methods(client: httpx.Client) -> None:
    answer = client.post("/items/lens")
    assert_problem(answer, 405)
    assert {"GET", "PUT", "PATCH", "DELETE"} <= set(answer.headers["allow"].split(", "))
    told = f"/items/lens does not answer to POST; it does to {answer.headers['allow']}"
    assert answer.json()["detail"] == told


def test_a_path_that_is_not_there_names_those_that_are(client: httpx.Client) -> None:
    answer = client.get("/recomend/me")
    assert_problem(answer, 404)
    wrong, known = answer.json()["detail"].split("; there are ")
    assert wrong == "there is no /recomend/me"
    assert {"/recommend", "/items/{item_id}", "/metrics"} <= set(known.split(", "))


JSON = {"content-type": "application/json"}
SEND = "send a JSON object, with the header Content-Type: application/json"


@pytest.mark.parametrize("path", ["/recommend", "/explain", "/events"])
@pytest.mark.parametrize(
    ("content", "headers", "sentence"),
    [
        (b'{"count" 3}', JSON, "this is not JSON: Expecting ':' delimiter at character 9; mend it"),
        (b"", JSON, f"there is none; {SEND}"),
        (b"", {}, f"there is none; {SEND}"),
        (b"{}", {}, f"it was sent without a Content-Type; {SEND}"),
        (
            b"{}",
            {"content-type": "text/plain; charset=utf-8"},
            f"it was sent as text/plain; {SEND}",
        ),
        (b"[]", JSON, "this is JSON, but not an object; send one in braces"),
    ],
)
def test_a_body_that_cannot_be_read_says_what_to_send(
    client: httpx.Client, path: str, content: bytes, headers: dict[str, str], sentence: str
) -> None:
    refused = client.post(path, content=content, headers=headers)
    assert_problem(refused, 422)
    assert refused.json()["detail"].startswith(f"body: {sentence}")
    assert [error["location"] for error in refused.json()["errors"]] == ["body"]


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (b'{"user_id": "\xe9"}', "the body is not text in UTF-8; send JSON in UTF-8"),
        (b"[" * 100_000, "the body is nested too deeply; see /openapi.json"),
    ],
)
def test_a_body_that_is_no_text_or_no_end_of_brackets(
    client: httpx.Client, content: bytes, sentence: str
) -> None:
    refused = client.post("/recommend", content=content, headers=JSON)
    assert_problem(refused, 400)
    assert refused.json()["detail"].startswith(sentence)


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"{",
        b"\xff\xfe",
        b'{"diversity": NaN}',
        b'{"user_id": "\\ud800"}',
        b'{"\\ud800": 1}',
        b"[" * 100_000,
        b'{"filter": ' * 10_000,
        b'{"count": ' + b"9" * 5_000 + b"}",
    ],
)
def test_hostile_bodies(client: httpx.Client, content: bytes) -> None:
    response = client.post(
        "/recommend", content=content, headers={"content-type": "application/json"}
    )
    assert response.status_code in {400, 422}
    assert_problem(response, response.status_code)


def test_a_body_above_the_limit_is_refused(shop: Bundle, redis_url: str) -> None:
    def chunks() -> Iterator[bytes]:
        yield b'{"user_id": "'
        for _ in range(20):
            yield b"u" * 100

    with running_shop(shop, redis_url, max_body_bytes=1024) as client:
        announced = client.post("/recommend", json={"user_id": "u" * 2000})
        assert_problem(announced, 413)
        streamed = client.post(
            "/recommend", content=chunks(), headers={"content-type": "application/json"}
        )
        assert_problem(streamed, 413)


def test_a_request_id_is_taken_over_if_it_is_harmless(client: httpx.Client) -> None:
    assert (
        client.get("/livez", headers={"x-request-id": "abc-1"}).headers["x-request-id"] == "abc-1"
    )
    replaced = client.get("/livez", headers={"x-request-id": 'a"b'}).headers["x-request-id"]
    assert len(replaced) == 32


def test_overload_is_refused_at_once_and_passes(shop: Bundle, redis_url: str) -> None:
    reasoner = CountingReasoner()
    reasoner.may_run.clear()
    with running_shop(shop, redis_url, reasoner, queue_size=2, max_batch=1) as client:
        answers: list[httpx.Response] = []

        def ask() -> None:
            answers.append(client.post("/recommend", json={"history": ["lens"]}))

        threads = [threading.Thread(target=ask) for _ in range(6)]
        for thread in threads:
            thread.start()
        while len(answers) < 3:
            time.sleep(0.01)
        for refused in answers[:3]:
            assert_problem(refused, 503)
            assert refused.headers["retry-after"] == "1"
        reasoner.may_run.set()
        for thread in threads:
            thread.join()
        assert [answer.status_code for answer in answers[3:]] == [200, 200, 200]
        assert 'streamrec_rejected_total{reason="overloaded"} 3.0' in client.get("/metrics").text


def test_a_fault_shows_nothing_of_the_inside(shop: Bundle, redis_url: str) -> None:
    class Broken(CountingReasoner):
        def answer(self, queries: Sequence[Query]) -> Iterator[tuple[int, Answer]]:
            raise ZeroDivisionError(f"secret of {len(queries)}")

    with running_shop(shop, redis_url, Broken()) as client:
        response = client.post("/recommend", json={"history": ["lens"]})
        assert_problem(response, 500)
        assert "secret" not in response.text
        assert client.post("/recommend", json={}).status_code == 200


def test_a_client_that_hangs_up_harms_nobody(client: httpx.Client) -> None:
    address = (client.base_url.host, client.base_url.port)
    body = json.dumps({"history": ["lens"]}).encode()
    head = f"POST /recommend HTTP/1.1\r\nHost: x\r\nContent-Length: {len(body)}\r\n\r\n".encode()
    for sent in (head, head + body[:5]):
        with socket.create_connection(address) as connection:
            connection.sendall(sent)
    assert client.get("/livez").status_code == 200
