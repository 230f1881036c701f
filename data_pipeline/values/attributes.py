"""Age, sex, ethnicity, illness and the like: words from ``reference/attributes.yaml``."""

from __future__ import annotations

from data_pipeline.values.chance import pick
from data_pipeline.values.reference import table
from data_pipeline.values.registry import Draw, provides


def _words(draw: Draw, name: str) -> tuple[str, ...]:
    words = table("attributes")[f"{name}_{draw.language}"]
    return tuple(words["female" if draw.person.female else "male"] if isinstance(words, dict) else words)


@provides("age", "age", "DEMOGRAPHIC")
def age(draw: Draw) -> str:
    """Age in years with its unit."""
    years = max(2026 - draw.person.born[0], 1)
    if draw.language == "zh":
        return f"{years}{pick(draw.rng, ('岁', '岁', '周岁'))}"
    return pick(draw.rng, (f"{years} years old", f"{years}-year-old", f"{years} y/o", f"aged {years}"))


@provides("sex", "sex", "DEMOGRAPHIC")
def sex(draw: Draw) -> str:
    """Sex."""
    return pick(draw.rng, _words(draw, "sex"))


@provides("ethnic", "ethnic", "DEMOGRAPHIC")
def ethnic(draw: Draw) -> str:
    """Ethnicity in Chinese texts, nationality in English ones."""
    return pick(draw.rng, _words(draw, "ethnic" if draw.language == "zh" else "nationality"))


@provides("marital", "marital", "DEMOGRAPHIC")
def marital(draw: Draw) -> str:
    """Marital status."""
    return pick(draw.rng, _words(draw, "marital"))


@provides("illness", "illness", "HEALTH_CONDITION")
def illness(draw: Draw) -> str:
    """An illness."""
    return pick(draw.rng, _words(draw, "illness"))


@provides("medicine", "medicine", "HEALTH_CONDITION")
def medicine(draw: Draw) -> str:
    """A medicine."""
    return pick(draw.rng, _words(draw, "medicine"))


@provides("exam", "examination", "HEALTH_CONDITION")
def examination(draw: Draw) -> str:
    """An examination."""
    return pick(draw.rng, _words(draw, "examination"))


@provides("attribute", "attribute", "SENSITIVE_ATTRIBUTE")
def attribute(draw: Draw) -> str:
    """Religion, politics, sexual orientation, criminal record, biometrics."""
    return pick(draw.rng, _words(draw, "attribute"))
