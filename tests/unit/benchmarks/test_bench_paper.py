"""The tables' own arithmetic and memory; nothing here is timed, trained or read from the data."""

import argparse
import json
import random
from types import SimpleNamespace

import pytest

from benchmarks.paper import figures, store
from benchmarks.paper.store import CELLS, Cell, NotMeasured, Store, code_of, content_of
from tcmstruct.errors import InputRefused


def cell(**changes):
    return Cell(**{"table": "1", "row": "ours", "what": "speed", "quick": False, "seed": 0, "settings": {"n": 3},
                   "weights": {"text": "aa"}, "code": "v1", "machine": {"cores": 2}, **changes})


class Counter:
    def __init__(self, result=None):
        self.n, self.result = 0, result or {"f1": 0.5}

    def __call__(self):
        self.n += 1
        return self.result


# ---------------------------------------------------------------- the store

def test_a_cell_is_measured_once_and_found_by_the_next_run(tmp_path):
    measure = Counter({"records_s": [1.5, 2.0]})
    assert Store(tmp_path).measured(cell(), measure) == {"records_s": [1.5, 2.0]}
    again = Store(tmp_path)
    assert again.measured(cell(), measure) == {"records_s": [1.5, 2.0]}
    assert measure.n == 1 and len(again) == 1
    assert (tmp_path / CELLS).stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize("change", [
    {"table": "3"}, {"row": "no-gate"}, {"what": "size"}, {"quick": True}, {"seed": 1}, {"seed": None}, {"settings": {"n": 4}},
    {"weights": {"text": "ab"}}, {"code": "v2"}, {"machine": {"cores": 4}}, {"machine": {}}])
def test_whatever_a_figure_depends_on_changes_its_key(tmp_path, change):
    measure = Counter()
    kept = Store(tmp_path)
    kept.measured(cell(), measure)
    assert kept.get(cell(**change)) is None
    kept.measured(cell(**change), measure)
    assert measure.n == 2


def test_the_order_in_which_settings_are_named_is_no_dependence():
    assert cell(settings={"a": 1, "b": 2}).key == cell(settings={"b": 2, "a": 1}).key


def test_a_last_line_that_was_cut_off_is_dropped_and_measured_again(tmp_path):
    kept = Store(tmp_path)
    kept.measured(cell(seed=0), Counter())
    kept.measured(cell(seed=1), Counter())
    content = (tmp_path / CELLS).read_bytes()
    (tmp_path / CELLS).write_bytes(content[:-20])
    again = Store(tmp_path)
    assert len(again) == 1 and again.get(cell(seed=1)) is None
    again.measured(cell(seed=1), measure := Counter())
    assert measure.n == 1
    assert (tmp_path / CELLS).read_bytes() == content  # the half line is gone, the new one stands in its place


def test_a_broken_line_among_others_is_refused_by_its_number(tmp_path):
    Store(tmp_path).measured(cell(), Counter())
    with open(tmp_path / CELLS, "ab") as file:
        file.write(b"no cell\n")
    with pytest.raises(InputRefused) as refused:
        Store(tmp_path)
    assert f"{CELLS}:2" in str(refused.value) and "no cell" not in str(refused.value)


def test_what_cannot_be_measured_or_is_no_number_is_not_kept(tmp_path):
    kept = Store(tmp_path)

    def missing():
        raise NotMeasured("nothing at hand")

    with pytest.raises(NotMeasured):
        kept.measured(cell(), missing)
    with pytest.raises(ValueError):
        kept.measured(cell(), Counter({"f1": float("nan")}))
    assert len(Store(tmp_path)) == 0


def test_lines_say_when_and_of_which_commit(tmp_path):
    Store(tmp_path, {"commit": "abc", "date": "2026-01-01"}).measured(cell(), Counter())
    line = json.loads((tmp_path / CELLS).read_text())
    assert line["commit"] == "abc" and line["table"] == "1" and line["result"] == {"f1": 0.5}


