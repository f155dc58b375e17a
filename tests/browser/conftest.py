"""A headless Chromium, and a shop whose item texts try to run scripts."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterator

import httpx
import pytest
from selenium import webdriver
from selenium.common.exceptions import StaleElementReferenceException
from selenium.webdriver.common.by import By
from selenium.webdriver.remote.webelement import WebElement
from selenium.webdriver.support.wait import WebDriverWait

from model_export.contract.bundle import read_manifest, seal_bundle
from model_export.contract.catalog import Catalog
from model_export.contract.files import write_json
from service.app import create_app
from service.settings import Settings
from tests.service.conftest import redis_url, running
from tests.service.tiny_bundle import write_tiny_bundle

__all__ = ["redis_url"]

SCRIPT = "<img src=x onerror=\"document.title='hacked'\"><script>document.title='hacked'</script>"


class Page:
    """One browser window on the service, with the few things that a visitor does."""

    def __init__(self, driver: webdriver.Chrome, url: str) -> None:
        self.driver = driver
        self.url = url

    def open(self, path: str = "/") -> None:
        """Go to a path of the service."""
        self.driver.get(self.url + path)

    def all(self, css: str) -> list[WebElement]:
        """Every element there is now."""
        return self.driver.find_elements(By.CSS_SELECTOR, css)

    def one(self, css: str) -> WebElement:
        """The first element, once it shows."""
        redrawn = [StaleElementReferenceException]
        return WebDriverWait(self.driver, 15, ignored_exceptions=redrawn).until(
            lambda _: next((found for found in self.all(css) if found.is_displayed()), None)
        )

    def texts(self, css: str) -> list[str]:
        """What the elements say, for eyes and ears."""
        script = "return [...document.querySelectorAll(arguments[0])].map((e) => e.textContent)"
        found: list[str] = self.driver.execute_script(script, css)
        return found

    def until(self, css: str, text: str) -> None:
        """Wait until an element says something."""
        WebDriverWait(self.driver, 15).until(
            lambda _: any(text in said for said in self.texts(css)), f"{css} never said {text!r}"
        )

    def find(self, words: str) -> WebElement:
        """Search the catalogue and return the first hit."""
        search = self.one("#search")
        search.clear()
        search.send_keys(words)
        self.until("#found li:first-child .title", words)
        return self.one("#found li:first-child button")

    def recommend(self, *items: str) -> None:
        """Build a history and ask."""
        self.open()
        for words in items:
            self.find(words).click()
        self.one("#ask .primary").click()
        self.until("#status", "items recommended")


@pytest.fixture(scope="session")
def chromium() -> Iterator[webdriver.Chrome]:
    """A headless Chromium; tests without one are skipped."""
    browser = shutil.which("chromium") or shutil.which("google-chrome")
    driver = shutil.which("chromedriver")
    if not browser or not driver:
        pytest.skip("no Chromium here; install the packages chromium and chromium-driver")
    options = webdriver.ChromeOptions()
    options.binary_location = browser
    for argument in ("--headless=new", "--disable-gpu", "--window-size=1200,900"):
        options.add_argument(argument)
    if os.geteuid() == 0:
        options.add_argument("--no-sandbox")  # root cannot have one
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    with webdriver.Chrome(options, webdriver.ChromeService(driver)) as chrome:
        yield chrome


@pytest.fixture(scope="session")
def service(tmp_path_factory: pytest.TempPathFactory, redis_url: str) -> Iterator[httpx.Client]:
    """The real service on a small real bundle: item 7 has a script for a title, as have all codes."""
    bundle = tmp_path_factory.mktemp("browser") / "bundle"
    write_tiny_bundle(bundle)
    catalog = Catalog.read(bundle / "catalog.jsonl")
    hostile = {"title": SCRIPT, "categories": [SCRIPT], "brand": "hostile"}
    Catalog(
        item.model_copy(update=hostile) if item.item_id == "i7" else item for item in catalog
    ).write(bundle / "catalog.jsonl")
    labels = json.loads((bundle / "code_labels.json").read_text(encoding="utf-8"))
    write_json(
        bundle / "code_labels.json", [[f"{label} {SCRIPT}" for label in level] for level in labels]
    )
    seal_bundle(bundle, read_manifest(bundle).model_copy(update={"files": {}}))
    settings = Settings.model_validate(
        {"bundle": bundle, "redis_url": redis_url, "redis_timeout": 5, "page_users": "ada"}
    )
    with running(create_app(settings)) as client:
        yield client


@pytest.fixture
def page(chromium: webdriver.Chrome, service: httpx.Client) -> Iterator[Page]:
    """The page; fails where the browser complained of anything."""
    chromium.get_log("browser")
    yield Page(chromium, str(service.base_url).rstrip("/"))
    complaints = [
        entry["message"]
        for entry in chromium.get_log("browser")
        if entry["level"] == "SEVERE" and "status of 404" not in entry["message"]
    ]
    assert complaints == []


@pytest.fixture
def phone(page: Page) -> Iterator[Page]:
    """The page on a small screen."""
    size = {"width": 360, "height": 740, "deviceScaleFactor": 2, "mobile": True}
    page.driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
    yield page
    page.driver.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})
