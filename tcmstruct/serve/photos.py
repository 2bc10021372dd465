"""The photograph of a record under review, looked at in a worker process."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tcmstruct.image.refusal import ImageRefused
from tcmstruct.record import StructuredRecord


def seen_photo(structurer: Any, record: StructuredRecord, root: str) -> Any:
    """A `report.photo.PhotoShown`, None where the record names no photograph, or the reason why it cannot be shown."""
    from tcmstruct.report.photo import photo_of

    try:
        return photo_of(structurer, record, Path(root))
    except ImageRefused as refused:
        return refused.reason
