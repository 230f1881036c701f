"""Microsoft Presidio: patterns with context words, and a spaCy model for names and places.

Source: https://microsoft.github.io/presidio/analyzer/
"""

from __future__ import annotations

from collections.abc import Iterator

# How spaCy's models name what Presidio knows, in both families of names.
_OF_SPACY = {
    "PER": "PERSON",
    "PERSON": "PERSON",
    "LOC": "LOCATION",
    "GPE": "LOCATION",
    "FAC": "LOCATION",
    "LOCATION": "LOCATION",
    "ORG": "ORGANIZATION",
    "ORGANIZATION": "ORGANIZATION",
    "NORP": "NRP",
    "NRP": "NRP",
    "DATE": "DATE_TIME",
    "TIME": "DATE_TIME",
    "DATE_TIME": "DATE_TIME",
    "AGE": "AGE",
}


class Adapter:
    """The analyzer with its stock recognisers.

    Args:
        model: an installed spaCy model.
        language: what its recognisers are asked for, whatever the language of a text.
        threshold: least score that counts, as Presidio's own ``default_score_threshold``.
    """

    def __init__(self, model: str = "en_core_web_lg", language: str = "en", threshold: float = 0.0) -> None:
        from presidio_analyzer import AnalyzerEngine
        from presidio_analyzer.nlp_engine import NlpEngineProvider

        configuration = {
            "nlp_engine_name": "spacy",
            "models": [{"lang_code": language, "model_name": model}],
            "ner_model_configuration": {"model_to_presidio_entity_mapping": _OF_SPACY},
        }
        engine = NlpEngineProvider(nlp_configuration=configuration).create_engine()
        self._analyzer = AnalyzerEngine(
            nlp_engine=engine, supported_languages=[language], default_score_threshold=threshold
        )
        self._language = language
        self.labels = sorted(self._analyzer.get_supported_entities(language))

    def find(self, text: str, language: str) -> Iterator[tuple[int, int, str]]:
        """Every result over the threshold; of overlapping ones the one with the highest score.

        Presidio's anonymizer resolves such conflicts the same way.
        """
        results = self._analyzer.analyze(text=text, language=self._language)
        taken: list[tuple[int, int]] = []
        for result in sorted(results, key=lambda r: (-r.score, r.start - r.end, r.start)):
            if all(result.end <= start or end <= result.start for start, end in taken):
                taken.append((result.start, result.end))
                yield result.start, result.end, result.entity_type
