"""What a visitor does with the page."""

from __future__ import annotations

import httpx
import pytest
from selenium.webdriver import ActionChains
from selenium.webdriver.common.keys import Keys

from tests.browser.conftest import SCRIPT, Page


def test_from_a_history_to_an_answer_and_why(page: Page) -> None:
    page.recommend("Item 6", "Item 5")
    assert len(page.all("#answer .item")) == 8
    assert len(page.all("#thinking .step")) == 5
    assert len(page.all(".bump .path")) == 8
    assert len(page.all("#thinking tbody tr")) == 8
    page.one(".why-button").click()
    assert page.one(".why-button").get_attribute("aria-pressed") == "true"
    assert page.driver.switch_to.active_element == page.one(".why-button")
    title = page.texts("#answer .item h3")[0]
    assert f"“{title}”" in page.one("#history-note").text
    assert len(page.all(".bump .path.dimmed")) == 7
    assert page.all(".closer .reasons li")


def test_a_step_lights_the_history(page: Page) -> None:
    page.recommend("Item 6", "Item 5")
    page.all(".light-button")[2].click()
    assert "made step 2 write" in page.one("#history-note").text
    assert len(page.all(".step.chosen")) == 1


def test_an_added_item_changes_the_answer(page: Page) -> None:
    page.recommend("Item 6")
    before = page.texts("#answer .item h3")
    page.one(".add-button").click()
    page.until("#history .title", before[0])
    page.until("#answer .badge", "")
    assert before[0] not in page.texts("#answer .item h3")
    assert page.texts("#history .title") == [before[0], "Item 6"]
    page.one(".remove").click()
    page.until("#answer .item h3", before[0])


def test_a_users_event_is_stored_and_changes_the_answer(page: Page, service: httpx.Client) -> None:
    event = {"user_id": "ada", "item_id": "i4"}
    assert service.post("/events", json={"events": [event]}).status_code == 202
    page.open()
    page.one("input[value=user] + span").click()
    page.one("#user-picks button").click()
    page.until("#history .title", "Item 4")
    page.one(".add-button").click()
    page.until("#answer .badge", "")
    stored = service.get("/users/ada/history").json()["events"]
    assert len(stored) == 2
    assert len(page.all("#history li")) == 2


def test_fast_beside_deep(page: Page) -> None:
    page.recommend("Item 6", "Item 5")
    page.one("#compare").click()
    page.until("#comparison .columns", "0 steps")
    assert [
        len(column.find_elements("tag name", "li")) for column in page.all(".columns > section")
    ] == [8, 8]
    assert page.texts("#comparison .badge")


def test_without_a_history_there_is_nothing_to_compare(page: Page) -> None:
    page.open()
    page.one("#compare").click()
    page.until("#status.wrong", "Add an item first")
    assert not page.all("#comparison:not([hidden])")
    page.find("Item 6").click()
    page.one("#compare").click()
    page.until("#comparison .columns", "0 steps")
    page.one(".remove").click()
    page.one("#compare").click()
    page.until("#status.wrong", "Add an item first")
    assert not page.all("#comparison:not([hidden])")
    page.one("input[value=user] + span").click()
    page.one("#user").send_keys("nobody-knows")
    page.one("#ask .primary").click()
    page.until("#status", "items recommended")
    page.one("#compare").click()
    page.until("#status.wrong", "name a user who has a history")


def test_all_of_it_by_keyboard(page: Page) -> None:
    page.open()
    page.one("#search").send_keys("Item 9")
    page.until("#found li:first-child .title", "Item 9")
    keys = ActionChains(page.driver)
    keys.send_keys(Keys.TAB, Keys.ENTER).perform()
    page.until("#history .title", "Item 9")
    for _ in range(12):
        focused = page.driver.execute_script("return document.activeElement.textContent.trim()")
        if focused == "Recommend":
            break
        ActionChains(page.driver).send_keys(Keys.TAB).perform()
    ActionChains(page.driver).send_keys(Keys.ENTER).perform()
    page.until("#status", "items recommended")


def test_a_recorded_answer_has_a_page_of_its_own(page: Page, service: httpx.Client) -> None:
    body = {"history": ["i3", "i5"], "effort": "deep"}
    made = service.post("/recommend", json=body).json()
    page.open(f"/explain/{made['recommendation_id']}")
    page.until("#answer .item h3", "Item")
    assert not page.one("#history").find_elements("tag name", "button")
    assert not page.all("#ask:not([hidden])")
    assert len(page.all("#answer .item")) == 10
    page.one(".why-button").click()


