"""Numbers that an organisation gives a person: staff, student, member, customer, patient."""

from __future__ import annotations

from data_pipeline.values.chance import digits, letters, number, pick
from data_pipeline.values.registry import Draw, provides

MEMBER, RECORD = "MEMBER_ID", "MEDICAL_RECORD_NUMBER"


@provides("staff", "staff_number", MEMBER)
def staff_number(draw: Draw) -> str:
    """Staff number: letters of the house and four to eight digits."""
    rng = draw.rng
    head = pick(rng, ("", "", "A", "E", "EMP", "EMP-", "GH", "HR", "S", "YG-", "W0", "N"))
    return head + digits(rng, number(rng, 5 if not head else 4, 8))


@provides("student", "student_number", MEMBER)
def student_number(draw: Draw) -> str:
    """Student number: year of entry, faculty, serial number."""
    rng = draw.rng
    head = pick(rng, ("", "", "", "S", "U", "M", "SID-"))
    return f"{head}{number(rng, 2012, 2025)}{digits(rng, number(rng, 4, 8))}"


@provides("member", "member_number", MEMBER)
def member_number(draw: Draw) -> str:
    """Member, customer and loyalty numbers."""
    rng = draw.rng
    head = pick(rng, ("VIP", "M", "HY", "C", "CU", "CUST-", "MBR-", "KH", "U", "", "VIP-", "GOLD"))
    return head + digits(rng, number(rng, 8 if not head else 6, 10))


@provides("policy", "policy_number", MEMBER)
def policy_number(draw: Draw) -> str:
    """Number of a person's insurance contract."""
    rng = draw.rng
    return pick(rng, ("P", "PL-", "POL", "BD", "PICC", "ZA-", "LIFE-")) + digits(rng, number(rng, 8, 12))


@provides("mrn", "medical_record", RECORD)
def medical_record(draw: Draw) -> str:
    """Medical record, in-patient and visit numbers."""
    rng = draw.rng
    if draw.language == "zh":
        head = pick(rng, ("", "", "", "ZY", "MZ", "BL", "H", "B", "00"))
        return head + digits(rng, number(rng, 7 if not head else 6, 10))
    head = pick(rng, ("MRN", "MRN-", "", "H", "PT-", "V", "UH", "A"))
    return head + digits(rng, number(rng, 7, 9))


@provides("mrn", "nhs_number", RECORD, uk=1, any=0)
def nhs_number(draw: Draw) -> str:
    """NHS number: ten digits, the last one a check digit modulo 11 (NHS Data Dictionary)."""
    while True:
        head = f"{number(draw.rng, 4, 7)}{digits(draw.rng, 8)}"
        check = -sum(int(d) * w for d, w in zip(head, range(10, 1, -1), strict=True)) % 11
        if check < 10:
            value = f"{head}{check}"
            return f"{value[:3]} {value[3:6]} {value[6:]}" if draw.rng.random() < 0.7 else value


@provides("ticketed", "frequent_flyer", MEMBER)
def frequent_flyer(draw: Draw) -> str:
    """Frequent-flyer numbers: airline and nine to twelve digits."""
    return letters(draw.rng, "ABCDMUZ", 2) + digits(draw.rng, number(draw.rng, 8, 12))
