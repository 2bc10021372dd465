"""The fusion on onnxruntime: windows add up, answers are calibrated, what was not trained for is not used."""

import json

import numpy as np
import pytest

from tcmstruct.errors import ModelError
from tcmstruct.image.fusion_input import ATTRIBUTES, N_QUALITY
from tcmstruct.runtime.fusion import FUSION_FOLDER, Fusion, Reading
from tcmstruct.runtime.model_folder import DEFAULT_FOLDER, open_folder

HIDDEN, WIDTH = 224, 126


@pytest.fixture(scope="module")
def fusion():
    return Fusion()


def photo(seed=0):
    rng = np.random.default_rng(seed)
    return rng.normal(size=(49, WIDTH)).astype(np.float32), rng.normal(size=N_QUALITY).astype(np.float32)


def test_the_shipped_fusion_was_trained_with_the_shipped_text_model(fusion):
    assert fusion.fits(open_folder(DEFAULT_FOLDER).sha256["model.onnx"])
    assert not fusion.fits("0" * 64)
    assert {name: tuple(a["classes"]) for name, a in fusion.card["attributes"].items()} == ATTRIBUTES


def test_windows_add_up_to_the_whole(fusion):
    hidden = np.random.default_rng(1).normal(size=(300, HIDDEN)).astype(np.float32)
    whole, parts = Reading(*photo(), keep=True), Reading(*photo(), keep=True)
    fusion.read(whole, hidden, 0)
    for a, b in ((0, 120), (120, 121), (121, 300)):
        fusion.read(parts, hidden[a:b], a)
    assert whole.n_characters == parts.n_characters == 300 and 0 < whole.gate < 1
    for name, answer in fusion.answers(whole).items():
        other = fusion.answers(parts)[name]
        assert sum(answer.probabilities.values()) == pytest.approx(1)
        assert list(other.probabilities.values()) == pytest.approx(list(answer.probabilities.values()), abs=1e-5)
        assert answer.value in (None, *ATTRIBUTES[name]) and answer.confidence == max(answer.probabilities.values())
    attention, gate = parts.over(119, 123)
    assert attention.shape == (49,) and attention.sum() == pytest.approx(1, abs=1e-5)
    assert gate == pytest.approx(np.mean([whole.characters[i][0] for i in range(119, 123)]), abs=1e-6)
    assert parts.over(300, 310) is None


def test_what_is_kept_does_not_grow_with_the_record(fusion):
    reading = Reading(*photo())
    for start in range(0, 5000, 500):
        fusion.read(reading, np.ones((500, HIDDEN), np.float32), start)
    assert not reading.characters and reading.sums.shape == (1 + sum(map(len, ATTRIBUTES.values())),)


def test_another_photo_gives_another_answer(fusion):
    hidden = np.random.default_rng(2).normal(size=(50, HIDDEN)).astype(np.float32)
    found = []
    for seed in (0, 1):
        reading = Reading(*photo(seed))
        fusion.read(reading, hidden, 0)
        found.append([p for a in fusion.answers(reading).values() for p in a.probabilities.values()])
    assert np.abs(np.subtract(*found)).max() > 0.01


def test_an_altered_folder_is_refused(tmp_path):
    for name in ("model.onnx", "card.json", "manifest.json"):
        (tmp_path / name).write_bytes((FUSION_FOLDER / name).read_bytes())
    card = json.loads((tmp_path / "card.json").read_text(encoding="utf-8"))
    (tmp_path / "card.json").write_text(json.dumps({**card, "x": 1}), encoding="utf-8")
    with pytest.raises(ModelError, match=r"card\.json"):
        Fusion(tmp_path)
