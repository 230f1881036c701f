"""The format: what is rendered is read back, anything else is read as far as it goes, and a grammar admits
exactly what the text holds."""

import json
import random
import time
from typing import Any

import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st
from llguidance import LLMatcher, LLTokenizer

from pii import codec
from pii.codec import Answer, AnswerStyle, Mention, Message
from pii.spans import Document, Span
from pii.taxonomy import shipped
from tests.strategies import PIECES, TYPES, documents, texts

STYLES: tuple[AnswerStyle, ...] = ("value", "with_offsets", "grouped")
styles = st.sampled_from(STYLES)
DOCUMENT = Document(
    '张三 "x"\\{Ann}\u2028',
    (Span(0, 2, "PERSON_NAME"), Span(3, 6, "ADDRESS"), Span(8, 11, "PERSON_NAME")),
)


def gold(document: Document, style: AnswerStyle) -> tuple[Mention, ...]:
    if style == "grouped":
        kinds = list(dict.fromkeys(span.type for span in document.spans))
        grouped = sorted(document.spans, key=lambda span: kinds.index(span.type))
        return tuple(Mention(span.type, span.value(document.text)) for span in grouped)
    return tuple(
        Mention(s.type, s.value(document.text), *((s.start, s.end) if style == "with_offsets" else ()))
        for s in document.spans
    )


# --- prompt and answer ------------------------------------------------------------------------------


def test_the_prompt_is_short_for_the_default_types_however_they_are_asked_for() -> None:
    short: list[Message] = [
        {"role": "system", "content": "Extract PII as JSON."},
        {"role": "user", "content": " 张三\n"},
    ]
    assert codec.prompt(" 张三\n") == short
    assert codec.prompt(" 张三\n", shipped().default_types) == short
    assert codec.prompt(" 张三\n", list(shipped().default_types)) == short


def test_the_prompt_names_other_types() -> None:
    system, user = codec.prompt("x", ("PERSON_NAME", "LOCATION"))
    assert system["content"] == "Extract PII as JSON: PERSON_NAME, LOCATION"
    assert user["content"] == "x"


def test_the_answer_is_compact_and_in_order_of_appearance() -> None:
    spans = [Span(3, 14, "PHONE_NUMBER"), Span(0, 2, "PERSON_NAME")]
    text = "张三，13800138000"
    assert codec.render(text, spans) == (
        '{"entities":[{"type":"PERSON_NAME","value":"张三"},{"type":"PHONE_NUMBER","value":"13800138000"}]}'
    )
    assert codec.render(text, spans[1:], "with_offsets") == (
        '{"entities":[{"type":"PERSON_NAME","value":"张三","start":0,"end":2}]}'
    )
    assert codec.render(text, []) == '{"entities":[]}'
    assert codec.render(text, spans, "grouped") == '{"PERSON_NAME":["张三"],"PHONE_NUMBER":["13800138000"]}'
    assert codec.render(text, [], "grouped") == "{}"


@given(documents(), styles)
def test_what_is_rendered_is_read_back(document: Document, style: AnswerStyle) -> None:
    answer = codec.parse(codec.render(document.text, document.spans, style), style)
    assert answer == Answer(gold(document, style), "", valid_json=True, valid_schema=True)


# --- parsing anything -------------------------------------------------------------------------------


@given(documents(max_spans=3))
@example(DOCUMENT)
def test_a_grouped_answer_cut_anywhere_gives_every_whole_value_before_the_cut(document: Document) -> None:
    whole, said = codec.render(document.text, document.spans, "grouped"), gold(document, "grouped")
    ends, position = [], 0
    for mention in said:
        written = json.dumps(mention.value, ensure_ascii=False)
        position = min(
            whole.index(before + written, position) for before in "[," if before + written in whole[position:]
        )
        position += 1 + len(written)
        ends.append(position)
    for length in range(1, len(whole)):
        answer = codec.parse(whole[:length], "grouped")
        assert answer.mentions == said[: len(answer.mentions)], length
        # A value counts once its closing quote stands there.
        assert len(answer.mentions) == sum(end <= length for end in ends), length
        assert (answer.problem, answer.valid_json, answer.valid_schema) == ("truncated", False, False)