def test_an_expired_answer_is_told_plainly(page: Page) -> None:
    page.open("/explain/never-made")
    page.until("#status.wrong", "expire")


@pytest.mark.parametrize("path", ["history", "found", "answer", "steps"])
def test_no_script_in_a_title_ever_runs(page: Page, service: httpx.Client, path: str) -> None:
    page.open()
    if path == "found":
        page.one("#search").send_keys("hostile")
        page.until("#found .title", SCRIPT)
    elif path == "history":
        page.one("#search").send_keys("hostile")
        page.until("#found .title", SCRIPT)
        page.one("#found button").click()
        page.one("#ask .primary").click()
        page.until("#history .title", SCRIPT)
        page.until("#status", "items recommended")
    elif path == "steps":
        page.recommend("Item 6", "Item 5")
        page.until("#thinking .code-label", SCRIPT)
        page.until("#thinking .step p", SCRIPT)
    else:
        body = {"history": ["i3", "i5"], "filter": {"include_items": ["i7", "i8"]}}
        made = service.post("/recommend", json=body).json()
        page.open(f"/explain/{made['recommendation_id']}")
        page.until("#answer .item h3", SCRIPT)
    page.driver.execute_async_script("setTimeout(arguments[0], 200)")
    assert "hacked" not in page.driver.title
    assert not page.all("img[onerror]")
    assert len(page.all("script")) == 1


def test_nothing_is_loaded_from_elsewhere(page: Page) -> None:
    page.recommend("Item 6", "Item 5")
    loaded = page.driver.execute_script(
        "return performance.getEntriesByType('resource').map((entry) => entry.name)"
    )
    assert loaded
    assert all(name.startswith(page.url) for name in loaded)


def test_on_a_phone_nothing_is_cut_off(phone: Page) -> None:
    phone.recommend("Item 6", "Item 5")
    beyond = phone.driver.execute_script(
        "return [...document.querySelectorAll('main *:not(.spoken)')]"
        ".filter((e) => e.getBoundingClientRect().right > 360 && !e.closest('.scroll'))"
        ".map((e) => `${e.tagName} ${e.className}`)"
    )
    assert beyond == []
    assert phone.driver.execute_script("return document.documentElement.scrollWidth") <= 360


def test_every_step_is_told_in_full(page: Page) -> None:
    page.recommend("Item 6", "Item 5")
    shares = page.texts("#thinking .code-share")
    assert len(shares) == 4 * 4, "a code and three runners-up in each of four steps"
    assert all(share.endswith("%") for share in shares)
    told = page.texts("#thinking .facts dt")
    assert told == ["Thinking of", "On top", "Still to go"] * 5
    assert page.texts("#thinking .facts dd")[-1].startswith("none")
    assert page.all("#thinking .facts .badge"), "how the top items moved"
    assert not page.all(".step:first-child .facts .badge")


def test_a_screen_reader_finds_its_way(page: Page) -> None:
    for ask in (page.open, lambda: page.recommend("Item 6", "Item 5")):
        ask()
        assert [shown.text for shown in page.all("h1") if shown.is_displayed()] == ["STREAM-Rec"]
        for landmark in ("header", "main", "aside[aria-label]", "nav[aria-label]"):
            assert len(page.all(landmark)) == 1, landmark
        assert page.one("html").get_attribute("lang") == "en"
    assert page.one("#answer").accessible_name == "Recommended"
    assert page.one("#thinking").accessible_name == "How it got there"
    assert page.one(".bump").accessible_name.startswith("Ranks of the recommended items")


def test_every_control_has_a_name(page: Page) -> None:
    page.recommend("Item 6", "Item 5")
    controls = page.all("button, input, select, a, summary, section[aria-labelledby]")
    nameless = [
        control.get_attribute("outerHTML")
        for control in controls
        if control.is_displayed() and not control.accessible_name
    ]
    assert nameless == []
    assert page.one("main")
    assert page.one("#status").aria_role == "status"


@pytest.mark.parametrize(("scheme", "dark"), [("light", False), ("dark", True)])
def test_light_and_dark(page: Page, scheme: str, dark: bool) -> None:
    feature = {"name": "prefers-color-scheme", "value": scheme}
    page.driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": [feature]})
    page.open()
    ground = page.driver.execute_script("return getComputedStyle(document.body).backgroundColor")
    red = int(ground.removeprefix("rgb(").split(",")[0])
    assert (red < 60) is dark
