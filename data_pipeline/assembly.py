"""One build, from sources to files: read, hold out, mix, write.

The order of things: every labelled source goes to a pool on disk; the held-out splits are filled first;
then training takes what is neither in them nor leaks from them, interleaved by share.
"""

from __future__ import annotations

import itertools
import json
import logging
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any, TypeVar

from tqdm import tqdm

from data_pipeline import curriculum, preparation, rendering
from data_pipeline.chat import read_chat
from data_pipeline.dedup import HeldOut, NearDuplicates, bands
from data_pipeline.distributed import Engine, engine
from data_pipeline.inputs import Input, chat_path, chat_state, labelled_inputs
from data_pipeline.ledger import SPLITS, Ledger
from data_pipeline.mixing import allot, interleave, tempered
from data_pipeline.pool import Pool
from data_pipeline.preparation import Example, Prepared
from data_pipeline.readers.files import Refusal
from data_pipeline.readers.source import Source
from data_pipeline.recipe import DataConfig
from data_pipeline.splits import Split, content_key
from pii.spans import Document

logger = logging.getLogger(__name__)

SYNTHETIC, INSERTED = "synthetic", "inserted"
BATCH = 64
"""Documents of one task of a worker."""
MOST_HELD_OUT = 0.1
"""Most of a real source that one held-out split may take."""
PATIENCE = 50
"""Synthetic documents that are drawn for each one wanted before the rest is given up and reported."""

Item = TypeVar("Item")


