"""Values of every entity type: checksum-valid, of real structure, drawn from a seeded generator.

One module per family; each registers its providers with :mod:`data_pipeline.values.registry`. A provider
draws one value for one person in its usual spelling; other spellings are `data_pipeline.surface`'s matter.
"""

from data_pipeline.values import (
    addresses,
    attributes,
    credentials,
    dates,
    documents,
    finance,
    lookalikes,
    members,
    names,
    online,
    phones,
    places,
    vehicles,
)
from data_pipeline.values.registry import Draw, Value, draw_value, kinds, providers, slots

__all__ = [
    "Draw",
    "Value",
    "addresses",
    "attributes",
    "credentials",
    "dates",
    "documents",
    "draw_value",
    "finance",
    "kinds",
    "lookalikes",
    "members",
    "names",
    "online",
    "phones",
    "places",
    "providers",
    "slots",
    "vehicles",
]
