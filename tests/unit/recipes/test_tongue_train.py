import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("onnx")

from tcmstruct.model.image_encoder import IGNORE  # noqa: E402
from tcmstruct.recipes.calibrate import RIGHT_OF_ANSWERED, threshold_of  # noqa: E402
from tcmstruct.recipes.tongue_train import ATTRIBUTES, DECAY, GROUPS, READS, scores_of, train_heads  # noqa: E402
from tcmstruct.training.photos import HEADS  # noqa: E402


def test_every_head_reads_groups_that_exist_and_every_attribute_its_heads():
    assert READS.keys() == HEADS.keys() and DECAY.keys() == GROUPS.keys()
    assert {g for groups in READS.values() for g in groups} == set(GROUPS)
    for attribute in ATTRIBUTES.values():
        heads = [attribute[k] for k in ("head", "presence", "severity") if k in attribute]
        assert set(heads) <= HEADS.keys() and 0.5 < attribute.get("right_of_answered", RIGHT_OF_ANSWERED) <= 1


def test_a_threshold_asks_for_its_share_of_right_answers():
    confidence = np.linspace(0.99, 0.4, 100)
    right = np.arange(100) < 70
    assert threshold_of(confidence, right, 0.9) == pytest.approx(confidence[76])  # 70 of 77
    assert threshold_of(confidence, right, 0.75) < threshold_of(confidence, right, 0.9)
    assert threshold_of(confidence, ~right, 0.9) <= np.median(confidence)


def test_heads_learn_a_class_from_every_take_of_a_photo():
    rng = np.random.default_rng(0)
    n, width = 120, sum(GROUPS.values())
    truth = rng.integers(0, 3, n)
    takes = rng.normal(0, 1, (n, 2, width)).astype(np.float32)
    start = GROUPS["body"] + GROUPS["rim"]
    takes[:, :, start : start + GROUPS["colours"]] += rng.normal(0, 1, (3, GROUPS["colours"]))[truth][:, None]
    labels = {h: np.full(n, IGNORE) for h in HEADS} | {"苔色": np.where(np.arange(n) < 90, truth, IGNORE)}
    heads = train_heads(takes, labels, {h: np.ones(n, np.float32) for h in HEADS}, n_passes=60)
    assert (scores_of(heads, takes[90:, 0])["苔色"].argmax(1) == truth[90:]).mean() > 0.9