class Assembly:
    """The state of one build.

    Args:
        config: the recipe.
        ledger: where lines and refusals go.
        stack: closes the pools.
    """

    def __init__(self, config: DataConfig, ledger: Ledger, stack: ExitStack) -> None:
        self.config, self.ledger = config, ledger
        rules = config.decontamination
        self._near = NearDuplicates()
        self._held_out: dict[Split, HeldOut] = {
            split: HeldOut(rules.ngram, rules.values) for split in SPLITS if split != "train"
        }
        self._stack = stack
        self._pools: dict[str, Pool] = {}
        self._chats: dict[str, Pool] = {}
        self._ranks: dict[str, int] = {}
        # Training documents that were written on the way to enough held-out ones, and where to go on.
        self._written = self._pool(SYNTHETIC)
        self._next_index = 0
        self.sources: dict[str, dict[str, Any]] = {}
        self.chats: dict[str, dict[str, Any]] = {}

    # --- read -----------------------------------------------------------------------------------------

    def read(self) -> None:
        """Fill a pool for every labelled source and every chat source that may be used."""
        for source in labelled_inputs(self.config):
            facts = {"state": source.state, "share": source.config.share, "licence": source.card.licence}
            if source.state == "used":
                self._pools[source.name], more = self._read_source(source)
                facts |= more
            else:
                logger.warning("source %s is not used: %s", source.name, source.state)
            self.sources[source.name] = facts
        for name, chat in self.config.chat.sources.items():
            state = chat_state(name, chat, self.config)
            self.chats[name] = {
                "state": state,
                "licence": chat.licence,
                "licence_class": chat.licence_class,
            }
            if state == "used" and (self.config.chat.share > 0 or self.config.chat.held_out):
                self._chats[name] = self._read_chat(name, chat_path(chat), chat.language)
                self.chats[name]["conversations"] = len(self._chats[name])

    def _pool(self, name: str) -> Pool:
        return self._stack.enter_context(Pool(self.config.folder / f".spool-{name}"))

    def _read_source(self, source: Input) -> tuple[Pool, dict[str, Any]]:
        pool, reader = self._pool(source.name), Source(source.name, source.card, source.rows())
        most = source.config.max_documents
        for item in tqdm(reader, desc=f"read {source.name}", unit=" rows", mininterval=1):
            if isinstance(item, Refusal):
                self.ledger.refuse(source.name, item)
            elif not pool.add(content_key(self.config.seed, item.text), item.as_row()):
                self.ledger.refuse_document(source.name, item.id, "duplicate")
            if most is not None and len(pool) >= most:
                break
        reader.require_known_labels()
        return pool, {**reader.facts(), "documents": len(pool)}

    def _read_chat(self, name: str, path: Path, language: str) -> Pool:
        source, pool = f"chat.{name}", self._pool(f"chat.{name}")
        conversations = read_chat(path, self.config.chat.max_chars)
        for item in tqdm(conversations, desc=f"read {source}", unit=" rows", mininterval=1):
            if isinstance(item, Refusal):
                self.ledger.refuse(source, item)
                continue
            file, line, messages = item
            row = {
                "id": f"{source}/{file}:{line}",
                "source": source,
                "language": language,
                "messages": messages,
            }
            if not pool.add(content_key(self.config.seed, json.dumps(messages)), row):
                self.ledger.refuse_document(source, row["id"], "duplicate")
        return pool

    @property
    def shares(self) -> dict[str, float]:
        """Source → share of the extraction examples, of those sources that are there."""
        wanted = {name: self.config.sources[name].share for name, pool in self._pools.items() if len(pool)}
        return tempered({**wanted, SYNTHETIC: self.config.synthetic.share}, self.config.temperature)

    def source_facts(self, rows: Mapping[str, int]) -> dict[str, dict[str, Any]]:
        """What is known of each source, with the share that it really has of the training examples.

        Args:
            rows: source → rows of the training split, chat included.
        """
        own = self.config.synthetic
        in_sentences = round(own.share * own.inserted, 4)
        sources = {
            **self.sources,
            SYNTHETIC: {
                "state": "used",
                "share": round(own.share - in_sentences, 4),
                "licence": "the project's own",
            },
            INSERTED: {"state": "used", "share": in_sentences, "licence": "that of the sentence's source"},
        }
        total = sum(rows.get(name, 0) for name in sources) or 1
        return {
            name: {**facts, "examples": rows.get(name, 0), "given": round(rows.get(name, 0) / total, 4)}
            for name, facts in sources.items()
        }

    # --- hold out -------------------------------------------------------------------------------------

    def hold_out(self) -> HeldOut:
        """Fill the test, validation and foreign splits; returns what training must not hold."""
        config, shares = self.config, self.shares
        capacity: dict[str, int | None] = {n: int(len(p) * MOST_HELD_OUT) for n, p in self._pools.items()}
        wanted: dict[Split, dict[str, int]] = {
            "test": allot(shares, capacity, config.test),
            "validation": allot(shares, capacity, config.validation),
            "foreign": {SYNTHETIC: config.foreign} if SYNTHETIC in shares else {},
        }
        for name, pool in self._pools.items():
            lines = pool.lines()
            for split in ("test", "validation"):
                self._hold_out_real(name, lines, split, wanted[split].get(name, 0))
        self._hold_out_synthetic({split: quotas.get(SYNTHETIC, 0) for split, quotas in wanted.items()})
        self._hold_out_chat()
        rules = config.decontamination
        everything = HeldOut(rules.ngram, rules.values)
        for held in self._held_out.values():
            everything.merge(held)
        return everything

    def _hold_out_real(self, name: str, lines: Iterator[bytes], split: Split, quota: int) -> None:
        while quota > 0:
            line = next(lines, None)
            if line is None:
                return
            self._ranks[name] = self._ranks.get(name, 0) + 1
            quota -= self._admit(Document.from_row(json.loads(line)), split)

    def _hold_out_chat(self) -> None:
        """Conversations for validation: the first of each pool, the same ones at any share."""
        capacity = {f"chat.{name}": int(len(pool) * MOST_HELD_OUT) for name, pool in self._chats.items()}
        quotas = allot(self._chat_weights, capacity, self.config.chat.held_out)
        for name, pool in self._chats.items():
            source = f"chat.{name}"
            self._ranks[source], left, lines = 0, quotas.get(source, 0), pool.lines()
            while left > 0 and (line := next(lines, None)) is not None:
                self._ranks[source] += 1
                for example in self._examples(source, preparation.prepare_chat([line])):
                    self.ledger.write("validation", source, example)
                    left -= 1

    @property
    def _chat_weights(self) -> dict[str, float]:
        return {f"chat.{name}": self.config.chat.sources[name].weight for name in self._chats}

    def _hold_out_synthetic(self, quotas: dict[Split, int]) -> None:
        """Write synthetic documents until the held-out splits are full; those for training are kept."""
        remaining = {split: quota for split, quota in quotas.items() if quota > 0}
        total = sum(remaining.values())
        limit = PATIENCE * total
        rules = self.config.decontamination
        nothing = HeldOut(rules.ngram, rules.values)
        with (
            engine(self.config, nothing) as workers,
            tqdm(total=total, desc="hold out synthetic", unit=" documents", mininterval=1) as bar,
        ):
            for batch in workers.map(preparation.synthesise, _ranges(0, limit)):
                self._next_index += BATCH
                for split, document in batch:
                    if split == "train":
                        self._written.add(len(self._written), document.as_row())
                    elif split in remaining and self._admit(document, split):
                        bar.update()
                        remaining[split] -= 1
                        if not remaining[split]:
                            del remaining[split]
                if not remaining:
                    return
        for split, missing in remaining.items():
            logger.warning("%s: %d synthetic documents fewer than asked for", split, missing)

    def _admit(self, document: Document, split: Split) -> bool:
        """Write a document to a held-out split, or refuse it; whether it was written."""
        asked = rendering.asked_for(document, rendering.full_request(document))
        others = (held for name, held in self._held_out.items() if name != split)
        reason = next((leak for held in others if (leak := held.leak(asked))), "")
        rules = self.config.decontamination
        if not reason and not self._near.take(bands(asked.text, rules.near_duplicate, rules.permutations)):
            reason = "near_duplicate"
        examples: list[Example] = []
        if not reason:
            examples, reasons = self._held_out_examples(asked, split)
            for refused in reasons:
                self.ledger.refuse_document(asked.source, asked.id, refused)
        else:
            self.ledger.refuse_document(asked.source, asked.id, reason)
        for example in examples:
            self.ledger.write(split, asked.source, example)
        if examples:
            # As labelled, not as asked for: a value that no request names is no less known.
            self._held_out[split].add(document)
        return bool(examples)

    def _held_out_examples(self, document: Document, split: Split) -> tuple[list[Example], list[str]]:
        """Windows for validation; the whole document for the splits that measure what serving does."""
        if split == "validation":
            return preparation.windows(document, self.config)
        if not rendering.is_provable(document):
            return [], ["ambiguous"]
        line = json.dumps(document.as_row(), ensure_ascii=False)
        return [Example(line, preparation.facts_of(document))], []

    # --- train ----------------------------------------------------------------------------------------

    def train(self, held_out: HeldOut) -> None:
        """Fill the training split, source by source in turn."""
        config, shares = self.config, self.shares
        if SYNTHETIC in shares:
            shares[INSERTED] = shares[SYNTHETIC] * config.synthetic.inserted
            shares[SYNTHETIC] -= shares[INSERTED]
        left = {name: len(pool) - self._ranks.get(name, 0) for name, pool in self._pools.items()}
        quotas = allot(shares, dict(left), config.examples)
        left_of_chat = {f"chat.{n}": len(p) - self._ranks[f"chat.{n}"] for n, p in self._chats.items()}
        wanted = round(config.chat.share * config.examples)
        chat_quotas = allot(self._chat_weights, dict(left_of_chat), wanted)
        with engine(config, held_out) as workers:
            streams = self._streams(workers, {**quotas, **chat_quotas})
            total = sum(quotas.values()) + sum(chat_quotas.values())
            mixed = interleave(streams, {**quotas, **chat_quotas}, shares)
            items: Iterable[tuple[str, Example]] = tqdm(
                mixed, total=total, desc="train", unit=" rows", mininterval=1
            )
            if config.order == "curriculum":
                pools = self._pool("curriculum.labelled"), self._pool("curriculum.chat")
                items = curriculum.in_order(items, config.curriculum, *pools)
            for name, example in items:
                self.ledger.write("train", name, example)

    def _streams(self, workers: Engine, quotas: Mapping[str, int]) -> dict[str, Iterator[Example]]:
        def stream(
            name: str, function: Callable[[Any], list[Prepared]], tasks: Iterable[Any]
        ) -> Iterator[Example]:
            return self._examples(name, itertools.chain.from_iterable(workers.map(function, tasks)))

        streams = {
            name: stream(name, preparation.prepare_lines, _batches(pool.lines(self._ranks.get(name, 0))))
            for name, pool in self._pools.items()
        }
        for name, pool in self._chats.items():
            lines = _batches(pool.lines(self._ranks[f"chat.{name}"]))
            streams[f"chat.{name}"] = stream(f"chat.{name}", preparation.prepare_chat, lines)
        limit = PATIENCE * self.config.examples
        written = stream(SYNTHETIC, preparation.prepare_written, _batches(self._written.lines()))
        fresh = stream(SYNTHETIC, preparation.prepare_synthetic, _ranges(self._next_index, limit))
        streams[SYNTHETIC] = itertools.chain(written, fresh)
        streams[INSERTED] = stream(INSERTED, preparation.prepare_inserted, _batches(self._sentences(quotas)))
        return {name: streams[name] for name in quotas}

    def _sentences(self, quotas: Mapping[str, int]) -> Iterator[tuple[int, bytes]]:
        """Real sentences for insertion, numbered: in turn from every pool what its own quota leaves over."""
        backwards = [
            *(
                pool.lines(self._ranks.get(name, 0) + quotas.get(name, 0), backwards=True)
                for name, pool in self._pools.items()
            ),
            *(pool.lines(self._ranks[f"chat.{n}"], backwards=True) for n, pool in self._chats.items()),
        ]
        turns = itertools.chain.from_iterable(itertools.zip_longest(*backwards))
        return enumerate(line for line in turns if line is not None)

    def _examples(self, name: str, documents: Iterable[Prepared]) -> Iterator[Example]:
        """Examples of one source, one at a time; refusals go to the ledger as they are met."""
        for document in documents:
            for reason in document.refused:
                self.ledger.refuse_document(name, document.id, reason)
            if document.bands and not self._near.take(document.bands):
                self.ledger.refuse_document(name, document.id, "near_duplicate")
                continue
            yield from document.examples


