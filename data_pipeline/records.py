"""Structured carriers: forms, JSON, XML, CSV, tables, logs, settings, code, SQL, URL queries.

A record is a row of fields for one person, with harmless fields between them. A layout returns pieces with
the values still raw; `ESCAPES` says how a carrier must write a value, which happens after its surface form
has been chosen, so that a span always covers exactly what stands in the text.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from urllib.parse import quote
from xml.sax.saxutils import escape

from data_pipeline.grammar import Slot
from data_pipeline.phrasebook import RecordSource
from data_pipeline.scene import Piece, Scene
from data_pipeline.values import providers
from data_pipeline.values.chance import number, pick
from pii.taxonomy import shipped

Row = list[Piece]
Layout = Callable[[Scene, list[Row]], list[Piece]]

_MANY = frozenset({"json", "csv", "table", "log", "sql", "xml"})
"""Layouts that may hold several rows."""


def draw_rows(scene: Scene, source: RecordSource, carrier: str, *, anonymous: bool) -> list[Row]:
    """Rows of equal fields, the first of the source the likeliest; `anonymous`: none of a person."""
    rng = scene.rng
    fields: list[str] = []
    if not anonymous:
        usable = [f for f in source.fields if carrier != "url" or f in _ASCII_SLOTS] or ["phone"]
        wanted = number(rng, 1, 3 if carrier in ("url", "log") else 6)
        # Keys grow with the place in the list, so the first fields are likelier to be the smallest.
        ranked = sorted((rng.random() * (place + 2), field) for place, field in enumerate(usable))
        fields = [field for _, field in ranked[:wanted]]
        if not any(p.type in shipped().default_types for f in fields for p in providers(f)):
            fields.append(usable[0])
    others = list(source.others)
    rng.shuffle(others)
    for other in others[: number(rng, 2, 5) if anonymous else number(rng, 0, 3)]:
        fields.insert(number(rng, 0, len(fields)), other)
    if rng.random() < 0.3:
        rng.shuffle(fields)
    rows = number(rng, 1, 4) if carrier in _MANY and rng.random() < 0.6 else 1
    return [[scene.value(Slot(f, who=who)) for f in fields] for who in range(rows)]


_ASCII_SLOTS = frozenset(
    {
        "phone",
        "email",
        "id",
        "user",
        "wechat",
        "qq",
        "card",
        "member",
        "staff",
        "student",
        "ip",
        "device",
        "key",
        "otp",
        "mrn",
        "social",
        "passport",
        "account",
    }
)


def _keys(scene: Scene, rows: Sequence[Row], style: str) -> list[str]:
    """A name for each column, unlike the others; several rows may hold several kinds in a column."""
    names: list[str] = []
    for piece in rows[0]:
        language = scene.language if style == "words" else "key"
        kind = piece.kind if len(rows) == 1 else ""
        word = pick(scene.rng, scene.book.labels(language, kind, piece.slot))
        name = _STYLES[style](word)
        while name in names:
            name += "2"
        names.append(name)
    return names


def _camel(word: str) -> str:
    head, *tail = word.split("_")
    return head + "".join(t.capitalize() for t in tail)


_STYLES: dict[str, Callable[[str], str]] = {
    "words": str,
    "snake": str,
    "camel": _camel,
    "pascal": lambda w: "".join(t.capitalize() for t in w.split("_")),
    "upper": str.upper,
    "kebab": lambda w: w.replace("_", "-"),
}


def _style(scene: Scene) -> str:
    return pick(scene.rng, ("words", "snake", "snake", "camel", "camel", "pascal", "upper"))


def _machine_style(scene: Scene) -> str:
    return pick(scene.rng, ("snake", "snake", "camel", "kebab", "upper"))


def _joined(parts: Sequence[Sequence[Piece]], joint: str) -> list[Piece]:
    out: list[Piece] = []
    for index, part in enumerate(parts):
        if index and joint:
            out.append(Piece(joint))
        out.extend(part)
    return out


def form(scene: Scene, rows: list[Row]) -> list[Piece]:
    """Label and value, one or several a line; fields left blank in between."""
    rng, row = scene.rng, rows[0]
    names = _keys(scene, rows, "words")
    shapes = {
        "zh": ("{}：", "{}：", "{}:", "{}: ", "【{}】", "{} ", "{}\t", "{}＝", "□{}：", "*{}："),
        "en": ("{}: ", "{}: ", "{}:", "{} - ", "{}\t", "[{}] ", "{} = ", "* {}: ", "{}\n"),
    }
    shape = pick(rng, shapes[scene.language])
    parts = [[Piece(shape.format(name)), piece] for name, piece in zip(names, row, strict=True)]
    if rng.random() < 0.2:
        blank = scene.value(Slot("placeholder"))
        parts.insert(
            number(rng, 0, len(parts)),
            [Piece(shape.format(scene.label(Piece("x", None, "", "remark")))), blank],
        )
    out = _joined(parts, pick(rng, ("\n", "\n", "\n", "  ", "；", " | ", ", ", "\n\n")))
    if rng.random() < 0.3:
        out = [*scene.fill(scene.book.expand(scene.language, "heading_form", rng)), Piece("\n"), *out]
    return out


def json_object(scene: Scene, rows: list[Row]) -> list[Piece]:
    """An object or an array of objects, compact or indented."""
    rng = scene.rng
    names, style = _keys(scene, rows, _style(scene)), rng.random()
    gap, colon, last = (
        ("\n  ", ": ", "\n") if style < 0.4 else ("", ":", "") if style < 0.7 else (" ", ": ", "")
    )
    objects: list[list[Piece]] = []
    for row in rows:
        members: list[Piece] = []
        for index, (key, piece) in enumerate(zip(names, row, strict=True)):
            lead = "," + gap if index else gap if last else ""
            head = f"{lead}{json.dumps(key, ensure_ascii=False)}{colon}"
            members.extend([Piece(head + '"'), piece, Piece('"')])
        objects.append([Piece("{"), *members, Piece(last + "}")])
    if len(objects) > 1:
        return [Piece("["), *_joined(objects, ", "), Piece("]")]
    if rng.random() < 0.3:
        return [
            Piece('{"' + pick(rng, ("data", "user", "result", "payload", "customer")) + '": '),
            *objects[0],
            Piece("}"),
        ]
    return objects[0]


def xml(scene: Scene, rows: list[Row]) -> list[Piece]:
    """Elements, or one element with attributes."""
    rng = scene.rng
    names = _keys(scene, rows, pick(rng, ("snake", "camel", "pascal")))
    root = pick(rng, ("record", "user", "person", "item", "customer", "Row"))
    if rng.random() < 0.25:
        elements = [
            [
                Piece(f"<{root}"),
                *_joined([[Piece(f' {n}="'), p, Piece('"')] for n, p in zip(names, row, strict=True)], ""),
                Piece("/>"),
            ]
            for row in rows
        ]
    else:
        gap = pick(rng, ("", "\n  "))
        elements = [
            [
                Piece(f"<{root}>"),
                *_joined(
                    [[Piece(f"{gap}<{n}>"), p, Piece(f"</{n}>")] for n, p in zip(names, row, strict=True)], ""
                ),
                Piece(f"{gap.rstrip(' ')}</{root}>"),
            ]
            for row in rows
        ]
    out = _joined(elements, "\n")
    return [Piece('<?xml version="1.0" encoding="UTF-8"?>\n'), *out] if rng.random() < 0.3 else out


def csv(scene: Scene, rows: list[Row]) -> list[Piece]:
    """A header and rows; fields that hold the separator are quoted."""
    rng = scene.rng
    separator = pick(rng, (",", ",", ",", ";", "\t", "|"))
    always = rng.random() < 0.25
    lines: list[list[Piece]] = []
    if rng.random() < 0.85:
        lines.append([Piece(separator.join(_keys(scene, rows, _style(scene))))])
    for row in rows:
        cells = []
        for piece in row:
            mark = '"' if always or any(c in piece.text for c in (separator, '"', "\n")) else ""
            cells.append([Piece(mark), piece, Piece(mark)] if mark else [piece])
        lines.append(_joined(cells, separator))
    return _joined(lines, "\n")


def table(scene: Scene, rows: list[Row]) -> list[Piece]:
    """A Markdown table, or columns of spaces."""
    rng = scene.rng
    names = _keys(scene, rows, pick(rng, ("words", "words", "snake")))
    if rng.random() < 0.6:
        rule = "|" + "|".join(pick(rng, ("---", ":--")) for _ in names) + "|"
        lines = [[Piece("| " + " | ".join(names) + " |")], [Piece(rule)]]
        lines += [[Piece("| "), *_joined([[p] for p in row], " | "), Piece(" |")] for row in rows]
    else:
        gap = pick(rng, ("\t", "    ", "  "))
        lines = [[Piece(gap.join(names))], *(_joined([[p] for p in row], gap) for row in rows)]
    return _joined(lines, "\n")


def log(scene: Scene, rows: list[Row]) -> list[Piece]:
    """Lines of a service's log with key=value pairs."""
    rng = scene.rng
    names = _keys(scene, rows, _machine_style(scene))
    equals, gap = pick(rng, (("=", " "), ("=", ", "), (":", " "), ('="', '" '), (": ", "; ")))
    lines: list[list[Piece]] = []
    for row in rows:
        head = [scene.value(Slot("stamp"))] if rng.random() < 0.8 else [Piece("-")]
        level = pick(rng, ("INFO", "WARN", "ERROR", "DEBUG", "[INFO]", "[error]", "<6>"))
        place = pick(
            rng,
            (
                "auth",
                "UserService",
                "[http-nio-8080-exec-3]",
                "gateway",
                "api",
                "order-svc",
                "c.x.LoginController",
                "sshd[2211]:",
                "nginx",
                "worker-7",
            ),
        )
        event = pick(
            rng,
            (
                "login ok",
                "request",
                "update user",
                "failed to send",
                "create record",
                "登录成功",
                "校验失败",
                "sync done",
                "payment callback",
                "profile saved",
            ),
        )
        pairs = [[Piece(name + equals), p] for name, p in zip(names, row, strict=True)]
        closing = '"' if equals.endswith('"') else ""
        lines.append(
            [
                *head,
                Piece(f" {level} {place} {event} "),
                *_joined(pairs, gap),
                *([Piece(closing)] if closing else []),
            ]
        )
    return _joined(lines, "\n")


