"""The page's files and headers; what it does is tested in tests/browser."""

from __future__ import annotations

import re

import httpx
import pytest

from model_export.contract.bundle import Bundle
from service.api.page import FOLDER, prefers_html
from tests.service.conftest import running_shop

BROWSER = "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"


def test_everything_that_the_page_names_is_served_and_nothing_is_elsewhere(
    client: httpx.Client,
) -> None:
    page = client.get("/")
    assert page.headers["content-type"] == "text/html; charset=utf-8"
    assert "http://" not in page.text
    assert "https://" not in page.text
    for name in re.findall(r'"(/page/[^"]+)"', page.text):
        assert client.get(name).status_code == 200, name
    for script in FOLDER.glob("*.js"):
        for name in re.findall(r'from "\./([^"]+)"', script.read_text()):
            response = client.get(f"/page/{name}")
            assert response.headers["content-type"].startswith("text/javascript"), name


def test_no_script_parses_html() -> None:
    for script in FOLDER.glob("*.js"):
        assert not re.search(
            r"innerHTML|outerHTML|insertAdjacent|document\.write", script.read_text()
        )


def test_the_policy_allows_this_service_only(client: httpx.Client) -> None:
    headers = client.get("/").headers
    policy = headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "script-src 'self';" in policy
    assert "unsafe" not in policy
    assert headers["x-content-type-options"] == "nosniff"


def test_a_browser_that_has_a_file_does_not_get_it_again(client: httpx.Client) -> None:
    tag = client.get("/page/main.js").headers["etag"]
    assert client.get("/page/main.js", headers={"If-None-Match": tag}).status_code == 304


@pytest.mark.parametrize("name", ["ghost.js", "..%2Fapp.py", "__init__.py"])
def test_nothing_else_is_served(client: httpx.Client, name: str) -> None:
    assert client.get(f"/page/{name}").status_code == 404


@pytest.mark.parametrize(
    ("accept", "html"),
    [
        (BROWSER, True),
        ("text/html", True),
        ("*/*", False),
        ("", False),
        ("application/json", False),
        ("text/html;q=0.5, application/json", False),
        ("text/html, application/json;q=0.9", True),
        ("text/html;q=nonsense", False),
    ],
)
def test_who_gets_html(accept: str, html: bool) -> None:
    assert prefers_html(accept) is html


def test_a_browser_gets_a_page_and_a_client_json(client: httpx.Client) -> None:
    made = client.post("/recommend", json={"history": ["lens"]}).json()["recommendation_id"]
    shown = client.get(f"/explain/{made}", headers={"Accept": BROWSER})
    assert shown.headers["content-type"].startswith("text/html")
    assert shown.headers["vary"] == "Accept"
    assert client.get(f"/explain/{made}").json()["recommendation_id"] == made


def test_the_page_of_an_answer_needs_no_key_and_the_answer_does(
    shop: Bundle, redis_url: str
) -> None:
    key = {"X-API-Key": "read-key-0123456789"}
    with running_shop(shop, redis_url, api_keys="app:read:read-key-0123456789") as client:
        answer = client.post("/recommend", json={"history": ["lens"]}, headers=key).json()
        made = answer["recommendation_id"]
        shown = client.get(f"/explain/{made}", headers={"Accept": BROWSER})
        assert shown.status_code == 200
        assert (
            shown.text
            == client.get("/").text
            == client.get("/explain/ghost", headers={"Accept": BROWSER}).text
        )
        assert client.get(f"/explain/{made}").status_code == 401
        assert client.get(f"/explain/{made}", headers=key).status_code == 200
        for path in ("/users/u/history", "/items", "/metrics"):
            assert client.get(path, headers={"Accept": BROWSER}).status_code == 401


def test_without_the_page_a_browser_needs_a_key_for_an_answer(shop: Bundle, redis_url: str) -> None:
    with running_shop(
        shop, redis_url, page=False, api_keys="app:read:read-key-0123456789"
    ) as client:
        assert client.get("/explain/ghost", headers={"Accept": BROWSER}).status_code == 401


def test_the_page_can_be_switched_off(shop: Bundle, redis_url: str) -> None:
    with running_shop(shop, redis_url, page=False) as client:
        for path in ("/", "/page/main.js", "/page/users.json"):
            assert client.get(path).status_code == 404
        made = client.post("/recommend", json={"history": ["lens"]}).json()["recommendation_id"]
        explained = client.get(f"/explain/{made}", headers={"Accept": BROWSER})
        assert explained.json()["recommendation_id"] == made


def test_the_page_offers_the_users_that_it_was_given(shop: Bundle, redis_url: str) -> None:
    with running_shop(shop, redis_url, page_users="u-1, u-2,") as client:
        assert client.get("/page/users.json").json() == ["u-1", "u-2"]
