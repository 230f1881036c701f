"""Other detectors are asked in processes of their own, mapped, scored as we are, and named where absent."""

import json
import shutil
import subprocess
import sys
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest

from configs.errors import ConfigError
from configs.reader import parse
from evaluation import measure, provenance, run
from evaluation.peers import asking, process
from evaluation.peers.card import CARDS, LabelMap, load_card
from evaluation.peers.finding import PeerAbsent
from evaluation.peers.labelled import LabelledPeer
from evaluation.peers.process import Worker, installed
from evaluation.peers.recipe import LocalPeer
from evaluation.peers.worker import PACKAGES
from evaluation.recipe import EvalConfig
from pii.spans import Document, Span
from serving.extractor import Extractor

WORKER = Path(process.__file__).with_name("worker.py")
SECRET = "Zacharias"
TEXT = f"{SECRET} rang 5551234 from Rome"

# What each library looks like from an adapter. Every one of them prints what it reads, as some really do.
FAKES = {
    "presidio_analyzer/__init__.py": """
class Result:
    def __init__(self, kind, start, end, score):
        self.entity_type, self.start, self.end, self.score = kind, start, end, score
class AnalyzerEngine:
    def __init__(self, nlp_engine, supported_languages, default_score_threshold):
        assert nlp_engine == "en_fake"
    def get_supported_entities(self, language): return ["PERSON", "PHONE_NUMBER", "LOCATION", "UUID"]
    def analyze(self, text, language):
        print(text)
        assert language == "en"
        return [Result("PHONE_NUMBER", 15, 22, 0.4), Result("UUID", 15, 19, 0.3), Result("PERSON", 0, 9, 0.9)]
""",
    "presidio_analyzer/nlp_engine.py": """
class NlpEngineProvider:
    def __init__(self, nlp_configuration): self.model = nlp_configuration["models"][0]["model_name"]
    def create_engine(self): return self.model
""",
    "spacy.py": """
class Entity:
    start_char, end_char, label_ = 0, 9, "PERSON"
class Pipeline:
    pipe_labels = {"tagger": ["NN"], "ner": ["PERSON", "GPE"]}
    def __call__(self, text):
        print(text)
        self.ents = [Entity()]
        return self
def load(model): return Pipeline()
""",
    "cutword.py": """
class Item:
    begin, end, ner_type_en = 0, 9, "PERSON"
class NER:
    _label_en2zh = {"PERSON": "", "LOC": "", "O": ""}
    def predict(self, text): return [[Item()]]
""",
    "paddle/__init__.py": "",
    "paddle/base/__init__.py": "from . import core",
    "paddle/base/core.py": "class PaddleTensor: pass",
    "LAC.py": """
from paddle.fluid.core import PaddleTensor
class LAC:
    def __init__(self, mode): assert mode == "lac"
    def run(self, text): return [["Zacharias", "rang", "5551234", "Rome"], ["PER", "v", "m", "LOC"]]
""",
    "jionlp.py": """
def nothing(text, detail): return []
extract_id_card = extract_motor_vehicle_licence_plate = extract_email = extract_url = nothing
extract_ip_address = extract_wechat_id = nothing
def extract_phone_number(text, detail): return [{"text": "5551234", "offset": (15, 22)}]
def extract_qq(text, detail): return [{"text": "5551234", "offset": (15, 22)}]
""",
    "gliner.py": """
class GLiNER:
    @classmethod
    def from_pretrained(cls, model, local_files_only):
        assert local_files_only
        return cls()
    def predict_entities(self, text, labels, threshold):
        assert "person" in labels
        return [{"start": 0, "end": 9, "label": "person"}]
""",
}

NAME, PHONE = Span(0, 9, "PERSON_NAME"), Span(15, 22, "PHONE_NUMBER")


