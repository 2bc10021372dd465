"""The gate: what agrees, is smaller and faster passes; every number stands beside what is allowed; nothing is left half-written."""

import json
import shutil

import pytest

pytest.importorskip("torch")

from tiny_tagger import tiny_tagger

from tcmstruct.compression.quantise import quantise
from tcmstruct.errors import InputRefused, MissingExtra, TcmstructError, UsageError
from tcmstruct.pipeline import Structurer
from tcmstruct.recipes import acceptance
from tcmstruct.recipes import quantize as recipe
from tcmstruct.recipes.acceptance import Check, Ratio, Verdict, judge, predict, ratio_of, read_labelled
from tcmstruct.recipes.extras import needs
from tcmstruct.recipes.quantize import quantize, read_texts
from tcmstruct.record import StructuredRecord
from tcmstruct.runtime.model_folder import amend_card, open_folder

TEXTS = ["舌淡红苔薄白，脉弦。", "咳嗽三天，痰黄。" * 9, "无发热", "咳痰", "脉弦，舌红。" * 5, "无咳嗽。" * 12]


@pytest.fixture(scope="module")
def place():
    return tiny_tagger()


@pytest.fixture(scope="module")
def gold(place):
    """What the parent itself reads, so that its F1 is 1."""
    read = predict(Structurer(place / "fp32", threads=1), [StructuredRecord(str(n), text) for n, text in enumerate(TEXTS)])
    assert sum(len(r.entities) for r in read) > 3
    return read


@pytest.fixture
def speed(monkeypatch):
    """The measured ratio, given; what is measured is for the benchmarks to say."""
    given = [Ratio(2.0, 1.5, 2.5)]
    monkeypatch.setattr(acceptance, "speed_ratio", lambda *_, **__: given[0])
    return given




def test_the_trained_model_and_its_graph_agree_and_another_model_does_not(place, gold, speed, tmp_path):
    made = quantise(place / "fp32", tmp_path / "fp16", kind="fp16")
    verdict = judge(place / "fp32", made, TEXTS, labelled=gold, checkpoint=place / "checkpoint")
    assert verdict.accepted, str(verdict)
    assert verdict.to_card()["accepted"] is True and verdict.to_card()["speed against the parent"]["found"].startswith("2.00 ×")
    other = judge(place / "fp32", made, TEXTS, labelled=gold, checkpoint=place / "other")
    assert not other.accepted
    (failed,) = [check for check in other.checks if not check.ok]
    assert failed.what == "entity strict F1, torch against fp32 ONNX" and "±0.3 points" in failed.allowed
    assert "REFUSED" in str(other) and str(other).endswith("not accepted")


def test_a_copy_is_no_smaller_and_an_unsure_gain_is_none(place, gold, speed, tmp_path):
    shutil.copytree(place / "fp32", tmp_path / "copy")
    speed[0] = Ratio(1.2, 0.9, 1.4)
    verdict = judge(place / "fp32", tmp_path / "copy", TEXTS, labelled=gold)
    assert [check.ok for check in verdict.checks] == [True, False, False]
    assert "less than the parent's" in verdict.checks[1].allowed
    speed[0] = Ratio(1.2, 1.01, 1.4)
    assert judge(place / "fp32", tmp_path / "copy", TEXTS, labelled=gold).checks[-1].ok


def test_without_labels_the_parents_mentions_are_what_counts(place, speed, tmp_path):
    made = quantise(place / "fp32", tmp_path / "fp16", kind="fp16")
    assert judge(place / "fp32", made, TEXTS).accepted
    amend_card(made, min_probability=0.999)  # keeps its mentions to itself
    verdict = judge(place / "fp32", made, TEXTS)
    assert not verdict.accepted and "no labelled records" in verdict.checks[0].what


@pytest.mark.parametrize(("change", "ok"), [(0.003, True), (-0.003, True), (0.0031, False), (-0.0031, False)])
def test_three_tenths_of_a_point_are_allowed_both_ways(change, ok):
    assert acceptance._agrees("F1", 0.84 + change, 0.84).ok is ok


def test_speed_is_measured_in_turns_and_its_interval_holds_the_median(place):
    tagger = Structurer(place / "fp32", threads=1).tagger
    order = []

    class Noting:
        def __init__(self, name):
            self.name = name

        def stream(self, texts):
            order.append(self.name)
            return tagger.stream(texts)

    found = acceptance.speed_ratio(Noting("parent"), Noting("artefact"), TEXTS, 5)
    assert order[2:] == ["parent", "artefact", "artefact", "parent"] * 2 + ["parent", "artefact"]
    assert 0 < found.low <= found.median <= found.high


