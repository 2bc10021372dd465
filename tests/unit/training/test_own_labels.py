"""Labels of some types say nothing of the others, and what they leave open stays where it was."""

import itertools
import random

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from tcmstruct.labels import READOUTS  # noqa: E402
from tcmstruct.model.config import EncoderConfig, ModelConfig  # noqa: E402
from tcmstruct.model.crf import Crf  # noqa: E402
from tcmstruct.model.tagger import CharTagger  # noqa: E402
from tcmstruct.text.characters import CharacterTable  # noqa: E402
from tcmstruct.training.data import batches, collate  # noqa: E402
from tcmstruct.training.loop import LoopConfig, fit  # noqa: E402
from tcmstruct.training.own import OwnConfig, freeze, learn, one_pass  # noqa: E402
from tcmstruct.training.own_labels import ALLOWED, OwnLabels, allowed_tags, own_examples  # noqa: E402
from tcmstruct.training.teachers import Ensemble  # noqa: E402

LABELS = ["舌质", "脉象"]
GOLD = list(READOUTS["gold"])
TABLE = CharacterTable("舌红淡脉弦滑，。甲乙丙丁")
CONFIG = ModelConfig(EncoderConfig(kind="conv", hidden=16, n_layers=2, n_heads=2, feed=32, kernel=3), n_characters=len(TABLE),
                     readouts={"gold": GOLD}, crf_readouts=("gold",), dropout=0.0)


def marked(text, *spans):
    return {"text": text, "entities": [{"type": kind, "start": text.index(words), "end": text.index(words) + len(words)}
                                       for words, kind in spans]}


def test_a_character_outside_of_labels_may_be_what_is_not_labelled():
    tags = np.array([1, 2, 0, 0])
    assert allowed_tags(tags, LABELS, {"舌质", "脉象"}).tolist() == np.eye(5, dtype=int)[[1, 2, 0, 0]].tolist()
    assert allowed_tags(tags, LABELS, {"舌质"}).tolist() == [[0, 1, 0, 0, 0], [0, 0, 1, 0, 0], [1, 0, 0, 1, 1], [1, 0, 0, 1, 1]]


def test_the_partial_likelihood_is_the_sum_over_all_sequences_that_agree():
    torch.manual_seed(0)
    crf, scores = Crf(5), torch.randn(1, 3, 5)
    torch.nn.init.normal_(crf.transitions)
    allowed = torch.from_numpy(allowed_tags(np.array([1, 0, 0]), LABELS, {"舌质"})).bool()[None]
    mask = torch.ones(1, 3, dtype=torch.bool)
    every = {tags: crf.score(scores, mask, torch.tensor([tags])).item() for tags in itertools.product(range(5), repeat=3)}
    admitted = [score for tags, score in every.items() if all(allowed[0, t, tag] for t, tag in enumerate(tags))]
    expected = (torch.logsumexp(torch.tensor(list(every.values())), 0) - torch.logsumexp(torch.tensor(admitted), 0)) / 3
    assert crf.partial_negative_log_likelihood(scores, mask, allowed).item() == pytest.approx(expected.item(), abs=1e-4)


def test_with_all_types_labelled_it_is_the_likelihood_of_the_labels():
    torch.manual_seed(0)
    crf, scores, tags = Crf(5), torch.randn(2, 4, 5), torch.tensor([[1, 2, 0, 3], [0, 3, 0, 0]])
    mask = torch.tensor([[True] * 4, [True, True, False, False]])
    allowed = torch.nn.functional.one_hot(tags, 5).bool()
    expected = crf.negative_log_likelihood(scores, mask, tags)
    assert crf.partial_negative_log_likelihood(scores, mask, allowed).item() == pytest.approx(expected.item(), abs=1e-4)


def softened(model, examples):
    Ensemble([model]).label(examples, ["gold"], say=lambda _: None, chained=False)
    return examples


