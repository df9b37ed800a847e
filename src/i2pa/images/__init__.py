"""From picture files to the pixels a model sees, and plain statistics of those pixels.

Knows nothing of models or scores.
"""
