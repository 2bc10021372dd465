import json

import numpy as np
import pytest

onnx = pytest.importorskip("onnx")

from onnx import TensorProto, helper, numpy_helper  # noqa: E402

from tcmstruct.errors import ModelError  # noqa: E402
from tcmstruct.image.crop import GREY, crop_tongue  # noqa: E402
from tcmstruct.image.tongue_model import TongueModel, letterbox, mask_from_scores, network_input  # noqa: E402
from tcmstruct.runtime.model_folder import write_manifest  # noqa: E402

CARD = {
    "heads": {"苔色": {"classes": ["白", "淡黄", "黄"], "temperature": 1.0}, "裂纹有无": {"classes": ["无", "有"], "temperature": 1.0},
              "裂纹轻重": {"classes": ["轻", "重"], "temperature": 2.0}},
    "attributes": {"苔色": {"classes": ["白", "淡黄", "黄"], "head": "苔色", "answer_above": 0.6},
                   "裂纹": {"classes": ["无", "轻", "重"], "presence": "裂纹有无", "severity": "裂纹轻重", "answer_above": 0.5}},
    "not_assessed": ["胖瘦"], "present_temperature": 1.0, "present_above": 0.5, "least_mask_share": 0.02,
}


def graph(nodes, inputs, outputs, constants):
    made = helper.make_graph(nodes, "g", [helper.make_tensor_value_info(n, t, s) for n, t, s in inputs],
                             [helper.make_tensor_value_info(n, TensorProto.FLOAT, s) for n, s in outputs],
                             [numpy_helper.from_array(np.asarray(v), n) for n, v in constants.items()])
    return helper.make_model(made, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)


@pytest.fixture
def folder(tmp_path):
    """Networks that can be checked by eye: bright is tongue, and the scores are the first numbers."""
    node = helper.make_node
    segment = graph(
        [node("Cast", ["photos"], ["f"], to=TensorProto.FLOAT), node("ReduceMean", ["f"], ["grey"], axes=[3], keepdims=0),
         node("Sub", ["grey", "half"], ["scores"]), node("Slice", ["scores", "start", "end", "axes", "steps"], ["mask"]),
         node("ReduceMax", ["scores"], ["present"], axes=[1, 2], keepdims=0)],
        [("photos", TensorProto.UINT8, ["B", 160, 160, 3])], [("mask", ["B", 40, 40]), ("present", ["B"])],
        {"half": np.float32(127.5), "start": np.array([2, 2]), "end": np.array([160, 160]), "axes": np.array([1, 2]),
         "steps": np.array([4, 4])})
    attributes = graph(
        [node("Slice", ["numbers", "start", "end", "axes"], ["scores"]), node("Cast", ["crops"], ["f"], to=TensorProto.FLOAT),
         node("ReduceMean", ["f"], ["colour"], axes=[1, 2], keepdims=0), node("ReduceMean", ["places"], ["share"], axes=[2, 3], keepdims=0),
         node("Concat", ["colour", "share"], ["both"], axis=1), node("Unsqueeze", ["both", "one"], ["grid"])],
        [("crops", TensorProto.UINT8, ["B", 224, 224, 3]), ("places", TensorProto.FLOAT, ["B", 2, 14, 14]),
         ("numbers", TensorProto.FLOAT, ["B", "N"])], [("scores", ["B", 7]), ("grid", ["B", 1, 5])],
        {"start": np.array([0]), "end": np.array([7]), "axes": np.array([1]), "one": np.array([1])})
    onnx.save(segment, tmp_path / "segment.onnx")
    onnx.save(attributes, tmp_path / "attributes.onnx")
    (tmp_path / "card.json").write_text(json.dumps(CARD, ensure_ascii=False), encoding="utf-8")
    write_manifest(tmp_path)
    return tmp_path


def photo(height, width, box, value=220):
    out = np.full((height, width, 3), 40, np.uint8)
    out[box[1] : box[3], box[0] : box[2]] = value
    return out


def test_outline_comes_back_at_the_photos_own_size(folder):
    model = TongueModel(folder)
    photos = [photo(300, 200, (60, 80, 140, 240)), photo(120, 400, (150, 20, 250, 100))]
    for found, (x0, y0, x1, y1), pixels in zip(model.segment(photos), ((60, 80, 140, 240), (150, 20, 250, 100)), photos, strict=True):
        assert found.mask.shape == pixels.shape[:2]
        rows, columns = np.nonzero(found.mask.any(1))[0], np.nonzero(found.mask.any(0))[0]
        slack = 1 + max(pixels.shape[:2]) / 40  # one place of the scores
        assert np.abs(np.array([columns[0], rows[0], columns[-1], rows[-1]]) - (x0, y0, x1 - 1, y1 - 1)).max() <= slack
        assert found.present == pytest.approx(1.0) and model.has_tongue(found)


