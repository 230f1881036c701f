"""Keys and tokens by shape."""

from __future__ import annotations

from pii.identifiers.secrets import KEYS
from pii.patterns.shapes import ALNUM, shape

_PEM = "-----BEGIN [A-Z ]{0,24}PRIVATE KEY-----"
_PEM_END = "-----END [A-Z ]{0,24}PRIVATE KEY-----"

SECRETS = (
    *(
        # Not in the middle of a word: "task-" is no "sk-".
        shape(
            key.subtype,
            "CREDENTIAL",
            rf"{key.shape[0]}(?<![{ALNUM}_-]{key.shape[0]}){key.shape[1:]}(?![{ALNUM}_])",
            needs=key.prefixes,
        )
        for key in KEYS
    ),
    shape(
        "jwt",
        "CREDENTIAL",
        rf"eyJ(?<![{ALNUM}_-]eyJ)[{ALNUM}_-]{{8,4000}}+\.eyJ[{ALNUM}_-]{{2,16000}}+\.[{ALNUM}_-]{{0,2000}}",
        needs=("eyJ",),
    ),
    shape(
        "private_key",
        "CREDENTIAL",
        # To the end mark; where that was cut off, the lines of the key itself.
        rf"{_PEM}(?:(?:[{ALNUM}+/=\s:,]|-(?!-)){{0,8000}}+{_PEM_END}|(?:\s{{1,4}}[{ALNUM}+/=]{{40,128}}){{1,200}})",
        needs=("-----BEGIN",),
    ),
    shape("url_password", "CREDENTIAL", r"://[^\s:@/]{1,64}:(?P<value>[^\s@/]{3,64})@", needs=("://",)),
)
