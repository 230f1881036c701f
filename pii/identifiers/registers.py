"""Numbers of other countries' registers, checked by python-stdnum: one row of a table each.

Only numbers whose shape is distinctive, or whose checksum makes chance unlikely, are worth a row: the
shapes are tried in order and the first whose checksum holds wins.
"""

from __future__ import annotations

import importlib
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from stdnum.exceptions import ValidationError

from pii.identifiers.verdict import IMPOSSIBLE, SHAPED, Verdict


@dataclass(frozen=True)
class Register:
    """One kind of number.

    Attributes:
        subtype: country and kind, such as ``it_codice_fiscale``.
        shape: what the compact value looks like.
        module: the stdnum module that validates it; empty where the shape is all there is.
        checksum: whether the module's verdict rests on a checksum; otherwise on assigned ranges.
    """

    subtype: str
    shape: re.Pattern[str]
    module: str
    checksum: bool = True

    def holds(self, number: str) -> bool:
        """Whether the module accepts the number; a crash inside it counts as no."""
        if not self.module:
            return True
        module: Any = importlib.import_module(f"stdnum.{self.module}")
        try:
            module.validate(number)
        except ValidationError:
            return False
        except (LookupError, ValueError, ArithmeticError):
            # Some modules look a part up in a table without a guard.
            return False
        return True


def _table(*rows: tuple[str, str, str] | tuple[str, str, str, bool]) -> tuple[Register, ...]:
    return tuple(
        Register(row[0], re.compile(row[1]), row[2], row[3] if len(row) > 3 else True) for row in rows
    )


NATIONAL = _table(
    ("it_codice_fiscale", r"[A-Z]{6}[0-9L-V]{2}[A-T][0-9L-V]{2}[A-Z][0-9L-V]{3}[A-Z]", "it.codicefiscale"),
    ("mx_curp", r"[A-Z]{4}[0-9]{6}[HM][A-Z]{5}[0-9A-Z][0-9]", "mx.curp"),
    ("es_dni", r"[0-9]{8}[A-HJ-NP-TV-Z]", "es.dni"),
    ("es_nie", r"[XYZ][0-9]{7}[A-HJ-NP-TV-Z]", "es.nie"),
    ("fi_hetu", r"[0-9]{6}[-+A-FU-Y]?[0-9]{3}[0-9A-Y]", "fi.hetu"),
    ("ie_pps", r"[0-9]{7}[A-W][A-IW]?", "ie.pps"),
    ("fr_nir", r"[12][0-9]{4}[0-9AB][0-9]{9}", "fr.nir"),
    ("kr_rrn", r"[0-9]{6}[0-9]{7}", "kr.rrn"),
    ("th_pin", r"[1-9][0-9]{12}", "th.pin"),
    ("za_id", r"[0-9]{13}", "za.idnr"),
    ("ro_cnp", r"[1-9][0-9]{12}", "ro.cnp"),
    ("in_aadhaar", r"[2-9][0-9]{11}", "in_.aadhaar"),
    ("jp_my_number", r"[0-9]{12}", "jp.in_"),
    ("my_nric", r"[0-9]{12}", "my.nric", False),
    ("pl_pesel", r"[0-9]{11}", "pl.pesel"),
    ("br_cpf", r"[0-9]{11}", "br.cpf"),
    ("tr_tckimlik", r"[1-9][0-9]{10}", "tr.tckimlik"),
    ("se_personnummer", r"[0-9]{10}|[0-9]{12}", "se.personnummer"),
    ("nl_bsn", r"[0-9]{9}", "nl.bsn"),
    ("us_ssn", r"[0-9]{9}", "us.ssn", False),
)  # fmt: skip

TAX = _table(
    ("us_itin", r"9[0-9]{8}", "us.itin", False),
    ("in_pan", r"[A-Z]{5}[0-9]{4}[A-Z]", "in_.pan", False),
    ("es_nif", r"[0-9A-Z][0-9]{7}[0-9A-Z]", "es.nif"),
    ("it_codice_fiscale", r"[A-Z]{6}[0-9A-Z]{9}[A-Z]", "it.codicefiscale"),
    ("de_idnr", r"[1-9][0-9]{10}", "de.idnr"),
    ("br_cpf", r"[0-9]{11}", "br.cpf"),
    ("gb_utr", r"[0-9]{10}", "gb.utr"),
    ("pt_nif", r"[1-3][0-9]{8}", "pt.nif"),
    ("au_tfn", r"[0-9]{8,9}", "au.tfn"),
    ("nl_bsn", r"[0-9]{9}", "nl.bsn"),
)  # fmt: skip

SOCIAL_INSURANCE = _table(
    ("ca_sin", r"[1-79][0-9]{8}", "ca.sin"),
    ("gb_nino", r"(?!BG|GB|NK|KN|TN|NT|ZZ)[A-CEGHJ-PR-TW-Z][A-CEGHJ-NPR-TW-Z][0-9]{6}[A-D]", ""),
    ("gb_nhs", r"[0-9]{10}", "gb.nhs"),
    ("fr_nir", r"[12][0-9]{4}[0-9AB][0-9]{9}", "fr.nir"),
    ("ch_ahv", r"756[0-9]{10}", "ch.ssn"),
    ("at_vnr", r"[1-9][0-9]{9}", "at.vnr"),
)  # fmt: skip

ORGANISATION = _table(
    ("lei", r"[0-9A-Z]{18}[0-9]{2}", "lei"),
    ("sg_uen", r"[0-9]{8,9}[A-Z]|[RST][0-9]{2}[A-Z]{2}[0-9]{4}[A-Z]", "sg.uen"),
    ("us_ein", r"[0-9]{9}", "us.ein", False),
    ("fr_siret", r"[0-9]{14}", "fr.siret"),
    ("eu_vat", r"[A-Z]{2}[0-9A-Z+*]{8,12}", "eu.vat"),
    ("gb_vat", r"GB[0-9]{9}(?:[0-9]{3})?", "gb.vat"),
    ("au_abn", r"[0-9]{11}", "au.abn"),
)  # fmt: skip


def look_up(number: str, registers: Sequence[Register]) -> Verdict:
    """The first register whose checksum holds; or one whose ranges allow it; or a failure.

    Args:
        number: the compact value, upper case.
        registers: the kinds to try, in order.
    """
    ranged: Verdict | None = None
    failed: Verdict | None = None
    for register in registers:
        if not register.shape.fullmatch(number):
            continue
        if not register.holds(number):
            # Digits alone have the shape of many registers: that one of them refuses says nothing.
            if not number.isdigit():
                failed = failed or Verdict(False, register.subtype)
        elif register.checksum and register.module:
            return Verdict(True, register.subtype)
        else:
            ranged = ranged or Verdict(None, register.subtype)
    return ranged or failed or (SHAPED if _generic(number) else IMPOSSIBLE)


_GENERIC = re.compile(r"(?=.*[0-9]{3})[0-9A-Z/]{6,22}")


def _generic(number: str) -> bool:
    """Whether it could be a number of a register that has no row: some digits, maybe letters."""
    return bool(_GENERIC.fullmatch(number))
