"""Teachers that answer as one: weights, soft targets, decoding, and teachers that do not belong together."""

from dataclasses import replace

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from tcmstruct.errors import ModelError, UsageError  # noqa: E402
from tcmstruct.model.checkpoint import save_tagger  # noqa: E402
from tcmstruct.model.config import EncoderConfig, ModelConfig  # noqa: E402
from tcmstruct.model.tagger import CharTagger  # noqa: E402
from tcmstruct.text.characters import CharacterTable  # noqa: E402
from tcmstruct.training.data import IGNORE, Example, collate  # noqa: E402
from tcmstruct.training.teachers import Ensemble, choose_weights, normalised_weights  # noqa: E402

TABLE = CharacterTable("咳嗽头痛发热口苦便溏舌红苔白脉弦")
READOUTS = {"gold": ["症状", "舌质"], "cshan": ["SYM"]}
BERT = ModelConfig(EncoderConfig(hidden=16, n_layers=2, n_heads=2, feed=32, max_positions=40), n_characters=len(TABLE), readouts=READOUTS)
CONV = replace(BERT, encoder=EncoderConfig(kind="conv", hidden=12, n_layers=2, n_heads=2, feed=24, kernel=3))
IDS = torch.tensor([[3, 4, 5, 6, 7, 8], [9, 10, 11, 0, 0, 0]])


def tagger(config=BERT, seed=0):
    torch.manual_seed(seed)
    return CharTagger(config).eval()


def test_ensemble_of_one_is_its_teacher():
    teacher = tagger()
    plain, output = teacher(IDS), Ensemble([teacher])(IDS)
    assert all(torch.equal(plain.tags[n], output.tags[n]) for n in READOUTS)
    assert torch.equal(plain.status, output.status) and torch.equal(plain.hidden, output.hidden)


def test_ensemble_of_equals_is_any_of_them():
    output = Ensemble([tagger(), tagger(), tagger()])(IDS, only="gold")
    assert list(output.tags) == ["gold"]
    assert torch.allclose(output.tags["gold"], tagger()(IDS).tags["gold"], atol=1e-6)


def test_scores_of_different_encoders_are_weighed():
    bert, conv = tagger(), tagger(CONV, 1)
    output = Ensemble([bert, conv], [3, 1])(IDS)
    assert torch.allclose(output.tags["gold"], 0.75 * bert(IDS).tags["gold"] + 0.25 * conv(IDS).tags["gold"], atol=1e-6)
    assert torch.allclose(output.status, 0.75 * bert(IDS).status + 0.25 * conv(IDS).status, atol=1e-6)
    assert output.hidden.shape == (2, 6, 28)


def test_weights_are_normalised():
    assert normalised_weights(None, 4) == (0.25,) * 4
    assert normalised_weights([2, 6], 2) == (0.25, 0.75)
    assert normalised_weights([0, 5], 2) == (0.0, 1.0)


@pytest.mark.parametrize(("weights", "message"), [
    ([1.0], "1 weights for 2 teachers"), ([1.0, -0.5], "0 or more"), ([0.0, 0.0], "one above 0"), ([1.0, float("nan")], "0 or more"),
])
def test_weights_that_cannot_be_used_are_refused(weights, message):
    with pytest.raises(UsageError, match=message):
        Ensemble([tagger(), tagger()], weights)


def test_soft_targets_are_the_mean_scores_without_padding():
    bert, conv = tagger(), tagger(CONV, 1)
    ensemble = Ensemble([bert, conv])
    examples = [Example(np.arange(3, 9, dtype=np.int32)), Example(np.array([9, 10, 11], np.int32))]
    ensemble.label(examples, ["gold", "cshan"])
    output = ensemble(IDS)
    for row, e in enumerate(examples):
        assert set(e.soft) == {"tags:gold", "tags:cshan", "status"}
        for name in READOUTS:
            assert e.soft[f"tags:{name}"].dtype == np.float16
            assert np.allclose(e.soft[f"tags:{name}"], output.tags[name][row, : len(e)].numpy(), atol=2e-3)
        assert e.soft["status"].shape == (len(e), 4)


def test_lexicon_goes_to_the_teachers_that_have_the_channel():
    plain, with_channel = tagger(), tagger(replace(BERT, lexicon_features=3), 1)
    with_channel.embedding.lexicon.weight.data.normal_()
    channel = torch.ones(2, 6, 3)
    output = Ensemble([plain, with_channel])(IDS, channel)
    expected = (plain(IDS).tags["gold"] + with_channel(IDS, channel).tags["gold"]) / 2
    assert torch.allclose(output.tags["gold"], expected, atol=1e-6)
    assert not torch.allclose(output.tags["gold"], Ensemble([plain, with_channel])(IDS).tags["gold"])


def test_crf_tables_are_averaged_like_the_scores():
    """The ensemble's score of a path is the weighted mean of its members' scores of that path."""
    crf, mask, tags = replace(BERT, crf_readouts=("gold",)), IDS != 0, torch.tensor([[1, 2, 2, 0, 3, 4], [0, 3, 0, 0, 0, 0]])
    members = [tagger(crf, 0), tagger(crf, 1), tagger(BERT, 2)]
    for i, m in enumerate(members[:2]):
        torch.manual_seed(i)
        for p in m.crf["gold"].parameters():
            p.data.normal_()
    ensemble = Ensemble(members, [0.5, 0.3, 0.2])
    assert list(ensemble.crf) == ["gold"] and len(ensemble.crf["gold"].tables()) == 3
    got = ensemble.crf["gold"].score(ensemble(IDS).tags["gold"], mask, tags)
    paths = [m.crf["gold"].score(m(IDS).tags["gold"], mask, tags) for m in members[:2]]
    paths.append((members[2](IDS).tags["gold"].gather(2, tags.unsqueeze(2)).squeeze(2) * mask).sum(1))
    assert torch.allclose(got, 0.5 * paths[0] + 0.3 * paths[1] + 0.2 * paths[2], atol=1e-5)
    single = Ensemble([members[0]])
    own, theirs = single.crf["gold"].parameters(), members[0].crf["gold"].parameters()
    assert all(torch.equal(a, b) for a, b in zip(own, theirs, strict=True))


