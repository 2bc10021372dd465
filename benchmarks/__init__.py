"""What tcmstruct is measured against, and on which machine. Run from the repository: `python -m benchmarks.accuracy`."""

import tcmstruct  # noqa: F401  # before anything loads onnxruntime: switches its telemetry off
