"""One module a peer, loaded by `evaluation.peers.worker` in the peer's own interpreter.

So a module here imports the standard library and its peer, and nothing of this program. It has a class
``Adapter``: its constructor takes the options of the recipe by name and loads the peer; ``labels`` lists what
the peer can say, in its own words; ``find(text, language)`` yields ``(start, end, label)`` in code points,
ends exclusive. Beside it lies ``<name>.yaml``: what the labels mean in our types (`evaluation.peers.card`).
"""