def test_a_dark_photo_has_no_tongue(folder):
    model = TongueModel(folder)
    (found,) = model.segment([photo(200, 200, (0, 0, 0, 0))])
    assert not found.mask.any() and not model.has_tongue(found)


def test_a_result_is_the_photos_own(folder):
    model = TongueModel(folder)
    photos = [photo(300, 200, (60, 80, 140, 240)), photo(120, 400, (150, 20, 250, 100))]
    together, alone = model.segment(photos), [model.segment([p])[0] for p in photos]
    assert all((a.mask == b.mask).all() for a, b in zip(together, alone, strict=True))
    crops = [crop_tongue(p, s.mask) for p, s in zip(photos, together, strict=True)]
    both = model.attributes(crops)
    for crop, seen in zip(crops, both, strict=True):
        (own,) = model.attributes([crop])
        assert own.answers == seen.answers and (own.grid == seen.grid).all()
    assert model.attributes([]) == [] and model.segment([]) == []


@pytest.mark.parametrize(("scores", "value", "status"), [([3, 0, 0], "白", "answered"), ([0.3, 0, 0], None, "unsure")])
def test_below_its_threshold_an_attribute_has_no_value(folder, scores, value, status):
    answer = TongueModel(folder).answers(np.array([*scores, 0, 0, 0, 0], np.float32))["苔色"]
    assert (answer.value, answer.status) == (value, status)
    assert answer.confidence == max(answer.probabilities.values())


def test_presence_and_severity_are_joined(folder):
    answer = TongueModel(folder).answers(np.array([0, 0, 0, 0, np.log(4), 2 * np.log(3), 0], np.float32))["裂纹"]
    assert answer.probabilities == pytest.approx({"无": 0.2, "轻": 0.8 * 0.75, "重": 0.8 * 0.25})
    assert answer.value == "轻"


def test_what_no_data_teaches_is_never_guessed(folder):
    answer = TongueModel(folder).answers(np.full(7, 50, np.float32))["胖瘦"]
    assert (answer.value, answer.status, answer.confidence) == (None, "not_assessed", 0.0)


def test_a_crop_of_another_size_is_refused(folder):
    pixels = photo(300, 200, (60, 80, 140, 240))
    with pytest.raises(ValueError):
        TongueModel(folder).attributes([crop_tongue(pixels, pixels[..., 0] > 100, side=128)])


@pytest.mark.parametrize(("file", "code"), [("segment.onnx", "model_altered"), ("manifest.json", "model_missing")])
def test_an_altered_folder_is_refused(folder, file, code):
    (folder / file).write_bytes(b"{}")
    with pytest.raises(ModelError) as refused:
        TongueModel(folder)
    assert refused.value.code == code


def test_the_network_sees_the_tongue_and_a_narrow_rim():
    pixels = photo(300, 200, (60, 80, 140, 240))
    seen = network_input(crop_tongue(pixels, pixels[..., 0] > 100))
    assert (seen[:8] == GREY).all()
    assert (seen == 220).any() and (seen == 40).any()


def test_letterbox_keeps_the_shape_and_scores_find_their_way_back():
    pixels = photo(100, 320, (40, 20, 80, 90))
    boxed, (scale, left, top) = letterbox(pixels)
    assert (scale, left, top) == (0.5, 0, 55) and boxed[55 + 30, 30].tolist() == [220] * 3
    scores = np.full((40, 40), -1.0, np.float32)
    scores[14 + 5, 10] = 40.0
    rows, columns = np.nonzero(mask_from_scores(scores, (scale, left, top), (100, 320)))
    assert rows.mean() == pytest.approx((19.5 * 4 - 55) / 0.5 - 0.5, abs=1) and columns.mean() == pytest.approx(10.5 * 8 - 0.5, abs=1)


def test_colours_of_a_camera_that_nobody_taught_are_not_answered():
    from tcmstruct.image.tongue_numbers import FAMILIAR, N_COLOURS, N_LINES, N_RIM

    model = TongueModel()
    numbers = np.zeros(N_COLOURS + N_LINES + N_RIM, np.float32)
    numbers[list(FAMILIAR)] = model.familiar["mean"]
    scores = np.linspace(-2, 2, sum(len(h["classes"]) for h in model.card["heads"].values())).astype(np.float32)
    assert model.strangeness(numbers) == pytest.approx(0, abs=1e-3)
    known = model.answers(scores, numbers)
    assert known == model.answers(scores)
    numbers[list(FAMILIAR)[::3]] -= 60  # ln R/G everywhere: a greener light
    assert model.strangeness(numbers) > model.familiar["limit"]
    strange = model.answers(scores, numbers)
    for name, answer in strange.items():
        if name in model.familiar["attributes"]:
            assert answer.value is None and answer.status == "unfamiliar" and answer.probabilities == known[name].probabilities
        else:
            assert answer == known[name]
    assert set(model.familiar["attributes"]) == {"苔色", "舌色", "腻"}
