"""Kinds of artefacts: what they compute, that results follow from a record alone, and what is refused."""

import json
import shutil

import numpy as np
import pytest

pytest.importorskip("torch")

import onnx
from onnx import TensorProto, helper, numpy_helper
from onnx.reference import ReferenceEvaluator
from tiny_tagger import RARE, tiny_tagger

from tcmstruct.compression.narrow import narrow_products, to_bf16
from tcmstruct.compression.quantise import KINDS, already_narrow, kind_named, quantise
from tcmstruct.compression.torch_session import TorchSession
from tcmstruct.errors import UsageError
from tcmstruct.runtime.backends import same_in_any_batch, usable
from tcmstruct.runtime.memory import BatchMemory, MemoryBudget
from tcmstruct.runtime.model_folder import DEFAULT_FOLDER, open_folder
from tcmstruct.runtime.tagger import OnnxTagger

TEXTS = ["舌淡红苔薄白，脉弦。", "咳嗽三天，痰黄。" * 20, "无发热", "咳痰", "脉弦，舌红。" * 5, "无咳嗽。" * 30]


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    folder = tmp_path_factory.mktemp("tiny")
    for name in ("fp32", "checkpoint"):
        shutil.copytree(tiny_tagger() / name, folder / name)
    for kind in KINDS:
        quantise(folder / "fp32", folder / kind, TEXTS, kind)
    return folder


def tagger(folder, **options):
    return OnnxTagger(open_folder(folder), threads=1, **options)


def flat(scores):
    return [part.tags["gold"] for parts in scores for part in parts]


def as_bytes(scores):
    return [a.tobytes() for a in flat(scores)]


@pytest.mark.parametrize(("kind", "far"), [("static", 0.35), ("dynamic", 0.35), ("fp16", 0.02)])
def test_an_artefact_computes_what_its_parent_does_and_is_smaller(place, kind, far):
    wanted, found = (flat(tagger(place / name).scores(TEXTS)) for name in ("fp32", kind))
    spread = max(float(np.ptp(a)) for a in wanted)
    assert max(float(np.abs(a - b).max()) for a, b in zip(wanted, found, strict=True)) < far * spread
    assert (place / kind / "model.onnx").stat().st_size < (place / "fp32" / "model.onnx").stat().st_size
    card = open_folder(place / kind).card
    assert card["precision"] == KINDS[kind].precision and card["window_chars"] == 100


@pytest.mark.parametrize("kind", ["static", "dynamic"])
@pytest.mark.parametrize("room", [0, 500 * 2**20])
def test_a_records_result_follows_from_the_record_alone(place, kind, room):
    one = tagger(place / kind)
    alone = [as_bytes(one.scores([text])) for text in TEXTS]
    other = tagger(place / kind, chars_per_batch=100_000)
    other.budget = MemoryBudget(room, 0, 0, BatchMemory(source="fitted"))
    together = other.scores(TEXTS * 3)
    assert [as_bytes([parts]) for parts in together] == alone * 3
    assert other.alone is (kind == "dynamic")


def test_a_dynamic_range_lets_neighbours_meet_which_is_why_it_runs_alone(place):
    assert not same_in_any_batch(tagger(place / "dynamic")._session, chars=(48,))
    assert same_in_any_batch(tagger(place / "static")._session, chars=(48,))


def test_products_of_two_computed_matrices_stay_as_they_are(place):
    nodes = {kind: [n.op_type for n in onnx.load(place / kind / "model.onnx").graph.node] for kind in ("fp32", "static", "dynamic")}
    assert nodes["fp32"].count("MatMul") - nodes["dynamic"].count("MatMulInteger") == nodes["dynamic"].count("MatMul") == 2
    constants = {i.name for i in onnx.load(place / "static" / "model.onnx").graph.initializer}
    assert {n.output[0] for n in onnx.load(place / "static" / "model.onnx").graph.node if n.op_type == "DequantizeLinear"} - constants


@pytest.mark.parametrize("name", ["fp32", "static"])
def test_openvino_reads_the_same_file_and_minds_no_batch(place, name):
    if "openvino" not in usable():  # importorskip would import it, with its telemetry
        pytest.skip("the extra [openvino] is not installed")
    texts = [*TEXTS, RARE[-90:]]  # numbers of characters beyond what fp32 can hash exactly
    usual, other = tagger(place / name), tagger(place / name, backend="openvino")
    wanted, found = usual.scores(texts), other.scores(texts)
    spread = max(float(np.ptp(a)) for a in flat(wanted))
    assert all(np.abs(a - b).max() < (1e-3 if name == "fp32" else 0.2) * spread for a, b in zip(flat(wanted), flat(found), strict=True))
    assert other.alone
    assert [as_bytes(other.scores([text])) for text in texts] == [as_bytes([parts]) for parts in found]


