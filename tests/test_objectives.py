"""What a run learns from: a teacher, pairs, rewards. Each on the one path of `pii train`."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from datasets import Dataset
from torch.nn.functional import kl_div, log_softmax
from transformers import AutoModelForCausalLM, AutoTokenizer
from trl import DPOConfig, DPOTrainer

from pii.model_folder import read_manifest
from tests.rendered import SENTINEL, write_data
from tests.test_sft import Killed, history, train, write_recipe
from training import mistakes
from training.bare import SMALLEST, write_untrained
from training.distillation import divergence
from training.watched import WatchedTrainer

SHORT = {"max_steps": 12, "epochs": 50.0}


@pytest.fixture(scope="module")
def begun(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Data, a model that answers in the format and mostly wrongly, and the pairs of its mistakes."""
    folder = tmp_path_factory.mktemp("objectives")
    data = write_data(folder / "data")
    assert train(write_recipe(folder, data), "length.max_steps=80", "optimizer.learning_rate=0.005") == 0
    (folder / "run/model").rename(folder / "base")
    assert ask(folder, folder / "pairs") == 0
    return folder


def ask(folder: Path, output: Path, **changes: Any) -> int:
    values = {"data": str(folder / "data"), "model": str(folder / "base"), "output": str(output)}
    path = folder / "pairs.yaml"
    path.write_text(yaml.safe_dump({**values, "rows": 24, "samples": 1, **changes}))
    return mistakes.main(["--config", str(path)])


def run(begun: Path, folder: Path, objective: dict[str, Any], *assignments: str, **changes: Any) -> int:
    values: dict[str, Any] = {"base": str(begun / "base"), "length": SHORT, "objective": objective, **changes}
    return train(write_recipe(folder, begun / "data", **values), *assignments)


def logged(folder: Path, name: str) -> list[float]:
    return [entry[name] for entry in history(folder / "run") if name in entry]


