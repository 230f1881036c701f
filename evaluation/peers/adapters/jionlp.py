"""JioNLP: rules for Chinese text. Source: https://github.com/dongrixinyu/JioNLP."""

from __future__ import annotations

from collections.abc import Iterator


class Adapter:
    """Its extractors, one after the other; it takes no options.

    Each is meant to be asked alone, and some say much: that for QQ numbers also takes a mobile number. What
    overlaps the find of an extractor that stands earlier in `labels` is left out, in the peer's favour.
    """

    labels = (
        "id_card",
        "motor_vehicle_licence_plate",
        "email",
        "url",
        "ip_address",
        "phone_number",
        "wechat_id",
        "qq",
    )

    def __init__(self) -> None:
        import jionlp

        self._extractors = [(name, getattr(jionlp, f"extract_{name}")) for name in self.labels]

    def find(self, text: str, language: str) -> Iterator[tuple[int, int, str]]:
        """What each extractor finds."""
        taken: list[tuple[int, int]] = []
        for name, extract in self._extractors:
            for item in extract(text, detail=True):
                start, end = item["offset"]
                if all(end <= first or last <= start for first, last in taken):
                    taken.append((start, end))
                    yield start, end, name
