"""What looking further finds: counted by hand here, and the bias does reach the model."""

from pathlib import Path
from typing import Any

from evaluation.end_bias import measure
from pii.spans import Document, Span
from serving.engines.protocol import Engine
from serving.extractor import Extractor
from serving.extractor_config import ExtractorConfig

DOCUMENTS = [
    Document("电话13800138000", (Span(2, 13, "PHONE_NUMBER"),)),
    Document("邮箱 a.person@example.com", (Span(0, 2, "PERSON_NAME"), Span(3, 23, "EMAIL_ADDRESS"))),
]


def test_rates_are_those_of_the_answers() -> None:
    with Extractor.open(ExtractorConfig(detectors="patterns")) as extractor:
        (row,) = measure(extractor, DOCUMENTS, [0.0])
    assert (row["point"], row["precision"], row["recall"]) == ("unscored", 1.0, 0.6667)
    assert (row["f1"], row["answer_tokens"], row["truncated_documents"]) == (0.8, 0.0, 0)


def test_every_bias_reaches_the_model_and_the_recipe_stays(untrained_model: Path) -> None:
    asked: list[float] = []

    def watched(engine: Any) -> Engine:
        generate = engine.generate

        async def recorded(*arguments: Any) -> Any:
            asked.append(arguments[3])
            return await generate(*arguments)

        engine.generate = recorded
        return engine  # type: ignore[no-any-return]

    config = ExtractorConfig(
        model=untrained_model, engine="transformers", detectors="model", max_new_tokens=16
    )
    with Extractor.open(config, watched) as extractor:
        free, forced = measure(extractor, DOCUMENTS, [0.0, 3.0])
        assert extractor.config == config
    assert set(asked) == {0.0, 3.0}
    assert free["answer_tokens"] > 0 < forced["answer_tokens"]