def settings(scene: Scene, rows: list[Row]) -> list[Piece]:
    """YAML, .env, ini and properties files."""
    rng, row = scene.rng, rows[0]
    names = _keys(scene, rows, _machine_style(scene))
    shape = pick(rng, ("{}: ", "{}=", "{} = ", 'export {}="', "{}: '", "  {}: "))
    tail = shape[-1] if shape[-1] in "\"'" else ""
    lines = [
        [Piece(shape.format(n)), p, *([Piece(tail)] if tail else [])] for n, p in zip(names, row, strict=True)
    ]
    head = pick(rng, ("", "", "[user]\n", "# config\n", "---\n", "user:\n"))
    return [*([Piece(head)] if head else []), *_joined(lines, "\n")]


def code(scene: Scene, rows: list[Row]) -> list[Piece]:
    """A line or two of source code: a dictionary, a call, assignments, a test, a shell command."""
    rng, row = scene.rng, rows[0]
    names = _keys(scene, rows, pick(rng, ("snake", "camel")))
    mark = pick(rng, "\"'")
    shape = int(rng.random() * 4)
    if shape == 0:
        head, tail, joint = f"{pick(rng, ('user', 'data', 'payload', 'row'))} = {{", "}", ", "
        pairs = [[Piece(f"{mark}{n}{mark}: {mark}"), p, Piece(mark)] for n, p in zip(names, row, strict=True)]
    elif shape == 1:
        head, tail, joint = (
            f"{pick(rng, ('create_user', 'User', 'sendSms', 'client.register', 'assert_valid'))}(",
            ")",
            ", ",
        )
        pairs = [[Piece(f"{n}={mark}"), p, Piece(mark)] for n, p in zip(names, row, strict=True)]
    elif shape == 2:
        keyword = pick(rng, ("", "const ", "String ", "var ", "let "))
        end = ";" if keyword else ""
        head, tail, joint = pick(rng, ("", "// test data\n", "# TODO: remove\n", "/* fixture */\n")), "", "\n"
        pairs = [
            [Piece(f"{keyword}{n} = {mark}"), p, Piece(mark + end)] for n, p in zip(names, row, strict=True)
        ]
    else:
        head, tail, joint = "curl -X POST http://localhost:8080/api/users", "", ""
        pairs = [[Piece(f" -d {mark}{n}="), p, Piece(mark)] for n, p in zip(names, row, strict=True)]
    out = [Piece(head), *_joined(pairs, joint), Piece(tail)]
    return [p for p in out if p.text]


