import numpy as np
import pytest

torch = pytest.importorskip("torch")

from tcmstruct.model.segmenter import (  # noqa: E402
    PRESENT,
    WIDTHS,
    Pyramid,
    Segmenter,
    Trunk,
    box_loss,
    mask_loss,
    presence_heads,
    summary,
)


def features(n=2):
    torch.manual_seed(0)
    return [torch.randn(n, w, s, s) for w, s in zip(WIDTHS, (40, 20, 10), strict=True)]


def test_shapes():
    assert Pyramid().eval()(features()).shape == (2, 40, 40)
    assert presence_heads()(summary(features()))[PRESENT].shape == (2, 2)


def test_the_trunk_stays_as_it_is():
    pytest.importorskip("timm")
    from tcmstruct.model.image_encoder import lite0

    net = Segmenter(Trunk(lite0()), Pyramid(), presence_heads()).train()
    assert not net.trunk.training and not any(p.requires_grad for p in net.trunk.parameters())
    assert [tuple(f.shape[1:]) for f in net.trunk(torch.zeros(1, 3, 160, 160))] == [(24, 40, 40), (40, 20, 20), (80, 10, 10)]


def test_mask_loss_is_least_at_the_target():
    target = torch.zeros(1, 8, 8)
    target[:, 2:6, 2:6] = 1
    right, wrong = 20 * (target - 0.5), -20 * (target - 0.5)
    assert mask_loss(right, target) < 0.01 < 1 < mask_loss(wrong, target)
    assert mask_loss(wrong, target, torch.zeros(1)) == 0


def test_a_box_wants_nothing_outside_and_every_row_and_column_touched():
    box = torch.zeros(1, 8, 8)
    box[:, 2:6, 2:6] = 1
    cross = torch.full((1, 8, 8), -10.0)
    cross[:, 3, 2:6] = cross[:, 2:6, 3] = 10.0  # fills no corner of the box, and need not
    point = torch.full((1, 8, 8), -10.0)
    point[:, 3, 3] = 10.0
    beyond = cross.clone()
    beyond[:, 0, 0] = 10.0
    assert box_loss(cross, box) < 0.01
    assert box_loss(point, box) > 1 and box_loss(beyond, box) > box_loss(cross, box) + 0.1


def test_onnx_computes_what_torch_computes(tmp_path):
    """A random pyramid, its constants stored in fp16: scores differ by less than 0.02, whatever the batch."""
    ort = pytest.importorskip("onnxruntime")
    pytest.importorskip("onnxscript")
    from tcmstruct.compression.export import halve
    from tcmstruct.recipes.tongue_graphs import to_onnx

    class Plain(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.pyramid, self.presence = Pyramid(), presence_heads()
            torch.nn.init.normal_(self.presence.readers[PRESENT]["whole"].weight, std=0.05)

        def forward(self, f4, f8, f16):
            return self.pyramid([f4, f8, f16]), self.presence(summary([f4, f8, f16]))[PRESENT]

    torch.manual_seed(1)
    net = Plain().eval()
    to_onnx(net, features(), ["f4", "f8", "f16"], ["mask", "present"], tmp_path / "net.onnx")
    size = (tmp_path / "net.onnx").stat().st_size
    halve(tmp_path / "net.onnx")
    assert (tmp_path / "net.onnx").stat().st_size < 0.8 * size
    session = ort.InferenceSession(str(tmp_path / "net.onnx"), providers=["CPUExecutionProvider"])
    inputs = features(3)
    found = session.run(None, {k: v.numpy() for k, v in zip(("f4", "f8", "f16"), inputs, strict=True)})
    with torch.inference_mode():
        for ours, theirs in zip(found, net(*inputs), strict=True):
            assert np.abs(ours - theirs.numpy()).max() < 0.02