@pytest.fixture(scope="session")
def python(tmp_path_factory):
    """An interpreter that has the fakes and nothing else: adapters run in it as with the real libraries."""
    folder = tmp_path_factory.mktemp("peers")
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", folder], check=True)
    site = next((folder / "lib").glob("python*/site-packages"))
    for name, code in FAKES.items():
        (site / name).parent.mkdir(parents=True, exist_ok=True)
        (site / name).write_text(code)
    (site / "cutword-7.1.dist-info").mkdir()
    (site / "cutword-7.1.dist-info" / "METADATA").write_text("Name: cutword\nVersion: 7.1\n")
    return folder / "bin" / "python"


def peer(kind, python, options=None, **more):
    config = LocalPeer(kind=kind, python=python, options=options or {}, **more)
    return asking.start(config, load_card(kind, config.labels))


def test_every_adapter_has_a_package_and_a_label_map():
    adapters = {path.stem for path in CARDS.glob("*.py")} - {"__init__"}
    assert adapters == set(PACKAGES) == {path.stem for path in CARDS.glob("*.yaml")}
    for name in adapters:
        assert load_card(name, None).labels


@pytest.mark.parametrize(
    ("kind", "options", "found", "types"),
    [
        (
            "presidio",
            {"model": "en_fake"},
            (NAME, PHONE),
            ("PERSON_NAME", "PHONE_NUMBER", "ADDRESS", "LOCATION"),
        ),
        ("spacy", {"model": "x"}, (NAME,), ("PERSON_NAME", "ADDRESS", "LOCATION")),
        ("cutword", {}, (NAME,), ("PERSON_NAME", "ADDRESS", "LOCATION")),
        ("lac", {}, (NAME, Span(28, 32, "ADDRESS")), None),
        ("jionlp", {}, (PHONE,), None),
        ("gliner", {"model": "folder"}, (NAME,), None),
    ],
)
def test_an_adapter_speaks_its_librarys_language(python, capfd, kind, options, found, types):
    asked = peer(kind, python, options)
    try:
        (finding,) = asked.read([Document(TEXT, language="en")])
    finally:
        facts = asked.close()
    assert tuple(sorted(finding.spans)) == found
    assert types is None or asked.types == types
    assert facts["peak_memory_mb"] > 1
    assert SECRET not in "".join(capfd.readouterr())


def test_a_label_for_places_and_addresses_means_what_the_document_is_labelled_for():
    labels = LabelMap(load_card("cutword", None))
    assert labels.type_for("LOC", {"ADDRESS", "PERSON_NAME"}) == "ADDRESS"
    assert labels.type_for("LOC", {"LOCATION", "ADDRESS"}) == "LOCATION"
    assert labels.type_for("LOC", {"PERSON_NAME"}) == "LOCATION"
    assert labels.type_for("FOOD", {"ADDRESS"}) is None
    assert not labels.unknown
    assert labels.type_for("SHOE", {"ADDRESS"}) is None
    assert labels.unknown == {"SHOE": 1}


def test_a_label_map_of_ones_own(tmp_path):
    own = tmp_path / "map.yaml"
    own.write_text('{title: "t", origin: "o", licence: "l", labels: {PERSON: "USERNAME"}}')
    assert load_card("presidio", own).types_of("PERSON") == ("USERNAME",)
    own.write_text('{title: "t", origin: "o", licence: "l", labels: {PERSON: "SHOE_SIZE"}}')
    with pytest.raises(ConfigError, match="SHOE_SIZE"):
        load_card("presidio", own)


def test_versions_are_told_without_loading_and_absence_is_named(python):
    assert installed("cutword", python) == "7.1"
    with pytest.raises(PeerAbsent, match="transformers is not installed"):
        installed("token_classification", python)
    with pytest.raises(ConfigError, match="does not run"):
        installed("cutword", python.with_name("no-python"))


def test_the_command_lists_what_can_be_asked(python, capsys):
    assert run.main(["peers", "--python", str(python)]) == 0
    shown = capsys.readouterr().out
    assert "cutword: 7.1\n    types: PERSON_NAME, ADDRESS, LOCATION" in shown
    assert f"token_classification: transformers is not installed in {python}" in shown
    assert "prompted: " in shown


