from pathlib import Path

import pytest

from tcmstruct.batch.chunks import BATCH_CODES
from tcmstruct.batch.run import RUN_NOTES
from tcmstruct.emr.reader import FILE_NOTES
from tcmstruct.emr.rows import REJECT_CODES, WARNING_CODES
from tcmstruct.image import quality, refusal

PAGE = (Path(__file__).parents[3] / "docs" / "formats.md").read_text("utf-8")
CODES = {**REJECT_CODES, **BATCH_CODES, **WARNING_CODES, **FILE_NOTES, **RUN_NOTES}

PHOTOS = (Path(__file__).parents[3] / "docs" / "tongue-photos.md").read_text("utf-8")


@pytest.mark.parametrize("code", CODES)
def test_every_code_stands_in_the_page_with_its_meaning(code):
    assert f"| `{code}` | {CODES[code]} |" in PAGE


@pytest.mark.parametrize("reason", [*quality.REASONS, *refusal.REASONS, "failed"])
def test_every_reason_a_photo_is_not_used_for_stands_in_its_page(reason):
    assert f"`{reason}`" in PHOTOS
