"""How a memory limit becomes the size of a batch: the fit, its cache, the budget."""

import json
import os
import stat
from dataclasses import asdict
from pathlib import Path

import pytest

from tcmstruct.errors import UsageError
from tcmstruct.image.decode import MAX_WORKING_BYTES
from tcmstruct.image.paths import MAX_FILE_BYTES
from tcmstruct.runtime import memory, memory_fit
from tcmstruct.runtime.memory import BatchMemory
from tcmstruct.runtime.model_folder import DEFAULT_FOLDER

MIB = 2**20
MODEL = DEFAULT_FOLDER / "model.onnx"
linux = pytest.mark.skipif(not Path("/proc/self/clear_refs").exists(), reason="largest resident sets are read from /proc")


def points(per_char, per_pair, fixed, shapes=memory_fit.SHAPES):
    return [(b, chars, int(per_char * b * chars + per_pair * b * chars**2 + fixed)) for b, chars in shapes]


@pytest.mark.parametrize("true", [(9_000, 36, 500_000), (20_000, 0, 3_000_000), (5_000, 100, 0)])
def test_the_fit_finds_what_made_the_points(true):
    found = memory_fit.fitted_to(points(*true))
    assert (found.per_char, found.per_pair, found.fixed) == pytest.approx(true, rel=1e-3, abs=2)
    assert found.source == "fitted"


def test_no_measured_batch_lies_above_the_fit():
    measured = [(b, chars, int(grown * (1.2 if n % 2 else 0.9))) for n, (b, chars, grown) in enumerate(points(9_000, 36, 500_000))]
    found = memory_fit.fitted_to(measured)
    assert all(found.bytes(b, chars) >= grown for b, chars, grown in measured)
    assert min(found.per_char, found.per_pair, found.fixed) >= 0


@pytest.mark.parametrize("bad", [[(b, chars, 0) for b, chars in memory_fit.SHAPES], points(1, 0, 0), points(1e9, 0, 0)])
def test_points_that_no_batch_makes_are_refused(bad):
    with pytest.raises(ValueError, match=r"batch"):
        memory_fit.fitted_to(bad)


def test_a_batch_that_fits_is_the_largest_that_does():
    model = BatchMemory(9_000, 36, 1_000_000, "fitted")
    for chars in (16, 64, 256, 512):
        for room in (20 * MIB, 50 * MIB, 200 * MIB):
            n = model.windows(room, chars)
            assert model.bytes(n, chars) <= room < model.bytes(n + 1, chars)
    assert model.windows(50 * MIB, 64) * 64 > 2 * model.windows(50 * MIB, 512) * 512  # pairs of characters count
    assert model.windows(0, 512) == 1  # a window is never cut


@pytest.fixture
def resident(monkeypatch):
    monkeypatch.setattr(memory, "resident_bytes", lambda: 150 * MIB)


@pytest.mark.parametrize("photos", [False, True])
def test_a_limit_below_the_smallest_batch_is_refused_with_both_numbers(resident, photos):
    batch = BatchMemory(10_000, 40, 0, "fitted")
    least = 150 * MIB + (memory.PHOTO_BYTES if photos else memory.WORK_BYTES) + batch.bytes(1, memory.MIN_CHARS_PER_BATCH)
    found = memory.budget(least, batch, photos)
    assert found.windows(memory.MIN_CHARS_PER_BATCH) == 1 < found.windows(64)
    assert found.to_dict() == {"limit_bytes": least, "loaded_bytes": 150 * MIB, "reserved_bytes": least - found.room_bytes - 150 * MIB,
                               "bytes_per_char": 10_000, "bytes_per_pair": 40, "bytes_fixed": 0, "margin": memory.MARGIN,
                               "source": "fitted"}
    what = "the model and a photograph need" if photos else "the model needs"
    with pytest.raises(UsageError, match=rf"is {(least - 1) // MIB} MB a process, {what} {least // MIB + 1} MB") as refused:
        memory.budget(least - 1, batch, photos)
    assert refused.value.code == "memory_limit_too_small"


def test_the_costliest_photo_that_is_let_through_fits_in():
    assert memory.PHOTO_BYTES >= MAX_WORKING_BYTES + MAX_FILE_BYTES


@pytest.fixture
def cache(monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    return tmp_path / "tcmstruct" / "memory.json"


@pytest.fixture
def fits(monkeypatch):
    made = []
    monkeypatch.setattr(memory_fit, "fit", lambda model, threads, backend: (made.append(threads)
                                                                        or BatchMemory(9_000 + len(made), 36, 0, "fitted")))
    return made


def test_a_fit_is_remembered_for_its_model_and_threads(cache, fits):
    first = memory_fit.remembered_fit(MODEL, "a", 1)
    assert memory_fit.remembered_fit(MODEL, "a", 1) == first
    assert len({memory_fit.remembered_fit(MODEL, sha, threads) for sha, threads in (("a", 1), ("a", 2), ("b", 1))}) == 3
    assert fits == [1, 2, 1]
    if os.name == "posix":
        assert stat.S_IMODE(cache.stat().st_mode) == 0o600
    assert [path.name for path in cache.parent.iterdir()] == ["memory.json"]


def test_another_onnxruntime_is_fitted_anew(cache, fits, monkeypatch):
    memory_fit.remembered_fit(MODEL, "a", 1)
    monkeypatch.setattr(memory_fit.backends, "versions", lambda: ("0.0",))
    memory_fit.remembered_fit(MODEL, "a", 1)
    assert len(fits) == 2


@pytest.mark.parametrize("damage", [b"", b"{", b"[]", b"\xff", "entry: 5", "entry: {}", "per_char: null", "per_char: -1", "per_char: NaN",
                                    "other: 1", "source: \"constants\""])
def test_a_damaged_cache_is_ignored_and_replaced(cache, fits, damage):
    memory_fit.remembered_fit(MODEL, "a", 1)
    if isinstance(damage, str):
        what, _, value = damage.partition(": ")
        known = json.loads(cache.read_text())
        (key,) = known
        value = json.loads(value)
        known[key] = value if what == "entry" else {**known[key], what: value}
        damage = json.dumps(known).encode()
    cache.write_bytes(damage)
    found = memory_fit.remembered_fit(MODEL, "a", 1)
    assert found.per_char == 9_002
    assert asdict(found) in json.loads(cache.read_text()).values()


def test_constants_stand_in_and_are_not_remembered(cache, tmp_path):
    broken = tmp_path / "model.onnx"
    broken.write_bytes(b"no model")
    assert memory_fit.remembered_fit(broken, "a", 1) == BatchMemory() == memory_fit.fit(tmp_path / "missing.onnx")
    assert not cache.exists()


@linux
def test_the_shipped_model_is_fitted_and_the_constants_are_of_its_size(cache):
    found = memory_fit.remembered_fit(MODEL, "a", 1)
    assert found.source == "fitted"
    for windows, chars in ((48, 64), (6, 512)):
        assert 0.4 < found.bytes(windows, chars) / BatchMemory().bytes(windows, chars) < 2.5