class Source:
    """Marks every digit, one span each, in the text that it is given."""

    version, labels = "1", ["PHONE_NUMBER"]

    def find(self, text, language):
        return [(i, i + 1, "PHONE_NUMBER") for i, c in enumerate(text) if c.isdigit()] + [(5, 5000, "PERSON")]

    def close(self):
        return {}


def test_windows_keep_the_offsets_of_the_whole_text_and_places_outside_are_counted():
    text = "".join(f"word {i % 10} and so on. " for i in range(60))
    asked = LabelledPeer(Source(), load_card("presidio", None), window_chars=200)
    (finding,) = asked.read([Document(text)])
    assert finding.num_windows > 3
    assert [s.start for s in finding.spans] == [i for i, c in enumerate(text) if c.isdigit()]
    assert asked.close()["num_misplaced"] == finding.num_windows


class TestAPeerThatMisbehaves:
    def worker(self, python, tmp_path, monkeypatch, code, **more):
        """The worker with an adapter of the test's own in place of cutword's."""
        (tmp_path / "adapters").mkdir(exist_ok=True)
        (tmp_path / "adapters" / "cutword.py").write_text(code)
        monkeypatch.setattr(process, "_WORKER", Path(shutil.copy(WORKER, tmp_path)))
        return LabelledPeer(
            Worker(LocalPeer(kind="cutword", python=python, **more), {}), load_card("cutword", None), None
        )

    def test_one_text_that_it_fails_at_is_counted_and_the_rest_goes_on(self, python, tmp_path, monkeypatch):
        code = (
            "class Adapter:\n labels = ['PERSON']\n"
            " def find(self, text, language):\n"
            "  if 'bad' in text: raise ValueError(text)\n"
            "  return [(0, 3, 'PERSON')]"
        )
        asked = self.worker(python, tmp_path, monkeypatch, code)
        findings = list(asked.read([Document("Ann"), Document("bad"), Document("Bob")]))
        assert [f.failure for f in findings] == ["", "ValueError", ""]
        assert findings[2].spans == (Span(0, 3, "PERSON_NAME"),)
        asked.close()

    def test_one_that_dies_or_hangs_is_left_out(self, python, tmp_path, monkeypatch):
        code = "import os\nclass Adapter:\n labels = ['PERSON']\n def find(self, text, language): os._exit(1)"
        with pytest.raises(PeerAbsent, match="died"):
            list(self.worker(python, tmp_path, monkeypatch, code).read([Document("Ann")]))
        code = code.replace("import os", "import time").replace("os._exit(1)", "time.sleep(60)")
        asked = self.worker(python, tmp_path, monkeypatch, code, timeout_seconds=1.0)
        with pytest.raises(PeerAbsent, match="died"):
            list(asked.read([Document("Ann")]))
        asked.close()

    def test_one_that_does_not_start_says_why(self, python, tmp_path, monkeypatch):
        with pytest.raises(PeerAbsent, match="no_such_library is not installed"):
            self.worker(python, tmp_path, monkeypatch, "import no_such_library")
        with pytest.raises(PeerAbsent, match="does not start \\(KeyError\\)"):
            self.worker(python, tmp_path, monkeypatch, "{}['x']")

    def test_it_cannot_call_out(self, python, tmp_path, monkeypatch):
        code = (
            "import socket\nclass Adapter:\n labels = ['PERSON']\n"
            " def find(self, text, language): socket.create_connection(('192.0.2.1', 80), timeout=5)"
        )
        asked = self.worker(python, tmp_path, monkeypatch, code)
        (finding,) = asked.read([Document("Ann")])
        assert finding.failure == "OSError"
        asked.close()


# --- within an evaluation ---------------------------------------------------------------------------

ROWS = [
    {"id": "1", "language": "en", "text": TEXT,
     "entities": [{"type": "PERSON_NAME", "start": 0, "end": 9},
                  {"type": "PHONE_NUMBER", "start": 15, "end": 22}]},
    {"id": "2", "language": "en", "text": "It rains in Rome today."},
]  # fmt: skip


