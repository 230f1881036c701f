"""The one command: ``pii <stage> ...`` runs ``python -m <module> ...``.

This room knows the others only by the words that a person types, as git knows ``git-foo``; nothing is
imported before a command is chosen, so that ``pii --help`` is instant.
"""

import importlib
import sys

COMMANDS = {
    "data": ("data_pipeline.build", "merge, synthesise, mix and render training examples"),
    "bench batch": ("serving.batch_bench", "measure what a batch job costs beside the work itself"),
    "bench data": ("data_pipeline.bench", "measure how long a data set takes, and where the time goes"),
    "bench eval": ("evaluation.bench_scoring", "measure how long scoring takes, and how much memory"),
    "data matrix": (
        "data_pipeline.matrix",
        "measure what the recognisers find of each kind of value in each form",
    ),
    "data pairs": ("training.mistakes", "pair a model's own mistakes with the right answers, for dpo"),
    "data inspect": ("data_pipeline.highlight", "show labelled documents with their spans marked"),
    "base": ("training.pretrain", "make the embedded base model from nothing"),
    "tagger": ("training.tagger", "make the character tagger from nothing"),
    "base adopt": ("training.adoption", "house a Llama-architecture model or a GGUF file as Qwen2"),
    "bench serve": ("evaluation.bench_serve", "compare the service with its engine and with the usual loop"),
    "soak": ("evaluation.soak", "keep a service under twice its load, and look for anything wrong"),
    "bench train": ("training.bench", "compare training with a bare loop and a plain TRL script"),
    "train": ("training.sft", "fine-tune a model on the examples"),
    "sweep": ("training.sweep", "compare many runs of train with changed fields"),
    "merge": ("training.merge", "merge an adapter into its base"),
    "export": ("training.export", "write a model folder with smaller weights: int8, int4"),
    "forgetting": ("training.forgetting", "measure what fine-tuning did to general ability"),
    "eval": ("evaluation.run", "measure what serving does, and write the report"),
    "study": ("evaluation.study", "answer one question by running the stages once for each variant"),
    "calibrate": ("evaluation.calibrate", "learn scores and operating points from validation documents"),
    "calibrate end-bias": ("evaluation.end_bias", "measure what looking further than the model does finds"),
    "serve": ("serving.server", "answer POST /extract and /redact over HTTP"),
    "keys": ("serving.key_command", "make, list and withdraw the API keys of a service"),
    "audit": ("serving.audit", "check the audit log of a service"),
    "extract": ("serving.extract", "find entities in JSONL files"),
    "redact": ("serving.redact", "remove entities from files of many formats"),
    "restore": ("serving.restore", "open what was sealed in redacted files"),
}


def main(argv: list[str] | None = None) -> int:
    """Run one command; returns its exit code (0 done, 2 something to mend)."""
    words = sys.argv[1:] if argv is None else argv
    if not words or words[0] in ("-h", "--help", "help"):
        width = max(map(len, COMMANDS))
        lines = [f"  {name:<{width}}  {what}" for name, (_, what) in COMMANDS.items()]
        sys.stdout.write("\n".join(["usage: pii COMMAND [--help] ...", "", *lines, ""]))
        return 0
    # A command is one word or two: `pii data`, `pii data inspect`.
    length = 2 if " ".join(words[:2]) in COMMANDS else 1
    name = " ".join(words[:length])
    if name not in COMMANDS:
        sys.stderr.write(f"error: no such command; one of {', '.join(COMMANDS)}\n")
        return 2
    try:
        code: int = importlib.import_module(COMMANDS[name][0]).main(words[length:])
    except ModuleNotFoundError as error:
        package = (error.name or "").partition(".")[0]
        if package in {module.partition(".")[0] for module, _ in COMMANDS.values()} | {"configs", "pii", ""}:
            raise
        sys.stderr.write(f"error: {package} is not installed; install the extra that this command needs\n")
        return 2
    return code


if __name__ == "__main__":
    sys.exit(main())