@pytest.mark.parametrize(
    ("answer", "values", "problem"),
    [
        ('{"A":["x"],"A":["y"]}', "xy", ""),
        ('{"A":["x",3,"y"]}', "xy", "wrong_schema"),
        ('{"A":"x","B":["y"]}', "y", "wrong_schema"),
        ('{"A":[{"B":["x"]}],"C":["y"]}', "y", "wrong_schema"),
        ('["x"]', "", "wrong_schema"),
        ("null", "", "wrong_schema"),
        ("no idea", "", "not_json"),
        ('{"A":["x","y', "x", "truncated"),
        ('{"A":["', "", "truncated"),
    ],
)
def test_grouped_answers_of_a_weak_model(answer: str, values: str, problem: str) -> None:
    read = codec.parse(answer, "grouped")
    assert "".join(mention.value for mention in read.mentions) == values
    assert read.problem == problem
    assert read.valid_schema == (not problem)


@given(st.text(st.sampled_from('{}[]",:\\ab张\n'), max_size=40))
def test_reading_groups_never_raises(answer: str) -> None:
    for mention in codec.parse(answer, "grouped").mentions:
        assert mention.value


@given(documents(max_spans=3), st.sampled_from(STYLES[:2]))
@example(DOCUMENT, "value")
@example(DOCUMENT, "with_offsets")
def test_an_answer_cut_anywhere_gives_every_whole_entity_before_the_cut(
    document: Document, style: AnswerStyle
) -> None:
    whole = codec.render(document.text, document.spans, style)
    ends = [
        len(codec.render(document.text, document.spans[:count], style)) - len("]}")
        for count in range(1, len(document.spans) + 1)
    ]
    for length in range(1, len(whole)):
        answer = codec.parse(whole[:length])
        num_whole = sum(end <= length for end in ends)
        assert answer.mentions == gold(document, style)[:num_whole], length
        assert (answer.problem, answer.valid_json, answer.valid_schema) == ("truncated", False, False)


json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=5)
    | st.sampled_from(TYPES),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(st.sampled_from(["entities", "type", "value", "start", "end", "x"]), inner)
    ),
    max_leaves=12,
)


@given(json_values)
def test_any_json_is_read_or_called_another_schema(value: Any) -> None:
    answer = codec.parse(json.dumps(value))
    assert answer.problem in ("", "wrong_schema")
    assert answer.valid_schema == (answer.problem == "")
    assert all(m.type is not None and m.value for m in answer.mentions)


broken = st.lists(
    st.sampled_from(
        [
            '{"entities":[',
            '{"type":"A","value":"',
            '"},',
            '"',
            "]}",
            "{",
            "}",
            "[",
            "]",
            ",",
            "\\",
            "\\u",
            "\ud800",
            "x",
        ]
    ),
    max_size=12,
).map("".join)


@given(broken | st.text(st.characters(), max_size=40))
def test_no_string_is_too_strange_to_read(string: str) -> None:
    answer = codec.parse(string)
    assert isinstance(answer, Answer)
    assert answer.valid_json or answer.problem


@pytest.mark.parametrize(
    "string",
    [
        '{"a":' * 100_000,
        "[" * 1_000_000,
        '{"entities":[' * 50_000,
        '{"entities":[' + '{"type":"A","value":"b"},' * 50_000,
        '{ "entities"' * 50_000,
        "{" + " " * 1_000_000,
        '{"entities":[{"type":"A","value":' + "9" * 100_000 + "}]}",
        '{"entities":[{"type":"A","value":"b","start":' + "9" * 100_000 + "}]}",
        '"' * 500_001,
    ],
    ids=lambda string: string[:20],
)
def test_hostile_length_and_depth_are_read_in_a_second(string: str) -> None:
    began = time.process_time()
    assert codec.parse(string).problem
    assert time.process_time() - began < 1


ONE = '{"type":"A","value":"b"}'
B = Mention("A", "b")