def _batches(items: Iterable[Item]) -> Iterator[Sequence[Item]]:
    iterator = iter(items)
    while batch := list(itertools.islice(iterator, BATCH)):
        yield batch


def _ranges(begin: int, end: int) -> Iterator[range]:
    for start in range(begin, end, BATCH):
        yield range(start, start + BATCH)


def shortfalls(config: DataConfig, splits: Mapping[str, Any]) -> dict[str, dict[str, int]]:
    """What a recipe asks for and did not get: name → how much was asked and given.

    Validation is asked for in documents and counted in windows, so it is told by its warning alone.
    """

    def chats(split: str) -> int:
        rows = splits[split].get("source", {})
        return sum(count for name, count in rows.items() if name.startswith("chat."))

    chat = chats("train")
    wanted = {
        "training examples": (config.examples, splits["train"]["rows"] - chat),
        "general chat": (round(config.chat.share * config.examples) if config.chat.sources else 0, chat),
        "chat held out": (config.chat.held_out if config.chat.sources else 0, chats("validation")),
        "test": (config.test, splits["test"]["rows"]),
        "foreign": (config.foreign, splits["foreign"]["rows"]),
    }
    return {name: {"asked": ask, "given": give} for name, (ask, give) in wanted.items() if give < ask}


def assemble(config: DataConfig) -> tuple[Ledger, dict[str, Any]]:
    """Write the splits and the refusals of a data set; returns its books and the facts for its manifest."""
    with ExitStack() as stack:
        ledger = stack.enter_context(Ledger(config.folder, config.output, config.seed))
        assembly = Assembly(config, ledger, stack)
        assembly.read()
        assembly.train(assembly.hold_out())
        splits = ledger.splits()
        short = shortfalls(config, splits)
        for name, counts in short.items():
            logger.warning(
                "%s: %d of the %d asked for; there is no more", name, counts["given"], counts["asked"]
            )
        return ledger, {
            "splits": splits,
            "short": short,
            "refused": ledger.refused(),
            "sources": assembly.source_facts(splits["train"].get("source", {})),
            "chat": assembly.chats,
        }
