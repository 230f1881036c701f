"""A folder of weights that names every token, as Hugging Face's ``AutoModelForTokenClassification`` reads it.

Source: https://huggingface.co/docs/transformers/main_classes/pipelines (TokenClassificationPipeline).
"""

from __future__ import annotations

from collections.abc import Iterator


class Adapter:
    """The pipeline with neighbouring tokens of one label joined.

    Long texts are read in overlapping strides, so that none of a text is dropped.

    Args:
        model: the folder.
        stride: tokens that two neighbouring pieces of a long text share.
        device: ``cpu``, or ``cuda:0`` and the like.
    """

    def __init__(self, model: str, stride: int = 64, device: str = "cpu") -> None:
        from transformers import AutoModelForTokenClassification, AutoTokenizer, pipeline

        tokenizer = AutoTokenizer.from_pretrained(model, local_files_only=True)
        network = AutoModelForTokenClassification.from_pretrained(model, local_files_only=True)
        positions = getattr(network.config, "max_position_embeddings", 512)
        tokenizer.model_max_length = min(tokenizer.model_max_length, positions)
        self._pipeline = pipeline(
            "token-classification", model=network, tokenizer=tokenizer, device=device,
            aggregation_strategy="simple", stride=min(stride, tokenizer.model_max_length // 4),
        )  # fmt: skip
        names = {name.split("-", 1)[-1] for name in network.config.id2label.values()}
        self.labels = sorted(names - {"O"})

    def find(self, text: str, language: str) -> Iterator[tuple[int, int, str]]:
        """Every run of tokens of one label, without the white space at its ends."""
        for entity in self._pipeline(text) if text.strip() else ():
            start, end = entity["start"], entity["end"]
            while start < end and text[start].isspace():
                start += 1
            while start < end and text[end - 1].isspace():
                end -= 1
            if start < end:
                yield start, end, entity["entity_group"]
