"""What is sealed comes back exactly, for the holder of the key and nobody else; hashes and keys."""

import base64
import random

import pytest
from hypothesis import given

from configs.errors import ConfigError
from pii.errors import DataError
from pii.redaction import Encrypt, Hash, KeyRequired, Policy, RedactionKey, Replace, redact, restore
from pii.redaction.keys import ENVIRONMENT
from pii.spans import Span
from pii.taxonomy import shipped
from tests.strategies import documents

KEY, OTHER = RedactionKey(bytes(range(32))), RedactionKey(bytes(range(1, 33)))
SEALED = Policy(default=Encrypt())


def sealed(text, *spans, policy=SEALED, **kwargs):
    return redact(text, spans or [Span(0, len(text), "PERSON_NAME")], policy, key=KEY, **kwargs).text


@given(documents())
def test_what_is_sealed_comes_back_and_the_rest_never_changed(document):
    text = sealed(document.text, *document.spans) if document.spans else document.text
    restored = restore(text, KEY)
    assert restored.text == document.text
    assert (restored.num_restored, restored.refused) == (len(document.spans), ())


@pytest.mark.parametrize("type", [t.name for t in shipped()])
def test_every_type_comes_back(type):
    assert restore(sealed("值 value", Span(0, 7, type)), KEY).text == "值 value"


def test_ten_thousand_random_texts_come_back():
    rng = random.Random(7)
    for _ in range(10_000):
        text = "".join(
            chr(rng.choice((rng.randrange(32, 127), rng.randrange(0x4E00, 0x9FFF)))) for _ in range(9)
        )
        start = rng.randrange(8)
        span = Span(start, rng.randrange(start + 1, 10), rng.choice(tuple(shipped())).name)
        hidden = sealed(text, span)
        assert restore(hidden, KEY).text == text
        assert hidden.startswith(text[:start])


def test_a_flipped_bit_is_refused_wherever_it_is():
    token = sealed("张三")
    head, _, payload = token[1:-1].rpartition(":")
    raw = base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4))
    # The first four bytes name the key: a token with another name there is not this key's at all.
    for place in range(4, len(raw)):
        for bit in range(8):
            altered = bytearray(raw)
            altered[place] ^= 1 << bit
            text = f"[{head}:{base64.urlsafe_b64encode(altered).decode().rstrip('=')}]"
            with pytest.raises(DataError, match="1 tokens do not open"):
                restore(text, KEY)
            kept = restore(text, KEY, tolerant=True)
            assert (kept.text, kept.refused) == (text, ((0, len(text)),))


def test_a_token_opens_under_no_other_type_tenant_or_key():
    token = sealed("张三")
    with pytest.raises(DataError):
        restore(token.replace("PERSON_NAME", "PHONE_NUMBER"), KEY)
    with pytest.raises(DataError):
        restore(token, KEY, tenant="another")
    foreign = restore(token, OTHER)
    assert (foreign.text, foreign.num_foreign) == (token, 1)


def test_what_only_looks_like_a_token_or_tag_stays():
    like = f"[pii1:PERSON_NAME:{'A' * 50}] [pii1:X:] <PERSON_NAME> [pii1:PERSON_NAME:%%%] 张三 [pii1:张三]"
    at = like.index("张三")
    hidden = sealed(like, Span(at, at + 2, "PERSON_NAME"))
    restored = restore(hidden, KEY)
    assert (restored.text, restored.num_restored, restored.num_foreign) == (like, 1, 1)


def test_a_value_that_holds_a_token_comes_back_as_it_was():
    inner = sealed("张三")
    assert restore(sealed(f"x{inner}y"), KEY).text == f"x{inner}y"


def test_the_same_job_gives_the_same_bytes_and_equal_values_unlike_tokens():
    text = "张三和张三"
    spans = [Span(0, 2, "PERSON_NAME"), Span(3, 5, "PERSON_NAME")]
    once = sealed(text, *spans, document="7")
    assert once == sealed(text, *spans, document="7")
    assert once != sealed(text, *spans, document="8")
    first, second = once.split("和")
    assert first != second


# --- hashes ------------------------------------------------------------------------------------------


def hashed(value, type="PHONE_NUMBER", key=KEY, tenant=""):
    policy = Policy(default=Hash(), tenant=tenant)
    return redact(value, [Span(0, len(value), type)], policy, key=key).text


def test_a_hash_names_the_value_however_it_is_written():
    assert hashed("138-0013-8000") == hashed("+86 １３８００１３８０００") == hashed("一三八零零一三八零零零")
    assert hashed("138-0013-8000") != hashed("138-0013-8001")
    assert hashed("1.11.1.1", "IP_ADDRESS") != hashed("11.1.1.1", "IP_ADDRESS")
    assert hashed("张三先生", "PERSON_NAME") == hashed("张 三", "PERSON_NAME")


def test_a_hash_depends_on_key_tenant_and_type():
    values = {
        hashed("13800138000"),
        hashed("13800138000", key=OTHER),
        hashed("13800138000", tenant="a"),
        hashed("13800138000", "QQ_NUMBER").replace("QQ_NUMBER", "PHONE_NUMBER"),
    }
    assert len(values) == 4


# --- keys --------------------------------------------------------------------------------------------


def test_keys_come_from_a_file_or_the_environment(tmp_path, monkeypatch):
    secret = bytes(range(32))
    (tmp_path / "hex").write_text(secret.hex() + "\n")
    (tmp_path / "base64").write_text(base64.urlsafe_b64encode(secret).decode())
    monkeypatch.delenv(ENVIRONMENT, raising=False)
    assert RedactionKey.find() is None
    monkeypatch.setenv(ENVIRONMENT, secret.hex())
    ids = {
        RedactionKey.find(tmp_path / "hex").id,
        RedactionKey.find(tmp_path / "base64").id,
        RedactionKey.find().id,
    }
    assert ids == {KEY.id}


@pytest.mark.parametrize("content", ["hunter2 is no key", "abcd", "密钥", ""])
def test_what_is_no_key_is_refused_without_being_shown(tmp_path, content):
    (tmp_path / "key").write_text(content, encoding="utf-8")
    with pytest.raises(ConfigError) as caught:
        RedactionKey.from_file(tmp_path / "key")
    assert not content or content not in str(caught.value)


def test_a_key_does_not_show_itself():
    assert repr(KEY) == f"RedactionKey(id={KEY.id})"
    assert KEY.derive("hash").hex()[:8] != KEY.id


def test_without_a_key_an_operator_that_needs_one_says_so():
    with pytest.raises(KeyRequired, match="encrypt needs a key"):
        redact("张三", [Span(0, 2, "PERSON_NAME")], SEALED)
    assert SEALED.needs_key == "encrypt"
    assert Policy(types={"URL": Replace()}).needs_key is None
