"""The page at /: whole, in two languages, without anybody else's files; and in a real browser."""

import json
import os
import re
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from starlette.testclient import TestClient

from pii.redaction import shipped_policies
from pii.redaction.policy import AnyOperator
from pii.taxonomy import shipped
from serving import keys
from serving.app import create_app
from serving.extractor import Extractor
from serving.extractor_config import ExtractorConfig
from serving.routes.page import MEDIA_TYPES
from serving.settings import HttpSettings, ServeConfig
from tests.browser import browser, complaints
from tests.servers import Server

FOLDER = Path(__file__).parents[1] / "serving" / "page"
SCREENSHOT = Path(__file__).parents[1] / "docs" / "page.png"
HTML = (FOLDER / "index.html").read_text(encoding="utf-8")
CSS = (FOLDER / "page.css").read_text(encoding="utf-8")
WORDS = (FOLDER / "words.js").read_text(encoding="utf-8")


def app() -> Any:
    config = ServeConfig(extractor=ExtractorConfig(detectors="patterns"))
    return create_app(config, Extractor.open(config.extractor))


@pytest.fixture(scope="module")
def client() -> TestClient:
    return TestClient(app())


# --- its files --------------------------------------------------------------------------------------


def test_every_file_is_served_with_its_type_and_a_strict_policy(client: TestClient) -> None:
    for file in FOLDER.iterdir():
        answer = client.get("/" if file.name == "index.html" else f"/page/{file.name}")
        assert (answer.status_code, answer.content) == (200, file.read_bytes())
        assert answer.headers["content-type"] == MEDIA_TYPES[file.suffix]
        policy = answer.headers["content-security-policy"]
        assert policy.startswith("default-src 'none'")
        assert "unsafe" not in policy
        assert "http" not in policy
        assert answer.headers["x-content-type-options"] == "nosniff"


@pytest.mark.parametrize("name", ["", "none.js", "..%2f..%2fpyproject.toml", "%2e%2e/app.py", "page.css/x"])
def test_no_other_file_is_served(client: TestClient, name: str) -> None:
    answer = client.get(f"/page/{name}")
    assert (answer.status_code, answer.json()["code"]) == (404, "not_found")


def test_nothing_comes_from_another_host_and_nothing_stands_inline() -> None:
    for file in FOLDER.iterdir():
        hosts = set(re.findall(r"(?:https?:)?//([\w.-]+\.\w+)", file.read_text(encoding="utf-8")))
        assert hosts <= {"www.w3.org"}, file.name
    assert not re.search(r"<style|<script(?![^>]*src=)| style=| on\w+=", HTML)


def test_both_languages_have_the_same_words_and_the_page_uses_no_others() -> None:
    sections = re.split(r"\n  (?:en|zh): \{", WORDS.partition("EXAMPLES")[0])[1:]
    english, chinese = (set(re.findall(r'["\s{]([a-z_+]+)"?: ["`]', section)) for section in sections)
    assert english == chinese
    assert set(re.findall(r'data-word(?:-label)?="(\w+)"', HTML)) <= english
    used = re.findall(r"words\(\)\.(\w+)", (FOLDER / "page.js").read_text(encoding="utf-8"))
    assert set(used) - {"problems"} <= english


def test_it_offers_the_operators_and_policies_that_there_are() -> None:
    choice = HTML.partition('id="operator"')[2].partition("</select>")[0]
    offered = set(re.findall(r'<option value="([\w:-]+)"', choice))
    operators = {kind.model_fields["operator"].default for kind in AnyOperator.__origin__.__args__}
    assert offered == operators | {f"policy:{name}" for name in shipped_policies()}


def test_its_codes_are_those_of_the_service(repository: Path) -> None:
    """A code that nobody sends would be a message that nobody sees."""
    block = WORDS.partition("problems: {")[2].partition("}")[0]
    codes = set(re.findall(r"(\w+): \"", block)) - {"unreachable"}
    sources = "".join(path.read_text(encoding="utf-8") for path in (repository / "serving").rglob("*.py"))
    sources += (repository / "pii" / "taxonomy.py").read_text(encoding="utf-8")
    # `no_key` and `too_often` are those of the layer that lets people in.
    assert {code for code in codes - {"no_key", "too_often"} if f'"{code}"' not in sources} == set()


