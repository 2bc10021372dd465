"""Colours, border patterns and names of the 23 entity types, and the tokens of both themes.

A type is told apart by its family's colour *and* by the pattern of its underline, never by colour alone.
Contrast follows WCAG 2.2: text at least 4.5 : 1 (1.4.3), graphical marks at least 3 : 1 (1.4.11); a test holds it.
"""

from __future__ import annotations

from dataclasses import dataclass

from tcmstruct.labels import STATUSES

PATTERNS: tuple[str, ...] = ("solid", "dashed", "double", "thick")
"""Underlines within a family, in the order of the family's types."""


@dataclass(frozen=True, slots=True)
class Family:
    """Entity types that share a colour.

    Attributes:
        zh, en: names shown in the legend.
        light, dark: (line, tint) as #rrggbb for each theme; the tint lies behind the text.
        types: members, at most `len(PATTERNS)`; the n-th carries the n-th pattern.
    """

    zh: str
    en: str
    light: tuple[str, str]
    dark: tuple[str, str]
    types: tuple[str, ...]


FAMILIES: tuple[Family, ...] = (
    Family("症状", "findings", ("#b3263a", "#fbe6e8"), ("#ff8f9c", "#46242a"), ("症状体征",)),
    Family("舌脉", "tongue and pulse", ("#83309a", "#f4e6f8"), ("#dd9cf0", "#3b2644"), ("舌质", "舌苔", "脉象")),
    Family("诊断", "diagnoses", ("#1c5cb8", "#e3edfb"), ("#86b6ff", "#1f3150"), ("西医诊断", "中医病名", "证候")),
    Family("病因病机", "cause and mechanism", ("#8f5200", "#faecd8"), ("#f0b366", "#432f16"), ("病因", "病机")),
    Family("药物", "medicines", ("#2b7030", "#e3f2e2"), ("#86cf8a", "#20381f"), ("中药", "方剂", "中成药", "西药")),
    Family("治法", "therapy", ("#00696f", "#dcf2f2"), ("#63cfd3", "#143a3c"), ("治则治法", "功效", "手术操作", "其他疗法")),
    Family("检查数量", "tests and measures", ("#4f46b0", "#eae8fa"), ("#aea6ff", "#2c2950"), ("检查检验", "测量评分", "剂量用法")),
    Family("背景", "context", ("#525c68", "#e9ecef"), ("#b3bec9", "#30373e"), ("时间病程", "身体部位", "人群")),
)

TYPE_EN: dict[str, str] = {
    "症状体征": "symptom or sign", "舌质": "tongue body", "舌苔": "tongue coating", "脉象": "pulse", "病因": "cause",
    "病机": "pathogenesis", "中医病名": "TCM disease", "证候": "syndrome", "治则治法": "treatment principle",
    "方剂": "formula", "中药": "herb", "中成药": "patent medicine", "剂量用法": "dose", "功效": "effect",
    "其他疗法": "other therapy", "西医诊断": "Western diagnosis", "西药": "Western drug", "手术操作": "procedure",
    "检查检验": "test", "身体部位": "body part", "测量评分": "measure or score", "时间病程": "time course", "人群": "population",
}

COARSE: dict[str, str] = {"症状": "症状体征", "中医诊断": "中医病名", "治疗": "其他疗法"}
"""Coarser types of gold files → the type whose look they borrow."""

STATUS_EN: dict[str, str] = dict(zip(STATUSES, ("present", "negated", "past", "uncertain"), strict=True))

THEME: dict[str, tuple[str, str]] = {
    # token: (light, dark)
    "bg": ("#f5f5f1", "#121517"),
    "panel": ("#ffffff", "#1a1e21"),
    "ink": ("#1b2126", "#e8ebed"),
    "muted": ("#5a646d", "#a3aeb7"),
    "rule": ("#d9dcd8", "#343b41"),
    "soft": ("#eef0ec", "#252b30"),
    "accent": ("#0b6157", "#5fd0c0"),
    "accent-soft": ("#dbeeea", "#173b37"),
    "flag": ("#a03a00", "#ffac70"),
    "flag-soft": ("#fdeadc", "#45290f"),
    "bad": ("#a81e2d", "#ff8d97"),
    "flash": ("#ffe27a", "#6b5600"),
    "evidence": ("#f3f1df", "#2c2d22"),
    "absent": ("#c9cec9", "#4a5258"),
    "yes": ("#0b6157", "#5fd0c0"),
    "no": ("#7d8a93", "#7f8c95"),
}
"""Tokens of the page as CSS custom properties; `ink` and `muted` are text, `accent`, `flag`, `bad` text or marks."""

_CODE = {name: f"k{i}" for i, name in enumerate(t for family in FAMILIES for t in family.types)}


def type_class(name: str) -> str:
    """CSS class of an entity type; an unknown type gets the neutral `kx`."""
    return _CODE.get(COARSE.get(name, name), "kx")


def status_class(status: str | None) -> str:
    """CSS class of a status: "" for present or none, `s1` negated, `s2` past, `s3` uncertain."""
    place = STATUSES.index(status) if status in STATUSES else 0
    return f"s{place}" if place else ""


def css() -> str:
    """Custom properties of both themes and one rule per entity type."""
    def tokens(side: int) -> str:
        pairs = [f"--{name}:{tones[side]}" for name, tones in THEME.items()]
        for i, family in enumerate(FAMILIES):
            line, tint = (family.light, family.dark)[side]
            pairs += [f"--f{i}:{line}", f"--g{i}:{tint}"]
        return ";".join(pairs)

    rules = [f":root{{{tokens(0)}}}", f"@media screen and (prefers-color-scheme:dark){{:root{{{tokens(1)}}}}}",
             ".kx{--c:var(--muted);--t:var(--soft);--p:solid;--w:2px}"]
    look = {"solid": "solid;--w:2px", "dashed": "dashed;--w:2px", "double": "double;--w:3px", "thick": "solid;--w:4px"}
    for i, family in enumerate(FAMILIES):
        for name, pattern in zip(family.types, PATTERNS, strict=False):
            rules.append(f".{_CODE[name]}{{--c:var(--f{i});--t:var(--g{i});--p:{look[pattern]}}}")
    return "\n".join(rules)
