"""Why a photograph is not looked at at all; the text beside it is still processed."""

from __future__ import annotations

from types import MappingProxyType

from tcmstruct.errors import InputRefused

REASONS = MappingProxyType({
    "path_url": "a web address is not fetched",
    "path_absolute": "an absolute path is not followed",
    "path_unc": "a network path is not followed",
    "path_traversal": "the path leads upward",
    "path_invalid": "the path is empty or holds a control character",
    "path_outside_root": "the path ends outside of the image folder (by a link)",
    "not_found": "no such file",
    "not_a_file": "it is not an ordinary file",
    "unreadable": "the file may not be read",
    "file_empty": "the file has 0 bytes",
    "file_too_large": "the file is too large",
    "format_unsupported": "it is not a JPEG, PNG or WebP image",
    "too_many_pixels": "the image has too many pixels",
    "too_few_pixels": "the image has too few pixels",
    "truncated": "the file ends before the image does",
    "damaged": "the file cannot be decoded",
})
"""Stable reason → what happened. A path is never repeated: file names often hold the patient's name."""

_HINTS = MappingProxyType({
    "path_url": "download the photographs into the image folder",
    "path_absolute": "name the photo relative to the image folder",
    "path_unc": "name the photo relative to the image folder",
    "path_traversal": "name the photo relative to the image folder",
    "path_outside_root": "copy the photographs into the image folder",
    "format_unsupported": "save the photograph as JPEG",
    "too_many_pixels": "export the photograph at 12 megapixels or less",
    "file_too_large": "export the photograph as JPEG",
})


class ImageRefused(InputRefused):
    """A photograph cannot be used; the pipeline answers `tongue: null` with this reason and goes on with the text.

    Args:
        reason: one of `REASONS`.
        detail: found against allowed, without path or content.
    """

    default_code = "image_refused"

    def __init__(self, reason: str, detail: str = "") -> None:
        what = REASONS[reason]
        super().__init__(f"photo: {what} ({detail})" if detail else f"photo: {what}", code=reason, hint=_HINTS.get(reason, ""))

    @property
    def reason(self) -> str:
        return self.code