def sql(scene: Scene, rows: list[Row]) -> list[Piece]:
    """INSERT with its rows, or SELECT and UPDATE by a value."""
    rng = scene.rng
    names = _keys(scene, rows, "snake")
    target = pick(rng, ("users", "t_customer", "patient", "orders", "sys_user", "members"))
    if rng.random() < 0.65:
        tuples = [[Piece("('"), *_joined([[p] for p in row], "', '"), Piece("')")] for row in rows]
        return [
            Piece(f"INSERT INTO {target} ({', '.join(names)}) VALUES "),
            *_joined(tuples, ", "),
            Piece(";"),
        ]
    verb = pick(
        rng,
        (
            f"SELECT * FROM {target} WHERE ",
            f"UPDATE {target} SET status = 1 WHERE ",
            f"DELETE FROM {target} WHERE ",
        ),
    )
    pairs = [[Piece(f"{n} = '"), p, Piece("'")] for n, p in zip(names, rows[0], strict=True)]
    return [Piece(verb), *_joined(pairs, " AND "), Piece(";")]


def url(scene: Scene, rows: list[Row]) -> list[Piece]:
    """A web address whose query holds the values; perhaps in a request line."""
    rng, row = scene.rng, rows[0]
    names = _keys(scene, rows, _machine_style(scene))
    host = pick(
        rng, ("api.example.com", "m.shop.test", "localhost:8080", "open.service.internal", "www.site.test")
    )
    path = pick(rng, ("/v1/user", "/login", "/query", "/bind/phone", "/api/member/detail", "/verify"))
    pairs = [[Piece(f"{n}="), p] for n, p in zip(names, row, strict=True)]
    shape = rng.random()
    head = f"GET {path}?" if shape < 0.3 else f"{pick(rng, ('https', 'http'))}://{host}{path}?"
    tail = " HTTP/1.1" if shape < 0.3 else ""
    return [Piece(head), *_joined(pairs, "&"), *([Piece(tail)] if tail else [])]


