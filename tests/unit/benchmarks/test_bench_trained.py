from types import SimpleNamespace

import numpy as np
import pytest

from benchmarks.baselines import trained
from tcmstruct.labels import READOUTS
from tcmstruct.record import FieldValue, Mention, StructuredRecord
from tcmstruct.runtime.tagger import WindowScores
from tcmstruct.schema import load_schema
from tcmstruct.text.windows import Window


def test_a_checkpoint_reads_gold_with_status_and_a_set_with_its_own_types(tmp_path):
    torch = pytest.importorskip("torch", reason="needs the extra [train]")
    from tcmstruct.model.checkpoint import save_tagger
    from tcmstruct.model.config import EncoderConfig, ModelConfig
    from tcmstruct.model.tagger import CharTagger
    from tcmstruct.text.characters import CharacterTable

    table = CharacterTable("咳嗽无发热舌红")
    readouts = {name: list(READOUTS[name]) for name in ("gold", "cshan")}
    model = CharTagger(ModelConfig(EncoderConfig(hidden=8, n_layers=1, n_heads=2, feed=8), len(table), readouts=readouts))
    with torch.no_grad():
        for name, begin in (("gold", 1), ("cshan", 3)):  # every character begins a 症状, or a HER
            model.readouts[name].bias[begin] = 50.0
        model.status.bias[1] = 50.0
    save_tagger(model, table, tmp_path)

    (found,) = trained.make_teacher(tmp_path, load_schema("all"))([])(["咳嗽无"])
    assert [(m.type, m.start, m.end, m.status) for m in found.entities] == [("症状体征", i, i + 1, "无") for i in range(3)]
    assert all(0.9 < m.confidence <= 1 for m in found.entities)
    (found,) = trained.make_teacher(tmp_path, None, "cshan")([])(["咳嗽"])
    assert [(m.type, m.start, m.status) for m in found.entities] == [("HER", 0, None), ("HER", 1, None)]
    assert found.fields == {}


def test_the_student_is_the_pipeline():
    class Pipeline:
        def structure_many(self, records):
            assert len({r.id for r in records}) == len(records)
            return [StructuredRecord(r.id, r.text, [Mention("脉象", 0, 2)], {"脉象": FieldValue(["数"], "数", 1, 2)}) for r in records]

    found = trained.make_student(Pipeline())([])(["脉数", "脉数"])
    assert [f.entities for f in found] == [[Mention("脉象", 0, 2)]] * 2
    assert found[0].fields["脉象"].value == ["数"]


def test_a_readout_of_the_student_joins_its_windows():
    labels = list(READOUTS["cshan"])
    tags = np.zeros((4, 1 + 2 * len(labels)), np.float32)
    tags[:, 0] = 10.0
    tags[1, 1 + 2 * labels.index("HER")] = tags[2, 2 + 2 * labels.index("HER")] = 20.0
    windows = [Window(0, 4, 0, 3), Window(2, 6, 3, 6)]  # the second begins at 2: its mention stands at [3, 5)
    tagger = SimpleNamespace(scores=lambda texts: [[WindowScores(w, {"cshan": tags}, np.zeros((4, 4))) for w in windows] for _ in texts])
    (found,) = trained.make_student_readout(tagger, "cshan")([])(["甲乙丙丁戊己"])
    assert [(m.type, m.start, m.end, m.status) for m in found.entities] == [("HER", 1, 3, None), ("HER", 3, 5, None)]
    assert found.entities[0].confidence > 0.99


def test_ece_is_judged_on_records_that_did_not_fit_the_calibration(monkeypatch):
    pytest.importorskip("sklearn", reason="needs the extra [bench]")
    from tcmstruct.recipes import calibrate

    seen = []
    monkeypatch.setattr(calibrate, "judged", lambda _, gold: [calibrate.Judged(f"entity:{g}", 0.9, True) for g in gold])
    monkeypatch.setattr(calibrate, "fit", lambda examples: seen.append({e.name for e in examples}) or {
        "entity": {"raw": [0.0, 1.0], "calibrated": [0.5, 0.5]}})
    assert trained.cross_fitted_ece(None, list("abcdef"), n_folds=3) == {"entities": pytest.approx(0.5)}
    assert seen == [{f"entity:{g}" for g in part} for part in ("becf", "adcf", "adbe")]