def test_the_version_of_code_is_its_source(tmp_path):
    (tmp_path / "a.py").write_text("x = 1\n")
    before = code_of(tmp_path)
    (tmp_path / "notes.md").write_text("beside it")
    assert code_of(tmp_path) == before == code_of(tmp_path)
    (tmp_path / "a.py").write_text("x = 2\n")
    assert code_of(tmp_path) != before
    assert code_of(Store.get) != code_of(Store.put) and code_of(store) == code_of(store)


def test_a_missing_file_has_no_content(tmp_path):
    (tmp_path / "a").write_text("1")
    assert len(content_of([tmp_path / "a"])) == 32
    with pytest.raises(NotMeasured, match="b is not there"):
        content_of([tmp_path / "a", tmp_path / "b"])


# ---------------------------------------------------------------- figures

def test_intervals_over_seeds_are_students():
    mean, half = figures.over_seeds([1.0, 2.0, 3.0])
    assert mean == 2 and half == pytest.approx(4.302653 * 1 / 3**0.5, rel=1e-5)
    assert figures.over_seeds([2.5]) == (2.5, None)
    with pytest.raises(ValueError):
        figures.over_seeds([])


def test_differences_are_taken_seed_by_seed_over_common_seeds():
    ours, other = {0: 0.80, 1: 0.90, 2: 0.70, 9: 0.1}, {0: 0.79, 1: 0.89, 2: 0.69, 7: 0.9}
    mean, half, n = figures.paired(ours, other)
    assert (mean, n) == (pytest.approx(0.01), 3) and half == pytest.approx(0, abs=1e-9)  # far apart between, equal within
    assert figures.paired(ours, {5: 1.0}) is None
    assert figures.difference(ours, other, 2, 100) == "+1.00 ± 0.00"
    assert figures.difference({0: 0.5}, {0: 0.6}, 1, 100) == "-10.0 (one seed)"
    assert figures.difference({0: 0.5}, {1: 0.6}) == "–"


def test_cells_read_as_a_person_expects():
    assert figures.estimate([0.8481, 0.827, 0.8702]) == "84.8 [82.7, 87.0]"
    assert figures.estimate([0.5, None, None]) == "50.0" and figures.estimate(None) == figures.estimate([None, None, None]) == "–"
    assert figures.middle([3, 1, 2]) == "2.0 (1.0–3.0)" and figures.middle([1.25], 2) == "1.25" and figures.middle([]) == "–"
    assert figures.plus_minus([0.5], factor=100) == "50.0 (one seed)" and figures.plus_minus([]) == "–"
    assert [figures.millions(n) for n in (325_000_000, 5_288_548, 4321, None)] == ["325.0", "5.29", "0.004", "–"]
    assert figures.number(1234.5, 1) == "1,234.5"


def test_a_table_has_as_many_cells_in_every_row():
    assert figures.markdown([["a", "b"], ["x|y", "1"]]) == "| a | b |\n| --- | --: |\n| x\\|y | 1 |"
    with pytest.raises(ValueError):
        figures.markdown([["a", "b"], ["x"]])


# ---------------------------------------------------------------- a run

torch = pytest.importorskip("torch")

from benchmarks.paper import __main__ as command  # noqa: E402
from benchmarks.paper import child, heads, optimclm, pruning, systems, tables  # noqa: E402
from benchmarks.paper.run import FULL, QUICK, Run, asked  # noqa: E402


def fake_run(folder, quick=True, **changes):
    machine = {"processor": "p", "cores": 2, "python": "3", "libraries": {"numpy": "2", "scipy": "1"}}
    ceiling = iter([0.1, 0.3] * 100)
    run = Run(folder, folder, Store(folder), quick, 1, 1, machine, measure_ceiling=lambda: next(ceiling))
    for name, value in changes.items():
        setattr(run, name, value)
    return run