LAYOUTS: dict[str, Layout] = {
    "form": form,
    "json": json_object,
    "xml": xml,
    "csv": csv,
    "table": table,
    "log": log,
    "settings": settings,
    "code": code,
    "sql": sql,
    "url": url,
}
"""Structured carriers by name."""

ESCAPES: dict[str, Callable[[str], str]] = {
    "json": lambda text: json.dumps(text, ensure_ascii=False)[1:-1],
    "xml": lambda text: escape(text, {'"': "&quot;"}),
    "csv": lambda text: text.replace('"', '""'),
    "sql": lambda text: text.replace("'", "''"),
    "code": lambda text: json.dumps(text, ensure_ascii=False)[1:-1].replace("'", "\\'"),
    "url": lambda text: quote(text, safe="@:+-._~"),
}
"""How a carrier writes a value; the others write it as it is."""

UNBEARABLE: dict[str, frozenset[str]] = {
    **dict.fromkeys(LAYOUTS, frozenset({"line_broken"})),
    # Percent-encoding would leave nothing of a wide, invisible or spaced spelling to recognise.
    "url": frozenset(
        {"line_broken", "fullwidth", "chinese_digits", "zero_width", "spaced", "spread", "dashed"}
    ),
}
"""Surface forms that a layout cannot hold."""
