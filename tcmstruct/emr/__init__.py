"""Readers of record files: CSV and TSV, XLSX, JSON Lines → a stream of `ReadRecord` and `Reject`."""

from tcmstruct.emr.reader import FileFacts, Source, open_source, open_sources
from tcmstruct.emr.rows import REJECT_CODES, WARNING_CODES, ReadRecord, Reject

__all__ = ["REJECT_CODES", "WARNING_CODES", "FileFacts", "ReadRecord", "Reject", "Source", "open_source",
           "open_sources"]
