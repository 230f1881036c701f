"""Conversations of every published form become the same messages; the rest is refused by reason."""

import json

import pytest

from data_pipeline.chat import SAMPLES, answers_hold_pii, read_chat
from data_pipeline.readers.files import Refusal

HELLO = [{"role": "user", "content": "你好"}, {"role": "assistant", "content": "你好！"}]


def conversations(tmp_path, *rows, max_chars=100):
    path = tmp_path / "chat.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    items = list(read_chat(path, max_chars))
    return [item[2] for item in items if not isinstance(item, Refusal)], [
        item.reason for item in items if isinstance(item, Refusal)
    ]


@pytest.mark.parametrize(
    "row",
    [
        {"instruction": "你好", "input": "", "output": "你好！"},
        {"conversations": [{"from": "human", "value": "你好"}, {"from": "gpt", "value": "你好！"}]},
        {"messages": [{"role": "usr", "content": "你好"}, {"role": "sys", "content": "你好！"}]},
        {
            "instruction": "你好",
            "instances": [{"input": "", "output": "你好！"}, {"input": "", "output": "别的"}],
        },
        {"question": "你好", "std_answer": "你好！"},
        {"messages": [*HELLO, {"role": "user", "content": "没有回答"}]},
    ],
    ids=["alpaca", "sharegpt", "crosswoz", "belle seed", "belle evaluation", "unanswered last turn"],
)
def test_every_form_gives_the_same_messages(tmp_path, row):
    assert conversations(tmp_path, row) == ([HELLO], [])


def test_alpaca_joins_instruction_and_input_and_keeps_a_system_turn(tmp_path):
    row = {"instruction": "翻译", "input": "hello", "output": "你好", "system": "你是译者"}
    (messages,), _ = conversations(tmp_path, row)
    assert messages == [
        {"role": "system", "content": "你是译者"},
        {"role": "user", "content": "翻译\nhello"},
        {"role": "assistant", "content": "你好"},
    ]


def test_a_long_conversation_keeps_the_leading_turns_that_fit(tmp_path):
    kept, refused = conversations(tmp_path, {"messages": HELLO * 5}, {"messages": HELLO}, max_chars=12)
    assert kept == [HELLO * 2, HELLO]
    assert not refused
    assert conversations(tmp_path, {"messages": HELLO}, max_chars=4) == ([], ["too_long"])


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        ({"messages": HELLO[:1]}, "roles_do_not_alternate"),
        ({"messages": [HELLO[0], *HELLO]}, "roles_do_not_alternate"),
        ({"messages": [{"role": "poet", "content": "x"}]}, "unknown_chat_role"),
        ({"messages": "x"}, "unknown_chat_format"),
        ({"prompt": "x"}, "unknown_chat_format"),
        ({"instruction": "x", "output": " "}, "empty_turn"),
        ({"instruction": "\ud800", "output": "y"}, "lone_surrogate"),
        ([1], "row_is_not_an_object"),
    ],
)
def test_what_is_no_conversation_is_refused(tmp_path, row, reason):
    assert conversations(tmp_path, row, {"messages": HELLO}) == ([HELLO], [reason])


def test_personal_information_counts_in_answers_only():
    asked = [{"role": "user", "content": "我的电话13800138000"}, {"role": "assistant", "content": "记下了"}]
    said = [{"role": "user", "content": "电话？"}, {"role": "assistant", "content": "是13800138000"}]
    assert not answers_hold_pii(asked)
    assert answers_hold_pii(said)


@pytest.mark.parametrize("path", sorted(SAMPLES.glob("*.gz")), ids=lambda path: path.name)
def test_the_shipped_samples_are_whole_and_screened(path):
    items = list(read_chat(path, 10_000))
    assert len(items) > 100
    assert not [item for item in items if isinstance(item, Refusal)]
    # Screened when they were chosen; recognisers learn, and the build screens again.
    assert sum(answers_hold_pii(item[2]) for item in items) <= len(items) / 20
    assert path.name in (SAMPLES / "NOTICE").read_text()