def test_quick_and_full_cells_are_never_mixed(tmp_path):
    quick, full = Counter({"f1": 0.1}), Counter({"f1": 0.9})
    fake_run(tmp_path).cell("1", "ours", "f1", quick, uses=())
    run = fake_run(tmp_path, quick=False)
    assert run.cell("1", "ours", "f1", full, uses=()) == {"f1": 0.9}
    assert fake_run(tmp_path).cell("1", "ours", "f1", full, uses=()) == {"f1": 0.1}
    assert (quick.n, full.n) == (1, 1) and run.settings is FULL and fake_run(tmp_path).settings is QUICK


def test_times_have_the_ceiling_beside_them_and_count_for_their_machine(tmp_path):
    measure = Counter({"records_s": [10.0]})
    run = fake_run(tmp_path)
    result = run.cell("1", "ours", "speed", measure, uses=(), timed=True)
    assert result["ceiling_tflops"] == pytest.approx(0.2)
    assert tables.rate(result) == ("10.0", "50")
    other = fake_run(tmp_path, machine={**run.machine, "processor": "another"})
    other.cell("1", "ours", "speed", measure, uses=(), timed=True)
    other.cell("1", "ours", "f1", measure, uses=())
    fake_run(tmp_path).cell("1", "ours", "f1", measure, uses=())  # a score is the same on every machine
    assert measure.n == 3
    fake_run(tmp_path, threads=2).cell("1", "ours", "speed", measure, uses=(), timed=True)
    assert measure.n == 4


def test_the_ceiling_after_a_cell_is_the_one_before_the_next(tmp_path):
    ceiling = iter([0.1, 0.2, 0.4])
    run = fake_run(tmp_path, measure_ceiling=lambda: next(ceiling))
    found = [run.cell("1", name, "speed", Counter({"records_s": [1.0]}), uses=(), timed=True)["ceiling_tflops"] for name in ("a", "b")]
    assert found == [pytest.approx(0.15), pytest.approx(0.3)]


def test_figures_hang_on_the_models_that_they_are_measured_with(tmp_path):
    run = fake_run(tmp_path, weights={"text": "t", "tongue": "p", "fusion": "f", "gold": "g"})
    names = {name: [list(run.weights_of(system, photos)) for photos in (False, True)] for name, system in systems.SYSTEMS.items()}
    assert names["bert-large"] == [["gold"], ["gold"]]
    assert names["ours"] == [["gold", "text"], ["gold", "text", "tongue", "fusion"]] == names["no-vocabulary"]
    assert names["mobile"] == [["gold"], ["gold", "tongue", "fusion"]]


def test_what_is_not_measured_is_said_in_its_cell():
    reason = asked(lambda: (_ for _ in ()).throw(NotMeasured("not trained")))
    assert tables.accuracy_text(reason) == "not trained" and tables.rate(reason) == ("–", "–") and tables.peak(reason) == "–"
    two = [{"entity_strict_f1": [f, f - 0.1, f + 0.1]} for f in (0.8, 0.9)]
    assert tables.accuracy_text(two[:1]) == "80.0 [70.0, 90.0]"
    assert tables.accuracy_text(two).startswith("85.0 ±") and tables.accuracy_text(two).endswith("(2 seeds)")


def test_failures_on_long_records_are_counted_with_their_reasons():
    share, peak = tables.long_text({"n_records": 8, "n_failed": 2, "reasons": {"over_the_limit": 2}, "peak_mb": 901.2})
    assert share == "75% (6 of 8; over_the_limit 2)" and peak == "901"
    assert tables.target("disk", 20.4, 20, most=True)[-1] == "**missed**" and tables.target("rate", 540, 540, most=False)[-1] == "met"


def test_long_records_are_as_long_as_they_are_called(tmp_path):
    lengths = child.long_lengths(4, 20_000, [50_000])
    assert lengths == [2001, *lengths[1:3], 20_000, 50_000] and lengths == sorted(lengths)
    for name in ("gold/train", "records/casebooks"):
        file = tmp_path / f"{name}.jsonl"
        file.parent.mkdir()
        file.write_text(json.dumps({"text": "咳嗽三天。"}) + "\n", encoding="utf-8")
    assert [len(t) for t in child.long_texts(tmp_path, lengths)] == lengths


