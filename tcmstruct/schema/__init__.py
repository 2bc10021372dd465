"""Packs of fields, and the reader that fills them from a record and its mentions."""

from __future__ import annotations

from tcmstruct.schema.engine import Field, Schema, load_schema

__all__ = ["Field", "Schema", "load_schema"]
