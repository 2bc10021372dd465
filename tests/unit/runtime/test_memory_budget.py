"""How the memory limit becomes a batch size, with and without photographs."""

import pytest

from tcmstruct.errors import UsageError
from tcmstruct.image.decode import MAX_WORKING_BYTES
from tcmstruct.image.paths import MAX_FILE_BYTES
from tcmstruct.runtime import memory

MIB = 2**20


@pytest.fixture(autouse=True)
def resident(monkeypatch):
    monkeypatch.setattr(memory, "resident_bytes", lambda: 150 * MIB)


def test_without_a_limit_the_batch_has_its_default_size():
    assert memory.chars_per_batch(None) == memory.chars_per_batch(None, memory.PHOTO_BYTES) == memory.MAX_CHARS_PER_BATCH


def test_what_a_photo_takes_is_taken_off_the_text():
    limit = 200 * MIB
    plain = memory.chars_per_batch(limit)
    assert plain == 50 * MIB // memory.BYTES_PER_CHAR < memory.MAX_CHARS_PER_BATCH
    assert memory.chars_per_batch(limit + memory.PHOTO_BYTES, memory.PHOTO_BYTES) == plain
    with pytest.raises(UsageError, match=r"a photograph need 417 MB") as refused:
        memory.chars_per_batch(limit, memory.PHOTO_BYTES)
    assert refused.value.code == "memory_limit_too_small"


def test_the_costliest_photo_that_is_let_through_fits_in():
    assert memory.PHOTO_BYTES >= MAX_WORKING_BYTES + MAX_FILE_BYTES
