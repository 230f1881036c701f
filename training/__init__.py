"""Fine-tunes a model on rendered examples and writes a model folder."""
