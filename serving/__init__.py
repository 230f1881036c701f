"""The extractor, its engines, the HTTP service and the batch commands."""