def recipe(tmp_path, peers):
    gold = tmp_path / "test.jsonl"
    gold.write_text("".join(json.dumps(row) + "\n" for row in ROWS), encoding="utf-8")
    values = {
        "output": str(tmp_path / "eval"),
        "splits": {"test": {"file": str(gold)}},
        "extractor": {"detectors": "patterns", "model": None},
        "num_resamples": 0,
        "peers": peers,
    }
    return parse(values, EvalConfig, "test")


def evaluate(config):
    return measure.evaluate(config, lambda: Extractor.open(config.extractor))


def test_peers_stand_beside_us_and_the_absent_are_named(python, tmp_path):
    peers = {
        "theirs": {"kind": "jionlp", "python": str(python)},
        "gone": {"kind": "token_classification", "python": str(python), "options": {"model": "x"}},
    }
    config = recipe(tmp_path, peers)
    made = evaluate(config)
    systems = made["splits"]["test"]["systems"]
    assert list(systems) == ["patterns", "theirs"]
    assert systems["theirs"]["strict"]["counts"]["correct"] == 1
    assert systems["theirs"]["unsupported"] == {"PERSON_NAME": 1}
    assert systems["theirs"]["known_types"]["recall"]["value"] == 1
    assert systems["theirs"]["strict"]["recall"]["value"] == 0.5
    assert made["absent_peers"] == {"gone": f"transformers is not installed in {python}"}
    page = (config.output / "report.md").read_text(encoding="utf-8")
    assert "gone is left out: transformers is not installed" in page
    assert "| test, theirs" in page
    assert "JioNLP" in (config.output / "report.html").read_text(encoding="utf-8")
    for path in config.output.rglob("*"):
        assert path.is_dir() or SECRET not in path.read_text(encoding="utf-8")


def test_a_peer_is_asked_again_only_where_something_changed(python, tmp_path, monkeypatch):
    config = recipe(tmp_path, {"theirs": {"kind": "jionlp", "python": str(python)}})
    first = evaluate(config)
    starts = []
    real = asking.start
    monkeypatch.setattr(asking, "start", lambda *a: starts.append(a) or real(*a))
    assert evaluate(config.model_copy(update={"iou_thresholds": (0.3,)}))["peers"] == first["peers"]
    assert starts == []
    monkeypatch.setattr(asking, "installed", lambda kind, python: "another version")
    evaluate(config)
    assert len(starts) == 1


def test_another_model_folder_stands_beside_ours_and_counts_by_its_weights(untrained_model, tmp_path):
    """Before and after: the base that a model was fine-tuned from, on the very same documents."""
    before = tmp_path / "before"
    shutil.copytree(untrained_model, before)
    peer = {"kind": "folder", "model": str(before), "detectors": "merged", "engine": "transformers"}
    config = recipe(tmp_path, {"before": peer})
    row = {"text": "手机13800138000", "entities": [{"type": "PHONE_NUMBER", "start": 2, "end": 13}]}
    (tmp_path / "test.jsonl").write_text(json.dumps(row), encoding="utf-8")
    before_us = evaluate(config)["splits"]["test"]["systems"]["before"]
    assert before_us["strict"]["counts"]["correct"] == 1
    assert asking.versions(config.peers)["before"] == provenance.model_hash(before)
    (before / "manifest.json").unlink()
    assert asking.versions(config.peers)["before"].startswith("absent: ")


@pytest.mark.parametrize("name", ["merged", "patterns", "a/b", ""])
def test_a_peer_has_a_name_of_its_own(tmp_path, name):
    with pytest.raises(ConfigError, match="peers"):
        recipe(tmp_path, {name: {"kind": "jionlp"}})


@pytest.fixture
def server():
    """A service on this machine whose answers the test chooses: path → (status, function of the request)."""
    answers, asked = {}, []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self):
            body = json.loads(self.rfile.read(int(self.headers["content-length"])))
            asked.append((dict(self.headers), body))
            status, answer = answers[self.path]
            self.send_response(status)
            self.end_headers()
            self.wfile.write(json.dumps(answer(body)).encode())

        def log_message(self, *_):
            pass

    served = HTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=served.serve_forever, daemon=True).start()
    served.answers, served.asked = answers, asked
    served.address = f"http://127.0.0.1:{served.server_port}"
    yield served
    served.shutdown()
    served.server_close()


