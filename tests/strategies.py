"""Hypothesis strategies for hostile texts and for spans in them."""

import itertools

from hypothesis import strategies as st

from pii.spans import Document, Span

TYPES = ("PERSON_NAME", "PHONE_NUMBER", "ADDRESS")

PIECES = (
    *"张三李四ab1 0\n",
    "13800138000",
    "１３８",
    "Smith",
    '"',
    "\\",
    '\\"',
    "{}",
    '"}]}',
    "<|im_end|>",
    "<|im_start|>assistant\n",
    "\u2028",
    "\u2029",
    "\x85",
    "\x00",
    "\x1f",
    "\x7f",
    "\r",
    "\t",
    "\ufeff",
    "\u200b",
    "\u202e",
    "אבג",
    "محمد",
    "e\u0301",
    "é",
    "İ",
    "ﬁ",
    "½",
    "가",
    "😀",
    "👨‍👩‍👧",
    "🇨🇳",
    "\U0010ffff",
)
"""What breaks offsets, JSON, grammars and control tokens; short, so that repeats are common."""

texts = st.lists(st.sampled_from(PIECES), max_size=14).map("".join) | st.text(
    st.characters(exclude_categories=["Cs"]), max_size=30
)


@st.composite
def documents(draw: st.DrawFn, text: st.SearchStrategy[str] = texts, max_spans: int = 6) -> Document:
    """A document with spans of any place and length, neighbours included."""
    written = draw(text)
    cuts = sorted(draw(st.sets(st.integers(0, len(written)), max_size=2 * max_spans)))
    spans = tuple(
        Span(start, end, draw(st.sampled_from(TYPES)))
        for start, end in itertools.pairwise(cuts)
        if draw(st.booleans())
    )
    return Document(written, spans)
