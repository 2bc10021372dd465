"""What kind of file it is, by its bytes; the suffix is not asked.

`FORMATS` is the table: asked from top to bottom, the first that recognises the head of the file has it. What reads it
stands beside it as "module:function", so that a format's libraries are loaded only when such a file comes.
"""

from __future__ import annotations

import codecs
import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property, partial
from importlib import import_module
from pathlib import Path
from typing import Any, Literal

from tcmstruct.emr.encoding import decide
from tcmstruct.emr.source import Given
from tcmstruct.errors import InputRefused

HEAD_BYTES = 65_536
"""What is looked at. XML and pretty-printed JSON may say late what they are."""

_TEXT_BYTES = 4096
_CONTROLS = bytes(set(range(32)) - set(b"\t\n\v\f\r\x1a\x1b"))
_CONTROLS_ALLOWED = 4
_CONTROL_SHARE_ALLOWED = 0.02
_BLANKS = b" \t\r\n"
_WIDE = {codecs.BOM_UTF16_LE: "utf-16-le", codecs.BOM_UTF16_BE: "utf-16-be"}


@dataclass
class Head:
    """The beginning of a file.

    Attributes:
        bytes: as they are.
        text: without byte order mark and blanks before the first character; UTF-16 with a mark as UTF-8.
        path: the file, for a format whose sign lies elsewhere (the directory of a zip).
        encoding: the encoding that the user named, or that of a byte order mark; control bytes prove nothing then.
    """

    bytes: bytes
    text: bytes
    path: Path
    encoding: str | None

    @cached_property
    def zip_kind(self) -> str:
        """What a zip file holds, "" for another file."""
        return _call("archive:zip_kind")(self.path) if self.bytes.startswith((b"PK\x03\x04", b"PK\x05\x06")) else ""

    @cached_property
    def prose(self) -> str:
        """The text in the encoding that it seems to be in, "" where it seems to be none."""
        try:
            name = self.encoding or decide(self.bytes).name
        except InputRefused:
            return ""
        return self.bytes.decode(name, "replace")


@dataclass(frozen=True, slots=True)
class Format:
    """A format that is read.

    Attributes:
        name: for people and the manifest.
        recognise: whether the head of a file is of this format.
        kind: "tables" (rows under a header), "records", "archive" or "empty".
        reader: "module:function" within this package, see `source.TableReader`, `source.RecordReader` and `archive.unpack`.
        plain: what is recognised could be any text, or none: what is known by name or holds control bytes is refused.
    """

    name: str
    recognise: Callable[[Head], bool]
    kind: Literal["tables", "records", "archive", "empty"]
    reader: str = ""
    plain: bool = False


@dataclass(frozen=True, slots=True)
class Foreign:
    """A format that is recognised in order to refuse it by name."""

    magic: bytes
    name: str
    hint: str


PICTURES: tuple[bytes, ...] = (b"\x89PNG", b"\xff\xd8\xff", b"GIF8", b"BM", b"RIFF")
_PICTURE = ("a picture", "a photograph is named in a column of the table, not given as an input")
FOREIGN: tuple[Foreign, ...] = (
    Foreign(b"%PDF", "a PDF", "export the records as CSV, XLSX or JSON Lines"),
    Foreign(b"7z\xbc\xaf", "a 7z archive", "unpack it first"),
    Foreign(b"Rar!", "a RAR archive", "unpack it first"),
    Foreign(b"SQLite format 3", "an SQLite database", "give it as a URL: sqlite:///FILE?tcm_table=NAME"),
    Foreign(b"PAR1", "a Parquet file", "export the table as CSV or JSON Lines"),
    Foreign(b"\x89PNG", *_PICTURE),
    Foreign(b"\xff\xd8\xff", *_PICTURE),
    Foreign(b"<", "XML of a kind that is not known",
            "known are WS/T 500 (ClinicalDocument), XTextDocument and FHIR Bundles; else export as CSV, XLSX or JSON Lines"),
)
"""Asked where only a `plain` format recognises the file."""


def _starts(*magic: bytes) -> Callable[[Head], bool]:
    return lambda head: head.text.startswith(magic)


def _zip(kind: str) -> Callable[[Head], bool]:
    return lambda head: head.zip_kind == kind


def _element(pattern: bytes) -> Callable[[Head], bool]:
    """XML in which such a start tag stands early."""
    tag = re.compile(rb"<(?:[\w.-]+:)?(?:" + pattern + rb")[\s>/]")
    return lambda head: head.text.startswith(b"<") and tag.search(head.text) is not None


def _fhir_json(head: Head) -> bool:
    return head.text.startswith((b"{", b"[")) and _RESOURCE_TYPE.search(head.text) is not None


def _json_list(head: Head) -> bool:
    return head.text.startswith((b"{", b"[")) and _call("jsonarray:looks_like")(head.text)


def _html(head: Head) -> bool:
    return head.text.startswith(b"<") and _call("html_page:looks_like")(head.text)


def _html_table(head: Head) -> bool:
    return _html(head) and _call("html_page:is_table")(Given(head.path, head.path.name, head.encoding))


def _prose(head: Head) -> bool:
    return _call("plaintext:looks_like")(head.prose)


def _bare_xls(head: Head) -> bool:
    return head.bytes.startswith(b"\x09") and head.bytes.startswith(_call("xls:BARE_MAGICS"))


