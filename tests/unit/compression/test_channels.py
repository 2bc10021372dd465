"""Cutting channels and heads: what is removed is gone, what is left gives what it gave, or is refitted to."""

import pytest
import torch
from tiny_lite import tiny_encoder, tiny_fusion

from tcmstruct.compression.channels import (
    block_outputs,
    channel_groups,
    folded,
    prunable_blocks,
    pruned_fusion,
    refit,
    refit_fusion,
    without_channels,
)

pytest.importorskip("torch_pruning")
PLACES = torch.ones(3, 2, 4, 4)


def images(n: int = 3, seed: int = 1) -> torch.Tensor:
    return torch.randn(n, 3, 64, 64, generator=torch.Generator().manual_seed(seed))


def test_folding_changes_no_output():
    encoder = tiny_encoder()
    with torch.no_grad():
        before, after = encoder(images(), PLACES), folded(encoder)(images(), PLACES)
    for name in ("grid", "body", "rim"):
        assert torch.allclose(getattr(before, name), getattr(after, name), atol=1e-4)
    assert not any(isinstance(m, torch.nn.BatchNorm2d) for m in folded(encoder).modules())


def test_only_blocks_that_expand_are_prunable():
    assert list(prunable_blocks(tiny_encoder())) == ["1.0", "1.1", "2.0", "2.1", "3.0", "3.1"]


def test_groups_hold_every_channel_once_and_the_most_important_first():
    groups = channel_groups(torch.tensor([0.1, 5.0, 0.2, 3.0, 0.3]), 2)
    assert groups == [[1, 3, 4], [2, 0]]


def test_removed_channels_are_gone_from_all_that_hangs_on_them():
    whole = folded(tiny_encoder())
    n_before = sum(p.numel() for p in whole.parameters())
    pruned = without_channels(whole, {"1.1": [0, 5, 7], "3.0": list(range(24))})
    block = prunable_blocks(pruned)["1.1"]
    assert (block.conv_pw.out_channels, block.conv_dw.groups, block.conv_pwl.in_channels) == (33, 33, 33)
    assert prunable_blocks(pruned)["3.0"].conv_dw.weight.shape[0] == 24
    assert sum(p.numel() for p in pruned.parameters()) == n_before - 3 * (12 + 1 + 9 + 1 + 12) - 24 * (16 + 1 + 9 + 1 + 20)
    assert prunable_blocks(whole)["1.1"].conv_pw.out_channels == 36, "the original was changed"


def test_a_channel_that_says_nothing_can_go_without_loss():
    whole = folded(tiny_encoder())
    prunable_blocks(whole)["2.1"].conv_pwl.weight.data[:, [3, 4]] = 0
    before = whole(images(), PLACES).grid
    after = without_channels(whole, {"2.1": [3, 4]})(images(), PLACES).grid
    assert torch.allclose(before, after, atol=1e-5)


def test_refitting_makes_good_what_others_can():
    whole = folded(tiny_encoder())
    given = images(24)
    pruned = without_channels(whole, {"1.0": list(range(8)), "2.1": list(range(20)), "3.0": list(range(12))})
    unseen = images(8, seed=9)
    wanted = whole(unseen, PLACES[:1].expand(8, 2, 4, 4)).grid
    error = [(pruned(unseen, PLACES[:1].expand(8, 2, 4, 4)).grid - wanted).square().mean().item()]
    refit(pruned, given, block_outputs(whole, given))
    error.append((pruned(unseen, PLACES[:1].expand(8, 2, 4, 4)).grid - wanted).square().mean().item())
    assert error[1] < 0.6 * error[0]


def test_refitting_a_whole_encoder_changes_nothing():
    whole = folded(tiny_encoder())
    copy = without_channels(whole, {})
    refit(copy, images(), block_outputs(whole, images()))
    for a, b in zip(whole.parameters(), copy.parameters(), strict=True):
        assert torch.equal(a, b)


def pair(n: int = 2, seed: int = 3) -> tuple[torch.Tensor, ...]:
    draw = torch.Generator().manual_seed(seed)
    return (torch.randn(n, 9, 32, generator=draw), torch.ones(n, 9, dtype=torch.bool), torch.rand(n, 49, 14, generator=draw),
            torch.randn(n, 7, generator=draw))


def test_a_fusion_that_keeps_everything_is_the_same():
    net = tiny_fusion()
    hidden, mask, places, quality = pair()
    same = pruned_fusion(net, range(4), range(32))
    whole, other = (n(hidden, mask, places, quality, torch.ones(2)) for n in (net, same))
    assert torch.equal(whole.fused, other.fused) and torch.equal(whole.gate, other.gate)


def test_a_head_whose_answer_weighs_nothing_can_go():
    net = tiny_fusion()
    with torch.no_grad():
        net.fusion.output.weight[:, 4:8] = 0  # head 1
    hidden, mask, places, quality = pair()
    cut = pruned_fusion(net, [0, 2, 3], range(32))
    assert cut.config.n_heads == 3 and cut.fusion.query.out_features == 12
    assert torch.allclose(net(hidden, mask, places, quality, torch.ones(2)).fused,
                          cut(hidden, mask, places, quality, torch.ones(2)).fused, atol=1e-5)


def test_the_photo_changes_only_dimensions_that_it_reaches():
    hidden, mask, places, quality = pair()
    cut = pruned_fusion(tiny_fusion(), range(4), [0, 3, 31])
    out = cut(hidden, mask, places, quality, torch.ones(2))
    changed = (out.fused != hidden).any((0, 1)).nonzero().flatten().tolist()
    assert changed == [0, 3, 31]
    assert out.gate.max() <= 3 / 32
    alone = cut(hidden, mask, places, quality, torch.zeros(2))
    assert torch.equal(alone.fused, hidden) and not alone.gate.any()


def test_a_fusion_can_be_cut_twice():
    once = pruned_fusion(pruned_fusion(tiny_fusion(), [0, 1, 3], [0, 3, 5, 31]), [0, 2], [3, 31])
    directly = pruned_fusion(tiny_fusion(), [0, 3], [3, 31])
    for a, b in zip(once.state_dict().values(), directly.state_dict().values(), strict=True):
        assert torch.equal(a, b)


def test_refitting_a_fusion_brings_its_answer_nearer():
    net, given = tiny_fusion(), pair(16)
    cut = pruned_fusion(net, [0, 1], range(0, 32, 2))
    hidden, _, places, quality = pair(8, seed=4)
    wanted = net.fuse(hidden, places, quality, torch.ones(8))[0]

    def error() -> float:
        return (cut.fuse(hidden, places, quality, torch.ones(8))[0] - wanted)[..., ::2].square().mean().item()

    before = error()
    refit_fusion(cut, net, *given)
    assert error() < before
