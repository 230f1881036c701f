"""`Surrogate`: a fake of the same type, language and form in place of a value, chosen by a secret key.

    138-0013-8000 → 154-2203-7741        13800138000 → 15422037741        张三 → 苏宁

The choice is made by HMAC-SHA-256 of type and identity (`pii.redaction.identity`), so one value has one
surrogate in every document, process and run under a key and tenant; another key gives unrelated ones; and
without the key a surrogate says nothing of its original beyond the form. Which ranges are used, and whether
a real person can hold a value in them, stands in docs/redaction.md.
"""

from __future__ import annotations

from typing import Literal

from pii.identifiers import check
from pii.redaction.identity import identity
from pii.redaction.occurrence import Occurrence, OperatorConfig, Scope
from pii.redaction.surrogates import documents, money, online, people, phones, places, things, words
from pii.redaction.surrogates.original import Maker, Original, draw_of

MAKERS: dict[str, Maker] = {
    "PERSON_NAME": people.name,
    "PHONE_NUMBER": phones.phone,
    "EMAIL_ADDRESS": online.email,
    "ADDRESS": places.invented,
    "LOCATION": places.invented,
    "ORGANIZATION": places.invented,
    "NATIONAL_ID_NUMBER": documents.number,
    "PASSPORT_NUMBER": documents.number,
    "DRIVER_LICENSE_NUMBER": documents.number,
    "SOCIAL_INSURANCE_NUMBER": documents.number,
    "TAX_ID_NUMBER": documents.number,
    "ORG_REGISTRATION_NUMBER": documents.number,
    "BANK_CARD_NUMBER": money.card,
    "BANK_ACCOUNT_NUMBER": money.account,
    "PAYMENT_ACCOUNT": money.payment,
    "VEHICLE_PLATE_NUMBER": things.plate,
    "VEHICLE_ID_NUMBER": things.vin,
    "USERNAME": online.username,
    "WECHAT_ID": online.wechat,
    "QQ_NUMBER": online.code,
    "IP_ADDRESS": things.ip,
    "DEVICE_ID": things.device,
    "URL": online.url,
    "GEO_COORDINATE": things.coordinate,
    "DATE_OF_BIRTH": words.date,
    "DATE_TIME": words.date,
    "DEMOGRAPHIC": words.attribute,
    "MEMBER_ID": online.code,
    "MEDICAL_RECORD_NUMBER": online.code,
    "CREDENTIAL": online.code,
    "HEALTH_CONDITION": words.attribute,
    "SENSITIVE_ATTRIBUTE": words.attribute,
}
"""Who makes the surrogates of a type; a user's own types have none and become a tag."""

ATTEMPTS = 64
"""So many candidates are tried; then one that already stands for another value is taken."""


class Surrogate(OperatorConfig):
    """Put a fake of the same type, language and form in its place, the same for the same value."""

    operator: Literal["surrogate"] = "surrogate"

    def replacement(self, occurrence: Occurrence, scope: Scope) -> str | None:
        """The surrogate; None where the value's form is not known. Raises KeyRequired.

        A candidate that is an original of the same document is never taken; one that stands for another
        value of the document only where a small range leaves nothing else.
        """
        maker = MAKERS.get(occurrence.type)
        if maker is None:
            scope.secret("surrogate")
            return None
        subtype = check(occurrence.type, occurrence.value).subtype or ""
        originals = scope.originals.get(occurrence.type, frozenset())
        shared: str | None = None
        for attempt in range(ATTEMPTS):
            draw = draw_of(scope, occurrence.type, occurrence.who, attempt)
            made = maker(
                Original(occurrence.value, occurrence.type, subtype, occurrence.who, draw, scope, attempt)
            )
            if made is None:
                return None
            new = identity(occurrence.type, made)
            if new == occurrence.who or new in originals:
                continue
            if scope.taken.setdefault((occurrence.type, new), occurrence.who) == occurrence.who:
                return made
            shared = shared or made
        return shared


__all__ = ["ATTEMPTS", "MAKERS", "Surrogate"]
