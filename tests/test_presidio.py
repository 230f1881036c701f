"""Presidio's clients, pointed here: its request examples, its own classes reading our answers."""

import json
from typing import Any

import pytest
from starlette.testclient import TestClient

from serving.app import create_app
from serving.extractor import Extractor
from serving.extractor_config import ExtractorConfig
from serving.presidio.names import names
from serving.settings import HttpSettings, ServeConfig

TEXT = "My name: John Smith. SSN 536-22-1234, card 4111 1111 1111 1111, mail john@contoso.com"


@pytest.fixture(scope="module")
def client() -> TestClient:
    config = ServeConfig(extractor=ExtractorConfig(detectors="patterns"), http=HttpSettings(max_texts=3))
    return TestClient(create_app(config, Extractor.open(config.extractor)))


def analyze(client: TestClient, **members: Any) -> Any:
    answer = client.post("/analyze", json={"text": TEXT, "language": "en", **members})
    assert answer.status_code == 200, answer.text
    return answer.json()


def types(results: Any) -> list[str]:
    return [result["entity_type"] for result in results]


def test_the_shape_of_a_result(client: TestClient) -> None:
    results = analyze(client)
    assert types(results) == ["PERSON", "US_SSN", "CREDIT_CARD", "EMAIL_ADDRESS"]
    for result in results:
        assert set(result) == {"entity_type", "start", "end", "score", "analysis_explanation"}
        assert result["analysis_explanation"] is None
    explained = analyze(client, return_decision_process=True)[0]["analysis_explanation"]
    assert (explained["recognizer"], explained["score"]) == ("PatternRecognizer", 1.0)
    assert set(explained) >= {"pattern", "pattern_name", "original_score", "validation_result"}
    assert analyze(client, return_decision_process=0)[0]["analysis_explanation"] is None


def test_a_list_of_texts_gives_a_list_of_lists(client: TestClient) -> None:
    assert [types(results) for results in analyze(client, text=["a@b.org", "nobody"])] == [
        ["EMAIL_ADDRESS"],
        [],
    ]


def test_entities_are_asked_for_by_presidios_names(client: TestClient) -> None:
    assert types(analyze(client, entities=["US_SSN"])) == ["US_SSN"]
    assert types(analyze(client, entities=["PERSON", "NO_SUCH_ENTITY"])) == ["PERSON"]
    # Of one type of ours only those that have the name that was asked for.
    assert types(analyze(client, entities=["PL_PESEL", "EMAIL_ADDRESS"])) == ["EMAIL_ADDRESS"]


def test_every_supported_entity_can_be_asked_for(client: TestClient) -> None:
    supported = client.get("/supportedentities", params={"language": "en"}).json()
    assert {"PERSON", "PHONE_NUMBER", "US_SSN", "IBAN_CODE", "IP_ADDRESS", "UK_NINO"} <= set(supported)
    assert types(analyze(client, entities=supported)) == types(analyze(client))
    for name in supported:
        assert client.post("/analyze", json={"text": "x", "language": "en", "entities": [name]}).json() == []


def test_subtypes_of_the_table_are_those_of_the_identifiers(repository: Any) -> None:
    """A subtype that nobody sets would be a name that never comes."""
    sources = "".join(
        path.read_text(encoding="utf-8") for path in (repository / "pii" / "identifiers").glob("*.py")
    )
    named = {subtype for table in names().subtypes.values() for subtype in table}
    assert {subtype for subtype in named if f'"{subtype}"' not in sources} == set()


def test_the_allow_list(client: TestClient) -> None:
    assert "EMAIL_ADDRESS" not in types(analyze(client, allow_list=["john@contoso.com"]))
    assert "EMAIL_ADDRESS" in types(analyze(client, allow_list=["contoso.com"]))
    pattern = {"allow_list": [r"@CONTOSO\.com$"], "allow_list_match": "regex"}
    assert "EMAIL_ADDRESS" not in types(analyze(client, **pattern))
    assert "EMAIL_ADDRESS" in types(analyze(client, **pattern, regex_flags=0))


ZIP = {
    "name": "Zip code Recognizer",
    "supported_language": "en",
    "patterns": [{"name": "zip code (weak)", "regex": r"(\b\d{5}(?:\-\d{4})?\b)", "score": 0.01}],
    "supported_entity": "ZIP",
}


def test_recognisers_of_the_request(client: TestClient) -> None:
    text = "Mr. who? drivers license. Zip code: 10023"
    (found,) = analyze(client, text=text, ad_hoc_recognizers=[ZIP])
    assert found == {
        "entity_type": "ZIP",
        "start": 36,
        "end": 41,
        "score": 0.01,
        "analysis_explanation": None,
    }
    (raised,) = analyze(client, text=text, ad_hoc_recognizers=[{**ZIP, "context": ["zip", "code"]}])
    assert raised["score"] == 0.4
    titles = {"name": "Titles", "deny_list": ["Mr.", "Mister"], "supported_entity": "TITLE"}
    (title,) = analyze(client, text=text, ad_hoc_recognizers=[titles])
    assert (title["start"], title["end"], title["score"]) == (0, 3, 1.0)
    assert analyze(client, text=text, ad_hoc_recognizers=[ZIP], score_threshold=0.1) == []
    assert analyze(client, text=text, ad_hoc_recognizers=[ZIP], entities=["PERSON"]) == []
    both = analyze(client, text=text, ad_hoc_recognizers=[ZIP, titles], entities=["ZIP"])
    assert types(both) == ["ZIP"]


