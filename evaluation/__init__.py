"""Measures what serving really does."""
