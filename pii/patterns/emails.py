"""E-mail addresses, found from the ``@`` outwards."""

from __future__ import annotations

import re
from collections.abc import Iterator

from pii.identifiers import check
from pii.patterns.relaxed import relaxed
from pii.patterns.scanned import Candidate, Scanned

# Domain names may hold any letters of a right-hand script, yet in Chinese text the sentence goes on after
# the address without a space; so domains are ASCII, or wholly Chinese with a Chinese top level.
_DOMAIN = re.compile(
    r"@(?:(?:[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?\.){1,8}(?:[A-Za-z]{2,24}|xn--[A-Za-z0-9]{2,59})"
    r"(?![A-Za-z0-9@]|-[A-Za-z0-9]|\.[A-Za-z0-9])|[\u4e00-\u9fffA-Za-z0-9-]{1,20}\.(?:中国|公司|网络|在线))"
)
# RFC 5321 allows more marks; in running text and code they belong to what stands around the address.
# Letters of scripts that write no spaces between words would run into the sentence before the address.
_LOCAL = re.compile(r"(?![\u0e00-\u0eff\u1780-\u17ff\u3005-\u30ff\u3400-\u9fff])[\w.%+-]")
_MAX_LOCAL = 64
# A dot between two of their letters shows that they belong to the address (RFC 6531): 秀英.胡79@example.org.
_DOTTED = re.compile(
    r"(?<!\w)(?:[\u3005-\u30ff\u3400-\u9fff]{1,6}\.){1,3}[\u3005-\u30ff\u3400-\u9fff]{1,6}[0-9]{0,4}$"
)

_PLACEHOLDER = re.compile(
    r"(?:your?|your[._-]?(?:name|email)|user(?:name)?|name|e?mail|example|test|foo|bar|someone|me|x{2,})"
    r"@(?:[\w-]{1,63}\.){0,3}(?:example|test|domain|company|x{2,})\."
)


def _is_placeholder(address: str) -> bool:
    """An address that nobody has: one of a manual (RFC 2606 domains), or ``git@host`` of a repository."""
    lower = address.lower()
    return lower.startswith("git@") or bool(_PLACEHOLDER.match(lower))


def find_emails(scanned: Scanned) -> Iterator[Candidate]:
    """Every address; with a label before it the evidence is the label, otherwise the syntax."""
    text = scanned.text
    for domain in _DOMAIN.finditer(text):
        start = domain.start()
        earliest = max(0, start - _MAX_LOCAL)
        while start > earliest and _LOCAL.match(text[start - 1]):
            start -= 1
        if dotted := _DOTTED.search(text, earliest, domain.start()):
            start = min(start, dotted.start())
        # A local part begins with a letter or digit: marks before it belong to the sentence.
        while start < domain.start() and not text[start].isalnum():
            start += 1
        if start == domain.start():
            continue
        address = text[start : domain.end()]
        if check("EMAIL_ADDRESS", address).valid is False or _is_placeholder(address):
            continue
        labelled = scanned.labels.near(start, domain.end(), "EMAIL_ADDRESS", 12)
        yield Candidate(
            start, domain.end(), "EMAIL_ADDRESS", "email", "context" if labelled else "shape", None, labelled
        )


def anywhere() -> Iterator[str]:
    """What stands in every text in which `find_emails` finds something, for `pii.patterns.sieve`."""
    yield relaxed(_DOMAIN)
