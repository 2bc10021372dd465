"""Months from the columns of the input."""

import pytest

from tcmstruct.report.months import Months, month_of


@pytest.mark.parametrize(("text", "month"), [
    ("2025-03-07", "2025-03"), ("2025/3/7 10:20", "2025-03"), ("2025年3月7日", "2025-03"), ("20250307", "2025-03"), ("2025.12", "2025-12"),
    (" 2025-03", "2025-03"), ("2025-13-01", None), ("2025", None), ("3月7日", None), ("1025-03-07", None), ("202503", None), ("", None),
    ("20251399", None), ("2025-123", None)])
def test_a_date_has_a_month(text, month):
    found = month_of({"就诊日期": text})
    assert (found and found[1]) == month


def test_the_surest_column_counts_and_a_birthday_never_does():
    assert month_of({"记录日期": "2025-02-01", "就诊日期": "2025-01-01"}) == ("就诊日期", "2025-01")
    assert month_of({"就诊日期": "不详", "记录日期": "2025-02-01"}) == ("记录日期", "2025-02")
    assert month_of({"出生日期": "1990-01-01"}) is None


def test_months_without_visits_are_in_between():
    months = Months()
    for day in ("2024-11-02", "2025-02-03", "2025-02-09", "不详"):
        month = months.add({"日期": day})
        if month:
            months.add_value(month, "舌色", ["红", "暗"])
    assert months.span() == ["2024-11", "2024-12", "2025-01", "2025-02"]
    assert months.visits == {"2024-11": 1, "2025-02": 2} and months.columns == {"日期": 3}
    assert months.stated["舌色", "2025-02"] == 2 and months.values["舌色", "暗", "2025-02"] == 2
    assert Months().span() == []
