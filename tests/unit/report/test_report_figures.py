"""Each figure of the report: what its table says, by hand, and that the drawing is an image that stands alone."""

from collections import Counter
from itertools import pairwise
from xml.etree import ElementTree

import pytest

from tcmstruct.report.cells import Cells
from tcmstruct.report.figures import association, confidence, departments, trends
from tcmstruct.report.figures.assembly import parts_of
from tcmstruct.report.figures.drawing import DASHES, FILLS, STROKES, Drawing, fitted, slug
from tcmstruct.report.figures.fields import choice, findings
from tcmstruct.report.figures.numbers import bins_of, labels_of, merged_ends, nice_step, number
from tcmstruct.report.months import Months
from tcmstruct.report.page import _asset
from tcmstruct.report.pairs import SignTally
from tcmstruct.report.tally import DeptTally, FieldTally, Tally
from tcmstruct.report.veil import Veil

OPEN, VEILED = Cells(identified=True), Cells()
HOSTILE = '"><script>run()</script>\u202e\x00'
SVG = "{http://www.w3.org/2000/svg}"


def field(*values, unit=None):
    tally = FieldTally()
    for value in values:
        tally.add(value, unit)
    return tally


def plain(name, value):
    return value


def drawn(figure):
    """The drawing as XML: parsing it proves that a saved file is sound."""
    root = ElementTree.fromstring(str(figure.svg))
    title, desc = root.find(f"{SVG}title"), root.find(f"{SVG}desc")
    assert root.get("role") == "img" and title.text and desc.text
    assert root.get("aria-labelledby").split() == [title.get("id"), desc.get("id")]
    shapes = [shape for shape in root.iter() if shape.tag.removeprefix(SVG) in ("rect", "text", "polyline", "circle")]
    assert shapes and all(shape.get("fill") or shape.get("stroke") for shape in shapes)
    return root


def bars(root, kind="bar"):
    return [float(one.get("width")) for one in root.iter(f"{SVG}rect") if one.get("class") == f"c-{kind}"]


def test_a_choice_has_denied_and_silent_apart():
    tally = field(*["红"] * 12, *["淡"] * 6, *["无"] * 7)
    figure = choice("舌色", tally, 40, VEILED, plain)
    assert figure.rows == [("红", "12", "48%"), ("淡", "6", "24%"), ("无 negated", "7", "28%"), ("未提及", "15", "37.5% 全部 of all")]
    red, pale = bars(drawn(figure))
    assert red == pytest.approx(2 * pale, abs=0.1)


def test_small_values_are_withheld_in_table_and_drawing():
    tally = field(*["红"] * 20, *["绛"] * 2)
    figure = choice("舌色", tally, 30, VEILED, plain)
    assert figure.rows[:2] == [("红", "≥18", "≥81.8%"), ("绛", "<5", "–")]
    assert "20" not in str(figure.svg).replace("2000", "").split("<desc")[1].split("</desc>")[0] and ">22 / 30" not in str(figure.svg)
    assert choice("舌色", tally, 30, OPEN, plain).rows[:2] == [("红", "20", "90.9%"), ("绛", "2", "9.1%")]


def test_a_bar_does_not_tell_what_its_label_withholds():
    one, four = (str(choice("舌色", field(*["红"] * 30, *["绛"] * n, *["暗"] * (7 - n)), 40, VEILED, plain).svg) for n in (3, 4))
    assert one == four, "3 and 4, or 4 and 3: the same figure"


def test_several_at_once_are_counted_each_and_share_no_whole():
    tally = field(*[["弦", "数"]] * 10, *[["弦", "弦"]] * 5)
    figure = choice("脉象", tally, 15, VEILED, plain)
    assert figure.rows == [("弦", "15", "100%"), ("数", "10", "66.7%"), ("未提及", "0", "0% 全部 of all")]