def test_chosen_weights_prefer_the_better_teacher_and_beat_equal_ones():
    good, bad = tagger(seed=0), tagger(seed=1)
    with torch.no_grad():
        tags = good(IDS).tags["gold"].argmax(-1)
        good.readouts["gold"].weight.mul_(4)  # sure of what is right
        good.readouts["gold"].bias.mul_(4)
        bad.readouts["gold"].weight.mul_(4)
        bad.readouts["gold"].bias.mul_(4)
    batch = collate([Example(IDS[0].numpy().astype(np.int32), "gold", tags[0].numpy(), np.full(6, IGNORE))])
    weights = choose_weights([bad, good], [batch])
    assert sum(weights) == pytest.approx(1.0) and weights[1] > 0.6

    def loss(w):
        scores = Ensemble([bad, good], w)(batch.ids).tags["gold"]
        return torch.nn.functional.cross_entropy(scores[0], batch.tags[0]).item()

    assert loss(weights) <= min(loss([1, 0]), loss([0, 1]), loss([1, 1])) + 1e-6


def test_targets_of_a_crf_are_its_probabilities_of_each_tag():
    ensemble = Ensemble([tagger(replace(BERT, crf_readouts=("gold",)))])
    example = Example(IDS[0].numpy().astype(np.int32), "gold", None, None)
    ensemble.label([example], ["gold", "cshan"])
    scores = ensemble(IDS[:1]).tags
    by_hand = torch.logsumexp(torch.stack([  # all sequences of six tags of five, each as its tags' indicator plus its score
        torch.full((6, 5), -1e9).scatter(1, path[:, None], 0.0) + ensemble.crf["gold"].score(
            scores["gold"], torch.ones(1, 6, dtype=torch.bool), path[None])[0]
        for path in torch.cartesian_prod(*[torch.arange(5)] * 6)]), 0).log_softmax(1)
    sure = by_hand > -6
    assert np.allclose(example.soft["tags:gold"][sure], by_hand[sure].detach(), atol=0.02)
    assert np.exp(example.soft["tags:gold"].astype(float)).sum(1) == pytest.approx(np.ones(6), abs=0.01)
    assert np.allclose(example.soft["tags:cshan"], scores["cshan"][0].detach(), atol=0.01)


def test_weights_are_chosen_for_teachers_with_a_crf_too():
    crf = replace(BERT, crf_readouts=("gold",))
    batch = collate([Example(np.arange(3, 9, dtype=np.int32), "gold", np.array([1, 2, 0, 0, 3, 4]), np.full(6, IGNORE))])
    assert sum(choose_weights([tagger(crf), tagger(BERT, 1)], [batch], rounds=4)) == pytest.approx(1.0)
    with pytest.raises(UsageError, match="no labelled text"):
        choose_weights([tagger(), tagger()], [])


def test_no_teacher_is_refused():
    with pytest.raises(UsageError, match="no teacher is named"):
        Ensemble([])
    with pytest.raises(UsageError, match="no teacher is named"):
        Ensemble.load([])


@pytest.mark.parametrize(("change", "message"), [
    ({"n_characters": 40}, "teacher 2 has 40 character rows, teacher 1 has 19"),
    ({"readouts": {"gold": ["症状", "舌苔"]}}, "labels of the readout 'gold': teacher 2 has 症状, 舌苔; teacher 1 has 症状, 舌质"),
    ({"readouts": {"journal": ["方剂"]}}, "share no readout: teacher 1: gold, cshan; teacher 2: journal"),
    ({"n_statuses": 2}, "teacher 2 tells 2 statuses apart"),
])
def test_teachers_that_do_not_mean_the_same_are_refused(change, message):
    with pytest.raises(ModelError, match=message):
        Ensemble([tagger(), tagger(replace(BERT, **change))])


def test_shared_readouts_are_kept_and_others_refused_as_targets():
    ensemble = Ensemble([tagger(), tagger(replace(BERT, readouts={"gold": READOUTS["gold"]}))])
    assert ensemble.readouts == ["gold"]
    with pytest.raises(ModelError, match="share no readout 'cshan'; they share gold"):
        ensemble.label([Example(np.arange(3, 6, dtype=np.int32))], ["gold", "cshan"])


def test_loaded_teachers_must_have_one_character_table(tmp_path):
    save_tagger(tagger(), TABLE, tmp_path / "a")
    save_tagger(tagger(CONV, 1), TABLE, tmp_path / "b")
    save_tagger(tagger(), CharacterTable(TABLE.characters[::-1]), tmp_path / "c")
    ensemble, table = Ensemble.load([tmp_path / "a", tmp_path / "b"], [1, 3])
    assert table.characters == TABLE.characters and ensemble.weights == (0.25, 0.75)
    with pytest.raises(ModelError, match=r"c: its 19 character rows are not the 19 of .*a") as caught:
        Ensemble.load([tmp_path / "a", tmp_path / "c"])
    assert caught.value.code == "character_tables_differ"
