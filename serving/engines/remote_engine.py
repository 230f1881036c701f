"""A vLLM server elsewhere, or another server that speaks OpenAI's protocol for completions.

Prompts go as tokens, made here from the model folder, so that text which spells control tokens stays text.
The model folder here has to be the one that is served there: for vLLM that is checked by its tokenizer.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Self

import httpx

from configs.errors import ConfigError
from pii import codec
from serving.engines.ending import ending_ids
from serving.engines.protocol import EngineError, Generation, RemoteSettings
from serving.silence import describe

VARIABLE = "PII_REMOTE_KEY"
"""The environment variable with the key that the server wants, if it wants one."""

_SAMPLE = 'A"\\\n张三 13800138000 {"entities":[]}'


class RemoteEngine:
    """Made by `start`; used from the event loop that started it.

    Args:
        client: speaks to the server.
        settings: which server, and what it understands.
        model: the name under which the server has the model.
        tokenizer: of the model folder.
    """

    name = "remote"

    def __init__(
        self, client: httpx.AsyncClient, settings: RemoteSettings, model: str, tokenizer: Any
    ) -> None:
        self._client, self._settings, self._model, self._tokenizer = client, settings, model, tokenizer
        self.description = f"remote {settings.dialect}, {settings.url}, {model}"
        end_of_turn = tokenizer.convert_tokens_to_ids(codec.TURN_END)
        self._stop_ids = (end_of_turn, tokenizer.eos_token_id)
        self._ending = ending_ids(tokenizer)
        self._is_there = True

    @classmethod
    async def start(
        cls, folder: Path, settings: RemoteSettings, transport: httpx.AsyncBaseTransport | None = None
    ) -> Self:
        """Find the server and the model that it has.

        Args:
            folder: the model folder, for its tokenizer.
            settings: see there.
            transport: None for the network.

        Raises:
            ConfigError: no address, no such model there, or another tokenizer.
            EngineError: the server does not answer (yet).
        """
        from transformers import AutoTokenizer

        if settings.url is None:
            raise ConfigError("extractor.remote.url: required for the engine remote")
        tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=True)
        key = os.environ.get(VARIABLE)
        client = httpx.AsyncClient(
            base_url=settings.url.rstrip("/"),
            headers={"Authorization": f"Bearer {key}"} if key else {},
            timeout=httpx.Timeout(settings.timeout_s, connect=5.0),
            transport=transport,
            # The extractor bounds what is with the engine.
            limits=httpx.Limits(max_connections=None),
        )
        try:
            engine = cls(client, settings, await _model_of(client, settings), tokenizer)
            if settings.dialect == "vllm":
                await engine._compare_tokenizers()
        except BaseException:
            await client.aclose()
            raise
        return engine

    @property
    def is_alive(self) -> bool:
        """Whether the server could be reached so far."""
        return self._is_there

    async def generate(
        self,
        prompt_ids: list[int],
        grammar: codec.Grammar | None,
        max_new_tokens: int,
        end_bias: float = 0.0,
        draft_ids: Sequence[int] = (),
    ) -> Generation:
        """See `protocol.Engine.generate`. A server of the dialect ``openai`` decodes without the grammar."""
        body: dict[str, Any] = {
            "model": self._model,
            "prompt": prompt_ids,
            "max_tokens": max_new_tokens,
            "temperature": 0.0,
            "logprobs": 1,
        }
        if end_bias:
            body["logit_bias"] = {str(token): -end_bias for token in self._ending}
        if self._settings.dialect == "vllm":
            body |= {
                "stop_token_ids": list(self._stop_ids),
                "skip_special_tokens": False,
                "return_token_ids": True,
            }
            if grammar is not None:
                body["structured_outputs"] = {"grammar": grammar.lark()}
        else:
            body["stop"] = [codec.TURN_END]
        # Cancelling closes the connection, and the server then ends the request.
        answer = await self._post("/v1/completions", body)
        try:
            return self._generation(answer["choices"][0])
        except (KeyError, IndexError, TypeError, ValueError) as error:
            raise EngineError(f"the server answered in another form ({describe(error)})") from None

    async def close(self) -> None:
        """Close the connections; the server lives on."""
        await self._client.aclose()

    def _generation(self, choice: dict[str, Any]) -> Generation:
        finish = choice["finish_reason"]
        if finish not in ("stop", "length"):
            raise EngineError("the server ended a request without an answer")
        logprobs = [float(each or 0.0) for each in (choice.get("logprobs") or {}).get("token_logprobs", ())]
        if choice.get("token_ids") is not None:
            tokens = [int(token) for token in choice["token_ids"]]
        else:
            tokens = self._tokenizer(choice["text"], add_special_tokens=False, split_special_tokens=True)[
                "input_ids"
            ]
        if tokens and tokens[-1] in self._stop_ids:
            tokens, logprobs = tokens[:-1], logprobs[: len(tokens) - 1]
        known = len(logprobs) == len(tokens)
        return Generation(
            text=self._tokenizer.decode(tokens, skip_special_tokens=False),
            token_ids=tuple(tokens),
            # Without one for each token nothing is known of how sure the model was.
            token_logprobs=tuple(logprobs) if known else (),
            finish=finish,
        )

    async def _post(self, path: str, body: dict[str, Any]) -> Any:
        try:
            response = await self._client.post(path, json=body)
        except httpx.HTTPError as error:
            # No connection to be had: whoever supervises the engine begins anew.
            self._is_there &= not isinstance(error, httpx.ConnectError | httpx.ConnectTimeout)
            # Its message may name more than the kind.
            raise EngineError(f"the server does not answer ({type(error).__name__})") from None
        if response.status_code != 200:
            # Its body may quote the request.
            raise EngineError(f"the server answered {response.status_code}")
        try:
            return response.json()
        except ValueError:
            raise EngineError("the server answered something that is not JSON") from None

    async def _compare_tokenizers(self) -> None:
        told = await self._post(
            "/tokenize", {"model": self._model, "prompt": _SAMPLE, "add_special_tokens": False}
        )
        ours = self._tokenizer(_SAMPLE, add_special_tokens=False)["input_ids"]
        if told.get("tokens") != ours:
            raise ConfigError("extractor.remote: the server has another tokenizer than the model folder here")


async def _model_of(client: httpx.AsyncClient, settings: RemoteSettings) -> str:
    try:
        response = await client.get("/v1/models")
    except httpx.HTTPError as error:
        raise EngineError(f"{settings.url} does not answer ({type(error).__name__})") from None
    if response.status_code in (401, 403):
        raise ConfigError(f"extractor.remote: the server wants a key; set {VARIABLE}")
    if response.status_code != 200:
        raise EngineError(f"{settings.url} answered {response.status_code}")
    try:
        names = [str(model["id"]) for model in response.json()["data"]]
    except (ValueError, KeyError, TypeError):
        raise ConfigError(f"extractor.remote.url: {settings.url} does not speak OpenAI's protocol") from None
    wanted = settings.model or (names[0] if len(names) == 1 else None)
    if wanted is None or wanted not in names:
        raise ConfigError(f"extractor.remote.model: name one of {', '.join(names)}")
    return wanted