def test_many_values_share_a_bar():
    tally = field(*[f"值{n}" for n in range(15) for _ in range(20 - n)])
    figure = choice("甲", tally, 300, VEILED, plain)
    assert len(figure.rows) == 12 + 2 and figure.rows[12][:2] == ("其他 other (3)", str(8 + 7 + 6))


def test_findings_by_hand():
    figure = findings("general", [("发热", field(*["有"] * 5, *["无"] * 15)), ("咳嗽", field(*["有"] * 3))], 40, VEILED)
    assert figure.rows[0] == ("发热", "5", "25%", "15", "75%", "20", "50%")
    assert figure.rows[1] == ("咳嗽", "<5", "–", "0", "–", "≥36", "≥90%")
    assert bars(drawn(figure))[1:] == [20.0, 1.5]  # after the legend's: 5 of 40 on 160 pixels; a stub for what is withheld


def test_a_number_by_hand():
    tally = field(*[36.5] * 10, *[37.0] * 10, *[38.0] * 10, *[39.0] * 10, *[40.5] * 60, unit="℃")
    rows = dict(number("体温", tally, (34.0, 40.0), OPEN).rows)
    assert rows["n"] == "100" and rows["中位数 median"] == "40.5" and rows["四分位 quartiles"] == "38 – 40.5"
    assert rows["范围 range"] == "36.5 – 40.5" and rows["超出 outside 34–40"] == "60"
    veiled = dict(number("体温", tally, None, VEILED).rows)
    assert "范围 range" not in veiled and veiled["第 5–95 百分位 percentiles"] == "36.5 – 40.5"
    drawn(number("体温", tally, None, OPEN))


def test_quantiles_with_fewer_than_five_beyond_are_withheld():
    rows = dict(number("体温", field(*[36.0 + n / 10 for n in range(12)], unit="℃"), None, VEILED).rows)
    assert rows["中位数 median"] == "36.55" and rows["四分位 quartiles"] == "–" and rows["第 5–95 百分位 percentiles"] == "–"


def test_a_number_of_few_records_tells_nothing():
    figure = number("体温", field(38.0, 39.0, 40.0, unit="℃"), None, VEILED)
    assert dict(figure.rows)["n"] == "<5" and dict(figure.rows)["中位数 median"] == "–" and not bars(drawn(figure))


def test_thin_ends_are_one_open_bin():
    bins = [(0, 1, 1), (1, 2, 2), (2, 3, 9), (3, 4, 2), (4, 5, 8), (5, 6, 1)]
    merged = merged_ends(bins)
    assert merged == [(0, 3, 12), (3, 4, 2), (4, 6, 9)]
    assert labels_of(merged, False, open_ends=True) == ["< 3", "3–4", "≥ 4"] and labels_of(merged, True, True) == ["≤ 3", "3", "≥ 4"]
    assert merged_ends([(0, 1, 2), (1, 2, 1)]) == [(0, 2, 3)]


@pytest.mark.parametrize(("span", "most", "step"), [(5.6, 7, 1), (10, 10, 1), (10, 4, 2.5), (0.9, 10, 0.1), (1234, 5, 250), (3, 2, 2)])
def test_steps_are_round(span, most, step):
    assert nice_step(span, most) == pytest.approx(step)


def test_bins_hold_every_figure_once():
    numbers = field(*[n / 7 for n in range(1, 200)], unit="").numbers[""]
    bins, points = bins_of(numbers, 2)
    assert not points and sum(n for _, _, n in bins) == 199
    assert all(one[1] == pytest.approx(two[0]) for one, two in pairwise(bins))
    scores, points = bins_of(field(*[n % 5 for n in range(50)]).numbers[""], 2)
    assert points and scores == [(n, n, 10) for n in range(5)]


