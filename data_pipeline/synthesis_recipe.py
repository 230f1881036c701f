"""The schema of the synthetic part of a recipe: what documents are made of, and in which shares."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from configs.reader import StrictConfig

Share = float
Language = Literal["zh", "en", "mixed"]

LANGUAGE_SHARES: dict[Language, Share] = {"zh": 0.55, "en": 0.33, "mixed": 0.12}
FORM_SHARES: dict[str, Share] = {
    "bare": 0.60,
    "dashed": 0.05,
    "spaced": 0.06,
    "dotted": 0.02,
    "country_code": 0.05,
    "fullwidth": 0.03,
    "chinese_digits": 0.02,
    "zero_width": 0.02,
    "masked": 0.04,
    "line_broken": 0.02,
    "ocr": 0.02,
    "spread": 0.01,
    "lower": 0.04,
    "upper": 0.03,
}
CARRIER_SHARES: dict[str, Share] = {
    "plain": 0.18,
    "chat": 0.13,
    "sms": 0.07,
    "email": 0.07,
    "contract": 0.03,
    "medical_note": 0.04,
    "court": 0.03,
    "delivery_note": 0.04,
    "ticket": 0.05,
    "transcript": 0.03,
    "form": 0.09,
    "json": 0.05,
    "xml": 0.02,
    "csv": 0.03,
    "table": 0.03,
    "log": 0.03,
    "settings": 0.02,
    "code": 0.03,
    "sql": 0.02,
    "url": 0.01,
}
NOISE_SHARES: dict[str, Share] = {
    "none": 0.74,
    "half_punctuation": 0.05,
    "no_punctuation": 0.04,
    "padded_values": 0.03,
    "tight_values": 0.03,
    "typos": 0.05,
    "lower_case": 0.02,
    "split_lines": 0.02,
    "doubled_blanks": 0.01,
    "wide_characters": 0.01,
}
FOREIGN_FAMILIES = (
    "zh.school.campus",
    "zh.property.property_service",
    "zh.government.petition",
    "zh.vehicle.ride",
    "zh.business.meeting",
    "zh.negatives.official",
    "en.school.parents",
    "en.court.police",
    "en.telecom.service",
    "en.government.complaint",
    "en.negatives.official",
    "record.guest",
    "record.tenant",
)
FOREIGN_CARRIERS = ("xml", "transcript")


class SynthesisConfig(StrictConfig):
    """What synthetic documents are made of. Shares are relative weights unless a bound says otherwise."""

    languages: dict[Language, Share] = Field(default=LANGUAGE_SHARES)
    """Language of the text; mixed: label words, names or sentences of both."""
    no_entity: float = Field(default=0.38, ge=0, le=1)
    """Share of documents without any value of a person (hard negatives)."""
    negative_families: float = Field(default=0.45, ge=0, le=1)
    """Share of the prose among them that is all look-alikes and small talk, from the files ``negatives``."""
    forms: dict[str, Share] = Field(default=FORM_SHARES)
    """Share of each surface form (`data_pipeline.surface.FORMS` and ``bare``) among the texts with values."""
    carriers: dict[str, Share] = Field(default=CARRIER_SHARES)
    """Share of each carrier (`data_pipeline.prose.CARRIERS`, `data_pipeline.records.LAYOUTS`)."""
    cells: dict[str, dict[str, Share]] = Field(default={})
    """Carrier → form → share, where a carrier's texts have other forms than `forms` says; a form that is not
    named keeps its share there. So every cell, carrier x form, has its own share, and ``cells.csv`` of the
    data set says what came of it (`data_pipeline.cells`)."""
    noises: dict[str, Share] = Field(default=NOISE_SHARES)
    """Share of each noise (`data_pipeline.noise.NOISES` and ``none``) in prose."""
    all_types: float = Field(default=0.25, ge=0, le=1)
    """Share of documents in which the optional types are labelled too."""
    reserved: bool = False
    """Draw values from ranges that no real person can hold, for the kinds that have such a range."""
    foreign: float = Field(default=0.06, ge=0, le=1)
    """Share of documents from the families and carriers that are set aside and never trained on."""
    foreign_families: tuple[str, ...] = FOREIGN_FAMILIES
    """Ids of families that are set aside (``language.domain.name``, ``record.name``)."""
    foreign_carriers: tuple[str, ...] = FOREIGN_CARRIERS
    """Carriers that are set aside."""
