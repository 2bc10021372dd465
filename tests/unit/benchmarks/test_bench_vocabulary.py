import random
from collections import Counter

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from benchmarks.vocabulary import TokenChannel, TokenRows, interval, random_terms, scores, tables  # noqa: E402
from tcmstruct.model.config import EncoderConfig, ModelConfig  # noqa: E402
from tcmstruct.model.tagger import CharTagger  # noqa: E402
from tcmstruct.text.lexicon import Lexicon  # noqa: E402


def entity(start, end, type="症状", status="有"):
    return {"type": type, "start": start, "end": end, "status": status}


def test_tokens_take_the_longest_term_and_mark_its_places():
    channel = TokenChannel(["头痛", "偏头痛", "痛"])
    features = channel.features("偏头痛、头痛")
    assert features[:3, 0].tolist() == [channel.rows["偏头痛"]] * 3
    assert features[:3, 1].tolist() == [1, 2, 3]
    assert features[3].tolist() == [0, 0]
    assert features[4:, 0].tolist() == [channel.rows["头痛"]] * 2


@pytest.mark.parametrize("rows", [None, 7])
def test_a_channel_changes_nothing_at_step_zero(rows):
    torch.manual_seed(0)
    plain = CharTagger(ModelConfig(EncoderConfig(kind="conv", hidden=16, n_layers=1, feed=16, kernel=3), n_characters=20,
                                   readouts={"gold": ["症状"]}, dropout=0.0)).eval()
    ids = torch.tensor([[3, 4, 5, 6]])
    before = plain(ids).tags["gold"]
    channel = torch.ones(1, 4, 8)
    plain.embedding.lexicon = torch.nn.Linear(8, 16, bias=False)
    torch.nn.init.zeros_(plain.embedding.lexicon.weight)
    if rows:
        plain.embedding.lexicon, channel = TokenRows(rows, 16), torch.ones(1, 4, 2)
    assert torch.equal(plain(ids, channel).tags["gold"], before)
    plain(ids, channel).tags["gold"].sum().backward()
    assert any(p.grad.abs().sum() > 0 for p in plain.embedding.lexicon.parameters())  # but it can learn


def test_random_terms_keep_number_lengths_and_groups_and_are_no_terms():
    terms = {"癃闭": (0,), "水湿内停证": (1,), "芤脉": (0, 1)}
    lexicon = Lexicon(["a", "b"], terms)
    text = "".join(random.Random(0).choice("甲乙丙丁戊己庚辛壬癸") for _ in range(500)) + "癃闭芤脉"
    drawn = dict(random_terms(lexicon, terms, [text], seed=1).items())
    assert not drawn.keys() & terms.keys()
    assert Counter((len(t), g) for t, g in drawn.items()) == Counter((len(t), g) for t, g in terms.items())
    assert all(term in text for term in drawn)


def test_rare_mentions_are_counted_apart():
    gold = [{"text": "头痛癃闭", "entities": [entity(0, 2), entity(2, 4)]}]
    seen = Counter({"头痛": 5, "癃闭": 2})
    found = scores(gold, [[entity(0, 2)]], seen)
    assert found["f1_all"] == pytest.approx(2 / 3) and found["f1_rare"] == 0 and found["n_rare"] == 1
    assert scores(gold, [[entity(2, 4)]], seen)["f1_rare"] == 1
    assert scores(gold, [[entity(2, 4, status="无")]], seen)["f1_rare"] == 0


def test_interval_is_students_t():
    mean, half = interval([1.0, 2.0, 3.0])
    assert mean == 2 and half == pytest.approx(4.303 * 1 / np.sqrt(3), rel=1e-3)


def test_differences_are_taken_seed_by_seed():
    def run(variant, seed, f1):
        return {"variant": variant, "seed": seed, **{s: {"f1_all": f1, "f1_rare": f1, "n_all": 1, "n_rare": 1}
                                                     for s in ("gold", "cshan", "journal")}}

    lines = tables([run("none", 0, 0.5), run("none", 1, 0.7), run("channel", 0, 0.6), run("channel", 1, 0.8)])
    assert lines[2][2] == "70.0 ± 127.1 (+10.0 ± 0.0)"