def _empty(head: Head) -> bool:
    return (not head.text or head.bytes in _WIDE) and len(head.bytes) < HEAD_BYTES


def _call(place: str) -> Any:
    """What "module:name" of this package names; loaded when it is asked for."""
    module, _, name = place.partition(":")
    return getattr(import_module(f"tcmstruct.emr.{module}"), name)


_RESOURCE_TYPE = re.compile(rb'"resourceType"\s*:\s*"(?:Bundle|Composition)"')
_HL7 = re.compile(rb"\x0b?(?:MSH|FHS|BHS)[^\w\s]")

FORMATS: tuple[Format, ...] = (
    Format("empty", _empty, "empty"),
    Format("xlsx", _zip("xlsx"), "tables", "xlsx:open_tables"),
    Format("docx", _zip("docx"), "records", "docx:read_records"),
    Format("zip", _zip("zip"), "archive", "archive:unpack"),
    Format("gzip", _starts(b"\x1f\x8b\x08"), "archive", "archive:unpack"),
    Format("xls", lambda head: head.bytes.startswith(b"\xd0\xcf\x11\xe0") or _bare_xls(head), "tables", "xls:open_tables"),
    Format("rtf", _starts(b"{\\rtf"), "records", "rtf:read_records"),
    Format("cda", _element(rb"ClinicalDocument"), "records", "cda:read_records"),
    Format("dcwriter", _element(rb"XTextDocument"), "records", "dcwriter:read_records"),
    Format("fhir_xml", _element(rb"Bundle|Composition"), "records", "fhir:read_xml"),
    Format("xml_table", lambda head: _call("xmltable:looks_like")(head.text), "tables", "xmltable:open_tables"),
    Format("mhtml", lambda head: _call("mhtml:looks_like")(head.text), "archive", "mhtml:unpack"),
    Format("html_table", _html_table, "tables", "html_page:open_tables"),
    Format("html", _html, "records", "html_page:read_records"),
    Format("hl7", lambda head: _HL7.match(head.text) is not None, "records", "hl7:read_records"),
    Format("fhir", _fhir_json, "records", "fhir:read_json"),
    Format("json", _json_list, "records", "jsonarray:read_records"),
    Format("jsonl", _starts(b"{"), "records", "jsonlines:read_records", plain=True),
    Format("txt", _prose, "records", "plaintext:read_records", plain=True),
    Format("delimited", lambda head: True, "tables", "delimited:open_tables", plain=True),
)
DATABASE = Format("database", lambda head: False, "tables", "database:open_tables")
"""A URL, not a file."""


def read_head(path: Path, encoding: str | None = None) -> Head:
    """The beginning of a file.

    Raises:
        InputRefused: not a readable file (`not_a_file`, `unreadable`).
    """
    if not path.exists():
        raise InputRefused("no such file", where=path.name, code="not_a_file", hint="check the path")
    if not path.is_file():
        raise InputRefused("is not a file", where=path.name, code="not_a_file", hint="name the files one by one")
    try:
        with path.open("rb") as file:
            head = file.read(HEAD_BYTES)
    except OSError as error:
        raise InputRefused(f"cannot be read ({type(error).__name__})", where=path.name, code="unreadable",
                           hint="check the permissions of the file") from None
    wide = _WIDE.get(head[:2])
    text = head[2:].decode(wide, "replace").encode("utf-8", "replace") if wide else head.removeprefix(codecs.BOM_UTF8)
    mark = "utf-16" if wide else "utf-8-sig" if head.startswith(codecs.BOM_UTF8) else None
    return Head(head, text.lstrip(_BLANKS), path, encoding or mark)


def find_format(path: Path, encoding: str | None = None) -> Format:
    """The format of a file.

    Args:
        path: the file.
        encoding: the encoding that the user named; a file in UTF-16 holds NUL bytes rightly.

    Raises:
        InputRefused: not a readable file (`not_a_file`, `unreadable`), or a format that is not read
            (`format_unsupported`).
    """
    head = read_head(path, encoding)
    refuse = partial(InputRefused, where=path.name, code="format_unsupported")
    if head.zip_kind == "office":
        raise refuse("is an Office file that is neither a workbook (.xlsx) nor a document (.docx)", hint="save it as one of the two")
    found = next(format for format in FORMATS if format.recognise(head))
    if found.plain:
        for foreign in FOREIGN:
            if head.text.startswith(foreign.magic):
                raise refuse(f"is {foreign.name}, which is not read", hint=foreign.hint)
        start = head.bytes[:_TEXT_BYTES]
        controls = len(start) - len(start.translate(None, _CONTROLS))
        if head.encoding is None and controls > max(_CONTROLS_ALLOWED, _CONTROL_SHARE_ALLOWED * len(start)):
            raise refuse("holds control bytes: not a text file, or UTF-16 without a byte order mark",
                         hint="for UTF-16 give --encoding utf-16-le")
    return found


def is_picture(path: Path) -> bool:
    """Whether a file begins as a photograph does."""
    with path.open("rb") as file:
        return file.read(8).startswith(PICTURES)


def sniff_format(path: Path, encoding: str | None = None) -> str:
    """The name of a file's format; see `find_format`."""
    return find_format(path, encoding).name
