"""Take the pictures of docs/images from a running demo: `python scripts/screenshots.py`.

Needs Chromium with its driver, and a service with the sample shop and its histories.
"""

from __future__ import annotations

import argparse
from io import BytesIO
from pathlib import Path
from urllib.parse import quote

from PIL import Image
from selenium import webdriver
from selenium.webdriver.common.by import By
from selenium.webdriver.support.wait import WebDriverWait

SCHEMES = ("light", "dark")
COLOURS = 200
"""Colours of a picture: the page has few, and the repository keeps every version of them."""


def browser(width: int, height: int, scheme: str) -> webdriver.Chrome:
    """A headless Chromium whose page is that large."""
    options = webdriver.ChromeOptions()
    for argument in ("--headless=new", "--no-sandbox", "--hide-scrollbars", "--disable-gpu"):
        options.add_argument(argument)
    driver = webdriver.Chrome(options, webdriver.ChromeService("/usr/bin/chromedriver"))
    driver.execute_cdp_cmd(
        "Emulation.setEmulatedMedia",
        {"features": [{"name": "prefers-color-scheme", "value": scheme}]},
    )
    driver.execute_cdp_cmd(
        "Emulation.setDeviceMetricsOverride",
        {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 600},
    )
    return driver


def ask(driver: webdriver.Chrome, url: str, user: str) -> None:
    """Show the recommendations of a user, with the second item looked at."""
    driver.get(url)
    driver.find_element(By.CSS_SELECTOR, "input[value=user] + span").click()
    driver.find_element(By.ID, "user").send_keys(user)
    driver.find_element(By.CSS_SELECTOR, "#ask .primary").click()
    WebDriverWait(driver, 20).until(lambda page: page.find_elements(By.CSS_SELECTOR, ".why-button"))
    driver.find_elements(By.CSS_SELECTOR, ".why-button")[1].click()
    driver.execute_script("document.activeElement.blur(); scrollTo(0, 0)")


def shoot(driver: webdriver.Chrome, path: Path) -> None:
    """Write what is on screen, once colours have stopped fading."""
    driver.execute_async_script("setTimeout(arguments[0], 400)")
    picture = Image.open(BytesIO(driver.get_screenshot_as_png())).convert("RGB")
    picture.quantize(COLOURS, dither=Image.Dither.NONE).save(path, optimize=True)
    print(path)


def main() -> None:
    """Take all pictures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--url", default="http://127.0.0.1:8000")
    parser.add_argument("--user", default="user-0001")
    parser.add_argument("--out", type=Path, default=Path("docs/images"))
    given = parser.parse_args()
    given.out.mkdir(parents=True, exist_ok=True)
    for scheme in SCHEMES:
        with browser(1280, 1000, scheme) as driver:
            ask(driver, given.url, quote(given.user))
            shoot(driver, given.out / f"page-{scheme}.png")
            driver.execute_script("document.getElementById('thinking').scrollIntoView()")
            shoot(driver, given.out / f"steps-{scheme}.png")
            if scheme == "light":
                driver.find_element(By.ID, "compare").click()
                WebDriverWait(driver, 20).until(
                    lambda page: page.find_element(By.ID, "comparison").is_displayed()
                )
                shoot(driver, given.out / "compare-light.png")
    with browser(390, 1000, "light") as driver:
        ask(driver, given.url, quote(given.user))
        for name, shown in (("page", "answer"), ("steps", "thinking")):
            driver.execute_script(f"document.getElementById('{shown}').scrollIntoView()")
            shoot(driver, given.out / f"{name}-phone.png")


if __name__ == "__main__":
    main()
