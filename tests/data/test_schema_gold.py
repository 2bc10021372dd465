"""The shipped packs on the gold records of part B, whose errors were not read while the words were chosen."""

from __future__ import annotations

import importlib.util
import os
from pathlib import Path
from types import ModuleType

import pytest

from tcmstruct.schema import load_schema

ROOT = Path(__file__).parents[2]
DATA = Path(os.environ.get("TCMSTRUCT_DATA", ROOT.parent / "shared" / "data"))
pytestmark = [pytest.mark.data,
              pytest.mark.skipif(not (DATA / "gold" / "train.jsonl").exists(),
                                 reason="needs the gold set: TCMSTRUCT_DATA")]


@pytest.fixture(scope="module")
def bench() -> ModuleType:
    spec = importlib.util.spec_from_file_location("schema_fields", ROOT / "benchmarks" / "schema_fields.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize(("mode", "source", "floor"), [
    ("oracle", "tcmchat", 0.975), ("noisy", "tcmchat", 0.97), ("none", "tcmchat", 0.965),
    ("none", "tcmeval_sdt", 0.90), ("none", "best4sdt", 0.90),
])
def test_value_micro_f1(bench: ModuleType, mode: str, source: str, floor: float) -> None:
    schema = load_schema("all")
    rows = [r for r in bench.records("train") if bench.part(r["id"]) == "B" and r["source"] == source]
    pairs = []
    for r in rows:
        found = schema.extract(r["text"], bench.mentions(r, mode))
        assert all(r["text"][v.start : v.end] == v.evidence for v in found.values())
        pairs.append(({n: v["value"] for n, v in r["fields"].items()}, {n: v.value for n, v in found.items()}))
    assert bench.summary(bench.score(pairs))[0] >= floor
