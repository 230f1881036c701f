"""One extractor, always: no waiting for a dead engine, none taken from its users, failures change nothing."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from pii.errors import ModelFolderError
from serving import supervisor
from serving.engines.protocol import EngineError
from serving.extractor import Extractor
from serving.extractor_config import ExtractorConfig
from serving.problems import Problem
from serving.supervisor import Supervisor

CONFIG = ExtractorConfig(detectors="patterns")


class Fake(Extractor):
    """An extractor whose engine can die and whose closing is noted."""

    def __init__(self, config: ExtractorConfig = CONFIG) -> None:
        super().__init__(config)
        self.alive, self.closed = True, False

    @property
    def is_alive(self) -> bool:
        return self.alive

    def close(self) -> None:
        self.closed = True


class Openings:
    """Opens fakes, or fails as it is told to."""

    def __init__(self, *outcomes: Exception | None) -> None:
        self.outcomes, self.opened = list(outcomes), list[Fake]()

    def __call__(self, config: ExtractorConfig) -> Fake:
        outcome = self.outcomes.pop(0) if self.outcomes else None
        if outcome is not None:
            raise outcome
        self.opened.append(Fake(config))
        return self.opened[-1]


@pytest.fixture(autouse=True)
def in_haste(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(supervisor, "WATCH_S", 0.005)
    monkeypatch.setattr(supervisor, "MAX_WAIT_S", 0.01)
    monkeypatch.setattr(supervisor, "FIRST_WAIT_S", 0.01)


async def state(made: Supervisor, wanted: str) -> None:
    async with asyncio.timeout(5):
        while made.state != wanted:
            await asyncio.sleep(0.002)


def run(openings: Openings, body: Callable[[Supervisor], Awaitable[Any]]) -> None:
    async def supervised() -> None:
        made = Supervisor(CONFIG, opener=openings)
        running = asyncio.create_task(made.run())
        try:
            await body(made)
        finally:
            running.cancel()
            await asyncio.wait([running])
            await made.close()

    asyncio.run(supervised())


def test_a_dead_engine_is_refused_at_once_and_started_again() -> None:
    openings = Openings()

    async def body(made: Supervisor) -> None:
        with pytest.raises(Problem, match="loading"):
            _ = made.extractor
        await state(made, "ready")
        openings.opened[0].alive = False
        # Before anybody has looked: the next request is not handed to a dead engine.
        with pytest.raises(Problem, match="engine_failed"):
            _ = made.extractor
        with made.lease() as nothing:
            assert nothing is None
        assert made.state == "restarting"
        await state(made, "ready")
        assert made.extractor is openings.opened[1]
        assert (openings.opened[0].closed, made.num_restarts) == (True, 1)

    run(openings, body)
    assert openings.opened[1].closed


def test_an_engine_that_does_not_come_back_at_once_is_tried_again() -> None:
    openings = Openings(None, RuntimeError("no memory"), ModelFolderError("gone"))

    async def body(made: Supervisor) -> None:
        await state(made, "ready")
        openings.opened[0].alive = False
        await state(made, "restarting")
        await state(made, "ready")
        assert not openings.outcomes

    run(openings, body)


def test_at_the_beginning_an_engine_elsewhere_is_waited_for_and_a_mistake_ends_it() -> None:
    async def body(made: Supervisor) -> None:
        await state(made, "ready")

    run(Openings(EngineError("not there yet"), EngineError("not there yet")), body)
    with pytest.raises(ModelFolderError):
        asyncio.run(Supervisor(CONFIG, opener=Openings(ModelFolderError("gone"))).run())


def test_a_reload_keeps_the_old_one_for_those_who_use_it() -> None:
    openings, other = Openings(), ExtractorConfig(detectors="patterns", max_text_chars=5)

    async def body(made: Supervisor) -> None:
        await state(made, "ready")
        with made.lease() as used:
            await made.reload(other)
            assert made.extractor is openings.opened[1] is not used
            assert made.extractor.config.max_text_chars == 5
            await asyncio.sleep(0.05)
            assert not openings.opened[0].closed
        async with asyncio.timeout(5):
            while not openings.opened[0].closed:
                await asyncio.sleep(0.002)
        assert not openings.opened[1].closed

    run(openings, body)


def test_a_reload_that_fails_changes_nothing() -> None:
    openings = Openings(None, ModelFolderError("half-written"))

    async def body(made: Supervisor) -> None:
        await state(made, "ready")
        with pytest.raises(ModelFolderError):
            await made.reload(ExtractorConfig(detectors="patterns", max_text_chars=5))
        assert made.extractor is openings.opened[0]
        # What dies later comes back as it was.
        openings.opened[0].alive = False
        await state(made, "restarting")
        await state(made, "ready")
        assert made.extractor.config == CONFIG

    run(openings, body)


def test_another_model_ends_the_attempts_with_one_that_cannot_be_opened() -> None:
    def opener(config: ExtractorConfig) -> Fake:
        if config == CONFIG and opened:
            raise RuntimeError("the folder is gone")
        opened.append(Fake(config))
        return opened[-1]

    opened = list[Fake]()

    async def body() -> None:
        made = Supervisor(CONFIG, opener=opener)
        running = asyncio.create_task(made.run())
        await state(made, "ready")
        opened[0].alive = False
        await asyncio.sleep(0.05)
        assert made.state == "restarting"
        await made.reload(ExtractorConfig(detectors="patterns", max_text_chars=5))
        await state(made, "ready")
        running.cancel()
        await asyncio.wait([running])
        await made.close()

    asyncio.run(body())


def test_an_end_while_loading_leaves_nothing_open() -> None:
    openings = Openings()

    def slow(config: ExtractorConfig) -> Fake:
        import time

        time.sleep(0.1)
        return openings(config)

    async def body() -> None:
        made = Supervisor(CONFIG, opener=slow)
        running = asyncio.create_task(made.run())
        await asyncio.sleep(0.02)
        running.cancel()
        await asyncio.wait([running])
        await made.close()

    asyncio.run(body())
    assert [fake.closed for fake in openings.opened] == [True]
