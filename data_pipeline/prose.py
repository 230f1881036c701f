"""Carriers of running text: how sentences become a chat, a message, an e-mail, a contract, a transcript.

A carrier takes units (a sentence each, as pieces) and returns the pieces of the whole text.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from data_pipeline.grammar import Slot
from data_pipeline.scene import Piece, Scene
from data_pipeline.values.chance import number, pick

Unit = list[Piece]
Carrier = Callable[[Scene, Sequence[Unit]], list[Piece]]

_OPEN_ENDS = "。！？!?…~～；;：:，,.\n"
_STOPS = {
    "zh": {
        "formal": ("。",),
        "loose": ("，", "。", " ", "！", "，", "～", "。。", "；"),
        "none": (" ", "\n", "，"),
    },
    "en": {"formal": (". ",), "loose": (". ", ", ", "! ", "... ", " - "), "none": ("\n", " ", "; ")},
}


def _ends_open(unit: Unit) -> bool:
    """Whether the unit ends without a mark of its own."""
    last = unit[-1]
    return bool(last.kind) or last.text[-1] not in _OPEN_ENDS


def _stop(scene: Scene, style: str) -> str:
    return pick(scene.rng, _STOPS[scene.language][style])


def running(scene: Scene, units: Sequence[Unit], style: str | None = None) -> list[Piece]:
    """Sentences one after the other; `style` of the stops is chosen once for the whole text."""
    style = style or pick(scene.rng, ("formal", "formal", "formal", "loose", "loose", "none"))
    out: list[Piece] = []
    for index, unit in enumerate(units):
        out.extend(unit)
        final = index == len(units) - 1
        if not _ends_open(unit):
            if scene.language == "en" and not final:
                out.append(Piece(" "))
        elif not final:
            out.append(Piece(_stop(scene, style)))
        elif style == "formal" or scene.rng.random() < 0.3:
            out.append(Piece("。" if scene.language == "zh" else "."))
    return out


def lines(scene: Scene, units: Sequence[Unit]) -> list[Piece]:
    """One unit a line, perhaps numbered."""
    marks = pick(scene.rng, ("", "", "{}. ", "{}、", "({}) ", "- "))
    out: list[Piece] = []
    for index, unit in enumerate(units):
        out.append(Piece(("\n" if index else "") + marks.format(index + 1)))
        out.extend(unit)
        if _ends_open(unit) and scene.rng.random() < 0.6:
            out.append(Piece("。" if scene.language == "zh" else "."))
    return out


def _speaker(scene: Scene, role: int) -> Unit:
    """A label of who speaks: a role or somebody's name."""
    if not scene.anonymous and scene.rng.random() < 0.25:
        return [scene.value(Slot(pick(scene.rng, ("name", "user", "given")), who=role))]
    return [Piece(pick(scene.rng, scene.book.label_words[f"speaker{role + 1}"][scene.language]))]


def chat(scene: Scene, units: Sequence[Unit]) -> list[Piece]:
    """Turns of two speakers, or a single message without any mark."""
    if len(units) == 1 and scene.rng.random() < 0.75:
        return running(scene, units, pick(scene.rng, ("loose", "none")))
    speakers = [_speaker(scene, 0), _speaker(scene, 1)]
    shape, stamped = pick(scene.rng, ("{}：", "{}: ", "【{}】", "[{}] ", "{} > ", "{}\n")), scene.rng.random()
    before, after = shape.split("{}")
    turn, out = int(scene.rng.random() * 2), list[Piece]()
    for index, unit in enumerate(units):
        if index:
            out.append(Piece("\n"))
        if stamped < 0.2:
            out.extend([Piece("["), scene.value(Slot("time")), Piece("] ")])
        out.extend([Piece(before), *speakers[turn], Piece(after), *unit])
        if scene.rng.random() < 0.7:
            turn = 1 - turn
    return [p for p in out if p.text]


def sms(scene: Scene, units: Sequence[Unit]) -> list[Piece]:
    """A message with the sender's signature in brackets and perhaps how to unsubscribe."""
    out: list[Piece] = []
    signed = scene.rng.random() < 0.75
    if signed:
        out.extend(
            [Piece("【"), scene.value(Slot("org")), Piece("】")]
            if scene.language == "zh"
            else [scene.value(Slot("org")), Piece(": ")]
        )
    out.extend(running(scene, units, "formal" if scene.rng.random() < 0.7 else "loose"))
    if signed and scene.rng.random() < 0.3:
        out.append(
            Piece(
                pick(scene.rng, ("拒收请回复R", "退订回T", "回T退订"))
                if scene.language == "zh"
                else pick(scene.rng, (" Reply STOP to opt out", " Txt STOP to end"))
            )
        )
    return out


_HEADERS = {
    "zh": (("发件人", "收件人", "抄送", "主题"), ("From", "To", "Cc", "Subject")),
    "en": (("From", "To", "Cc", "Subject"),),
}


def email(scene: Scene, units: Sequence[Unit]) -> list[Piece]:
    """Headers, greeting, body, signature block; each part may be missing."""
    rng, out, people = scene.rng, list[Piece](), not scene.anonymous
    if people and rng.random() < 0.6:
        sender, receiver, copied, subject = pick(rng, _HEADERS[scene.language])
        for word, who, share in ((sender, 0, 1.0), (receiver, 1, 0.8), (copied, 2, 0.15)):
            if rng.random() < share:
                out.extend(_header(scene, word, who))
        out.append(Piece(f"{subject}: "))
        out.extend(scene.fill(scene.book.expand(scene.language, "subject", rng)))
        out.append(Piece("\n\n"))
    if people and rng.random() < 0.6:
        out.extend(scene.fill(scene.book.expand(scene.language, "salutation", rng), shift=1))
        out.append(Piece("\n"))
    out.extend(running(scene, units, "formal") if rng.random() < 0.7 else lines(scene, units))
    if people and rng.random() < 0.65:
        out.append(Piece("\n\n"))
        out.extend(signature(scene))
    return out


