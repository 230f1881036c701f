"""A real browser for tests of pages: headless Chromium with no way off this machine.

Where Chromium or its driver is not installed, the test skips and says so. On Debian both come with
``apt-get install chromium chromium-driver``.
"""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

_FLAGS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    # Names of other hosts lead nowhere: a page that wants one shows an error in its log.
    "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE localhost, EXCLUDE 127.0.0.1",
)


@contextmanager
def browser(folder: Path, *, width: int = 1280, height: int = 900) -> Iterator[Any]:
    """A selenium driver with a window of this size.

    Args:
        folder: an empty or new folder for the browser's profile; one for each browser.
        width: of the window, in CSS pixels.
        height: the same.

    Files are opened with ``driver.get(path.as_uri())``; ``complaints(driver)`` is what its console said.
    """
    binary = shutil.which("chromium") or shutil.which("google-chrome") or shutil.which("chromium-browser")
    helper = shutil.which("chromedriver")
    if binary is None or helper is None:
        pytest.skip("no browser: chromium and chromium-driver are not installed")
    from selenium import webdriver
    from selenium.webdriver.chrome.options import Options
    from selenium.webdriver.chrome.service import Service

    options = Options()
    options.binary_location = binary
    for flag in (*_FLAGS, f"--user-data-dir={folder}", f"--window-size={width},{height}"):
        options.add_argument(flag)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    # The driver is named, so that selenium looks for none on the net.
    driver = webdriver.Chrome(options=options, service=Service(helper))
    try:
        driver.set_page_load_timeout(60)
        yield driver
    finally:
        driver.quit()


def complaints(driver: Any) -> list[str]:
    """What the page's console said since the last call: errors of scripts, refused loads, warnings."""
    return [entry["message"] for entry in driver.get_log("browser") if entry["level"] != "INFO"]
