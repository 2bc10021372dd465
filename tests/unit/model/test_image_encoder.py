import os
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from tcmstruct.errors import ModelError  # noqa: E402
from tcmstruct.model.image_encoder import (  # noqa: E402
    IGNORE,
    N_TOKENS,
    WIDTH,
    Heads,
    ImageEncoder,
    TongueNet,
    _names,
    _summary,
    from_timm,
    lite0,
    lite0_state,
    masked_loss,
    normalised,
    to_timm,
)


def test_names_are_reversible():
    table = _names()
    assert len(set(table.values())) == len(table)
    state = {f"{theirs}.weight": torch.tensor(float(i)) for i, theirs in enumerate(table)}
    there = to_timm(state)
    assert there["blocks.6.0.conv_pwl.weight"] == state["_blocks.15._project_conv.weight"]
    assert from_timm(there) == state


def test_an_unknown_tensor_is_refused():
    with pytest.raises(ModelError):
        to_timm({"_blocks.16._project_conv.weight": torch.zeros(1)})


def test_another_file_is_refused(tmp_path):
    (tmp_path / "lite0.pth").write_bytes(b"not the weights")
    with pytest.raises(ModelError) as refused:
        lite0_state(tmp_path / "lite0.pth")
    assert "sha256" in str(refused.value)


def test_names_are_timms():
    pytest.importorskip("timm")
    own = {name.rpartition(".")[0] for name in lite0().state_dict()}
    assert own == set(_names().values())


def test_mapped_weights_compute_what_the_reference_computes():
    """The reference is the plain order of the file, which timm's own order matches tensor by tensor."""
    timm = pytest.importorskip("timm")
    path = Path(os.environ.get("TCMSTRUCT_LITE0", "lite0.pth"))
    if not path.is_file():
        pytest.skip("the registry's Lite0 file is absent (set TCMSTRUCT_LITE0)")
    raw = torch.load(path, weights_only=True)
    assert len(raw) == 296
    reference = timm.create_model("tf_efficientnet_lite0").eval()
    reference.load_state_dict(dict(zip(reference.state_dict(), raw.values(), strict=True)))
    images = normalised(torch.randint(0, 256, (2, 64, 64, 3), dtype=torch.uint8))
    with torch.inference_mode():
        assert torch.equal(lite0(path).eval()(images), reference(images))


def test_shapes_of_the_encoder():
    pytest.importorskip("timm")
    encoder = ImageEncoder(lite0()).freeze().train()
    heads = Heads({"body": 3 * WIDTH, "rim": 3 * WIDTH, "numbers": 5}, {"苔色": (3, ("numbers",)), "裂纹轻重": (2, ("body", "numbers"))})
    images = normalised(torch.randint(0, 256, (2, 224, 224, 3), dtype=torch.uint8))
    places = torch.zeros(2, 2, 14, 14)
    places[:, 0, 4:10, 4:10] = 1
    output = TongueNet(encoder, heads)(images, places, torch.zeros(2, 5))
    assert output.grid.shape == (2, N_TOKENS, WIDTH)
    assert {h: tuple(s.shape) for h, s in output.scores.items()} == {"苔色": (2, 3), "裂纹轻重": (2, 2)}
    assert not any(m.training for m in encoder.modules() if isinstance(m, torch.nn.BatchNorm2d))
    assert not any(p.requires_grad for p in encoder.parameters())


def test_only_where_the_tongue_is_the_features_are_read():
    x = torch.randn(1, 5, 14, 14)
    weight = torch.zeros(1, 1, 14, 14)
    weight[..., 3:9, 3:9] = 1
    elsewhere = torch.where(weight > 0, x, x + 50)
    assert torch.equal(_summary(x, weight), _summary(elsewhere, weight))
    mean, peak, spread = _summary(x, weight)[0].split(5)
    inside = x[0, :, 3:9, 3:9].flatten(1)
    assert torch.allclose(mean, inside.mean(1), atol=1e-3) and torch.equal(peak, inside.amax(1))
    assert torch.allclose(spread, inside.std(1, unbiased=False), atol=1e-2)
    assert torch.isfinite(_summary(x, torch.zeros_like(weight))).all()


def test_masked_loss_ignores_what_nobody_labelled():
    scores = {"苔色": torch.randn(4, 3, requires_grad=True), "舌色": torch.randn(4, 3, requires_grad=True)}
    labels = {"苔色": torch.tensor([0, IGNORE, 2, IGNORE]), "舌色": torch.full((4,), IGNORE)}
    weights = {name: torch.ones(4) for name in scores}
    masked_loss(scores, labels, weights).backward()
    gradient = scores["苔色"].grad.abs().sum(1)
    assert (gradient[[0, 2]] > 0).all()
    assert (gradient[[1, 3]] == 0).all()
    assert scores["舌色"].grad is None


def test_masked_loss_of_one_label_is_cross_entropy():
    scores = torch.tensor([[1.0, 2.0]])
    labels, half = {"裂纹轻重": torch.tensor([1])}, {"裂纹轻重": torch.tensor([0.5])}
    expected = np.log(1 + np.exp(-1.0))
    assert masked_loss({"裂纹轻重": scores}, labels, half).item() == pytest.approx(0.5 * expected, rel=1e-5)


def test_readers_of_a_head_vote_and_see_only_their_group():
    heads = Heads({"body": 2, "lines": 3}, {"裂纹轻重": (2, ("body", "lines")), "苔色": (3, ("lines",))})
    with torch.no_grad():
        heads.readers["裂纹轻重"]["body"].bias += torch.tensor([2.0, 0.0])
        heads.readers["苔色"]["lines"].weight += 1.0
    features = torch.tensor([[4.0, 4.0, 0.1, 0.2, 0.3]])
    scores = heads(features)
    assert scores["裂纹轻重"].tolist() == [[1.0, 0.0]]
    assert torch.allclose(scores["苔色"], torch.full((1, 3), 0.6))
