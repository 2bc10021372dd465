"""The shipped graph with terms beside its products: whole for onnx, the same bytes without a term, and the term's own sum."""

import numpy as np
import pytest

from tcmstruct.runtime.backends import OnnxSession
from tcmstruct.runtime.lora_graph import A, B, with_lora
from tcmstruct.runtime.model_folder import DEFAULT_FOLDER


@pytest.fixture(scope="module")
def graph():
    return (DEFAULT_FOLDER / "model.onnx").read_bytes()


@pytest.fixture(scope="module")
def edited(graph):
    model, sizes = with_lora(graph)
    return OnnxSession(model, 1), sizes


@pytest.fixture(scope="module")
def plain():
    return OnnxSession(DEFAULT_FOLDER / "model.onnx", 1)


def feed(windows=2, chars=48, seed=0):
    rng = np.random.default_rng(seed)
    return {"ids": rng.integers(3, 7000, (windows, chars)).astype(np.int32),
            "lexicon": (rng.random((windows, chars, 68)) < 0.03).astype(np.uint8)}


def matrices(sizes, module=None, rank=2, seed=1):
    """Drawn terms for one module, zeros of rank 1 for the others."""
    rng, out = np.random.default_rng(seed), {}
    for name, (n_in, n_out) in sizes.items():
        drawn = name == module
        a = rng.normal(0, 0.3, (n_in, rank)) if drawn else np.zeros((n_in, 1))
        b = rng.normal(0, 0.3, (rank, n_out)) if drawn else np.zeros((1, n_out))
        out |= {f"{A}/{name}": a.astype(np.float32), f"{B}/{name}": b.astype(np.float32)}
    return out


def test_onnx_finds_the_edited_graph_whole(graph):
    onnx = pytest.importorskip("onnx")
    model = onnx.load_from_string(with_lora(graph)[0])
    onnx.checker.check_model(model, full_check=True)
    before = onnx.load_from_string(graph).graph
    assert [i.name for i in model.graph.initializer] == [i.name for i in before.initializer]
    assert len(model.graph.node) == len(before.node) + 3 * 15


def test_every_layer_of_the_encoder_and_the_head_have_a_place(edited):
    _, sizes = edited
    assert sizes["encoder.layers.4.feed_out"] == (448, 224) and sizes["head"][0] == 224
    assert {"query", "key", "value", "output"} == {name.rpartition(".")[2] for name in sizes if "attention" in name}


def test_no_term_is_the_shipped_graph_to_the_byte(edited, plain):
    session, sizes = edited
    for shape in ((1, 16), (3, 48), (2, 160)):
        given = feed(*shape)
        ours, theirs = (s.run(["scores", "hidden"], f) for s, f in ((session, given | matrices(sizes)), (plain, given)))
        assert [x.tobytes() for x in ours] == [x.tobytes() for x in theirs]


def test_the_heads_term_is_its_own_sum(edited, plain):
    session, sizes = edited
    given, terms = feed(), matrices(sizes, "head")
    scores, hidden = plain.run(["scores", "hidden"], given)
    ours = session.run(["scores"], given | terms)[0]
    a, b = terms[f"{A}/head"], terms[f"{B}/head"]
    step = np.diff(np.unique(hidden)).max()  # the graph tells the vectors as they were rounded; the term reads them before
    away = np.abs(ours - (scores + hidden @ a @ b))
    assert (away <= step / 2 * np.abs(a @ b).sum(0) + 1e-5).all() and away.mean() < 0.1 * np.abs(hidden @ a @ b).mean()


@pytest.mark.parametrize("module", ["encoder.layers.0.feed_in", "encoder.layers.4.feed_out", "encoder.attention.3.value"])
def test_every_term_reaches_the_scores(edited, plain, module):
    session, sizes = edited
    given = feed()
    assert not np.array_equal(session.run(["scores"], given | matrices(sizes, module))[0], plain.run(["scores"], given)[0])


def test_a_window_has_the_same_bytes_in_any_batch(edited):
    session, sizes = edited
    terms, given = matrices(sizes, "encoder.layers.2.feed_in", rank=7), feed(windows=6, chars=112)
    whole = session.run(["scores"], given | terms)[0]
    for size in (1, 2, 5):
        parts = [session.run(["scores"], {name: v[at : at + size] for name, v in given.items()} | terms)[0] for at in range(0, 6, size)]
        assert np.array_equal(np.concatenate(parts), whole)


@pytest.mark.parametrize("spoilt", [b"", b"\x0f", b"\x3a\x05abc", b"<html>", b"\xff" * 20])
def test_what_is_no_graph_is_refused(spoilt):
    with pytest.raises(ValueError):
        with_lora(spoilt)


def test_a_file_that_was_cut_off_is_refused(graph):
    with pytest.raises(ValueError):
        with_lora(graph[: len(graph) // 2])