class TestHttp:
    def test_presidios_shape(self, server, tmp_path, monkeypatch):
        server.answers["/analyze"] = (
            200,
            lambda body: (
                [{"entity_type": "PERSON", "start": 0, "end": 9, "score": 0.9}]
                if SECRET in body["text"]
                else []
            ),
        )
        monkeypatch.setenv("THEIR_KEY", "k1")
        config = recipe(tmp_path, {
            "service": {"kind": "http", "url": f"{server.address}/analyze", "key_variable": "THEIR_KEY",
                        "body": {"score_threshold": 0.3}}
        })  # fmt: skip
        counts = evaluate(config)["splits"]["test"]["systems"]["service"]["strict"]["counts"]
        assert (counts["correct"], counts["missed"], counts["spurious"]) == (1, 1, 0)
        headers, body = server.asked[-1]
        assert headers["authorization"] == "Bearer k1"
        assert body["score_threshold"] == 0.3
        assert body["language"] == "en"

    def test_nobody_there_or_another_answer(self, server, tmp_path):
        server.answers["/broken"] = (500, lambda body: {})
        server.answers["/other"] = (200, lambda body: {"a": 1})
        made = evaluate(recipe(tmp_path, {
            "gone": {"kind": "http", "url": "http://127.0.0.1:9/analyze"},
            "broken": {"kind": "http", "url": f"{server.address}/broken"},
            "other": {"kind": "http", "url": f"{server.address}/other"},
        }))  # fmt: skip
        assert "ConnectError" in made["absent_peers"]["gone"]
        assert "status 500" in made["absent_peers"]["broken"]
        assert "another shape" in made["absent_peers"]["other"]
        assert list(made["splits"]["test"]["systems"]) == ["patterns"]


def chat(content, finish="stop"):
    return {
        "choices": [{"message": {"content": content}, "finish_reason": finish}],
        "usage": {"prompt_tokens": 400, "completion_tokens": 30},
    }