def test_coverage_by_department():
    depts = [("内科", DeptTally(20, fields=Counter(发热=10, 咳嗽=2))), ("外科", DeptTally(3, fields=Counter(发热=3)))]
    figure = departments.coverage([("general", ["发热", "咳嗽"])], depts, VEILED)
    assert figure.head[2:] == ("内科（n 20）", "外科（n <5）")
    assert figure.rows == [("发热", "general", "10（50%）", "–"), ("咳嗽", "general", "<5", "–")]
    assert departments.coverage([("general", ["发热"])], depts, OPEN).rows == [("发热", "general", "10（50%）", "3（100%）")]
    drawn(figure)


def test_departments_beyond_the_columns_share_one():
    many = [(f"科{n}", DeptTally(10, fields=Counter(发热=n))) for n in range(5, 17)]
    figure = departments.coverage([("", ["发热"])], many[::-1], OPEN)
    assert figure.head[-1] == "其他 other 2（n 20）" and figure.rows[0][-1] == f"{5 + 6}（55%）"


def test_pairs_show_only_cells_of_five_or_more():
    both = Counter({("甲证", "红"): 20, ("乙证", "暗"): 4, ("甲证", "暗"): 0})
    tally = SignTally(100, Counter(甲证=30, 乙证=20), Counter(红=40, 暗=25), both)
    figure = association.together("舌色", tally, VEILED)
    assert [row[:3] for row in figure.rows] == [("甲证", "红", "20")]
    assert figure.rows[0][3:] == ("66.7%", "48.8% – 80.8%", "1.67", "+3.56")
    assert "乙证" not in str(figure.svg) and association.CAUTION in str(figure.svg)
    drawn(figure)
    assert association.together("舌色", SignTally(4, Counter(甲证=4), Counter(红=4), Counter({("甲证", "红"): 4})), VEILED) is None


def test_a_rough_residual_is_marked():
    tally = SignTally(100, Counter(甲证=10), Counter(浮=20), Counter({("甲证", "浮"): 9}))
    assert association.together("脉象", tally, VEILED).rows[0][-1].endswith("*"), "2 are expected"


def months_of(rows):
    months, tally = Months(), FieldTally()
    for day, value in rows:
        month = months.add({"就诊日期": day})
        if value is not None:
            months.add_value(month, "舌色", tally.add(value, None))
    return months, tally


def test_visits_by_month():
    months, _ = months_of([("2025-01-02", None)] * 7 + [("2025-03-02", None)] * 2)
    assert trends.visits(months, VEILED).rows == [("2025-01", "7"), ("2025-02", "0"), ("2025-03", "<5")]
    drawn(trends.visits(months, VEILED))


def test_a_long_time_is_cut_into_quarters_and_years():
    quarters, _ = months_of([("2020-01-02", None), ("2025-12-02", None)])
    assert [row[0] for row in trends.visits(quarters, OPEN).rows][:2] == ["2020 Q1", "2020 Q2"]
    years, _ = months_of([("1999-01-02", None), ("2025-12-02", None)])
    assert len(trends.visits(years, OPEN).rows) == 27


def test_a_trend_by_hand():
    january, february = [("2025-01-02", "红")] * 6 + [("2025-01-02", "暗")] * 6, [("2025-02-02", "红")] * 5 + [("2025-02-02", "暗")] * 15
    months, tally = months_of(january + february)
    figure = trends.trend("舌色", tally, months, VEILED, plain)
    assert figure.rows == [("2025-01", "12", "50.0%", "50.0%"), ("2025-02", "20", "75.0%", "25.0%")] and figure.head[2:] == ("暗", "红")
    assert len(list(drawn(figure).iter(f"{SVG}circle"))) == 4


def test_a_finding_is_a_share_of_all_visits():
    january, february = [("2025-01-02", "有"), ("2025-01-02", None)] * 10, [("2025-02-02", "有")] * 12 + [("2025-02-03", "无")] * 8
    months, tally = months_of(january + february)
    figure = trends.trend("舌色", tally, months, VEILED, plain)
    assert figure.rows == [("2025-01", "20", "50.0%", "0.0%"), ("2025-02", "20", "60.0%", "40.0%")]