def test_the_interval_of_equal_ratios_is_a_point_and_of_others_is_not():
    assert ratio_of([1.3] * 9) == Ratio(1.3, 1.3, 1.3)
    found = ratio_of([0.8, 1.0, 1.1, 1.2, 1.2, 1.3, 1.3, 1.4, 2.0])
    assert found.median == 1.2 and 0.8 <= found.low < 1.2 < found.high <= 2.0


def test_nothing_to_measure_on_is_refused(place):
    for texts, repetitions in ((["", " "], 9), (TEXTS, 4)):
        with pytest.raises(UsageError):
            judge(place / "fp32", place / "fp32", texts, repetitions=repetitions)


@pytest.fixture
def files(tmp_path, gold):
    texts, labelled = tmp_path / "texts.jsonl", tmp_path / "gold.jsonl"
    texts.write_text("".join(json.dumps({"text": text}, ensure_ascii=False) + "\n" for text in TEXTS * 4), "utf-8")
    labelled.write_text("".join(json.dumps(r.to_dict(), ensure_ascii=False) + "\n" for r in gold), "utf-8")
    return texts, labelled


def verdict_of(ok):
    return Verdict((Check("speed against the parent", "1.20 ×", "interval above 1 ×", ok),))


def test_an_accepted_artefact_stands_there_with_the_verdict_on_its_card(place, files, tmp_path, monkeypatch):
    asked = []
    monkeypatch.setattr(recipe, "judge", lambda *a, **k: asked.append((a, k)) or verdict_of(True))
    out = tmp_path / "out"
    quantize(place / "fp32", out, files[0], labelled=files[1], kind="dynamic")
    card = open_folder(out).card
    assert card["accepted"]["accepted"] is True and card["accepted"]["speed against the parent"]["allowed"] == "interval above 1 ×"
    assert card["one_window_a_batch"] is True and card["backend_measured"] == "onnxruntime"
    assert len(asked[0][1]["labelled"]) == len(TEXTS) and len(asked[0][0][2]) == len(TEXTS) * 2  # every second text measures
    with pytest.raises(UsageError, match="--fresh"):
        quantize(place / "fp32", out, files[0])
    quantize(place / "fp32", out, files[0], fresh=True)
    assert "one_window_a_batch" not in open_folder(out).card
    assert sorted(p.name for p in tmp_path.iterdir()) == ["gold.jsonl", "out", "texts.jsonl"]


def test_what_is_not_accepted_leaves_nothing_and_touches_nothing(place, files, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(recipe, "judge", lambda *a, **k: verdict_of(False))
    with pytest.raises(TcmstructError, match=r"speed against the parent 1.20 ×, allowed interval above 1 ×") as refused:
        quantize(place / "fp32", tmp_path / "out", files[0])
    assert refused.value.code == "not_accepted" and refused.value.exit_code == 1
    assert sorted(p.name for p in tmp_path.iterdir()) == ["gold.jsonl", "texts.jsonl"]
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "mine.txt").write_text("mine")
    with pytest.raises(TcmstructError):
        quantize(place / "fp32", tmp_path / "out", files[0], fresh=True)
    assert (tmp_path / "out" / "mine.txt").read_text() == "mine"
    assert "REFUSED" in capsys.readouterr().err


def test_the_parent_is_never_the_place(place, files):
    with pytest.raises(UsageError, match="the parent itself"):
        quantize(place / "fp32", place / "fp32", files[0], fresh=True)


@pytest.mark.parametrize("content", [b"", b"\n\n", b"{}", b"[1]", b'{"text": ""}', b'{"text": 5}', b"\xff\xfe", None])
def test_texts_that_cannot_be_read_are_refused_without_a_word_of_them(tmp_path, content):
    file = tmp_path / "texts.jsonl"
    if content is not None:
        file.write_bytes(content)
    with pytest.raises(InputRefused, match=r"texts\.jsonl"):
        read_texts(file)


def test_labels_are_needed_in_a_labelled_file(tmp_path):
    file = tmp_path / "plain.jsonl"
    file.write_text('{"id": "1", "text": "咳嗽"}\n', "utf-8")
    with pytest.raises(UsageError, match="no record has an annotated mention"):
        read_labelled(file)


def test_a_missing_module_of_train_is_named_as_the_extra():
    with pytest.raises(MissingExtra, match=r"pip install 'tcmstruct\[train\]'"), needs("train", "quantize"):
        raise ModuleNotFoundError("No module named 'onnx.helper'", name="onnx.helper")
    with pytest.raises(ModuleNotFoundError), needs("train", "quantize"):
        raise ModuleNotFoundError("No module named 'tcmstruct.gone'", name="tcmstruct.gone")
