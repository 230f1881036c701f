"""Keys, tokens, passwords and one-time codes."""

from __future__ import annotations

import base64
import binascii
import json
import re
from dataclasses import dataclass

from pii.identifiers.verdict import IMPOSSIBLE, SHAPED, Verdict, plain


@dataclass(frozen=True)
class Key:
    """The keys of one issuer: what they look like, and the prefixes by which scanners find leaks.

    The shape begins with a literal character, before which a recogniser sets its left boundary.
    """

    subtype: str
    shape: str
    prefixes: tuple[str, ...]


# https://docs.github.com/en/code-security/secret-scanning/introduction/supported-secret-scanning-patterns
KEYS = (
    Key("aws_access_key", r"A(?:KIA|SIA|ROA|IDA)[A-Z0-9]{16}", ("AKIA", "ASIA", "AROA", "AIDA")),
    Key("github_token", r"gh[pousr]_[A-Za-z0-9]{30,255}", ("ghp_", "gho_", "ghu_", "ghs_", "ghr_")),
    Key("github_token", r"github_pat_[A-Za-z0-9_]{22,255}", ("github_pat_",)),
    Key("gitlab_token", r"glpat-[A-Za-z0-9_-]{20,64}", ("glpat-",)),
    Key("anthropic_key", r"sk-ant-[A-Za-z0-9_-]{16,200}", ("sk-ant-",)),
    Key("openai_key", r"sk-(?!ant-)(?=[A-Za-z_-]{0,60}[0-9])[A-Za-z0-9_-]{20,200}", ("sk-",)),
    Key("stripe_key", r"sk_(?:live|test)_[A-Za-z0-9]{16,99}", ("sk_live_", "sk_test_")),
    Key("stripe_key", r"rk_(?:live|test)_[A-Za-z0-9]{16,99}", ("rk_live_", "rk_test_")),
    Key("google_api_key", r"AIza[A-Za-z0-9_-]{35}", ("AIza",)),
    Key("slack_token", r"xox[abeoprs]-[A-Za-z0-9-]{10,250}", ("xox",)),
    Key("huggingface_token", r"hf_[A-Za-z0-9]{30,64}", ("hf_",)),
    Key("npm_token", r"npm_[A-Za-z0-9]{36}", ("npm_",)),
    Key("pypi_token", r"pypi-[A-Za-z0-9_-]{50,250}", ("pypi-",)),
    Key("sendgrid_key", r"SG\.[A-Za-z0-9_-]{16,32}\.[A-Za-z0-9_-]{16,64}", ("SG.",)),
    Key("aliyun_access_key", r"LTAI[A-Za-z0-9]{12,26}", ("LTAI",)),
    Key("tencent_secret_id", r"AKID[A-Za-z0-9]{32}", ("AKID",)),
)
_KEYS = tuple((key.subtype, re.compile(key.shape)) for key in KEYS)
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