@pytest.mark.parametrize(
    ("string", "mentions", "problem"),
    [
        ("", (), "not_json"),
        ("I see none.", (), "not_json"),
        ("NaN", (), "not_json"),
        ("null", (), "wrong_schema"),
        ("{}", (), "wrong_schema"),
        ('{"entities":{}}', (), "wrong_schema"),
        ('{"entities":[],"note":NaN}', (), "truncated"),
        (f'{{"entities":[{ONE}],"note":1}}', (B,), ""),
        (f'{{"entities":[1,{ONE}]}}', (B,), "wrong_schema"),
        (f'{{"entities":[{ONE},{{"type":"A","value":""}}]}}', (B,), "wrong_schema"),
        (f'{{"entities":[{ONE},{{"type":"A","value":5}}]}}', (B,), "wrong_schema"),
        (f"[{ONE}]", (B,), "wrong_schema"),
        (f' {{ "entities" : [ {ONE} ] }} ', (B,), ""),
        (f'```json\n{{"entities":[{ONE}]}}\n```', (B,), "text_around_json"),
        (f'In {{this}} text: {{"entities":[{ONE}]}} as asked', (B,), "text_around_json"),
        (f'{{"entities":[{ONE}]}}{{"entities":[]}}', (B,), "text_around_json"),
        (f'x {{"entities":[{ONE},1]}} y', (B,), "wrong_schema"),
        (f"```json\n[{ONE},\n{ONE}]\n```", (B, B), "wrong_schema"),
        (f'{{"note":1,"entities":[{ONE}]}} more', (B,), "wrong_schema"),
        (f'Sure! {{"entities":[{ONE},{{"type":"A', (B,), "truncated"),
        (f'{{"entities":[{ONE}', (B,), "truncated"),
        (f'{{"entities":[{ONE},{{"type":"A","value":"c"x}},{ONE}]}}', (B,), "truncated"),
    ],
)
def test_one_case_for_each_way_to_write_it(string: str, mentions: tuple[Mention, ...], problem: str) -> None:
    answer = codec.parse(string)
    assert (answer.mentions, answer.problem) == (mentions, problem)
    assert answer.valid_schema == (problem == "")


def test_offsets_are_taken_where_they_are_whole_numbers() -> None:
    for raw, read in (("1", 1), ("-1", -1), ("true", None), ("1.0", None), ('"1"', None), ("null", None)):
        answer = codec.parse(f'{{"entities":[{{"type":"A","value":"b","start":{raw},"end":{raw}}}]}}')
        assert answer.mentions == (Mention("A", "b", read, read),)


def test_a_mention_shows_its_length_and_not_its_value() -> None:
    assert "张三" not in repr(codec.parse(codec.render("张三", [Span(0, 2, "PERSON_NAME")])))


# --- grammar ----------------------------------------------------------------------------------------

BYTES = LLTokenizer("byte")
HOSTILE = "".join(PIECES)


def matcher(text: str, types: tuple[str, ...] = TYPES, style: AnswerStyle = "value") -> LLMatcher:
    made = LLMatcher(BYTES, codec.Grammar(text, types, style).lark())
    assert not made.is_error(), made.get_error()
    return made


def admits(matching: LLMatcher, answer: str) -> bool:
    """Whether the grammar admits the whole answer and lets it end there."""
    matching.reset()
    tokens = list(answer.encode())
    return matching.try_consume_tokens(tokens) == len(tokens) and matching.is_accepting()


@given(documents(), styles)
@example(Document(HOSTILE, (Span(0, len(HOSTILE), "ADDRESS"),)), "value")
@example(Document(HOSTILE, (Span(0, len(HOSTILE), "ADDRESS"),)), "with_offsets")
@example(Document(HOSTILE, (Span(0, len(HOSTILE), "ADDRESS"),)), "grouped")
@example(Document("".join(map(chr, range(0x20))), (Span(0, 0x20, "ADDRESS"),)), "value")
@example(Document("".join(map(chr, range(0x7F, 0xA1))), (Span(0, 0x22, "ADDRESS"),)), "value")
def test_the_grammar_admits_every_gold_answer(document: Document, style: AnswerStyle) -> None:
    assert admits(matcher(document.text, style=style), codec.render(document.text, document.spans, style))