def test_a_record_that_is_not_read_to_its_end_or_takes_too_much_has_failed(tmp_path, monkeypatch):
    from tcmstruct.record import Mention, StructuredRecord

    def opened(system, threads, image_root, limit):
        def structure(records):
            return [StructuredRecord(r.id, r.text, [Mention("症状体征", 0, len(r.text) if len(r.text) < 9000 else 2)]) for r in records]
        return structure

    monkeypatch.setattr(child, "_open", opened)
    monkeypatch.setattr(child, "long_texts", lambda data, lengths: ["咳" * n for n in lengths])
    monkeypatch.setattr(child, "peak_resident_bytes", lambda: 700)
    job = {"system": {}, "data": str(tmp_path), "threads": 1, "lengths": [3000, 5000, 9000]}
    found = child.stability(**job, limit_bytes=800)
    assert (found["n_failed"], found["reasons"]) == (1, {"end_not_read": 1})
    assert child.stability(**job, limit_bytes=600)["reasons"] == {"over_the_limit": 3}


def test_fixed_batches_read_what_trimmed_ones_read():
    from tcmstruct.pipeline import Structurer

    texts = ["咳嗽3天，无发热。" * n for n in (1, 30, 3, 90, 2)]
    structurer = Structurer(threads=1)

    def read():
        return [[(m.type, m.start, m.end, m.status) for m in mentions]
                for mentions in structurer.mentions.read(structurer.tagger.stream(texts), len(texts))]

    before = read()
    structurer.tagger.__class__ = systems.FixedBatches
    structurer.tagger.largest = (0, 0)
    assert read() == before and any(before)
    assert structurer.tagger.largest[0] == len(structurer.tagger._jobs(texts))  # all of them in one batch


def test_a_model_without_its_lexicon_is_the_same_graph_without_marks(tmp_path):
    systems.build("no-lexicon", tmp_path / "model")
    from tcmstruct.runtime.model_folder import open_folder
    from tcmstruct.runtime.tagger import OnnxTagger

    shipped, emptied = open_folder(), open_folder(tmp_path / "model")
    assert shipped.sha256["model.onnx"] == emptied.sha256["model.onnx"]
    (feed,) = OnnxTagger(emptied, threads=1).feeds(["舌红苔黄腻，脉滑数，便血。"])
    (own,) = OnnxTagger(shipped, threads=1).feeds(["舌红苔黄腻，脉滑数，便血。"])
    assert not feed["lexicon"].any() and own["lexicon"].any() and (feed["ids"] == own["ids"]).all()


@pytest.mark.parametrize("gated", [True, False])
def test_an_exported_fusion_answers_as_torch_does(tmp_path, gated):
    import numpy as np

    from tcmstruct.image.fusion_input import ATTRIBUTES, N_QUALITY, TONGUE_COLUMNS
    from tcmstruct.model.fusion import FusionConfig, FusionNet
    from tcmstruct.runtime.fusion import Fusion, Reading

    torch.manual_seed(0)
    net = FusionNet(FusionConfig(24, TONGUE_COLUMNS[1] + 2, N_QUALITY, ATTRIBUTES, TONGUE_COLUMNS, 12, 132, gated)).eval()
    systems.export_fusion(net, tmp_path / "fusion")
    rng = np.random.default_rng(0)
    hidden, places = rng.standard_normal((31, 24), np.float32), rng.random((49, net.config.token_width), np.float32)
    reading = Reading(places, rng.random(N_QUALITY, np.float32))
    Fusion(tmp_path / "fusion").read(reading, hidden, 0)
    with torch.inference_mode():
        own = net(torch.from_numpy(hidden)[None], torch.ones(1, 31, dtype=torch.bool), torch.from_numpy(places)[None],
                  torch.from_numpy(reading.quality)[None], torch.ones(1))
    assert reading.gate == pytest.approx(float(own.gate.mean()), abs=1e-3)
    assert (reading.sums[:-1] / reading.sums[-1]) == pytest.approx(torch.cat(list(own.scores.values()), 1)[0].numpy(), abs=5e-3)


