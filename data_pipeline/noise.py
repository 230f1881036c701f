"""Noise over a whole text: what keyboards, converters and hurry do to it.

Noise works on pieces, so offsets stay right. Values change only where the whole text changes (width, case).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from random import Random

from data_pipeline.scene import Piece
from data_pipeline.values.chance import pick

Noise = Callable[[Sequence[Piece], Random], list[Piece]]

_WIDE = {code: code + 0xFEE0 for code in (*range(0x30, 0x3A), *range(0x41, 0x5B), *range(0x61, 0x7B))}
_HALF_PUNCTUATION = str.maketrans("，。：；！？（）【】", ",.:;!?()[]")
_NO_PUNCTUATION = str.maketrans("，。；！？,;!?", "         ")
_ALIKE = str.maketrans(
    {"的": "地", "在": "再", "做": "作", "账": "帐", "已": "以", "那": "哪", "像": "象", "拨": "拔"}
)


def wide_characters(pieces: Sequence[Piece], rng: Random) -> list[Piece]:
    """All digits and Latin letters full-width, as old Chinese systems print them."""
    return [replace(p, text=p.text.translate(_WIDE)) for p in pieces]


def half_punctuation(pieces: Sequence[Piece], rng: Random) -> list[Piece]:
    """ASCII punctuation in Chinese text; values keep theirs."""
    return [p if p.kind else replace(p, text=p.text.translate(_HALF_PUNCTUATION)) for p in pieces]


def no_punctuation(pieces: Sequence[Piece], rng: Random) -> list[Piece]:
    """Blanks for stops and commas, as in hurried messages."""
    return [p if p.kind else replace(p, text=p.text.translate(_NO_PUNCTUATION)) for p in pieces]


def padded_values(pieces: Sequence[Piece], rng: Random) -> list[Piece]:
    """A blank on both sides of every value, or only behind."""
    both, out = rng.random() < 0.6, list[Piece]()
    for piece in pieces:
        out.extend(
            [Piece(" "), piece, Piece(" ")]
            if piece.kind and both
            else [piece, Piece(" ")]
            if piece.kind
            else [piece]
        )
    return out


def tight_values(pieces: Sequence[Piece], rng: Random) -> list[Piece]:
    """No blanks and colons around values: 电话138..., as in notes."""
    out: list[Piece] = []
    for index, piece in enumerate(pieces):
        text = piece.text
        if not piece.kind and index + 1 < len(pieces) and pieces[index + 1].kind:
            shorter = text.rstrip(" ：:")
            # A Latin word must not run into the value.
            text = shorter if shorter and not shorter[-1].isascii() else text
        if text:
            out.append(replace(piece, text=text))
    return out


def typos(pieces: Sequence[Piece], rng: Random) -> list[Piece]:
    """A character doubled, dropped, swapped or mistaken for one of the same sound; values stay."""
    out: list[Piece] = []
    for piece in pieces:
        text = piece.text
        if not piece.kind and len(text) > 3 and rng.random() < 0.5:
            at = 1 + int(rng.random() * (len(text) - 2))
            # Line ends and markup stay: a broken tag is another text.
            if text[at].isalpha() and text[at - 1].isalpha():
                slip = pick(rng, ("double", "drop", "swap", "alike"))
                if slip == "double":
                    text = text[:at] + text[at] + text[at:]
                elif slip == "drop":
                    text = text[:at] + text[at + 1 :]
                elif slip == "swap":
                    text = text[: at - 1] + text[at] + text[at - 1] + text[at + 1 :]
                else:
                    text = text.translate(_ALIKE)
        out.append(replace(piece, text=text))
    return out


def lower_case(pieces: Sequence[Piece], rng: Random) -> list[Piece]:
    """No capitals at all outside of values that would change their meaning (keys, passwords)."""
    return [p if p.type == "CREDENTIAL" else replace(p, text=p.text.lower()) for p in pieces]


def split_lines(pieces: Sequence[Piece], rng: Random) -> list[Piece]:
    """A new line after every stop."""
    return [
        p if p.kind else replace(p, text=p.text.replace("。", "。\n").replace(". ", ".\n")) for p in pieces
    ]


def doubled_blanks(pieces: Sequence[Piece], rng: Random) -> list[Piece]:
    """Blanks that were copied from a page: twice, or as a no-break space."""
    blank = pick(rng, ("  ", "\u00a0", "\u3000"))
    return [p if p.kind else replace(p, text=p.text.replace(" ", blank)) for p in pieces]


NOISES: Mapping[str, Noise] = {
    "wide_characters": wide_characters,
    "half_punctuation": half_punctuation,
    "no_punctuation": no_punctuation,
    "padded_values": padded_values,
    "tight_values": tight_values,
    "typos": typos,
    "lower_case": lower_case,
    "split_lines": split_lines,
    "doubled_blanks": doubled_blanks,
}
"""Noise by name. All of it suits prose; structured carriers take none."""