def _header(scene: Scene, word: str, who: int) -> Unit:
    address = scene.value(Slot("email", who=who))
    shape = scene.rng.random()
    if shape < 0.4:
        return [Piece(f"{word}: "), address, Piece("\n")]
    name = scene.value(Slot("name", who=who))
    if shape < 0.8:
        return [Piece(f"{word}: "), name, Piece(" <"), address, Piece(">\n")]
    return [Piece(f'{word}: "'), name, Piece('" <'), address, Piece(">\n")]


def signature(scene: Scene) -> Unit:
    """Name, employer and ways to reach the sender, a line each or in one."""
    rng = scene.rng
    fields = [[scene.value(Slot("name"))]]
    if rng.random() < 0.4:
        fields.append([scene.value(Slot("org"))])
    for slot, share in (
        ("phone", 0.6),
        ("email", 0.4),
        ("wechat", 0.12 if scene.language == "zh" else 0.0),
        ("address", 0.15),
    ):
        if rng.random() < share:
            fields.append(scene.labelled(Slot(slot)) if rng.random() < 0.7 else [scene.value(Slot(slot))])
    joint = pick(rng, ("\n", "\n", " | ", "  ", " / "))
    out = [Piece(pick(rng, ("--\n", "", "", "——\n")))] if rng.random() < 0.4 else []
    for index, parts in enumerate(fields):
        out.extend([Piece(joint)] if index else [])
        out.extend(parts)
    return [p for p in out if p.text]


def contract(scene: Scene, units: Sequence[Unit]) -> list[Piece]:
    """Articles of an agreement."""
    heads = {"zh": ("第{}条 ", "{}、", "{}. "), "en": ("{}. ", "Section {}. ", "({}) ", "Clause {}: ")}
    head = pick(scene.rng, heads[scene.language])
    out: list[Piece] = []
    for index, unit in enumerate(units):
        ordinal = "一二三四五六七八九十"[index % 10] if "条" in head or "、" in head else str(index + 1)
        out.extend([Piece(("\n" if index else "") + head.format(ordinal)), *unit])
        if _ends_open(unit):
            out.append(Piece("。" if scene.language == "zh" else "."))
    return out


_FILLERS = {
    "zh": ("嗯", "呃", "那个", "就是说", "啊", "对对对", "这个"),
    "en": ("uh", "um", "you know", "er", "like", "so", "okay"),
}


def transcript(scene: Scene, units: Sequence[Unit]) -> list[Piece]:
    """A telephone call written down: two roles, fillers, acknowledgements."""
    rng, zh = scene.rng, scene.language == "zh"
    roles = ("坐席", "客户") if zh else ("Agent", "Caller")
    turn, out = int(rng.random() * 2), list[Piece]()
    for index, unit in enumerate(units):
        filler = pick(rng, _FILLERS[scene.language]) + ("，" if zh else ", ") if rng.random() < 0.6 else ""
        out.append(Piece(("\n" if index else "") + roles[turn] + ("：" if zh else ": ") + filler))
        out.extend(unit)
        if rng.random() < 0.4:
            out.append(
                Piece(
                    pick(rng, ("，对", "，嗯", "，是的", "哈"))
                    if zh
                    else pick(rng, (", yeah", ", right", ", yes"))
                )
            )
        turn = 1 - turn
        if rng.random() < 0.35:
            answer = (
                pick(rng, ("好的，我记一下", "嗯嗯，您继续", "好的请稍等", "麻烦您再说一遍"))
                if zh
                else pick(
                    rng, ("Okay, got that", "One moment please", "Could you repeat that", "Right, go on")
                )
            )
            out.append(Piece("\n" + roles[turn] + ("：" if zh else ": ") + answer))
            turn = 1 - turn
    return out


def _titled(name: str) -> Carrier:
    """A document with a heading from the phrases and then sentences or lines."""

    def carrier(scene: Scene, units: Sequence[Unit]) -> list[Piece]:
        rng, out = scene.rng, list[Piece]()
        if rng.random() < 0.5:
            out.extend(scene.fill(scene.book.expand(scene.language, f"heading_{name}", rng)))
            out.append(Piece(pick(rng, ("\n", "\n\n"))))
        out.extend(running(scene, units, "formal") if rng.random() < 0.65 else lines(scene, units))
        return out

    return carrier


def plain(scene: Scene, units: Sequence[Unit]) -> list[Piece]:
    """Nothing but the sentences."""
    return running(scene, units)


CARRIERS: dict[str, Carrier] = {
    "plain": plain,
    "chat": chat,
    "sms": sms,
    "email": email,
    "contract": contract,
    "medical_note": _titled("medical_note"),
    "court": _titled("court"),
    "delivery_note": _titled("delivery_note"),
    "ticket": _titled("ticket"),
    "transcript": transcript,
}
"""Prose carriers by the name that families use."""


def compose(scene: Scene, carrier: str, units: Sequence[Unit]) -> list[Piece]:
    """The pieces of a whole text in the named carrier."""
    if scene.rng.random() < 0.01 and len(units) > 1:
        # Blank lines between sentences, as pasted text has.
        units = [[*u, Piece("\n" * number(scene.rng, 1, 2))] for u in units]
    return CARRIERS[carrier](scene, units)
