"""The gated fusion: without a photo it is the identity, with one it is a bounded, per-character addition."""

import pytest

torch = pytest.importorskip("torch")

from tcmstruct.model.fusion import FusionConfig, FusionNet, WindowSums  # noqa: E402

ATTRIBUTES = {"苔色": ("白", "淡黄", "黄"), "舌色": ("淡白", "淡红")}


def net(**changes) -> FusionNet:
    torch.manual_seed(3)
    made = FusionNet(FusionConfig(hidden=24, token_width=10, n_quality=3, attributes=ATTRIBUTES, tongue_columns=(8, 10), n_heads=4,
                                  width=16, **changes)).eval()
    made.standardise(torch.randn(6, 5, 10) * 3 + 1, torch.randn(6, 3))
    return made


def inputs(batch=3, length=12):
    torch.manual_seed(5)
    mask = torch.ones(batch, length, dtype=torch.bool)
    mask[1:2, 7:] = False
    return torch.randn(batch, length, 24), mask, torch.randn(batch, 5, 10), torch.randn(batch, 3)


def test_without_a_photo_the_vectors_are_the_texts_own_bit_for_bit():
    hidden, mask, places, quality = inputs()
    with torch.inference_mode():
        out = net()(hidden, mask, places, quality, torch.tensor([0.0, 0.0, 1.0]))
    assert torch.equal(out.fused[:2], hidden[:2]) and out.gate[:2].abs().max() == 0
    assert not torch.equal(out.fused[2], hidden[2])


def test_attention_is_a_distribution_and_the_gate_lies_between_shut_and_open():
    hidden, mask, places, quality = inputs()
    with torch.inference_mode():
        out = net()(hidden, mask, places, quality, torch.ones(3))
    assert torch.allclose(out.attention.sum(-1), torch.ones(3, 12), atol=1e-5) and out.attention.shape == (3, 12, 5)
    assert out.gate.min() > 0 and out.gate.max() < 1
    assert {name: tuple(s.shape) for name, s in out.scores.items()} == {"苔色": (3, 3), "舌色": (3, 2)}


def test_nobody_looks_beside_the_tongue():
    hidden, mask, places, quality = inputs()
    places[:, :, 8:] = 0.5
    places[:, 1, 8:] = 0.0
    with torch.inference_mode():
        out = net()(hidden, mask, places, quality, torch.ones(3))
    assert out.attention[:, :, 1].max() < 0.02 < out.attention[:, :, 0].min()


def test_padding_changes_nothing():
    hidden, mask, places, quality = inputs()
    with torch.inference_mode():
        padded = net()(hidden, mask, places, quality, torch.ones(3))
        alone = net()(hidden[1:2, :7], mask[1:2, :7], places[1:2], quality[1:2], torch.ones(1))
    for name in ATTRIBUTES:
        assert torch.allclose(padded.scores[name][1], alone.scores[name][0], atol=1e-5)


def test_an_open_gate_takes_the_whole_answer():
    hidden, mask, places, quality = inputs()
    with torch.inference_mode():
        out = net(gated=False)(hidden, mask, places, quality, torch.tensor([1.0, 0.0, 1.0]))
    assert out.gate.tolist() == [[1.0] * 12, [0.0] * 12, [1.0] * 12]


def test_sums_of_windows_add_up_to_the_whole_record():
    hidden, _, places, quality = inputs(batch=1, length=40)
    model = net()
    sums = WindowSums(model)
    with torch.inference_mode():
        whole = model(hidden, torch.ones(1, 40, dtype=torch.bool), places, quality, torch.ones(1))
        parts = [sums(hidden[0, a:b], places[0], quality[0]) for a, b in ((0, 17), (17, 18), (18, 40))]
    total = sum(part[0] for part in parts)
    scores = total[:-1] / total[-1]
    assert torch.allclose(scores, torch.cat([whole.scores[name][0] for name in ATTRIBUTES]), atol=1e-5)
    assert torch.allclose(torch.cat([part[1] for part in parts]), whole.gate[0], atol=1e-6)
    assert torch.allclose(torch.cat([part[2] for part in parts]), whole.attention[0], atol=1e-6)


def test_the_gate_hears_of_the_photos_quality():
    hidden, mask, places, _ = inputs()
    model = net()
    with torch.inference_mode():
        one = model(hidden, mask, places, torch.zeros(3, 3), torch.ones(3)).gate
        other = model(hidden, mask, places, torch.full((3, 3), 2.0), torch.ones(3)).gate
    assert (one - other).abs().max() > 1e-3