@pytest.mark.parametrize(
    ("members", "code", "place"),
    [
        ({"text": ""}, "no_text", "text"),
        ({"text": None}, "no_text", "text"),
        ({"text": 5}, "text_not_string", "text"),
        ({"text": ["a", "张\ud800"]}, "text_not_unicode", "text[1]"),
        ({"text": ["a"] * 4}, "too_many_texts", "text"),
        ({"language": "zz"}, "no_recognizer", "language"),
        ({"language": None}, "wrong_member", "language"),
        ({"entities": ["张三"]}, "no_recognizer", "entities"),
        ({"score_threshold": 7}, "wrong_member", "score_threshold"),
        ({"ad_hoc_recognizers": [{**ZIP, "patterns": [{"bebex": "张三"}]}]}, "wrong_member", None),
        ({"ad_hoc_recognizers": [{"supported_entity": "张三"}]}, "no_patterns", "ad_hoc_recognizers[0]"),
        (
            {
                "ad_hoc_recognizers": [
                    ZIP,
                    {**ZIP, "patterns": [{"name": "", "regex": "(?<=张)三", "score": 1}]},
                ]
            },
            "pattern_not_supported",
            "ad_hoc_recognizers[1]",
        ),
    ],
)
def test_wrong_requests_have_presidios_error_beside_the_problem(
    client: TestClient, members: Any, code: str, place: str | None
) -> None:
    body = json.dumps({"text": TEXT, "language": "en", **members})
    answer = client.post("/analyze", content=body, headers={"content-type": "application/json"})
    problem = answer.json()
    assert (answer.status_code, problem["code"]) == (422, code)
    assert place is None or problem["place"] == place
    assert problem["error"] == problem["detail"] != ""
    assert answer.headers["content-type"] == "application/problem+json"
    assert "张" not in answer.text


def test_what_is_found_can_be_anonymized_and_opened_again(client: TestClient) -> None:
    """The flow of Presidio's end-to-end tests: the analyzer's answer is the anonymizer's request."""
    key = "WmZq4t7w!z%C&F)J"
    operators = {
        "DEFAULT": {"type": "encrypt", "key": key},
        "CREDIT_CARD": {"type": "mask", "masking_char": "*", "chars_to_mask": 14, "from_end": False},
        "PERSON": {"type": "replace", "new_value": "<SOMEBODY>"},
    }
    found = analyze(client)
    clean = client.post(
        "/anonymize", json={"text": TEXT, "analyzer_results": found, "anonymizers": operators}
    ).json()
    assert clean["text"].startswith("My name: <SOMEBODY>. SSN ")
    assert "************** 1111" in clean["text"]
    assert [item["operator"] for item in clean["items"]] == ["encrypt", "mask", "encrypt", "replace"]
    for item in clean["items"]:
        assert clean["text"][item["start"] : item["end"]] == item["text"]
    opened = client.post(
        "/deanonymize",
        json={
            "text": clean["text"],
            "anonymizer_results": [item for item in clean["items"] if item["operator"] == "encrypt"],
            "deanonymizers": {"DEFAULT": {"type": "decrypt", "key": key}},
        },
    ).json()
    assert "SSN 536-22-1234," in opened["text"]
    assert opened["text"].endswith("mail john@contoso.com")


def test_presidios_own_classes_read_what_we_answer(client: TestClient) -> None:
    from presidio_anonymizer import AnonymizerEngine
    from presidio_anonymizer.services.app_entities_convertor import AppEntitiesConvertor

    found = analyze(client)
    results = AppEntitiesConvertor.analyzer_results_from_json(found)
    theirs = AnonymizerEngine().anonymize(TEXT, results)
    ours = client.post("/anonymize", json={"text": TEXT, "analyzer_results": found}).json()
    assert ours == {"text": theirs.text, "items": [item.to_dict() for item in theirs.items]}
    entities = AppEntitiesConvertor.deanonymize_entities_from_json({"anonymizer_results": ours["items"]})
    assert [entity.entity_type for entity in entities] == types(found)[::-1]


@pytest.mark.parametrize(
    ("members", "code"),
    [
        ({"text": ""}, "wrong_member"),
        ({"analyzer_results": None}, "wrong_member"),
        ({"analyzer_results": [{"start": 5, "end": 2, "score": 1.0, "entity_type": "A"}]}, "wrong_member"),
        ({"analyzer_results": [{"start": 0, "end": 99, "score": 1.0, "entity_type": "A"}]}, "outside_text"),
        ({"anonymizers": {"张三": {"type": "张三"}}}, "wrong_operator"),
        ({"anonymizers": {"A": {"type": "custom", "lambda": "lambda x: x"}}}, "wrong_operator"),
        ({"anonymizers": {"A": {}}}, "wrong_operator"),
    ],
)
def test_wrong_anonymizations(client: TestClient, members: Any, code: str) -> None:
    answer = client.post("/anonymize", json={"text": "张三", "analyzer_results": [], **members})
    assert (answer.status_code, answer.json()["code"]) == (422, code)
    assert "张" not in answer.text


def test_the_lists(client: TestClient) -> None:
    assert client.get("/anonymizers").json() == ["encrypt", "hash", "keep", "mask", "redact", "replace"]
    assert client.get("/deanonymizers").json() == ["decrypt", "deanonymize_keep"]
    assert client.get("/recognizers?language=zh").json() == ["PatternRecognizer"]
    assert "up" in client.get("/health").text
    for path in ("/supportedentities", "/recognizers"):
        refused = client.get(path, params={"language": "he"})
        assert (refused.status_code, refused.json()["error"]) == (
            422,
            "No matching recognizers were found to serve the request.",
        )
