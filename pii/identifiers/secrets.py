"""Keys, tokens, passwords and one-time codes."""

from __future__ import annotations

import base64
import binascii
import json
import re

from pii.identifiers.verdict import IMPOSSIBLE, SHAPED, Verdict, plain

# Issuer → what its keys begin with. Prefixes are published so that scanners find leaks:
# https://docs.github.com/en/code-security/secret-scanning/introduction/supported-secret-scanning-patterns
KEYS = (
    ("aws_access_key", r"(?:AKIA|ASIA|AROA|AIDA)[A-Z0-9]{16}"),
    ("github_token", r"gh[pousr]_[A-Za-z0-9]{30,255}|github_pat_[A-Za-z0-9_]{22,255}"),
    ("gitlab_token", r"glpat-[A-Za-z0-9_-]{20,64}"),
    ("anthropic_key", r"sk-ant-[A-Za-z0-9_-]{16,200}"),
    ("openai_key", r"sk-(?:proj-|svcacct-)?[A-Za-z0-9_-]{20,200}"),
    ("stripe_key", r"[sr]k_(?:live|test)_[A-Za-z0-9]{16,99}"),
    ("google_api_key", r"AIza[A-Za-z0-9_-]{35}"),
    ("slack_token", r"xox[abeoprs]-[A-Za-z0-9-]{10,250}"),
    ("huggingface_token", r"hf_[A-Za-z0-9]{30,64}"),
    ("npm_token", r"npm_[A-Za-z0-9]{36}"),
    ("pypi_token", r"pypi-[A-Za-z0-9_-]{50,250}"),
    ("sendgrid_key", r"SG\.[A-Za-z0-9_-]{16,32}\.[A-Za-z0-9_-]{16,64}"),
    ("aliyun_access_key", r"LTAI[A-Za-z0-9]{12,26}"),
    ("tencent_secret_id", r"AKID[A-Za-z0-9]{32}"),
)
KEY_PREFIXES = (
    *("AKIA", "ASIA", "AROA", "AIDA", "gho_", "ghp_", "ghu_", "ghs_", "ghr_", "github_pat_", "glpat-"),
    *("sk-", "k_live_", "k_test_", "AIza", "xox", "hf_", "npm_", "pypi-", "SG.", "LTAI", "AKID"),
)
"""One of these stands in every text that holds a key of `KEYS`: a cheap question before the search."""

_KEYS = tuple((subtype, re.compile(shape)) for subtype, shape in KEYS)
_JWT = re.compile(r"eyJ[A-Za-z0-9_-]{8,4000}\.eyJ[A-Za-z0-9_-]{2,16000}\.[A-Za-z0-9_-]{0,2000}")
_PRIVATE_KEY = re.compile(r"-----BEGIN [A-Z ]{0,24}PRIVATE KEY-----.*", re.DOTALL)
_CODE = re.compile(r"[0-9]{3,8}")
_SECRET = re.compile(r"\S(?:.{0,510}\S)?", re.DOTALL)


def credential(value: str) -> Verdict:
    """A key with a known prefix, a token that decodes, a private key, a numeric code, or any secret word."""
    written = plain(value)
    if _JWT.fullmatch(written):
        return Verdict(_header_decodes(written), "jwt")
    for subtype, shape in _KEYS:
        if shape.fullmatch(written):
            return Verdict(None, subtype)
    if _PRIVATE_KEY.fullmatch(written):
        return Verdict(None, "private_key")
    if _CODE.fullmatch(written):
        return Verdict(None, "code")
    return SHAPED if _SECRET.fullmatch(written) else IMPOSSIBLE


def _header_decodes(token: str) -> bool:
    """Whether the first part is Base64url of a JSON object with an algorithm (RFC 7519)."""
    header = token.split(".")[0]
    try:
        decoded = json.loads(base64.urlsafe_b64decode(header + "=" * (-len(header) % 4)))
    except (binascii.Error, ValueError, RecursionError):
        return False
    return isinstance(decoded, dict) and "alg" in decoded
