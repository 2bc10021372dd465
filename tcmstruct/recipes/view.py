"""`tcmstruct view OUT -o F.html`: a page on which a person reads records beside their fields and photographs."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from tcmstruct.batch.progress import Progress, progress_for
from tcmstruct.errors import UsageError
from tcmstruct.image.refusal import ImageRefused
from tcmstruct.record import StructuredRecord
from tcmstruct.report import write_view

if TYPE_CHECKING:
    from tcmstruct.report.photo import PhotoShown


def view(out: Path, html: Path, limit: int = 200, ids: list[str] | None = None, image_root: Path | None = None,
         identified: bool = False) -> Path:
    """Writes the reader's page; it opens in any browser and needs no network.

    Args:
        out: folder of `convert`, a `records.jsonl`, or a JSON file with one StructuredRecord.
        html: page to write (mode 0600, replaced as a whole).
        limit: most records on the page, from the first; 200 make a page of under 3 MB, with photographs under 12 MB.
        ids: only these records.
        image_root: folder of the tongue photographs; None shows none. One that cannot be opened any more is named on
            the page, and the rest goes on.
        identified: show names, numbers and dates as they are; otherwise they are replaced.

    Returns:
        `html`.

    Raises:
        UsageError: `limit` is below 1, an id is not there, or `image_root` is no folder.
        InputRefused: `out` cannot be read as records.
        ModelError: the model of the photographs is missing or altered.
    """
    if image_root is None:
        return write_view(Path(out), Path(html), limit, ids, identified=identified)
    if not image_root.is_dir():
        raise UsageError("no such folder", where="--image-root", code="not_a_folder",
                         hint="give the folder that the paths of the photographs start from")
    with progress_for() as progress:
        return write_view(Path(out), Path(html), limit, ids, _told(_photos(image_root), progress), identified=identified)


def _photos(image_root: Path) -> Callable[[StructuredRecord], PhotoShown | None]:
    """Looks at the photographs that records name, each when its record is read, and at where its mentions looked."""
    from tcmstruct.pipeline import Structurer
    from tcmstruct.report.photo import photo_of

    structurer = Structurer(image_root=image_root)
    return lambda record: photo_of(structurer, record, image_root)


def _told(photos: Callable[[StructuredRecord], PhotoShown | None],
          progress: Progress) -> Callable[[StructuredRecord], PhotoShown | None]:
    """The same, and says how far it is."""
    done = refused = 0

    def show(record: StructuredRecord) -> PhotoShown | None:
        nonlocal done, refused
        done += 1
        try:
            return photos(record)
        except ImageRefused:
            refused += 1
            raise
        finally:
            progress.step(done, refused, None)

    return show
