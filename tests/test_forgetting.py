"""What fine-tuning did to general ability: measured against oracles, and written where a reader looks."""

import json
from pathlib import Path

import pytest
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

from pii import codec
from pii.model_folder import read_manifest
from tests.rendered import write_data
from tests.test_sft import train, write_recipe
from training import forgetting
from training.bare import write_untrained
from training.examples import DataFolder
from training.general_ability import Question, answer_loss, choices, read_questions

TEXTS = [
    "Question: What is 1+1?\nA. 1\nB. 2\nC. 3\nD. 4\nAnswer: B",
    "问题：天气？\nA. 好\nB. 坏\n答案：A",
] * 3


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with ``data``, an untrained ``base`` and ``run/model``, which was trained from it a little."""
    place = tmp_path_factory.mktemp("forgetting")
    data = write_data(place / "data")
    with (data / "validation.jsonl").open("a", encoding="utf-8") as file:
        for row in (data / "train.jsonl").read_text(encoding="utf-8").splitlines():
            if json.loads(row)["source"] == "chat":
                file.write(row + "\n")
    write_untrained(place / "base", vocab_texts=TEXTS, seed=0)
    assert train(write_recipe(place, data, base=str(place / "base")), "length.max_steps=8") == 0
    some = forgetting.QUESTIONS.read_text(encoding="utf-8").splitlines(keepends=True)[95:115]
    (place / "some.jsonl").write_text("".join(some), encoding="utf-8")
    return place


def test_the_loss_of_general_answers_is_what_one_conversation_after_the_other_gives(folder):
    model = AutoModelForCausalLM.from_pretrained(folder / "base").eval()
    tokenizer = AutoTokenizer.from_pretrained(folder / "base")
    rows = [row for row in DataFolder(folder / "data").rows("train") if row.spans is None]
    total, count = 0.0, 0
    for row in rows:
        ids, is_answer = codec.encode(tokenizer, row.messages, answer_next=False)
        with torch.no_grad():
            logprobs = model(input_ids=torch.tensor([ids])).logits[0].log_softmax(-1)
        for place in range(1, len(ids)):
            if is_answer[place]:
                total, count = total - logprobs[place - 1, ids[place]].item(), count + 1
    assert answer_loss(model, tokenizer, rows, 256) == pytest.approx(total / count, abs=1e-4)


def test_the_chosen_option_is_the_likeliest_letter_however_questions_are_batched(folder):
    model = AutoModelForCausalLM.from_pretrained(folder / "base").eval()
    tokenizer = AutoTokenizer.from_pretrained(folder / "base")
    questions = read_questions(folder / "some.jsonl")
    together = choices(model, tokenizer, questions)
    assert together == [choices(model, tokenizer, [question])[0] for question in questions]
    first = questions[0]
    with torch.no_grad():
        scores = []
        for letter in "ABCD":
            prompt = tokenizer(first.prompt, add_special_tokens=False)["input_ids"]
            answer = tokenizer(f" {letter}", add_special_tokens=False)["input_ids"]
            logprobs = model(input_ids=torch.tensor([[*prompt, *answer]])).logits[0].log_softmax(-1)
            at = range(len(prompt) - 1, len(prompt) + len(answer) - 1)
            scores.append(sum(logprobs[place, token].item() for place, token in zip(at, answer, strict=True)))
    assert together[0] == max(range(4), key=scores.__getitem__)


def test_a_question_reads_as_mmlu_has_it():
    question = Question("en", "What is 1+1?", ("1", "2", "3", "4"), 1)
    assert question.prompt == "Question: What is 1+1?\nA. 1\nB. 2\nC. 3\nD. 4\nAnswer:"


def test_the_shipped_questions_have_four_options_in_two_languages_and_a_notice():
    questions = read_questions(forgetting.QUESTIONS)
    assert [sum(q.language == language for q in questions) for language in ("en", "zh")] == [107, 100]
    assert "MIT License" in (forgetting.QUESTIONS.parent / "NOTICE").read_text(encoding="utf-8")


def test_before_and_after_go_into_manifest_and_card(folder, capsys):
    arguments = ["--model", str(folder / "run/model"), "--data", str(folder / "data")]
    arguments += ["--questions", str(folder / "some.jsonl")]
    assert forgetting.main(arguments) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["chat"]["conversations"] == 2
    assert found["chat"]["loss_after"] < found["chat"]["loss_before"]  # it was trained on that very chat
    english = found["questions_en"]
    assert english["right_after"] - english["right_before"] == pytest.approx(
        (english["gained"] - english["lost"]) / english["questions"]
    )
    manifest = read_manifest(folder / "run/model")
    assert manifest.training["forgetting"] == found
    card = (folder / "run/model/README.md").read_text(encoding="utf-8")
    assert "| forgetting.chat.loss_before |" in card


def test_a_model_forgets_nothing_against_itself(folder):
    rows = [row for row in DataFolder(folder / "data").rows("validation") if row.spans is None]
    found = forgetting.measure(folder / "run/model", str(folder / "run/model"), rows, folder / "some.jsonl")
    assert found["chat"]["loss_before"] == found["chat"]["loss_after"]
    assert all(found[f"questions_{language}"]["lost"] == 0 for language in ("en", "zh"))


@pytest.mark.parametrize(
    "line", ["{}", "no json", '{"language":"fr","question":"?","options":[1,2,3,4],"answer":0}']
)
def test_a_question_that_cannot_be_read_is_named_by_its_line(folder, tmp_path, capsys, line):
    (tmp_path / "q.jsonl").write_text(line + "\n")
    assert (
        forgetting.main(["--model", str(folder / "run/model"), "--questions", str(tmp_path / "q.jsonl")]) == 2
    )
    assert "q.jsonl:1: not a question" in capsys.readouterr().err
