"""Labelled sources in the formats of their publishers, read as documents in the product's own types.

files          bytes to rows, wherever they lie: plain, gzip, parquet, a folder, a hub
card           what is known of a source: licence, format, fields, label map (`cards/*.yaml`)
offsets        claimed places to proven ones: inclusive ends, UTF-16 and UTF-8 offsets
labels         a source's labels to our types; name and address parts to one span
formats        a row of a format to labelled text (spans, tokens, exports)
source         all of it together: a card and a place to documents and refusals
"""
