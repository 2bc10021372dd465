from itertools import pairwise, product

import pytest

torch = pytest.importorskip("torch", reason="needs the extra [train]")

from benchmarks.baselines import cnn_bilstm_crf as neural  # noqa: E402
from tcmstruct.record import Mention, StructuredRecord  # noqa: E402

SMALL = neural.Shape(embedding=12, filters=8, kernels=(3,), hidden=12, dropout=0.0, max_chars=16, chars_per_batch=80,
                     min_count=1, learning_rate=2e-2, n_passes=40)
LENGTHS = (4, 2, 1)
K = 5


@pytest.fixture
def crf():
    torch.manual_seed(3)
    layer = neural.Crf(K)
    for p in layer.parameters():
        torch.nn.init.normal_(p)
    return layer


@pytest.fixture
def scores():
    return torch.randn(len(LENGTHS), max(LENGTHS), K, generator=torch.Generator().manual_seed(1))


def mask():
    return torch.arange(max(LENGTHS)) < torch.tensor(LENGTHS)[:, None]


@torch.no_grad()
def every_path(crf, own):
    """Score of each sequence of one unpadded row, by the definition."""
    moves, first = crf.transitions + crf.block, crf.first + crf.block_first
    return {p: float(first[p[0]] + crf.last[p[-1]] + sum(own[t, k] for t, k in enumerate(p))
                     + sum(moves[a, b] for a, b in pairwise(p)))
            for p in product(range(K), repeat=len(own))}


def legal(path):
    return all(k == 0 or k % 2 or before in (k, k - 1) for before, k in zip((0, *path), path, strict=False))


def test_partition_best_and_marginals_equal_the_sum_over_all_sequences(crf, scores):
    with torch.no_grad():
        log_z, best = crf.log_partition(scores, mask()), crf.best(scores, mask())
    marginals = crf.marginals(scores, mask())
    for row, n in enumerate(LENGTHS):
        paths = every_path(crf, scores[row, :n].detach())
        values = torch.tensor(list(paths.values()), dtype=torch.float64)
        assert float(log_z[row]) == pytest.approx(float(values.logsumexp(0)), abs=1e-4)
        assert tuple(best[row, :n].tolist()) == max(paths, key=paths.get)
        share = (values - values.logsumexp(0)).exp()
        for t in range(n):
            expected = [float(share[[p[t] == k for p in paths]].sum()) for k in range(K)]
            assert marginals[row, t].tolist() == pytest.approx(expected, abs=1e-4)
        assert marginals[row, n:].abs().sum() == 0


@torch.no_grad()
def test_score_of_a_sequence_ignores_padding(crf, scores):
    tags = torch.tensor([[0, 1, 2, 0], [3, 4, -100, -100], [1, -100, -100, -100]])
    found = crf.score(scores, mask(), tags)
    for row, n in enumerate(LENGTHS):
        assert float(found[row]) == pytest.approx(every_path(crf, scores[row, :n])[tuple(tags[row, :n].tolist())], abs=1e-4)


def test_best_sequences_are_legal_whatever_the_scores(crf):
    wild = 20 * torch.randn(40, 9, K, generator=torch.Generator().manual_seed(0))
    for path in crf.best(wild, torch.ones(40, 9, dtype=torch.bool)).tolist():
        assert legal(path)


def test_a_row_s_scores_do_not_depend_on_padding():
    torch.manual_seed(0)
    model = neural.CnnBilstmCrf(30, K, SMALL).eval()
    ids = torch.randint(1, 30, (1, 6))
    with torch.no_grad():
        alone = model(ids)
        padded = model(torch.cat([torch.nn.functional.pad(ids, (0, 5)), torch.randint(1, 30, (1, 11))]))
    torch.testing.assert_close(padded[:1, :6], alone)


def records():
    words = ("咳嗽", "头痛", "胸闷", "恶心", "腹胀", "乏力")
    return [StructuredRecord(f"{i}", f"患者{w}，无{words[i - 1]}，舌红", [Mention("症状", 2, 4, "有"), Mention("症状", 6, 8, "无"),
                                                                  Mention("舌质", 9, 11)]) for i, w in enumerate(words)]


def test_every_window_is_a_sequence_that_the_layer_allows():
    text = "患者" + "上腹部隐痛" * 9
    record = StructuredRecord("1", text, [Mention("症状", i, i + 5, "有") for i in range(2, len(text), 5)])
    examples = neural.examples_of([record], ["症状-有"], neural._table([record], 1), 12)
    assert len(examples) > 4
    assert sum(e.tags[0] == 1 for e in examples) > 1  # windows that start inside a mention are among them
    assert all(legal(e.tags.tolist()) and len(e) == len(e.tags) for e in examples)


def triples(found):
    return [(m.type, m.start, m.end, m.status) for m in found.entities]


def test_learns_a_tiny_set_the_same_twice_and_reuses_what_it_learnt(tmp_path, monkeypatch):
    texts = [r.text for r in records()]
    first = neural.make_fit(None, tmp_path, SMALL)(records())(texts)
    assert [triples(f) for f in first] == [triples(r) for r in records()]
    again = neural.make_fit(None, None, SMALL)(records())(texts)
    assert [f.entities for f in again] == [f.entities for f in first]
    monkeypatch.setattr(neural, "run_loop", lambda *_, **__: pytest.fail("trained again"))
    cached = neural.make_fit(None, tmp_path, SMALL)(records())(texts)
    assert [f.entities for f in cached] == [f.entities for f in first]


def test_long_and_empty_texts_are_read_whole():
    torch.manual_seed(0)
    texts = ["", "舌红，" * 40, "咳"]
    table = neural._table(records(), 1)
    model = neural.CnnBilstmCrf(len(table), 5, SMALL).eval()
    with torch.no_grad():
        model.crf.first[1], model.output.bias[1] = 50.0, 50.0  # every character begins a mention
    found = list(neural.predict_mentions(model, table, texts, ["症状-有", "舌质"], SMALL, chars_per_batch=40))
    assert [[m.start for m in mentions] for mentions in found] == [list(range(len(t))) for t in texts]
