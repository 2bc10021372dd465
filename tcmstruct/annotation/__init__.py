"""Annotations of others and ours: one shape between all formats, and a check of what most often goes wrong, offsets (docs/annotation.md).

    from tcmstruct.annotation import FORMATS, check
    for record in FORMATS["label-studio"].read(Path("export.json")):
        print(record.id, [finding.code for finding in check(record).findings])
"""

from tcmstruct.annotation.annotated import Annotated, Span, require_sound
from tcmstruct.annotation.check import CODES, Checked, Finding, Summary, check, check_all
from tcmstruct.annotation.formats import FORMATS, Format, guess, named

__all__ = ["CODES", "FORMATS", "Annotated", "Checked", "Finding", "Format", "Span", "Summary", "check", "check_all", "guess", "named",
           "require_sound"]
