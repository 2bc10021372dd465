"""What a batch counts: of a chunk, of a shard, of a run. All three are the same thing, added up."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

MAX_EXTRA_COLUMNS = 256
"""Names of extra columns that are kept; JSON Lines can name a new key in every line."""


@dataclass(slots=True)
class Counts:
    """Counts over records, in the order in which names first came.

    Attributes:
        ok, warned: structured records without and with warnings.
        rejects: reject code → records.
        warnings: warning → how often it occurs.
        fields: field → records that have a value of it.
        extra: names of extra columns, the first `MAX_EXTRA_COLUMNS`.
        extra_capped: there were more.
        review: values marked for review.
        photos: structured records that name a photograph ("named"), and those whose photograph was used ("used").
    """

    ok: int = 0
    warned: int = 0
    rejects: Counter[str] = field(default_factory=Counter)
    warnings: Counter[str] = field(default_factory=Counter)
    fields: Counter[str] = field(default_factory=Counter)
    extra: dict[str, None] = field(default_factory=dict)
    extra_capped: bool = False
    review: int = 0
    photos: Counter[str] = field(default_factory=Counter)

    @property
    def structured(self) -> int:
        return self.ok + self.warned

    @property
    def rejected(self) -> int:
        return self.rejects.total()

    @property
    def done(self) -> int:
        return self.structured + self.rejected

    def add(self, other: Counts) -> None:
        self.ok += other.ok
        self.warned += other.warned
        self.review += other.review
        for mine, more in ((self.rejects, other.rejects), (self.warnings, other.warnings), (self.fields, other.fields),
                           (self.photos, other.photos)):
            mine.update(more)
        for name in other.extra:
            self.add_extra(name)
        self.extra_capped |= other.extra_capped

    def add_extra(self, name: str) -> None:
        if name not in self.extra:
            if len(self.extra) >= MAX_EXTRA_COLUMNS:
                self.extra_capped = True
            else:
                self.extra[name] = None

    def photo_counts(self) -> dict[str, Any]:
        """Records that name a photograph, those whose photograph was used, and why the others were not: reason → records."""
        refused = {code.removeprefix("image_"): n for code, n in sorted(self.warnings.items()) if code.startswith("image_")}
        return {"named": self.photos["named"], "used": self.photos["used"], "refused": refused}

    def to_dict(self) -> dict[str, Any]:
        """As JSON; `from_dict` gives the same counts back, names in their order."""
        return {"ok": self.ok, "warned": self.warned, "rejects": dict(self.rejects), "warnings": dict(self.warnings),
                "fields": dict(self.fields), "extra": list(self.extra), "extra_capped": self.extra_capped, "review": self.review,
                "photos": dict(self.photos)}

    @classmethod
    def from_dict(cls, value: Mapping[str, Any]) -> Counts:
        counters = {name: Counter(value[name]) for name in ("rejects", "warnings", "fields", "photos")}
        return cls(value["ok"], value["warned"], extra=dict.fromkeys(value["extra"]), extra_capped=value["extra_capped"],
                   review=value["review"], **counters)