def test_every_type_has_a_group_that_has_a_colour() -> None:
    view = (FOLDER / "view.js").read_text(encoding="utf-8")
    groups = dict(re.findall(r'([A-Z_]+): "(\w+)"', view))
    assert set(groups) <= {kind.name for kind in shipped()}
    assert all(
        f'[data-group="{group}"] {{ --tint: var(--{group}); }}' in CSS for group in set(groups.values())
    )


def luminance(colour: str) -> float:
    """Relative luminance, WCAG 2.2."""
    parts = [int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)]
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(one: str, other: str) -> float:
    light, dark = sorted((luminance(one), luminance(other)), reverse=True)
    return (light + 0.05) / (dark + 0.05)


@pytest.mark.parametrize("theme", [0, 1])
def test_colours_can_be_told_apart_in_both_themes(theme: int) -> None:
    """At least 4.5 to 1 between a text and what it stands on: WCAG 2.2, level AA."""
    colours = {
        name: (light, dark)[theme]
        for name, light, dark in re.findall(r"--([\w-]+): light-dark\((#\w{6}), (#\w{6})\)", CSS)
    }
    tints = ("person", "contact", "identity", "money", "location", "device", "time", "other")
    pairs = [("ink", ground) for ground in ("card", "field", "ground", *tints)]
    pairs += [("quiet", ground) for ground in ("card", "field", "ground")]
    pairs += [("accent", "card"), ("on-accent", "accent"), ("wrong", "card"), ("warn", "card")]
    measured = {(text, ground): contrast(colours[text], colours[ground]) for text, ground in pairs}
    assert {pair: ratio for pair, ratio in measured.items() if ratio < 4.5} == {}


def keyed(tmp_path: Path) -> tuple[Any, str]:
    """The service with an API key, and the key."""
    key = keys.add(tmp_path / "keys.yaml", "page")
    config = ServeConfig(
        extractor=ExtractorConfig(detectors="patterns"),
        http=HttpSettings(api_keys_file=tmp_path / "keys.yaml"),
    )
    return create_app(config, Extractor.open(config.extractor)), key


def test_the_page_is_open_and_what_it_asks_is_not(tmp_path: Path) -> None:
    client = TestClient(keyed(tmp_path)[0])
    assert client.get("/").status_code == client.get("/page/page.js").status_code == 200
    assert client.get("/entity_types").status_code == client.post("/extract").status_code == 401
    assert client.get("/pagex").status_code == client.get("/page").status_code == 401


# --- in a browser -----------------------------------------------------------------------------------


class Page:
    """The page in a browser, with the words of somebody who uses it."""

    def __init__(self, driver: Any) -> None:
        from selenium.webdriver.common.by import By
        from selenium.webdriver.common.keys import Keys
        from selenium.webdriver.support.ui import Select

        self.driver, self._by, self._keys, self._select = driver, By, Keys, Select

    def one(self, css: str) -> Any:
        return self.driver.find_element(self._by.CSS_SELECTOR, css)

    def all(self, css: str) -> list[Any]:
        return list(self.driver.find_elements(self._by.CSS_SELECTOR, css))

    def choose(self, css: str, value: str) -> None:
        self._select(self.one(css)).select_by_value(value)

    def write(self, text: str) -> None:
        """Into the text and off, without the mouse."""
        field = self.one("#text")
        field.clear()
        # Code points beyond the basic plane cannot be typed by the driver.
        self.driver.execute_script("arguments[0].value = arguments[1]", field, text)
        self.until(lambda: "…" not in self.one("#told").text)
        field.send_keys(" ", self._keys.BACKSPACE)
        field.send_keys(self._keys.CONTROL, self._keys.ENTER)
        self.until(lambda: self.one("#found").get_property("textContent").startswith(text[:3]))

    def values(self) -> list[str]:
        """What is marked, without the labels."""
        return [
            self.driver.execute_script("return arguments[0].firstChild.textContent", mark)
            for mark in self.all("#found mark")
        ]

    def tab(self) -> str:
        """One step on by keyboard; what is reached then."""
        self.driver.switch_to.active_element.send_keys(self._keys.TAB)
        active = self.driver.switch_to.active_element
        return active.get_attribute("id") or active.get_attribute("class") or active.tag_name

    def until(self, holds: Any) -> None:
        for _ in range(200):
            if holds():
                return
            time.sleep(0.1)
        pytest.fail(f"waited in vain; the page says: {self.one('#told').text}")


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Page]:
    with (
        Server(app()) as url,
        browser(tmp_path_factory.mktemp("profile") / "p", width=1360, height=980) as driver,
    ):
        driver.get(f"{url}/")
        opened = Page(driver)
        opened.until(lambda: opened.one("#state").get_attribute("data-ready") == "yes")
        yield opened
        assert complaints(driver) == []


