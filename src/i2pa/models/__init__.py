"""Architectures, the saved model file, the engine that runs it, and caches of its outputs.

Knows pixels and arrays; never posts, users or pairs.
"""