def rows(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


# --- pairs ---


def test_a_pair_is_the_gold_answer_and_another_one_that_the_model_wrote(begun):
    pairs = rows(begun / "pairs/pairs.jsonl")
    gold = {row["id"]: row for row in rows(begun / "data/train.jsonl")}
    assert len(pairs) >= 8
    for pair in pairs:
        assert [*pair["messages"], {"role": "assistant", "content": pair["right"]}] == gold[pair["id"]][
            "messages"
        ]
        assert pair["wrong"] != pair["right"]
        assert "<|" not in pair["wrong"]


def test_every_row_that_was_asked_is_counted_and_the_work_is_not_done_twice(begun, capsys):
    manifest = json.loads((begun / "pairs/manifest.json").read_text())
    assert sum(manifest["outcomes"].values()) == manifest["asked"] == 24
    before = (begun / "pairs/manifest.json").read_bytes()
    assert ask(begun, begun / "pairs") == 0
    assert (begun / "pairs/manifest.json").read_bytes() == before
    captured = capsys.readouterr()
    assert SENTINEL not in captured.out + captured.err


# --- dpo ---


def test_preference_makes_right_answers_likelier_than_the_models_own_mistakes(begun, tmp_path):
    objective = {"kind": "dpo", "pairs": str(begun / "pairs")}
    assert run(begun, tmp_path, objective, "length.max_steps=30", optimizer={"learning_rate": 1e-3}) == 0
    margins, preferred = logged(tmp_path, "margin"), logged(tmp_path, "preferred")
    assert margins[0] == pytest.approx(0, abs=1e-3)  # the model is its own reference at first
    assert sum(margins[-5:]) / 5 > 1.0
    assert sum(preferred[-5:]) / 5 > 0.8
    manifest = read_manifest(tmp_path / "run/model")
    assert manifest.hyperparameters["objective"]["kind"] == "dpo"


def test_the_preference_loss_is_that_of_trl(begun, tmp_path, monkeypatch):
    """An oracle: the same pairs, the same two models, the loss that another library computes."""
    from training.preference import PreferenceTrainer

    seen: list[tuple[dict[str, torch.Tensor], float]] = []
    losses = PreferenceTrainer._losses

    def remembered(self, model, inputs, source_ids):
        values, trained = losses(self, model, inputs, source_ids)
        seen.append(({name: value.clone() for name, value in inputs.items()}, values.mean().item()))
        if len(seen) == 1:
            torch.save(model.state_dict(), tmp_path / "first.pt")
        if len(seen) == 8:
            torch.save(model.state_dict(), tmp_path / "eighth.pt")
        return values, trained

    monkeypatch.setattr(PreferenceTrainer, "_losses", remembered)
    objective = {"kind": "dpo", "pairs": str(begun / "pairs"), "answers": 0.0}
    assert run(begun, tmp_path, objective, "length.max_steps=8", optimizer={"learning_rate": 1e-3}) == 0

    def model(name: str) -> Any:
        made = AutoModelForCausalLM.from_pretrained(begun / "base")
        made.load_state_dict(torch.load(tmp_path / name))
        return made.eval()

    tokenizer = AutoTokenizer.from_pretrained(begun / "base")
    trainer = DPOTrainer(
        model("eighth.pt"),
        ref_model=model("first.pt"),
        args=DPOConfig(output_dir=str(tmp_path / "trl"), use_cpu=True, bf16=False, report_to=[], beta=0.1),
        train_dataset=Dataset.from_list([{"prompt": "a", "chosen": "b", "rejected": "c"}] * 2),
        processing_class=tokenizer,
    )
    inputs, ours = seen[7]
    batch = {
        "input_ids": inputs["input_ids"],
        "attention_mask": inputs["attention_mask"],
        "completion_mask": (inputs["labels"] != -100).long(),
    }
    with torch.no_grad():
        theirs = trainer.compute_loss(trainer.model, batch).item()
    assert abs(ours - torch.log(torch.tensor(2.0)).item()) > 1e-3  # it has moved away from its beginning
    assert ours == pytest.approx(theirs, abs=1e-4)


@pytest.mark.slow
def test_a_killed_preference_run_goes_on_with_the_very_losses_of_an_uninterrupted_one(
    begun, tmp_path, monkeypatch
):
    objective = {"kind": "dpo", "pairs": str(begun / "pairs")}
    watch = {"log_every": 1, "validate_every": 6, "checkpoint_every": 6}
    for name in ("whole", "cut"):
        (tmp_path / name).mkdir()
    assert run(begun, tmp_path / "whole", objective, watch=watch) == 0
    log = WatchedTrainer.log

    def killed_between(self, logs, start_time=None):
        log(self, logs, start_time)
        if self.state.global_step == 9:
            raise Killed

    with monkeypatch.context() as patch:
        patch.setattr(WatchedTrainer, "log", killed_between)
        with pytest.raises(Killed):
            run(begun, tmp_path / "cut", objective, watch=watch)
    assert run(begun, tmp_path / "cut", objective, watch=watch) == 0
    assert logged(tmp_path / "cut", "loss") == logged(tmp_path / "whole", "loss")


# --- distill ---


def test_the_divergence_is_that_of_the_two_distributions():
    student, teacher = torch.randn(5, 7), torch.randn(5, 7)
    expected = kl_div(log_softmax(student, -1), log_softmax(teacher, -1).exp(), reduction="none").sum(-1)
    assert torch.allclose(divergence(student, teacher, 1.0), expected, atol=1e-5)
    assert torch.allclose(divergence(teacher, teacher, 2.0), torch.zeros(5), atol=1e-6)


@pytest.mark.slow
def test_a_student_from_nothing_comes_nearer_to_its_teacher_than_without_one(begun, tmp_path):
    def distance(folder: Path) -> float:
        student, teacher = (AutoModelForCausalLM.from_pretrained(f) for f in (folder, begun / "base"))
        ids = torch.tensor([AutoTokenizer.from_pretrained(begun / "base")("我叫王伟。电话")["input_ids"]])
        with torch.no_grad():
            logits = [model(input_ids=ids).logits[0] for model in (student, teacher)]
        return divergence(*logits, 1.0).mean().item()

    found = {}
    for weight in (1.0, 0.01):
        folder = tmp_path / str(weight)
        folder.mkdir()
        objective = {"kind": "distill", "teacher": str(begun / "base"), "weight": weight}
        changes = {"base": {"architecture": SMALLEST.model_dump()}}
        assert run(begun, folder, objective, "length.max_steps=40", **changes) == 0
        found[weight] = distance(folder / "run/model")
    assert found[1.0] < 0.9 * found[0.01]


def test_with_the_base_as_teacher_of_chat_the_chat_stays_where_it_was(begun, tmp_path):
    """At the first step the base agrees with itself: the loss of chat is nothing, that of the rest is not."""
    objective = {"kind": "distill", "teacher": str(begun / "base"), "weight": 1.0, "rows": "chat"}
    assert run(begun, tmp_path, objective, "length.max_steps=3", batch={"tokens": 100_000}) == 0
    first = next(entry for entry in history(tmp_path / "run") if "loss_chat" in entry)
    assert first["loss_chat"] == pytest.approx(0, abs=1e-4)
    assert first["loss_synthetic"] > 0.01


def test_a_teacher_with_other_tokens_is_refused(begun, tmp_path, capsys):
    write_untrained(tmp_path / "other", vocab_texts=["abcdefg"] * 3, seed=1)
    assert run(begun, tmp_path, {"kind": "distill", "teacher": str(tmp_path / "other")}) == 2
    assert "other tokens than the base" in capsys.readouterr().err
    assert not (tmp_path / "run/model").exists()


# --- grpo ---


@pytest.mark.slow
def test_rewards_rise_on_what_is_rewarded(begun, tmp_path):
    objective = {"kind": "grpo", "samples": 8, "prompts": 2, "f1": 0.0, "leakage": 0.0, "validity": 1.0}
    changes = {"optimizer": {"learning_rate": 3e-3}, "watch": {"log_every": 1, "validate_every": 100}}
    assert run(begun, tmp_path, objective, "length.max_steps=24", **changes) == 0
    reward = logged(tmp_path, "reward")
    assert len(reward) == 24
    assert sum(reward[-6:]) / 6 > sum(reward[:6]) / 6 + 0.15
    assert {"rewards/f1/mean", "rewards/validity/mean", "rewards/leakage/mean"} <= set(
        history(tmp_path / "run")[1]
    )
    assert all(
        SENTINEL not in path.read_text(errors="replace") for path in (tmp_path / "run").glob("*.json*")
    )


@pytest.mark.slow
def test_rewards_train_an_adapter_and_a_killed_run_goes_on(begun, tmp_path, monkeypatch):
    objective = {"kind": "grpo", "samples": 2, "prompts": 2}
    watch = {"log_every": 1, "validate_every": 2, "checkpoint_every": 2}
    changes = {"watch": watch, "method": "lora", "length": {"max_steps": 4, "epochs": 9.0}}
    for name in ("whole", "cut"):
        (tmp_path / name).mkdir()
    assert run(begun, tmp_path / "whole", objective, **changes) == 0
    log = WatchedTrainer.log

    def killed_between(self, logs, start_time=None):
        log(self, logs, start_time)
        if self.state.global_step == 3:
            raise Killed

    with monkeypatch.context() as patch:
        patch.setattr(WatchedTrainer, "log", killed_between)
        with pytest.raises(Killed):
            run(begun, tmp_path / "cut", objective, **changes)
    assert run(begun, tmp_path / "cut", objective, **changes) == 0
    assert logged(tmp_path / "cut", "reward") == logged(tmp_path / "whole", "reward")
    assert read_manifest(tmp_path / "cut/run/model").method == "lora"


@pytest.mark.parametrize(
    ("objective", "changes", "message"),
    [
        ({"kind": "dpo", "pairs": "nowhere"}, {}, "nowhere: no such folder"),
        ({"kind": "grpo", "prompts": 1000}, {}, "1000 in a batch, of 60 labelled rows"),
        ({"kind": "grpo", "samples": 1}, {}, "samples: input should be greater than or equal to 2"),
        ({"kind": "grpo"}, {"base": {"architecture": {}}}, "mends a model that answers"),
        ({"kind": "ppo"}, {}, "objective"),
        ({"kind": "distill", "teacher": "./nowhere"}, {}, "no such folder"),
    ],
)
def test_what_can_be_mended_is_one_line_and_code_two(begun, tmp_path, capsys, objective, changes, message):
    assert run(begun, tmp_path, objective, **changes) == 2
    lines = [line for line in capsys.readouterr().err.splitlines() if line.startswith("error: ")]
    assert len(lines) == 1
    assert message in lines[0]
