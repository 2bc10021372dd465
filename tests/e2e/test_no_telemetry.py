"""Libraries that would report to their makers are kept from it: nothing is written into the home of who runs them."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tcmstruct.runtime import backends

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.parametrize("script", ["from tcmstruct import structure; structure('咳嗽3天，舌红。')",
                                    "import benchmarks.machine, onnxruntime; benchmarks.machine.matrix_rates(((8, 8, 8),), 0)"])
def test_the_runtime_leaves_no_trace_of_telemetry(tmp_path, script):
    """onnxruntime's uploader makes its store when a session is made; without the store there is no uploader."""
    clean = {k: v for k, v in os.environ.items() if k not in ("ORT_DISABLE_TELEMETRY", "XDG_CACHE_HOME")}
    done = subprocess.run([sys.executable, "-c", script], cwd=ROOT, env={**clean, "HOME": str(tmp_path)}, capture_output=True, text=True,
                          timeout=300)
    assert done.returncode == 0, done.stderr[-500:]
    assert [str(p) for p in tmp_path.rglob("*") if "onnxruntime" in p.name or "Microsoft" in p.name] == []


@pytest.mark.skipif(not backends.find_spec("openvino"), reason="the extra [openvino] is not installed")
def test_openvino_asks_for_no_network_and_writes_nothing_into_the_home(tmp_path):
    script = ("import os, socket, sys\n"
              "def asked(*a, **k): os._exit(7)\n"
              "socket.socket.connect = socket.getaddrinfo = socket.create_connection = asked\n"
              "from tcmstruct.runtime import backends\n"
              "backends._openvino_capabilities()\n"
              "assert not any(name.startswith('openvino_telemetry.') for name in sys.modules)\n")
    done = subprocess.run([sys.executable, "-c", script], cwd=ROOT, env={**os.environ, "HOME": str(tmp_path)}, capture_output=True,
                          text=True, timeout=300)
    assert done.returncode == 0, done.stderr[-500:]
    assert list(tmp_path.iterdir()) == []