def product_graph():
    weights = np.linspace(-1, 1, 12, dtype=np.float32).reshape(3, 4)
    nodes = [helper.make_node("MatMul", ["x", "w"], ["y"]), helper.make_node("Relu", ["y"], ["z"]),
             helper.make_node("Transpose", ["w"], ["v"]), helper.make_node("MatMul", ["z", "v"], ["out"])]
    graph = helper.make_graph(nodes, "g", [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["B", 3])],
                              [helper.make_tensor_value_info("out", TensorProto.FLOAT, ["B", 3])], [numpy_helper.from_array(weights, "w")])
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)])


@pytest.mark.parametrize(("kind", "near"), [("fp16", 2e-3), ("bf16", 2e-2)])
def test_narrow_products_keep_sums_and_outputs_wide(kind, near):
    model = product_graph()
    narrow = narrow_products(model, kind)
    onnx.checker.check_model(narrow, full_check=True)
    x = np.random.default_rng(0).standard_normal((5, 3)).astype(np.float32)
    (wanted,), (found,) = (ReferenceEvaluator(m).run(None, {"x": x}) for m in (model, narrow))
    assert found.dtype == np.float32 and np.allclose(wanted, found, atol=near) and not np.array_equal(wanted, found)
    assert {i.name for i in narrow.graph.initializer} == {"w", f"w_{kind}"}  # w is needed wide by the transposition
    assert {i.name for i in model.graph.initializer} == {"w"}


def test_bf16_bits_are_those_of_the_nearest():
    values = np.array([1.0, -2.5, 1 + 2**-8, 1 + 3 * 2**-8, 0.0, np.inf], np.float32)
    back = (to_bf16(values).astype(np.uint32) << 16).view(np.float32)
    assert back.tolist() == [1.0, -2.5, 1.0, 1 + 2**-6, 0.0, float("inf")]  # ties go to even


def test_a_constant_that_fp16_does_not_hold_is_refused():
    model = product_graph()
    model.graph.initializer[0].CopyFrom(numpy_helper.from_array(np.full((3, 4), 1e6, np.float32), "w"))
    with pytest.raises(ValueError, match="65504"):
        narrow_products(model, "fp16")


def test_torch_behind_the_sessions_interface_is_the_exported_graph(place):
    usual = tagger(place / "fp32")
    other = tagger(place / "fp32", session=TorchSession(place / "checkpoint", list(usual.readouts)))
    assert [i.name for i in other._session.inputs] == [i.name for i in usual._session.inputs]
    for a, b in zip(flat(usual.scores(TEXTS)), flat(other.scores(TEXTS)), strict=True):
        assert np.allclose(a, b, atol=2e-2)


@pytest.mark.parametrize("kind", KINDS)
def test_what_is_quantised_is_not_quantised_again(place, tmp_path, kind):
    assert already_narrow(place / kind) and not already_narrow(place / "fp32")
    with pytest.raises(UsageError, match="quantised already") as refused:
        quantise(place / kind, tmp_path / "twice", TEXTS, "dynamic")
    assert refused.value.code == "already_quantised" and not (tmp_path / "twice").exists()


def test_the_shipped_folder_is_quantised():
    assert "MatMul" in already_narrow(DEFAULT_FOLDER) or "Linear" in already_narrow(DEFAULT_FOLDER)


def test_unknown_kinds_and_missing_texts_are_refused(place, tmp_path):
    with pytest.raises(UsageError, match="static, dynamic, fp16, bf16"):
        kind_named("int4")
    with pytest.raises(UsageError, match="--texts"):
        quantise(place / "fp32", tmp_path / "out")
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_stands_there_is_what_it_was_where_converting_fails(place, tmp_path, monkeypatch):
    quantise(place / "fp32", tmp_path / "out", TEXTS)
    before = json.loads((tmp_path / "out" / "manifest.json").read_text())

    def fails(*_):
        raise RuntimeError("disk full")

    monkeypatch.setitem(KINDS, "static", type(KINDS["static"])("int8", fails, needs_texts=True))
    with pytest.raises(RuntimeError):
        quantise(place / "fp32", tmp_path / "out", TEXTS)
    assert json.loads((tmp_path / "out" / "manifest.json").read_text()) == before
    assert [p.name for p in tmp_path.iterdir()] == ["out"]
