"""What the figures are called in tables and pages: Chinese first, English beside it."""

from __future__ import annotations

from tcmstruct.evaluation.results import Estimate

SCHEMES: dict[str, str] = {
    "strict": "严格 strict (类型+边界+状态)",
    "exact": "精确 exact (类型+边界)",
    "boundary": "边界 boundary (不计类型)",
    "partial": "部分 partial (重叠计半)",
    "type": "类型 type (重叠且同类型)",
}
MENTIONS: dict[str, str] = {
    "seen": "训练中见过 seen",
    "unseen": "未见过 unseen",
    "rare": "罕见 rare (≤ 2 次)",
    "frequent": "常见 frequent (≥ 3 次)",
}
DIMENSIONS: dict[str, str] = {"dept": "科室 department", "style": "文体 style", "source": "来源 source"}
STYLES: dict[str, str] = {"inpatient": "住院病历 inpatient", "published": "发表医案 published",
                          "outpatient": "门诊病案 outpatient", "": "未注明 not given"}
FIGURES: dict[str, str] = {
    "entities_strict_f1": "实体严格 F1 entities, strict",
    "entities_exact_f1": "实体精确 F1 entities, exact",
    "entities_boundary_f1": "实体边界 F1 entities, boundary",
    "entities_partial_f1": "实体部分 F1 entities, partial",
    "entities_type_f1": "实体类型 F1 entities, type",
    "status_accuracy": "状态正确率 status accuracy",
    "fields_micro_f1": "字段微平均 F1 fields, micro",
    "fields_macro_f1": "字段宏平均 F1 fields, macro",
}
ERRORS: dict[str, str] = {
    "missed": "漏标 missed", "spurious": "多标 spurious", "border": "边界错 border", "type": "类型错 type",
    "border+type": "边界与类型均错 border + type", "status": "状态错 status", "field_missed": "字段漏填 field missed",
    "field_spurious": "字段多填 field spurious", "field_value": "字段值错 field value",
}
CONFIDENCES: dict[str, str] = {"entities": "实体 entities", "fields": "字段 fields"}


def number(value: float | None, digits: int = 3) -> str:
    """A figure for a table; "–" where it is not defined."""
    return "–" if value is None else f"{value:.{digits}f}"


def interval(estimate: Estimate | None, digits: int = 3, signed: bool = False) -> str:
    """The 95 % interval for a table; "" where there is none. `signed` is for differences."""
    if estimate is None or estimate.low is None or estimate.high is None:
        return ""
    if signed:
        return f"{estimate.low:+.{digits}f} … {estimate.high:+.{digits}f}"
    return f"{estimate.low:.{digits}f}–{estimate.high:.{digits}f}"