def full_model():
    """Knows both types."""
    torch.manual_seed(0)
    model, rng = CharTagger(CONFIG), random.Random(0)
    both = [marked("甲舌红，脉弦。", ("舌红", "舌质"), ("脉弦", "脉象")), marked("舌淡，乙脉滑。", ("舌淡", "舌质"), ("脉滑", "脉象"))] * 4
    data = softened(model, own_examples(both, GOLD, TABLE, 50))
    loop = LoopConfig(6_000, learning_rate=2e-2, log_every_s=1e9)
    fit(model, OwnLabels(keep_weight=0.0), lambda: batches(data, 60, rng), loop, say=lambda _: None)
    return model.eval()


def reading(model, text):
    with torch.inference_mode():
        scores = model(torch.from_numpy(TABLE.encode(text)).long()[None]).tags["gold"]
        return model.crf["gold"].best(scores, torch.ones(scores.shape[:2], dtype=torch.bool))[0].tolist()


def test_labels_of_one_type_do_not_unteach_the_other():
    model, rng = full_model(), random.Random(0)
    assert reading(model, "甲舌红，脉弦。") == [0, 3, 4, 0, 7, 8, 0]
    # now the pulse alone is labelled, and without its first character
    pulses = [marked("甲舌红，脉弦。", ("弦", "脉象")), marked("舌淡，乙脉滑。", ("滑", "脉象"))] * 4
    data = softened(model, own_examples(pulses, ["脉象"], TABLE, 50))
    assert all(example.soft[ALLOWED][:, 3].any() for example in data)
    loop = LoopConfig(6_000, learning_rate=1e-2, log_every_s=1e9)
    fit(model, OwnLabels(), lambda: batches(data, 60, rng), loop, say=lambda _: None)
    assert reading(model, "甲舌红，脉弦。") == [0, 3, 4, 0, 0, 7, 0]


def test_nearness_is_nothing_at_the_start_and_something_after_a_change():
    model = full_model()
    example = softened(model, own_examples([marked("甲舌红，脉弦。")], (), TABLE, 50))[0]
    del example.soft[ALLOWED]
    batch = collate([example])
    assert OwnLabels().loss(model, batch).item() == pytest.approx(0.0, abs=1e-4)
    with torch.no_grad():
        model.readouts["gold"].bias += torch.tensor([3.0] + [0.0] * 14)
    assert OwnLabels().loss(model, batch).item() > 0.1


def test_frozen_layers_do_not_learn():
    model = CharTagger(CONFIG)
    freeze(model, 1)
    learns = {name for name, p in model.named_parameters() if p.requires_grad}
    assert not any(name.startswith(("embedding.", "encoder.layers.0.", "encoder.embedding_norm")) for name in learns)
    assert any(name.startswith("encoder.layers.1.") for name in learns) and "readouts.gold.bias" in learns
    freeze(model, -1)
    assert all(p.requires_grad for p in model.parameters())


def test_a_pass_visits_few_labels_often_and_others_as_much():
    few, many = [object_of(10) for _ in range(3)], [object_of(10) for _ in range(50)]
    chosen = one_pass(few, many, OwnConfig(pass_chars=100), random.Random(0))
    assert [sum(e is f for e in chosen) for f in few] == [4, 4, 4] and len(chosen) == 12 + 10


class object_of:
    def __init__(self, length):
        self.length = length

    def __len__(self):
        return self.length


def test_where_nothing_is_better_nothing_is_kept(tmp_path):
    model = full_model()
    data = softened(model, own_examples([marked("甲舌红，脉弦。", ("舌红", "舌质"))] * 4, ["舌质"], TABLE, 50))
    worse = iter(range(0, -100, -1))
    learnt = learn(model, TABLE, None, OwnLabels(), data, [], lambda m: {"score": float(next(worse))}, tmp_path / "run", tmp_path / "best",
                   OwnConfig(passes=9, patience=2, pass_chars=60), lambda _: None, lambda *_: None)
    assert learnt.model is None and len(learnt.progress.passes) == 2 and not (tmp_path / "best").exists()