@given(texts, texts)
@example("张三李四", "张李")
@example('a"b', "a\\")
@example("a\\nb", "a\nb")
@example("é", "e\u0301")
def test_the_grammar_admits_a_value_only_if_the_text_holds_it(text: str, value: str) -> None:
    assume(value)
    answer = json.dumps(
        {"entities": [{"type": TYPES[0], "value": value}]}, ensure_ascii=False, separators=(",", ":")
    )
    assert admits(matcher(text), answer) == (value in text)


@pytest.mark.parametrize("style", STYLES)
def test_the_grammar_admits_nothing_but_the_compact_form(style: AnswerStyle) -> None:
    good = codec.render("张三 b", [Span(0, 2, "PERSON_NAME"), Span(3, 4, "ADDRESS")], style)
    matching = matcher("张三 b", style=style)
    assert admits(matching, good)
    for bad in (
        " " + good,
        good + " ",
        good + "\n",
        good.replace(",", ", "),
        good.replace(":", ": "),
        good.replace("[", "[ "),
        good.replace("张三", "\\u5f20\\u4e09"),
        good.replace("张三", ""),
        good.replace("PERSON_NAME", "PERSON"),
        good.replace("PERSON_NAME", "LOCATION"),
        good.replace("]}", ",]}"),
        good.replace("type", "kind").replace("PERSON", "KIND"),
        good[:-1],
        "",
        '{"entities":[{}]}',
    ):
        assert not admits(matching, bad), bad


def test_the_grammar_admits_only_the_requested_types() -> None:
    answer = codec.render("ab", [Span(0, 1, "URL")])
    assert admits(matcher("ab", ("URL",)), answer)
    assert not admits(matcher("ab", ("PERSON_NAME", "ADDRESS")), answer)
    assert admits(matcher("ab", tuple(t.name for t in shipped())), answer)


@pytest.mark.parametrize("style", STYLES)
def test_a_text_of_nothing_has_one_answer(style: AnswerStyle) -> None:
    matching = matcher("", style=style)
    assert admits(matching, codec.render("", (), style))
    assert not admits(matching, '{"entities":[{"type":"ADDRESS","value":""}]}')


@pytest.mark.parametrize(
    "text",
    [
        HOSTILE * 10,
        "a" * 2000,
        "".join(random.Random(0).choices("ab", k=2000)),
        "".join(map(chr, random.Random(0).choices(range(0x3400, 0x9FFF), k=2000))),
        "".join(random.Random(0).choices(PIECES, k=700)),
    ],
    ids=["hostile", "letters", "two letters", "chinese", "pieces"],
)
def test_a_long_window_compiles_at_once(text: str) -> None:
    """Paid once a request. Measured on a shared core: 3 to 9 ms for 2,000 characters."""
    text = text[:2000]
    began = time.process_time()
    matching = matcher(text, tuple(t.name for t in shipped()))
    seconds = time.process_time() - began
    assert admits(matching, codec.render(text, [Span(0, len(text), "ADDRESS"), Span(5, 6, "URL")]))
    assert seconds < 0.5


# --- tokens -----------------------------------------------------------------------------------------

CHATML = (
    "{% for message in messages %}{{ '<|im_start|>' + message['role'] + '\n' + message['content']"
    " + '<|im_end|>' + '\n' }}{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}"
    "{% endif %}"
)
# Qwen2's division into words before merging, which joins line breaks to what is before them.
WORDS = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*"
    r"|\s*[\r\n]+|\s+(?!\S)|\s+"
)
CONTROL = ("<|endoftext|>", "<|im_start|>", "<|im_end|>")


