"""The names of things that are found: entity types, statuses, and how the labelled sets map onto them."""

from __future__ import annotations

ENTITY_TYPES: tuple[str, ...] = (
    "症状体征", "舌质", "舌苔", "脉象", "病因", "病机", "中医病名", "证候", "治则治法", "方剂", "中药", "中成药",
    "剂量用法", "功效", "其他疗法", "西医诊断", "西药", "手术操作", "检查检验", "身体部位", "测量评分", "时间病程", "人群",
)

STATUSES: tuple[str, ...] = ("有", "无", "既往", "不确定")
"""present · negated · past · uncertain"""

TYPES_WITH_STATUS: frozenset[str] = frozenset({"症状体征"})

LINKED_TYPES: frozenset[str] = frozenset({"证候", "中医病名", "中医诊断", "西医诊断"})
"""Entity types whose mentions may carry codes (`tcmstruct.linking`); 中医诊断 is the gold guide's name for two of them."""

GOLD_TYPES: dict[str, str] = {
    "症状": "症状",
    "症状体征": "症状",
    "舌质": "舌质",
    "舌苔": "舌苔",
    "脉象": "脉象",
    "西医诊断": "西医诊断",
    "中医诊断": "中医诊断",
    "中医病名": "中医诊断",
    "证候": "中医诊断",
    "治疗": "治疗",
    "方剂": "治疗",
    "中药": "治疗",
    "中成药": "治疗",
    "西药": "治疗",
    "手术操作": "治疗",
    "其他疗法": "治疗",
}
"""Type of a prediction or of a gold file → the coarser type that the gold guide annotates.
Types that are missing here are not annotated in gold and do not count there."""

READOUTS: dict[str, dict[str, str]] = {
    "gold": {"症状": "症状体征", "舌质": "舌质", "舌苔": "舌苔", "脉象": "脉象", "西医诊断": "西医诊断",
             "中医诊断": "证候", "治疗": "其他疗法"},
    "cshan": {"SYM": "症状体征", "HER": "中药", "CAU": "病因", "PRE": "方剂", "EFF": "功效"},
    "journal": {"临床表现": "症状体征", "中药": "中药", "西医诊断": "西医诊断", "中医证候": "证候", "中医治疗": "其他疗法",
                "方剂": "方剂", "西医治疗": "西药", "中医治则": "治则治法", "中医诊断": "中医病名", "其他治疗": "其他疗法"},
    "formula": {"主治": "症状体征", "组成": "中药", "功用": "功效", "方剂名": "方剂", "剂型": "剂量用法", "运用": "病机"},
    "leaflet": {"SYMPTOM": "症状体征", "DRUG_EFFICACY": "功效", "PERSON_GROUP": "人群", "SYNDROME": "证候",
                "DRUG_TASTE": "检查检验", "DISEASE": "西医诊断", "DRUG_DOSAGE": "剂量用法", "DRUG_INGREDIENT": "中药",
                "FOOD_GROUP": "其他疗法", "DISEASE_GROUP": "西医诊断", "DRUG": "中成药", "FOOD": "其他疗法", "DRUG_GROUP": "西药"},
    "cehrner": {"解剖部位": "身体部位", "疾病和诊断": "西医诊断", "症状": "症状体征", "药物": "西药", "实验室检验": "检查检验",
                "影像检查": "检查检验", "手术": "手术操作"},
    "cmedqaner": {"disease": "西医诊断", "body": "身体部位", "symptom": "症状体征", "treatment": "其他疗法", "crowd": "人群",
                  "drug": "西药", "test": "检查检验", "physiology": "测量评分", "feature": "检查检验", "time": "时间病程",
                  "department": "其他疗法"},
}
"""Readout → its labels (in tag order) → the entity type each stands for. One readout a labelled set: guides differ."""

FINE_TYPES: dict[str, dict[str, dict[str, tuple[str, ...]]]] = {
    "中医诊断": {
        "证候": {"journal": ("中医证候",), "leaflet": ("SYNDROME",)},
        "中医病名": {"journal": ("中医诊断",)},
    },
    "治疗": {
        "中药": {"journal": ("中药",), "cshan": ("HER",), "formula": ("组成",)},
        "方剂": {"journal": ("方剂",), "cshan": ("PRE",), "formula": ("方剂名",)},
        "西药": {"cehrner": ("药物",), "cmedqaner": ("drug",), "journal": ("西医治疗",)},
        "手术操作": {"cehrner": ("手术",)},
        "中成药": {"leaflet": ("DRUG",)},
        "其他疗法": {"journal": ("中医治疗", "其他治疗"), "cmedqaner": ("treatment",)},
    },
}
"""Family of the gold guide → its members → the readouts' labels that speak for each."""

SIDE_TYPES: dict[str, dict[str, str]] = {
    "cshan": {"CAU": "病因", "EFF": "功效"},
    "journal": {"中医治则": "治则治法"},
    "formula": {"运用": "病机"},
    "leaflet": {"DRUG_DOSAGE": "剂量用法", "PERSON_GROUP": "人群"},
    "cehrner": {"解剖部位": "身体部位", "实验室检验": "检查检验", "影像检查": "检查检验"},
    "cmedqaner": {"time": "时间病程", "physiology": "测量评分"},
}
"""Readout → its labels that add types which the gold guide leaves out → the type."""

NESTING_TYPES: frozenset[str] = frozenset({"身体部位"})
"""Added types that may stand inside a clinical mention (the 胃脘 of 胃脘胀痛); the others give way to it."""
