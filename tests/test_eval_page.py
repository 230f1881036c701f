"""The page is one file, shows no text unless asked, and escapes everything."""

import json
import xml.etree.ElementTree as ElementTree
from html.parser import HTMLParser

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evaluation import errors, page, run
from evaluation.metrics import Case
from pii.spans import Document, Span
from tests.browser import browser, complaints

HOSTILE = 'x</div><script>alert("1")</script>&amp;<img src=http://evil.example/a onerror=b>'


class Reader(HTMLParser):
    """Collects tags, attributes and text; fails where a tag is closed that is not open."""

    VOID = frozenset({"meta", "link", "br", "img", "input"})

    def __init__(self):
        super().__init__()
        self.open, self.tags, self.links, self.texts = [], [], [], []

    def handle_starttag(self, tag, attributes):
        self.tags.append(tag)
        self.links += [value for name, value in attributes if name in ("src", "href", "action", "srcset")]
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        while self.open and self.open[-1] != tag:
            assert self.open[-1] in ("option", "li"), (tag, self.open)
            self.open.pop()
        assert self.open, tag
        self.open.pop()

    def handle_data(self, data):
        self.texts.append(data)


def read(html):
    reader = Reader()
    reader.feed(html)
    reader.close()
    assert not reader.open
    return reader


