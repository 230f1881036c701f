"""Makes examples: readers of labelled sources, synthesis, mixing, splits, rendering."""