def test_weights_are_counted_and_scales_are_not(tmp_path):
    import numpy as np
    import onnx
    from onnx import TensorProto, helper, numpy_helper

    weights = {"w": np.zeros((4, 3), np.int8), "scale": np.ones(3, np.float32), "zero": np.zeros(3, np.int8), "b": np.zeros(3, np.float16),
               "shape": np.array([1, 3])}
    graph = helper.make_graph([helper.make_node("DequantizeLinear", ["w", "scale", "zero"], ["y"], axis=1)], "g", [],
                              [helper.make_tensor_value_info("y", TensorProto.FLOAT, (4, 3))],
                              [numpy_helper.from_array(value, name) for name, value in weights.items()])
    onnx.save(helper.make_model(graph), tmp_path / "m.onnx")
    assert systems.n_parameters(tmp_path / "m.onnx") == 12 + 3


# ---------------------------------------------------------------- tables 4 to 6

def outcome(policy="l1", seed=0, f1=0.8, **changes):
    return {"table": "policies", "policy": policy, "seed": seed, "ratio": 0.5, "hidden": None, "f1": f1, "f1_full": 0.85,
            "memory_bytes": 2_000_000, "memory_full_bytes": 4_000_000, "n_parameters": 500_000, "n_parameters_full": 900_000,
            "photos_per_s": 30.0, "photos_per_s_full": 20.0, "n_evaluations": 36, "plan": "01", **changes}


def prune_run(folder, rows, end="\n"):
    (folder / pruning.OUTCOMES).write_text("\n".join(map(json.dumps, rows)) + end, encoding="utf-8")
    return SimpleNamespace(prune_run=folder, quick=False)


def test_policies_are_compared_seed_by_seed(tmp_path):
    rows = [outcome("none", f1=0.85, memory_bytes=4_000_000, ratio=0.0)]
    rows += [outcome("l1", seed, f1) for seed, f1 in enumerate((0.80, 0.70, 0.75))]
    rows += [outcome("lstm-rl", seed, f1 + 0.01) for seed, f1 in enumerate((0.80, 0.70, 0.75))]
    rows += [outcome("random", seed, 0.5) for seed in range(3)]
    text = pruning.policies_table(prune_run(tmp_path, rows))
    line = next(line for line in text.splitlines() if line.startswith("| L1 "))
    assert "+1.00 ± 0.00" in line and "50.0 ± 0.0 %" in line and "2.00 ± 0.00" in line
    assert "against the best other (L1): +1.00 ± 0.00 points over 3 seeds, an interval that excludes 0" in text and ": met." in text
    assert "| none (not pruned) | 1 |" in text and "50% of the removable memory removed" in text


def test_a_loss_is_called_a_loss(tmp_path):
    rows = [outcome("taylor", s, 0.8 + s / 100) for s in range(2)] + [outcome("lstm-rl", s, 0.79) for s in range(2)]
    text = pruning.policies_table(prune_run(tmp_path, rows))
    assert "(Taylor): -1.50" in text and "**missed**" in text and "includes 0" in text


def test_memory_saved_at_no_loss_counts_too(tmp_path):
    rows = [outcome("l1", 0, 0.8), outcome("lstm-rl", 0, 0.8, memory_bytes=1_700_000)]
    text = pruning.policies_table(prune_run(tmp_path, rows))
    assert "-15.0 (one seed) %" in text and "+15.0% memory saved" in text and ": met." in text