@pytest.fixture
def measure(tmp_path):
    rows = [
        {"id": HOSTILE, "text": f"Mail ann@example.org {HOSTILE}", "language": "<b>", "source": "own"},
        {"id": "2", "text": "nothing", "language": "en", "source": "own"},
    ]
    (tmp_path / "test.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))

    def make(**more):
        values = {
            "output": str(tmp_path / "eval"),
            "splits": {"test": {"file": str(tmp_path / "test.jsonl")}},
            "extractor": {"detectors": "patterns"},
            "num_resamples": 20,
            **more,
        }
        (tmp_path / "eval.yaml").write_text(json.dumps(values))
        assert run.main(["--config", str(tmp_path / "eval.yaml")]) == 0
        return (tmp_path / "eval" / "report.html").read_text(encoding="utf-8")

    return make


def test_texts_are_off_by_default(measure):
    html = measure()
    read(html)
    assert "ann@example.org" not in html
    assert "alert" not in html


def test_the_error_browser_escapes_everything(measure):
    html = measure(num_examples=5)
    reader = read(html)
    assert "ann@example.org" in "".join(reader.texts)
    assert HOSTILE in "".join(reader.texts)
    assert reader.tags.count("script") == 1  # the page's own
    assert "img" not in reader.tags


def test_nothing_comes_from_another_host(measure):
    html = measure(num_examples=5)
    assert all(link.startswith("#") for link in read(html).links)
    assert "default-src 'none'" in html
    assert "@import" not in html
    assert "url(" not in html


def test_every_section_of_the_report_is_there(measure):
    text = "".join(read(measure()).texts)
    for heading in ("by type", "slices", "confusion", "Provenance", "how a span counts"):
        assert heading in text


def test_confusion_matrix():
    entries = [
        {"gold": "A", "predicted": "A", "count": 3},
        {"gold": "A", "predicted": None, "count": 1},
        {"gold": None, "predicted": "B", "count": 2},
    ]
    assert page.confusion_matrix(entries) == {
        "names": ["A", "B", "(nothing)"],
        "rows": [
            ("A", [(3, 0.75), (0, 0.0), (1, 0.25)]),
            ("B", [(0, 0.0), (0, 0.0), (0, 0.0)]),
            ("(nothing)", [(0, 0.0), (2, 1.0), (0, 0.0)]),
        ],
    }


ranges = st.lists(
    st.builds(lambda a, n: Span(a, min(a + n, 12), "PERSON_NAME"), st.integers(0, 11), st.integers(1, 5)),
    max_size=4,
)


@given(ranges, ranges)
def test_the_pieces_of_a_text_join_to_the_text_and_carry_their_marks(gold, predicted):
    text = "abcdefghijkl"
    cut = errors.pieces(text, gold, predicted)
    assert "".join(piece.text for piece in cut) == text
    position = 0
    for piece in cut:
        for index in range(position, position + len(piece.text)):
            assert bool(piece.gold) == any(s.start <= index < s.end for s in gold)
            assert bool(piece.predicted) == any(s.start <= index < s.end for s in predicted)
        position += len(piece.text)


def test_examples_are_the_documents_with_an_error():
    gold = (Span(0, 3, "PERSON_NAME"),)
    right = Case(Document("Ann", gold, id="right"), gold)
    cut_short = Case(Document("Ann", gold, id="short"), (Span(0, 2, "PERSON_NAME"),))
    missed = Case(Document("Ann", gold, id="missed"), ())
    found = errors.examples([right, cut_short, missed], limit=5)
    assert [(e.id, e.faults) for e in found] == [
        ("short", (("boundary", "PERSON_NAME"),)),
        ("missed", (("missed", "PERSON_NAME"),)),
    ]
    assert len(errors.examples([cut_short, missed], limit=1)) == 1
    assert "Ann" not in repr(found)


SCORES = {
    "curve": [
        {"threshold": 0.0, "precision": 0.5, "recall": 1.0, "alarms_per_1000_characters": 3.0},
        {"threshold": 0.9, "precision": None, "recall": 0.0, "alarms_per_1000_characters": 0.0},
    ],
    "recall_at_alarms": [],
    "operating_points": {
        "balanced": {
            "threshold": 0.5,
            **{
                name: {"value": 0.75, "low": 0.7, "high": 0.8}
                for name in (
                    *("precision", "recall", "f1", "leaked_characters"),
                    *("alarms_per_1000_characters", "free_documents_with_alarm"),
                )
            },
        }
    },
    "calibration": {
        "num_spans": 4,
        "ece": 0.1,
        "reliability": [{"low": 0.5, "high": 0.6, "count": 4, "mean_score": 0.55, "share_right": 0.5}],
    },
}


def test_plots_show_what_is_defined_and_nothing_else():
    curve, reliable = (ElementTree.fromstring(plot) for plot in page.plots(SCORES))
    circles = "{http://www.w3.org/2000/svg}circle"
    # One point of the curve has a precision; the operating point stands at three quarters of both axes.
    assert len(curve.findall(circles)) == 2
    assert [(c.get("cx"), c.get("cy")) for c in curve.findall(circles)][1] == ("265.0", "115.0")
    assert len(reliable.findall(circles)) == 1


def test_provenance_tells_every_fact_of_the_run(measure, tmp_path):
    measure()
    report = json.loads((tmp_path / "eval" / "report.json").read_text())
    told = dict(page.provenance(report))
    assert told["made.engine"] == report["made"]["engine"]
    assert told["made.codec.fingerprint"] == report["made"]["codec"]["fingerprint"]
    assert told["splits.test.sha256"] == report["splits"]["test"]["sha256"]
    assert told["model"] == "none"


@pytest.mark.slow
def test_the_page_works_in_a_real_browser(measure, tmp_path):
    """Filters show exactly the documents with such an error, plots are drawn, hostile text stays text."""
    gold = [{"type": "PERSON_NAME", "start": 0, "end": 3, "value": "Ann"}]
    rows = [
        {"id": "spurious", "text": f"Mail ann@example.org {HOSTILE}", "language": "en", "source": "own"},
        {"id": "missed", "text": "Ann was here", "language": "en", "source": "own", "entities": gold},
    ]
    (tmp_path / "test.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    html = measure(num_examples=5)
    report = json.loads((tmp_path / "eval" / "report.json").read_text())
    report["splits"]["test"]["scores"] = SCORES
    assert "Ann" in html
    with browser(tmp_path / "profile") as driver:
        driver.get((tmp_path / "eval" / "report.html").as_uri())
        assert complaints(driver) == []
        assert driver.execute_script("return document.querySelectorAll('img').length") == 0

        def visible():
            shown = [e for e in driver.find_elements("css selector", ".example") if e.is_displayed()]
            return [e.find_element("css selector", "small").text.partition(":")[0] for e in shown]

        def choose(name, label):
            options = driver.find_elements("css selector", f"select[data-filter={name}] option")
            next(option for option in options if option.text == label).click()

        assert visible() == ["spurious", "missed"]
        choose("kind", "missed")
        assert visible() == ["missed"]
        assert driver.find_element("css selector", "output").text == "1 of 2 documents"
        # There is a missed name and a spurious address, but no missed address.
        choose("type", "EMAIL_ADDRESS")
        assert visible() == []
        choose("kind", "spurious")
        assert visible() == ["spurious"]
        assert "alert" in driver.find_element("css selector", ".example").text
        (tmp_path / "scores.html").write_text(page.render(report, {}), encoding="utf-8")
        driver.get((tmp_path / "scores.html").as_uri())
        assert complaints(driver) == []
        plots = driver.find_elements("css selector", ".plots svg")
        assert [plot.size["width"] > 200 and plot.is_displayed() for plot in plots] == [True, True]


def test_every_field_of_the_report_is_documented(measure, tmp_path, repository):
    measure()
    report = json.loads((tmp_path / "eval" / "report.json").read_text())
    documented = (repository / "docs" / "report.md").read_text(encoding="utf-8")
    split = report["splits"]["test"]
    fields = {*report, *report["made"], *split, *split["systems"]["patterns"], *SCORES}
    fields -= {name for name in fields if name.startswith("iou_")}
    assert sorted(name for name in fields if f"`{name}`" not in documented) == []