def test_points_of_few_people_are_left_out_and_thin_months_joined():
    rows = [(f"2025-{month:02}-02", value) for month in range(1, 13) for value in ["红"] * 3 + ["暗"] * 3]
    months, tally = months_of(rows)
    figure = trends.trend("舌色", tally, months, VEILED, plain)
    assert "by quarter" in figure.title and figure.rows[0] == ("2025 Q1", "18", "50.0%", "50.0%")
    few, tally = months_of([("2025-01-02", "红")] * 3)
    assert trends.trend("舌色", tally, few, VEILED, plain) is None


def test_confidence_and_what_is_to_be_reviewed():
    bins = [0] * 18 + [1, 3]
    assert confidence.histogram("c", "置信度", bins, 0.9).rows == [("0.90–0.95", "1", "25%"), ("0.95–1.00", "3", "75%")]
    fields = [("甲", field(*["有"] * 20)), ("乙", field(*["有"] * 10)), ("丙", field("有", "有"))]
    fields[0][1].review, fields[1][1].review, fields[2][1].review = 5, 9, 2
    figure = confidence.to_review(fields, VEILED)
    assert [row[:4] for row in figure.rows] == [("乙", "10", "≥6", "≥60%"), ("甲", "20", "5", "25%")]
    assert confidence.to_review([("甲", field(*["有"] * 9))], VEILED) is None


def test_nothing_of_a_record_is_markup_in_a_drawing():
    tally = Tally()
    for n in range(30):
        tally.add(n + 1, "{}", {"id": "1", "dept": HOSTILE, "extra": {"日期": f"2025-{n % 3 + 1:02}-01"},
                                "entities": [{"type": "证候", "codes": [{"system": "GB/T 16751.2-2021", "name": HOSTILE}]}],
                                "fields": {HOSTILE: {"value": HOSTILE, "unit": HOSTILE}, "舌色": {"value": [HOSTILE, "红"]},
                                           f"{HOSTILE}数": {"value": n, "unit": HOSTILE}, "咳嗽": {"value": "有"}}})
    parts = parts_of(tally, [(HOSTILE, list(tally.fields))], 0.9, Veil(identified=True))
    figures = [figure for part in parts.values() for figure in part.figures]
    assert len(figures) >= 9 and all(part.figures for part in parts.values())
    for figure in figures:
        drawn(figure)
        assert "<script" not in figure.svg and "\u202e" not in figure.svg
        assert slug(figure.key.split("~")[0]) == figure.key.split("~")[0], "a key is a file name"


def test_two_figures_never_have_one_name():
    tally = Tally()
    for n in range(10):
        tally.add(n + 1, "{}", {"id": "1", "fields": {name: {"value": "红"} for name in ("甲/乙", "甲 乙", "甲_乙")}})
    part = parts_of(tally, [("", list(tally.fields))], None, Veil(identified=True))["values"]
    assert [figure.key for figure in part.figures] == ["field-甲_乙", "field-甲_乙~2", "field-甲_乙~3"]
    for figure in part.figures:
        assert drawn(figure).get("aria-labelledby") == f"t-{figure.key} d-{figure.key}"


def test_every_look_has_its_rule_in_both_themes():
    css = _asset("figures.css")
    assert all(f".c-{kind}{{" in css for kind in FILLS) and ".paper{fill:none}" in css
    assert all(f".l-{kind}" in css for kind in STROKES) and set(DASHES) <= set(STROKES)


def test_words_are_cut_to_their_room():
    assert fitted("舌淡红苔薄白", 40, 12) == "舌淡…" and fitted("short", 40, 12) == "short"
    drawing = Drawing(100)
    drawing.text(0, 10, "很长的标题写不下", room=50)
    assert "…" in drawing.svg(20, "k", "t", "d")
