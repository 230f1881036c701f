"""A guard before any OpenAI-compatible server: no value of a chat leaves, and the answer has them all again.

    client ── chat request ──► placeholders ──► upstream
    client ◄── answer with values ◄── placeholders ◄──┘

`messages` knows where texts stand in requests and answers, `placeholders` what takes the place of a value,
`streaming` answers that come in pieces, `upstream` the other server.
"""
