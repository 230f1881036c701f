"""What comes with the program, as it answers: `models/mini`, its tagger, its scores, its recipe."""

from collections.abc import Iterator

import pytest

from configs.reader import load
from serving.extractor import Extractor
from serving.settings import ServeConfig

SETTINGS = ["extractor.model=models/mini", "extractor.engine=transformers"]


@pytest.fixture(scope="module")
def shipped() -> Iterator[Extractor]:
    with Extractor.open(load("configs/mini/serve.yaml", ServeConfig, SETTINGS).extractor) as extractor:
        yield extractor


def test_it_has_scores(shipped: Extractor) -> None:
    assert shipped.has_scores()


def test_no_valid_address_is_lost(shipped: Extractor) -> None:
    # The model looks further than it is sure to; that it agrees must not cost an address its score.
    addresses = [f"sentinel{10_000_000 * n + 31 * n * n + 388}@example.com" for n in range(1, 60)]
    texts = [f"第{n}号工单：请联系 {address}，谢谢。" for n, address in enumerate(addresses)]
    found = shipped.extract_all(texts)
    lost = [
        address
        for text, address, extraction in zip(texts, addresses, found, strict=True)
        if address not in [span.value(text) for span in extraction.spans]
    ]
    assert lost == []


NOBODYS = [
    "We flew from Tokyo to Los Angeles and then on to Chicago.",
    "YouTube and Netflix both run on AI these days.",
    "Okay, got that. Thank you for calling Customer Service.",
    "黄金的价格在上涨，石油也一样。",
    "王国的和平来自智慧，而不是来自黄金。",
    "他们去了曼彻斯特和利物浦，然后回到伦敦。",
    "运单号：YT2499464448024，订单号 202307263245222627。",
    '{"waybill": "1ZDCL9421639755543", "state": "shipped"}',
    "<customer><Gender>男</Gender></customer>",
]


@pytest.mark.parametrize("text", NOBODYS)
def test_what_is_written_like_a_value_and_is_nobodys_stays(shipped: Extractor, text: str) -> None:
    (extraction,) = shipped.extract_all([text])
    assert [(span.type, span.value(text)) for span in extraction.spans] == []


SOMEBODYS = [
    ("Technician Megan will call you.", {"Megan"}),
    ("昨天跟赵凯明聊了聊，他说下个月去上海。", {"赵凯明"}),
    ("card_no,full_name,cvc\n4111111111111111,Ann Lee,737", {"4111111111111111", "Ann Lee", "737"}),
    ("INSERT INTO cards (name, cvc) VALUES ('王芳', '901');", {"王芳", "901"}),
    ("登记信息：陈淑珍 G28084148 15851505877", {"陈淑珍", "G28084148", "15851505877"}),
]


@pytest.mark.parametrize(("text", "values"), SOMEBODYS)
def test_what_is_somebodys_is_found(shipped: Extractor, text: str, values: set[str]) -> None:
    (extraction,) = shipped.extract_all([text])
    assert {span.value(text) for span in extraction.spans} == values
