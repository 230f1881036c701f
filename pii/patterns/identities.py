"""Identity, tax, insurance and passport numbers by shape."""

from __future__ import annotations

from pii.identifiers import Verdict
from pii.identifiers.chinese import resident_id
from pii.identifiers.verdict import compact
from pii.patterns.shapes import ALNUM, END, GAP, shape, starts


def _resident(value: str) -> Verdict:
    return resident_id(compact(value)) or Verdict(False)


def _masked(value: str) -> Verdict:
    return Verdict(None, "cn_resident_id")


_ID = "NATIONAL_ID_NUMBER"

IDENTITIES = (
    shape(
        "cn_resident_id",
        _ID,
        starts("[1-9]") + rf"(?:{GAP}[0-9]){{16}}{GAP}[0-9Xx](?![{ALNUM}])",
        strong=True,
        judge=_resident,
        digits=17,
    ),
    shape(
        "cn_resident_id_15",
        _ID,
        starts("[1-8]") + "[0-9]{14}" + END,
        "never",
        judge=_resident,
        digits=15,
        in_a_row=15,
    ),
    shape(
        "cn_resident_id_masked",
        _ID,
        starts("[1-9]") + rf"[0-9]{{2,13}}[*xX]{{4,14}}[0-9]{{0,4}}[0-9Xx*](?![{ALNUM}])",
        "never",
        judge=_masked,
        marks="*xX",
    ),
    shape("hk_id", _ID, starts("[A-Z]") + r"[A-Z]?[0-9]{6} ?\([0-9A]\)", "checksum", digits=6, in_a_row=6),
    shape("hk_id_plain", _ID, starts("[A-Z]") + "[A-Z]?[0-9]{6}[0-9A]" + END, "never", digits=6, in_a_row=6),
    shape("macau_id", _ID, starts("[1578]") + r"[0-9]{6}(?:/[0-9]|\([0-9]\))" + END, digits=7, in_a_row=7),
    shape("tw_id", _ID, starts("[A-Z]") + "[1289A-D][0-9]{8}" + END, "checksum", digits=8, in_a_row=8),
    shape("us_ssn", _ID, starts("[0-8]") + "[0-9]{2}-[0-9]{2}-[0-9]{4}" + END, digits=9),
    shape(
        "it_codice_fiscale", _ID, starts("[A-Z]") + "[A-Z]{5}[0-9A-Z]{9}[A-Z]" + END, "checksum", token=True
    ),
    shape(
        "mx_curp",
        _ID,
        starts("[A-Z]") + "[A-Z]{3}[0-9]{6}[HM][A-Z]{5}[0-9A-Z][0-9]" + END,
        "checksum",
        token=True,
    ),
    shape("es_nie", _ID, starts("[XYZ]") + "[0-9]{7}[A-HJ-NP-TV-Z]" + END, "checksum", digits=7, in_a_row=7),
    shape(
        "es_dni", _ID, starts("[0-9]") + "[0-9]{7}-?[A-HJ-NP-TV-Z]" + END, "checksum", digits=8, in_a_row=8
    ),
    shape(
        "br_cpf", _ID, starts("[0-9]") + r"[0-9]{2}\.[0-9]{3}\.[0-9]{3}-[0-9]{2}" + END, "checksum", digits=11
    ),
    shape("kr_rrn", _ID, starts("[0-9]") + "[0-9]{5}-[1-8][0-9]{6}" + END, "checksum", digits=13, in_a_row=7),
    shape("us_itin", "TAX_ID_NUMBER", starts("9") + "[0-9]{2}-[5-9][0-9]-[0-9]{4}" + END, digits=9),
    shape(
        "gb_nino",
        "SOCIAL_INSURANCE_NUMBER",
        starts("[A-CEGHJ-PR-TW-Z]") + "[A-CEGHJ-NPR-TW-Z] ?[0-9]{2} ?[0-9]{2} ?[0-9]{2} ?[A-D]" + END,
        digits=6,
    ),
    shape(
        "passport",
        "PASSPORT_NUMBER",
        starts("[A-Z1]") + "[A-Z0-9]?[ -]?[0-9]{7,8}(?:[0-9]{2})?" + END,
        "never",
        digits=7,
        in_a_row=7,
    ),
)
