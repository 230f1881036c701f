"""Other people's detectors, asked about the same documents and scored by the same scorer.

``adapters/`` holds one small class a peer and what its labels mean (YAML); `worker` runs one in a process of
its own, with any Python interpreter; `card`, `process`, `http` and `prompted` are this side of it.
"""
