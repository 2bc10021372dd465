from pathlib import Path

import pytest

from tcmstruct.batch.chunks import BATCH_CODES
from tcmstruct.batch.run import RUN_NOTES
from tcmstruct.emr.reader import FILE_NOTES
from tcmstruct.emr.rows import REJECT_CODES, WARNING_CODES

PAGE = (Path(__file__).parents[3] / "docs" / "formats.md").read_text("utf-8")
CODES = {**REJECT_CODES, **BATCH_CODES, **WARNING_CODES, **FILE_NOTES, **RUN_NOTES}


@pytest.mark.parametrize("code", CODES)
def test_every_code_stands_in_the_page_with_its_meaning(code):
    assert f"| `{code}` | {CODES[code]} |" in PAGE
