"""Files of a batch job: where they are, how they are cut into records, how records are written back.

    addresses → compression → format.pieces → piece → format.records → records with slots
    edits of slots → format.written → format.assembled → shard

A format changes the looked-through texts of a record alone; all else keeps its bytes, or, in tables and
documents with a schema, its value and type.
"""