def test_ratios_and_widths_have_a_line_each(tmp_path):
    rows = [outcome("lstm-rl", s, 0.85 - r / 25, ratio=r, table="ratios") for s in range(2) for r in (0.3, 0.5)]
    rows += [outcome("lstm-rl", s, 0.8 + h / 1e4, hidden=h, table="hidden") for s in range(2) for h in (64, 256)]
    run = prune_run(tmp_path, rows)
    text = pruning.ratios_table(run)
    assert "| 30% |" in text and "| 50% |" in text and "At 50 %, LSTM-RL loses 2.00 ± 0.00 points (asked: at most 1): **missed**" in text
    widths = pruning.hidden_table(run)
    assert "| 64 |" in widths and "+1.92 ± 0.00" in next(line for line in widths.splitlines() if line.startswith("| 256 "))
    with pytest.raises(NotMeasured):
        pruning.policies_table(run)


def test_a_cut_line_of_outcomes_is_left_out_and_a_wrong_one_refused(tmp_path):
    run = prune_run(tmp_path, [outcome(), outcome(seed=1)], end="")
    assert len(pruning.outcomes(run)) == 1
    with pytest.raises(InputRefused, match=r"outcomes.jsonl:2: `f1` is nan, allowed is a finite number"):
        pruning.outcomes(prune_run(tmp_path, [outcome(), outcome(f1=float("nan"))]))
    with pytest.raises(InputRefused, match="`memory_bytes` is None"):
        pruning.outcomes(prune_run(tmp_path, [outcome(memory_bytes=None)]))
    (tmp_path / pruning.OUTCOMES).unlink()
    with pytest.raises(NotMeasured):
        pruning.outcomes(run)


# ---------------------------------------------------------------- tables 7 and 8

def test_widths_are_multiples_of_the_heads_next_to_the_shipped_one():
    assert [heads.width_of(n) for n in heads.HEADS] == [128, 128, 132]


def test_the_students_row_against_its_teachers():
    scores = {"ensemble": {"f1": [0.86, 0.84, 0.88], "n_parameters": 30_000_000, "disk_bytes": 240_000_000},
              "best": {"f1": [0.85, 0.83, 0.87], "n_parameters": 15_000_000, "disk_bytes": 60_000_000},
              "shipped": {"f1": [0.85, 0.83, 0.87], "n_parameters": 4_000_000, "disk_bytes": 10_000_000}}
    times = {"shipped": {"ms": [10.0, 10.0], "records_s": [100.0, 100.0]}, "ensemble": {"ms": [300.0, 320.0], "records_s": [4.0, 4.0]},
             "ensemble, onnx": {"ms": [100.0, 100.0], "records_s": [10.0, 10.0]}, "best": {"ms": [100.0, 100.0], "records_s": [8.0, 8.0]},
             "best, onnx": {"ms": [50.0, 50.0], "records_s": [20.0, 20.0]}, "n_records": 2, "ceiling_tflops": 0.2}
    text = optimclm.table_of(scores, times, 2)
    line = next(line for line in text.splitlines() if line.startswith("| ensemble of 2 teachers, torch"))
    assert "| +1.0 |" in line and "× 24.0" in line and "× 31.0 ± 12.7" in line and "× 25.0 ± 0.0" in line and "| 20 |" in line
    assert "× 24.0 (met)" in text and "× 31.0 one by one (met; with the teachers on onnxruntime too: × 10.0), +1.0 points (met)" in text
    single = optimclm.table_of(scores, {k: v for k, v in times.items() if not k.startswith("best")}, 1)
    assert "the only teacher" in single and "best teacher" not in single
    assert optimclm.best_of([0.8, 0.9, 0.9]) == 1


def test_systems_are_asked_alternately_and_equally_often():
    calls = []
    read = {name: (lambda texts, name=name: calls.append((name, len(texts)))) for name in ("a", "b")}
    found = optimclm.compared(read, ["甲", "乙", "丙"], repeats=4)
    assert all(len(found[name][key]) == 4 for name in read for key in ("ms", "records_s"))
    assert calls.count(("a", 3)) == calls.count(("b", 3)) == 4 and calls.count(("a", 1)) == 1 + 4 * 3
    order = [name for name, n in calls if n == 3]
    assert {tuple(order[i : i + 2]) for i in range(0, 8, 2)} == {("a", "b"), ("b", "a")}