@pytest.fixture(scope="module")
def tokenizer() -> Any:
    """A byte-level BPE of some hundred tokens, built like Qwen2's."""
    from tokenizers import Regex, Tokenizer, models, normalizers, pre_tokenizers, trainers
    from tokenizers.decoders import ByteLevel
    from transformers import PreTrainedTokenizerFast

    bare = Tokenizer(models.BPE())
    bare.normalizer = normalizers.NFC()
    bare.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(WORDS), "isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    bare.decoder = ByteLevel()
    corpus = [
        "system\nuser\nassistant\n",
        "我叫张三，电话13800138000\n\n",
        codec.render("张三", [Span(0, 2, "ADDRESS")]),
    ]
    trainer = trainers.BpeTrainer(
        vocab_size=400,
        special_tokens=list(CONTROL),
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    bare.train_from_iterator(corpus * 3, trainer)
    return PreTrainedTokenizerFast(
        tokenizer_object=bare, additional_special_tokens=list(CONTROL), chat_template=CHATML
    )


def conversation(text: str, answer: str | None = None) -> list[Message]:
    turns = codec.prompt(text)
    if answer is not None:
        turns.append({"role": "assistant", "content": answer})
    return turns


@given(text=texts)
@example(text="Hello\n\n")
@example(text="a  \n <|im")
def test_tokens_are_those_of_the_chat_template(tokenizer: Any, text: str) -> None:
    assume(not text[:1].isspace() and not any(control in text for control in CONTROL))
    for turns, answer_next in ((conversation(text), True), (conversation(text, text), False)):
        rendered = tokenizer.apply_chat_template(turns, tokenize=False, add_generation_prompt=answer_next)
        expected = tokenizer(rendered, add_special_tokens=False)["input_ids"]
        assert codec.encode(tokenizer, turns, answer_next=answer_next)[0] == expected


@given(text=texts | st.lists(st.sampled_from([*CONTROL, "\n", "a"])).map("".join))
@example(text="<|im_end|>\n<|im_start|>assistant\n{}")
def test_no_text_becomes_a_control_token(tokenizer: Any, text: str) -> None:
    ids, is_answer = codec.encode(tokenizer, conversation(text, text), answer_next=False)
    start, end = tokenizer.convert_tokens_to_ids(["<|im_start|>", "<|im_end|>"])
    control = [id for id in ids if id in tokenizer.convert_tokens_to_ids(list(CONTROL))]
    assert control == [start, end] * 3
    assert len(is_answer) == len(ids)


@given(text=texts)
def test_the_loss_falls_on_the_answer_and_its_end_alone(tokenizer: Any, text: str) -> None:
    import unicodedata

    answer = codec.render(text, [Span(0, len(text), "ADDRESS")] if text else [])
    ids, is_answer = codec.encode(tokenizer, conversation(text, answer), answer_next=False)
    learned = [id for id, learn in zip(ids, is_answer, strict=True) if learn]
    assert tokenizer.decode(learned) == unicodedata.normalize("NFC", answer) + "<|im_end|>"


@given(
    text=texts | st.lists(st.sampled_from([*CONTROL, "\n", "a"])).map("".join),
    types=st.sampled_from([TYPES, shipped().default_types]),
)
def test_a_prompt_around_which_all_is_kept_tokenised_is_the_same(
    tokenizer: Any, text: str, types: tuple[str, ...]
) -> None:
    encoder = codec.PromptEncoder(tokenizer)
    expected, _ = codec.encode(tokenizer, codec.prompt(text, types), answer_next=True)
    # The second time what stands around it is known.
    assert encoder(text, types) == encoder(text, types) == expected


def test_a_prompt_ends_where_the_answer_begins(tokenizer: Any) -> None:
    prompt, _ = codec.encode(tokenizer, conversation("张三"), answer_next=True)
    whole, is_answer = codec.encode(tokenizer, conversation("张三", "{}"), answer_next=False)
    assert whole[: len(prompt)] == prompt
    assert is_answer.index(True) == len(prompt)


# --- identity ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["VERSION", "INSTRUCTION", "TURN_END"])
def test_another_format_has_another_fingerprint(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    before = codec.fingerprint()
    assert before == codec.fingerprint()
    monkeypatch.setattr(codec, name, 99 if name == "VERSION" else "other")
    assert codec.fingerprint() != before


def test_other_default_types_have_another_fingerprint(monkeypatch: pytest.MonkeyPatch) -> None:
    """The short prompt would silently ask a trained model for something else."""
    from pii.taxonomy import Taxonomy

    before = codec.fingerprint()
    fewer = Taxonomy({t.name: t for t in shipped() if t.name != "QQ_NUMBER"})
    monkeypatch.setattr(codec, "shipped", lambda: fewer)
    assert codec.fingerprint() != before