@pytest.mark.slow
def test_a_text_is_found_redacted_and_told_in_both_languages(page: Page) -> None:
    page.choose("#language", "zh")
    page.one('[data-example="zh"]').click()
    page.until(lambda: page.all("#found mark"))
    marks = page.values()
    assert marks[:3] == ["张三", "13800138000", "zhangsan_88"]
    assert "<PERSON_NAME>" in page.one("#clean").text
    assert "13800138000" not in page.one("#clean").text
    rows = page.all("#entities tr")
    assert len(rows) == len(marks)
    assert rows[0].text.split() == ["姓名", "张三", "未测定", "规则", "5–7"]
    page.choose("#language", "en")
    assert page.all("#entities tr")[0].text.split("\n")[0].startswith("person name")
    assert page.driver.execute_script("return document.documentElement.lang") == "en"
    assert page.driver.title == "Find personal information"


@pytest.mark.slow
def test_types_operators_and_lists_change_the_answer_and_the_request(page: Page) -> None:
    page.write("Call +1 415 555 0132 or write to jane.doe@contoso.com about Falcon")
    page.choose("#operator", "mask")
    page.until(lambda: "*" in page.one("#clean").text)
    page.one("summary").click()
    page.choose('select[data-type="EMAIL_ADDRESS"]', "remove")
    page.until(lambda: "write to  about" in page.one("#clean").get_property("textContent"))
    page.one('input[value="PHONE_NUMBER"]').click()
    page.until(lambda: len(page.all("#found mark")) == 1)
    page.all("summary")[1].click()
    page.one("#deny").send_keys("falcon")
    page.one("#text").click()
    page.until(lambda: len(page.all("#found mark")) == 2)
    page.choose("#shown", "curl-redact")
    curl = page.one("#code").text
    body = json.loads(re.search(r"-d '(.*)'$", curl, re.DOTALL)[1])  # type: ignore[index]
    assert body["policy"] == {
        "default": {"operator": "mask", "keep_first": 1, "keep_last": 0},
        "types": {"EMAIL_ADDRESS": {"operator": "remove"}},
    }
    assert "PHONE_NUMBER" not in body["types"]
    assert body["deny_list"] == ["falcon"]
    page.choose("#shown", "json-extract")
    shown = json.loads(page.one("#code").text)
    assert [e["type"] for e in shown["entities"]] == ["EMAIL_ADDRESS", "CUSTOM"]
    page.one("#types-default").click()
    page.one("#deny").clear()
    page.choose("#operator", "replace")
    page.choose('select[data-type="EMAIL_ADDRESS"]', "")


@pytest.mark.slow
def test_the_curl_line_gives_the_answer_that_the_page_shows(page: Page) -> None:
    page.write('it\'s 13800138000 "quoted" $HOME `x`')
    page.choose("#shown", "json-extract")
    shown = json.loads(page.one("#code").text)
    page.choose("#shown", "curl-extract")
    done = subprocess.run(["bash", "-c", page.one("#code").text], capture_output=True, check=True, text=True)
    assert json.loads(done.stdout) == shown


