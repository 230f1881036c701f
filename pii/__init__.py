"""The shared words: entity types, spans, the prompt and answer format, grounding, identifiers.

Needs nothing heavier than small pure-Python libraries; knows no room above it.
"""
