"""From spans to a redacted text: operators, policies, verification, certificates.

    redact("我叫张三", [Span(2, 4, "PERSON_NAME")]).text == "我叫<PERSON_NAME>"

An operator is one schema with one method, `replacement`; a policy says which operator a type or subtype
gets. Text outside the spans is never changed. Operators that need a secret take it from a `RedactionKey`,
which no recipe can hold.
"""

from pii.redaction.certificate import Certificate, Tally, verify_certificate
from pii.redaction.generalising import Generalise
from pii.redaction.hashing import Hash
from pii.redaction.keys import KeyRequired, RedactionKey
from pii.redaction.occurrence import Occurrence, Operator, Scope
from pii.redaction.policy import AnyOperator, Policy, default_policy, load_policy, shipped_policies
from pii.redaction.redactor import Redacted, Replacement, disjoint, redact
from pii.redaction.sealing import Encrypt, Restored, Unsealed, restore, unseal
from pii.redaction.shifting import Shift
from pii.redaction.surrogates import Surrogate
from pii.redaction.verification import Leak, LeakError, Leaks, Verified, redact_verified, verify
from pii.redaction.visible import Keep, Mask, Remove, Replace

__all__ = [
    "AnyOperator",
    "Certificate",
    "Encrypt",
    "Generalise",
    "Hash",
    "Keep",
    "KeyRequired",
    "Leak",
    "LeakError",
    "Leaks",
    "Mask",
    "Occurrence",
    "Operator",
    "Policy",
    "Redacted",
    "RedactionKey",
    "Remove",
    "Replace",
    "Replacement",
    "Restored",
    "Scope",
    "Shift",
    "Surrogate",
    "Tally",
    "Unsealed",
    "Verified",
    "default_policy",
    "disjoint",
    "load_policy",
    "redact",
    "redact_verified",
    "restore",
    "shipped_policies",
    "unseal",
    "verify",
    "verify_certificate",
]
