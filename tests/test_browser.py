"""The browser of the page tests works, reports what goes wrong on a page, and reaches no other host."""

import pytest

from tests.browser import browser, complaints


@pytest.mark.slow
def test_a_page_is_rendered_and_its_faults_are_reported(tmp_path):
    (tmp_path / "good.html").write_text("<p id=a></p><script>a.textContent = 'ran ' + 1.0</script>")
    (tmp_path / "bad.html").write_text("<script>throw new Error('broken')</script>")
    (tmp_path / "far.html").write_text("<img src='http://elsewhere.example/a.png'>")
    with browser(tmp_path / "profile") as driver:
        driver.get((tmp_path / "good.html").as_uri())
        assert driver.find_element("id", "a").text == "ran 1"
        assert complaints(driver) == []
        driver.get((tmp_path / "bad.html").as_uri())
        assert "broken" in complaints(driver)[0]
        driver.get((tmp_path / "far.html").as_uri())
        assert "elsewhere.example" in complaints(driver)[0]
