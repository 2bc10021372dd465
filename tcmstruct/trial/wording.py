"""Every sentence about a pack and about a near miss, in Chinese and English (`wording.toml`)."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping, Sequence
from pathlib import Path

_SAID = tomllib.loads(Path(__file__).with_name("wording.toml").read_text("utf-8"))

FINDINGS: Mapping[str, Mapping[str, Sequence[str]]] = _SAID["findings"]
"""Code → {"zh", "en"} → (what, what to do)."""
REASONS: Mapping[str, Sequence[str]] = _SAID["reasons"]
"""One of `schema.why.REASONS` → (Chinese, English)."""


def reason_said(reason: str, given: Sequence[str], side: str = "en") -> str:
    return REASONS[reason][0 if side == "zh" else 1].format(*given)