@pytest.mark.slow
def test_markup_stays_text_and_marks_fit_texts_beyond_the_basic_plane(page: Page) -> None:
    page.write("😀😀 <img src=x onerror=alert(1)><script>alert(2)</script> 13800138000 </textarea>")
    assert page.all("#found img") + page.all("#found script") == []
    assert page.values() == ["13800138000"]
    assert "<script>" in page.one("#clean").text


@pytest.mark.slow
def test_it_asks_for_a_key_where_the_service_wants_one(page: Page, tmp_path: Path) -> None:
    guarded, key = keyed(tmp_path)
    before = page.driver.current_url
    with Server(guarded) as url:
        page.driver.get(f"{url}/")
        page.until(lambda: page.one("#key").is_displayed())
        page.one("#text").send_keys("13800138000")
        page.one("button.main").click()
        page.until(lambda: page.one("#told").get_attribute("data-kind") == "wrong")
        page.one("#key").send_keys(key)
        page.one("button.main").click()
        page.until(lambda: page.values() == ["13800138000"])
        page.choose("#shown", "curl-extract")
        assert "$PII_API_KEY" in page.one("#code").text
        assert key not in page.one("#code").text
    page.driver.get(before)
    page.until(lambda: page.one("#state").get_attribute("data-ready") == "yes")
    assert all("401" in said for said in complaints(page.driver))


@pytest.mark.slow
def test_a_refusal_is_told_and_the_page_goes_on(page: Page) -> None:
    page.choose("#language", "zh")
    page.choose("#operator", "encrypt")
    page.write("电话13800138000")
    page.until(lambda: "密钥" in page.one("#told").text)
    assert page.one("#told").get_attribute("data-kind") == "wrong"
    assert page.all("#found mark")
    # What the service refuses the browser notes as a failed load: that is no fault of the page.
    assert all("422" in said for said in complaints(page.driver))
    page.choose("#operator", "replace")
    page.until(lambda: "<PHONE_NUMBER>" in page.one("#clean").text)


@pytest.mark.slow
def test_everything_has_a_name_for_who_cannot_see_and_can_be_reached_by_keyboard(page: Page) -> None:
    for details in page.all("details"):
        page.driver.execute_script("arguments[0].open = true", details)
    # Of the thirty types one stands for all: their names are made by the same line.
    one_type = "#types li:first-child input, #types li:first-child select"
    controls = f"button, .row select, textarea, header select, [role=group], {one_type}"
    for control in page.all(controls):
        assert control.accessible_name, control.get_attribute("outerHTML")
    assert [e.get_attribute("role") for e in page.all("#told, #state")] == ["status", "status"]
    assert len(page.all("main, header, footer, h1")) == 4
    for details in page.all("details"):
        page.driver.execute_script("arguments[0].open = false", details)
    page.driver.execute_script("document.activeElement.blur(); window.scrollTo(0, 0)")
    reached = {page.tab() for _ in range(40)}
    assert {
        "skip",
        "language",
        "theme",
        "text",
        "operator",
        "clear",
        "found",
        "clean",
        "code",
        "shown",
    } <= reached


@pytest.mark.slow
def test_the_screenshot_of_the_docs(page: Page) -> None:
    page.choose("#language", "en")
    page.choose("#theme", "light")
    for details in page.all("details"):
        page.driver.execute_script("arguments[0].open = false", details)
    page.one('[data-example="en"]').click()
    page.until(lambda: "Jane Miller" in page.one("#found").text)
    page.driver.set_window_size(1180, 880)
    shots = {}
    for theme in ("light", "dark"):
        page.choose("#theme", theme)
        page.driver.execute_script("document.activeElement.blur(); window.scrollTo(0, 0)")
        shots[theme] = page.driver.get_screenshot_as_png()
    assert shots["light"] != shots["dark"]
    if os.environ.get("GOLDEN") == "rewrite":
        SCREENSHOT.write_bytes(shots["light"])
    assert SCREENSHOT.stat().st_size < 150_000