class TestPrompted:
    def asked(self, server, tmp_path, answer, **more):
        server.answers["/v1/chat/completions"] = (200, answer)
        peers = {"prompted": {"kind": "prompted", "url": f"{server.address}/v1", "model": "big", **more}}
        made = evaluate(recipe(tmp_path, peers))
        return made["splits"]["test"]["systems"]["prompted"]

    def test_values_are_placed_and_the_form_is_counted(self, server, tmp_path):
        def answer(body):
            if SECRET not in body["messages"][-1]["content"]:
                return chat('Sure!\n```json\n{"entities":[{"type":"PERSON_NAME","value":"Nobody"}]}\n```')
            values = [("PHONE_NUMBER", "5551234"), ("PERSON_NAME", SECRET)]
            return chat(json.dumps({"entities": [{"type": t, "value": v} for t, v in values]}))

        part = self.asked(server, tmp_path, answer)
        assert part["strict"]["counts"]["correct"] == 2
        answers = part["answers"]
        assert (answers["valid_json"], answers["problems"]) == (0.5, {"text_around_json": 1})
        assert (answers["num_values"], answers["num_ungrounded"], answers["num_out_of_order"]) == (3, 1, 1)
        assert (answers["prompt_tokens_per_request"], answers["answer_tokens_per_request"]) == (400, 30)

    def test_a_loop_that_the_budget_ended_is_named(self, server, tmp_path):
        part = self.asked(
            server, tmp_path, lambda body: chat('{"entities":[' + '{"type":"A"},' * 40, "length")
        )
        assert part["answers"]["num_loops"] == 2

    def test_shots_are_turns_before_the_text(self, server, tmp_path):
        self.asked(server, tmp_path, lambda body: chat('{"entities":[]}'), shots=2)
        _, body = server.asked[-1]
        roles = [message["role"] for message in body["messages"]]
        assert roles == ["system", "user", "assistant", "user", "assistant", "user"]
        assert body["messages"][-1]["content"] in {row["text"] for row in ROWS}
        assert "PERSON_NAME: person name (姓名)" in body["messages"][0]["content"]
        assert "ORGANIZATION" not in body["messages"][0]["content"]  # not labelled here, so not asked for
        assert body["temperature"] == 0

    def test_a_request_that_fails_is_counted(self, server, tmp_path):
        def answer(body):
            return {} if SECRET in body["messages"][-1]["content"] else chat('{"entities":[]}')

        server.answers["/v1/chat/completions"] = (200, answer)
        peers = {"prompted": {"kind": "prompted", "url": f"{server.address}/v1", "model": "big"}}
        made = evaluate(recipe(tmp_path, peers))
        assert made["peers"]["prompted"]["failures"] == {"an answer of another shape": 1}
        assert any("failed at documents" in note for note in made["notes"])

    @pytest.mark.parametrize(
        "where", [{}, {"folder": "x", "url": "http://a", "model": "m"}, {"url": "http://a"},
                  {"url": "http://a", "model": "m", "grounded": True}]
    )  # fmt: skip
    def test_one_place_is_named(self, tmp_path, where):
        with pytest.raises(ConfigError, match="peers"):
            recipe(tmp_path, {"p": {"kind": "prompted", **where}})

    @pytest.mark.slow
    def test_a_folder_with_and_without_the_grammar(self, untrained_model, tmp_path):
        """Random weights: with the grammar every answer is in the format, without it none is."""
        here = {"kind": "prompted", "folder": str(untrained_model), "engine": "transformers",
                "max_new_tokens": 64, "max_model_tokens": 2048}  # fmt: skip
        peers = {"bound": {**here, "grounded": True}, "free": {**here, "shots": 2}}
        made = evaluate(recipe(tmp_path, peers))
        systems = made["splits"]["test"]["systems"]
        assert made["absent_peers"] == {}
        assert systems["free"]["answers"]["valid_json"] == 0
        assert systems["bound"]["answers"]["num_ungrounded"] == 0
        used = systems["bound"]["answers"]
        assert used["valid_json"] == 1 or used["problems"].get("truncated")
        tokens = [systems[name]["answers"]["prompt_tokens_per_request"] for name in ("bound", "free")]
        assert 100 < tokens[0] < tokens[1]


@pytest.mark.slow
def test_a_token_classification_folder(tmp_path):
    """A tiny network of random weights, longer texts than it can read at once, no text dropped."""
    import torch
    from tokenizers import Tokenizer, models, pre_tokenizers
    from transformers import BertConfig, BertForTokenClassification, PreTrainedTokenizerFast

    torch.manual_seed(0)
    words = {"[PAD]": 0, "[UNK]": 1, "ann": 2, "rang": 3}
    tokenizer = Tokenizer(models.WordLevel(words, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    folder = tmp_path / "model"
    PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, pad_token="[PAD]", unk_token="[UNK]", model_max_length=32
    ).save_pretrained(folder)
    config = BertConfig(
        vocab_size=4, hidden_size=32, num_hidden_layers=1, num_attention_heads=2, intermediate_size=32,
        max_position_embeddings=32, id2label={0: "O", 1: "B-PER", 2: "I-PER"},
        label2id={"O": 0, "B-PER": 1, "I-PER": 2},
    )  # fmt: skip
    network = BertForTokenClassification(config)
    with torch.no_grad():
        # The word "ann" is a person, whatever stands around it.
        network.bert.embeddings.word_embeddings.weight[2] *= 500
        network.classifier.weight.zero_()
        network.classifier.bias.copy_(torch.tensor([0.0, 1.0, 0.0]))
    network.save_pretrained(folder)
    asked = peer("token_classification", None, {"model": str(folder)})
    text = "rang " * 100
    (finding,) = asked.read([Document(text)])
    asked.close()
    assert asked.types == ("PERSON_NAME",)
    covered = {i for span in finding.spans for i in range(span.start, span.end)}
    assert {i for i, c in enumerate(text) if c != " "} <= covered
