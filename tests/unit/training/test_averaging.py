import pytest

torch = pytest.importorskip("torch", reason="the extra [train] is not installed")

from torch import nn  # noqa: E402

from tcmstruct.training.averaging import averaged  # noqa: E402


def model(value, width=2):
    out = nn.Sequential(nn.Linear(width, 1), nn.BatchNorm1d(1))
    for parameter in out.parameters():
        nn.init.constant_(parameter, value)
    out[1].num_batches_tracked += int(value)
    return out


def test_weights_are_mixed_and_counters_are_the_firsts():
    first, second = model(1.0), model(3.0)
    mean = averaged([first, second], [0.25, 0.75])
    assert {p.flatten()[0].item() for p in mean.parameters()} == {2.5}
    assert int(mean[1].num_batches_tracked) == 1
    assert {p.flatten()[0].item() for p in first.parameters()} == {1.0}


@pytest.mark.parametrize(("models", "shares"), [((1.0, 2.0), (0.5, 0.6)), ((1.0, 2.0), (1.0,))])
def test_shares_add_up_to_one(models, shares):
    with pytest.raises(ValueError, match="add up to 1"):
        averaged([model(v) for v in models], shares)


def test_other_shapes_are_refused():
    with pytest.raises(ValueError, match="shape"):
        averaged([model(1.0), model(1.0, width=3)], (0.5, 0.5))
