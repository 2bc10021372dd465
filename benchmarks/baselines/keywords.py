"""Keywords with a negation window: what an afternoon and no model give. Fields only.

One row a field. A yes/no field is 有 where a keyword stands without a negation in the characters before it (within
its clause), 无 where every one is negated. A value field takes the values whose words stand beside its anchor; the
last statement wins.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from benchmarks.baselines import Found, Predict
from tcmstruct.record import FieldValue, StructuredRecord

WINDOW = 8
"""Characters before a keyword in which a negation counts."""

NEGATION = re.compile(r"(?:无|未见|未诉|未|否认|不伴|没有|不)[^，。；;,：:]*$")
PAST = re.compile(r"(?:既往|曾|病史|家族)[^。；;]*$")

YES_NO = {
    "有无发热": "发热|身热|壮热|潮热|低热", "便血": "便血|便中带血|大便带血|便后出血",
    "肛内肿物脱出": "肿物脱出|痔核脱出|肿块突出", "肛门疼痛": "肛门疼痛|肛门肿痛|肛旁肿痛|肛周疼痛",
    "肛门坠胀": "坠胀", "黏液脓血便": "黏液脓血便|粘液脓血便|脓血便|黏液便|粘液便", "肿胀": "肿胀",
    "活动受限": "活动受限|活动不利|屈伸不利|转侧不利", "麻木": "麻木", "咳嗽": "咳嗽|咳",
    "咳痰": "咳痰|咯痰|痰多|有痰|[黄白]痰", "咯血": "咯血|咳血|痰中带血", "胸闷": "胸闷|憋闷",
    "气喘": "气喘|喘憋|憋喘|气短|气促|呼吸困难|喘促|喘息|憋气", "胸痛": "胸痛|胸闷痛", "腹泻": "腹泻|泄泻",
    "腹痛": "腹痛|腹部疼痛|胃痛|胃脘痛|腹部隐痛", "腹胀": "腹胀|胃胀|脘胀|痞满", "反酸": "反酸|泛酸|吐酸",
    "嗳气": "嗳气|嗝气", "恶心": "恶心", "呕吐": "呕吐", "黑便": "黑便", "头晕": "头晕|眩晕|头昏", "头痛": "头痛",
    "心悸": "心悸|心慌", "乏力": "乏力|疲乏|神疲|倦怠", "水肿": "水肿|浮肿", "口干": "口干|口渴|咽干", "口苦": "口苦",
}
SEVERAL = {
    "舌色": (r"舌[^，。；,;苔脉]{0,6}", "淡红|暗红|淡白|淡紫|紫暗|淡暗|尖红|绛|红|暗"),
    "舌形": (r"舌[^。；;苔脉]{0,12}", "胖大|齿痕|裂纹|瘀斑|瘦小"),
    "苔色": (r"苔[^，。；,;脉]{0,6}", "淡黄|微黄|白|黄|灰|黑"), "苔质": (r"苔[^，。；,;脉]{0,6}", "薄|厚|腻|腐|滑|燥|少|剥"),
    "脉象": (r"脉[^，。；,;]{0,6}", "无力|有力|[浮沉迟数虚实滑涩弦细洪濡弱缓紧结代促微]"),
    "痰色": (r"痰[^，。；,;]{0,4}|[黄白]痰", "白|黄|绿"),
}
ENUM = {
    "纳食": (r"(?:纳|食欲|饮食)[^，。；,;]{0,5}", {"正常": "可|佳|正常|调", "一般": "一般", "欠佳": "差|欠|不|少|呆"}),
    "睡眠": (r"(?:眠|寐)[^，。；,;]{0,5}", {"正常": "可|安|佳|正常|调", "一般": "一般", "欠佳": "差|欠|不|多梦"}),
    "小便": (r"(?:小便|二便)[^，。；,;]{0,4}", {"正常": "正常|调|可|如常", "异常": "黄|频|少|不利"}),
    "大便性状": (r"(?:大便|二便)[^，。；,;]{0,4}", {"正常": "正常|调|可|如常", "干硬": "干|硬|秘", "稀溏": "溏|稀"}),
    "便血颜色": (r"(?:便|血)[^。；;]{0,8}", {"鲜红": "鲜红", "暗红": "暗红"}),
}
ALIASES = {"微黄": "淡黄", "瘀斑": "瘀斑瘀点"}
TEMPERATURE = re.compile(r"(3[7-9]\.\d|4[0-2]\.\d)\s*℃")
FREQUENCY = re.compile(r"(?:大便|便)[^。；;]{0,8}?(?:日|天)(?:行)?(\d)(?:[-~～](\d))?(?:次|行)")


def fit(train: Sequence[StructuredRecord]) -> Predict:
    """Learns nothing."""
    return lambda texts: [Found((), read(text)) for text in texts]


def read(text: str) -> dict[str, FieldValue]:
    """The fields that the keywords see."""
    fields: dict[str, FieldValue] = {}
    for name, words in YES_NO.items():
        hits = [(m, _negated(text, m)) for m in re.finditer(words, text) if not _told_of_the_past(text, m)]
        affirmed = [m for m, negated in hits if not negated]
        if hits:
            m = affirmed[-1] if affirmed else hits[-1][0]
            fields[name] = FieldValue("有" if affirmed else "无", m[0], m.start(), m.end())
    for name, (anchor, words) in SEVERAL.items():
        for m in re.finditer(anchor, text):
            values = list(dict.fromkeys(ALIASES.get(w, w) for w in re.findall(words, m[0])))
            if values:
                fields[name] = FieldValue(values, m[0], m.start(), m.end())
    for name, (anchor, values) in ENUM.items():
        for m in re.finditer(anchor, text):
            value = next((v for v, words in reversed(values.items()) if re.search(words, m[0])), None)
            if value:
                fields[name] = FieldValue(value, m[0], m.start(), m.end())
    for m in TEMPERATURE.finditer(text):
        fields["最高体温"] = FieldValue(float(m[1]), m[0], m.start(), m.end(), "℃")
    for m in FREQUENCY.finditer(text):
        fields["大便频次"] = FieldValue(f"{m[1]}-{m[2] or m[1]}/1", m[0], m.start(), m.end())
    return fields


def _negated(text: str, keyword: re.Match[str]) -> bool:
    return bool(NEGATION.search(text[max(0, keyword.start() - WINDOW) : keyword.start()]))


def _told_of_the_past(text: str, keyword: re.Match[str]) -> bool:
    return bool(PAST.search(text[max(0, keyword.start() - 30) : keyword.start()]))
