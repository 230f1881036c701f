"""Offsets in every unit mark the same slice."""

from hypothesis import given
from hypothesis import strategies as st
from starlette.testclient import TestClient

from serving.app import create_app
from serving.extractor import Extractor
from serving.extractor_config import ExtractorConfig
from serving.offsets import in_unit
from serving.settings import ServeConfig
from tests.strategies import texts


@given(texts, st.data())
def test_offsets_cut_the_same_slice_out_of_the_encoded_text(text: str, data: st.DataObject) -> None:
    start = data.draw(st.integers(0, len(text)))
    end = data.draw(st.integers(start, len(text)))
    value = text[start:end]
    for unit, encoding, width in (("utf16", "utf-16-le", 2), ("utf8", "utf-8", 1)):
        table = in_unit(text, [end, start], unit)
        assert text.encode(encoding)[table[start] * width : table[end] * width].decode(encoding) == value
    assert in_unit(text, [start, end], "codepoint") == {start: start, end: end}


def test_answers_count_in_the_unit_that_was_asked_for() -> None:
    config = ServeConfig(extractor=ExtractorConfig(detectors="patterns"))
    client = TestClient(create_app(config, Extractor.open(config.extractor)))
    text = "😀我叫张三，电话13800138000"
    for unit, starts in (("codepoint", [3, 8]), ("utf16", [4, 9]), ("utf8", [10, 25])):
        found = client.post("/extract", json={"text": text, "offset_unit": unit}).json()
        assert [e["start"] for e in found["entities"]] == starts
        clean = client.post("/redact", json={"text": text, "offset_unit": unit}).json()
        assert next(r["start"] for r in clean["replacements"]) == starts[0]
