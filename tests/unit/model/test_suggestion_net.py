import pytest

torch = pytest.importorskip("torch", reason="heads are trained with torch")
from tcmstruct.model.suggestion import FollowsConfig, FollowsNet, SuggestionConfig, SuggestionGraph, SuggestionNet  # noqa: E402


def net_of(**changes):
    torch.manual_seed(0)
    net = SuggestionNet(SuggestionConfig(**{"hidden": 6, "n_labels": 3, "n_photo": 2, "n_buckets": 10, **changes}))
    for parameter in net.parameters():
        torch.nn.init.normal_(parameter, std=0.3)
    net.table.normal_()
    return net.eval()


@pytest.mark.parametrize("label_queries", [False, True])
def test_a_score_is_the_sum_of_what_clauses_words_and_photo_gave(label_queries):
    net, hidden = net_of(label_queries=label_queries), torch.randn(1, 5, 6)
    words, photo = torch.tensor([1, 4, 7]), torch.tensor([0.5, -1.0])
    buckets, shares = torch.tensor([1, 4, 4, 7]), torch.tensor([1.0, 0.5, 0.5, 1.0])  # two clauses hold the word 4
    scores, by_clause, by_word = SuggestionGraph([net, net])(hidden[0], buckets, shares, photo, torch.ones(1))
    own = net(hidden, torch.ones(1, 5, dtype=torch.bool), net.of_words([words]), photo[None], torch.ones(1))[0]
    assert torch.allclose(scores, torch.cat([own, own]), atol=1e-5)
    rest = net.of_mean.bias + net.of_photo(photo)
    assert torch.allclose(by_clause[:, :3].sum(0) + by_word[:, :3].sum(0) + rest, own, atol=1e-5)


def test_padding_changes_nothing_and_without_a_photo_its_numbers_do_not():
    net, hidden = net_of(), torch.randn(1, 4, 6)
    padded = torch.cat([hidden, torch.full((1, 3, 6), 9.0)], 1)
    mask = torch.tensor([[True] * 4 + [False] * 3])
    plain = net(hidden, mask[:, :4])
    assert torch.allclose(plain, net(padded, mask), atol=1e-5)
    assert torch.equal(plain, net(hidden, mask[:, :4], None, torch.full((1, 2), 7.0), torch.zeros(1)))
    assert not torch.equal(plain, net(hidden, mask[:, :4], None, torch.full((1, 2), 7.0), torch.ones(1)))


def test_a_records_words_do_not_hang_on_its_neighbours_and_rare_ones_weigh_more():
    net = net_of()
    net.prepare(torch.randn(9, 6), torch.tensor([1.0] + [2.0] * 9), torch.randn(10, 3), torch.zeros(3))
    first, second = torch.tensor([0, 3]), torch.tensor([5])
    assert torch.allclose(net.of_words([first, second]), torch.cat([net.of_words([first]), net.of_words([second])]), atol=1e-6)
    worth = net.worth(first, torch.ones(2))
    assert worth[1] > worth[0] and torch.isclose(worth.square().sum(), torch.tensor(1.0))


def test_training_never_hides_all_clauses():
    net = net_of(clause_dropout=1.0).train()
    assert torch.isfinite(net(torch.randn(2, 1, 6), torch.ones(2, 1, dtype=torch.bool))).all()


def test_a_candidate_is_told_from_its_premise():
    torch.manual_seed(0)
    net, hidden = FollowsNet(FollowsConfig(6, width=4)).eval(), torch.randn(1, 4, 6)
    mask, of_candidate = torch.ones(1, 4, dtype=torch.bool), torch.tensor([[False, False, True, True]])
    score = net(hidden, mask, of_candidate)
    assert torch.allclose(score, net(hidden[:, [1, 0, 2, 3]], mask, of_candidate), atol=1e-6)  # a premise has no order
    assert not torch.allclose(score, net(hidden[:, [2, 3, 0, 1]], mask, of_candidate))
