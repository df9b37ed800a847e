"""Architectures, the saved model file, the engine that runs it, and caches of its outputs.

Knows pixels and arrays; never posts, users or pairs.
"""

import os

# onnxruntime 1.32 counts its uses and sends them home unless told not to before it is imported.
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