def test_torch_reads_an_ensemble_as_onnxruntime_does(tmp_path, monkeypatch):
    from tcmstruct.compression import export
    from tcmstruct.labels import READOUTS
    from tcmstruct.model.checkpoint import save_tagger
    from tcmstruct.model.config import EncoderConfig, ModelConfig
    from tcmstruct.model.tagger import CharTagger
    from tcmstruct.text.characters import CharacterTable

    folders = []
    for seed, crf in enumerate(((), ("gold",))):
        torch.manual_seed(seed)
        model = CharTagger(ModelConfig(EncoderConfig(hidden=24, n_layers=1, n_heads=2, feed=24, max_positions=65), n_characters=300,
                                       readouts={"gold": list(READOUTS["gold"])}, crf_readouts=crf, dropout=0.0))
        folders.append(tmp_path / str(seed))
        save_tagger(model, CharacterTable([chr(0x4E00 + i) for i in range(290)]), folders[-1])
    ids = torch.randint(3, 100, (2, 32), dtype=torch.int32)
    monkeypatch.setattr(export, "to_onnx", lambda model, names, path: systems._export(  # as the exporter of the product, but fast
        export.Exported(model.eval(), names), ids, path, *systems.TAGGER))
    rng = random.Random(0)
    texts = ["".join(chr(0x4E00 + rng.randrange(290)) for _ in range(n)) for n in (5, 150, 40, 63)]
    a, b = optimclm._torch(folders)(texts), optimclm._onnx(folders, 1, tmp_path / "exported")(texts)
    told = [[[(m.type, m.start, m.end, m.status) for m in one] for one in found] for found in (a, b)]
    assert told[0] == told[1] and all(told[0])


# ---------------------------------------------------------------- the command

def test_tables_are_chosen_by_number(tmp_path):
    (tmp_path / "gold").mkdir()
    (tmp_path / "gold" / "dev.jsonl").touch()
    data = ["--data", str(tmp_path)]
    assert command.parse(data).tables == list("1234567")
    assert command.parse([*data, "--optimclm"]).tables == ["8"]
    assert command.parse([*data, "--optimclm", "--tables", "2,3"]).tables == ["2", "3", "8"]
    for wrong in (["--tables", "9"], ["--seeds", "0"], ["--prune-run", str(tmp_path / "none")], ["--teachers", str(tmp_path)]):
        with pytest.raises(SystemExit) as ended:
            command.parse([*data, *wrong])
        assert ended.value.code == 2


def test_every_table_is_printed_and_resumed(tmp_path, monkeypatch, capsys):
    measure = Counter({"value": 1})

    def known(run):
        return str(run.cell("2", "a", "value", measure, uses=())["value"])

    def missing(run):
        raise NotMeasured("no folder")

    monkeypatch.setattr(command, "TABLES", {"2": ("Known", known), "4": ("Missing", missing)})
    monkeypatch.setattr(command, "matrix_ceiling", lambda: 0.2)
    monkeypatch.setattr(command, "parse", lambda words: argparse.Namespace(
        tables=["2", "4"], work=tmp_path, data=tmp_path, quick=True, seeds=None, threads=1, fusion_run=None, prune_run=None,
        vocabulary_runs=None, teachers=[], tongue_run=None, lite0=None))
    for known_cells in (0, 1):
        assert command.main([]) == 0
        out = capsys.readouterr()
        assert "**quick**" in out.out and "### Table 2. Known (quick)\n\n1\n" in out.out and "Not measured: no folder." in out.out
        assert f"{known_cells} cells were known" in out.out
    assert measure.n == 1 and "kept" in out.err
