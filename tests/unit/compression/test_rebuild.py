"""A model folder becomes a tagger again that computes what the folder computes."""

import json
import shutil
from dataclasses import replace

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("onnx")

from tiny_tagger import tiny_tagger  # noqa: E402

from tcmstruct.compression.rebuild import rebuild  # noqa: E402
from tcmstruct.errors import ModelError  # noqa: E402
from tcmstruct.model.checkpoint import load_tagger  # noqa: E402
from tcmstruct.runtime.model_folder import DEFAULT_FOLDER, amend_card, open_folder  # noqa: E402
from tcmstruct.runtime.tagger import OnnxTagger  # noqa: E402
from tcmstruct.text.normalise import normalise  # noqa: E402

TEXTS = ("患者3天前受凉后出现咳嗽，咳少量黄痰，伴咽痛，无发热。", "舌淡红，苔薄白，脉弦细。",
         "否认高血压、糖尿病史。中医诊断：咳嗽，风热犯肺证。")
"""Invented."""


def scores(model, table, lexicon, text):
    clean = normalise(text)
    channel = None if lexicon is None else torch.from_numpy(lexicon.features(clean)).float()[None]
    with torch.inference_mode():
        found = model(torch.from_numpy(table.encode(clean)).long()[None], channel)
    return {name: tags[0].numpy() for name, tags in found.tags.items()}, found.status[0].numpy()


def test_the_shipped_int8_graph_and_its_rebuilt_weights_agree():
    folder = open_folder(DEFAULT_FOLDER)
    model, table, lexicon = rebuild(folder)
    tagger = OnnxTagger(folder, threads=1)
    assert sum(p.numel() for p in model.parameters()) > 4_000_000 and model.config.encoder.n_heads == 4
    for text, (part,) in zip(TEXTS, tagger.scores(TEXTS), strict=True):
        tags, status = scores(model, table, lexicon, text)
        for name, expected in part.tags.items():
            assert np.abs(tags[name] - expected).mean() < 0.05, name  # int8 rounds activations too
            assert (tags[name].argmax(1) == expected.argmax(1)).mean() >= 0.95
        assert np.abs(status - part.status).mean() < 0.05
    for table_of, own in zip(("first", "moves", "last"), model.crf["gold"].tables(), strict=True):
        assert np.allclose(folder.card["transitions"]["gold"][table_of], own, atol=1e-4)


def test_an_fp32_folder_gives_its_checkpoint_back():
    place = tiny_tagger()
    model, _, lexicon = rebuild(open_folder(place / "fp32"))
    trained = load_tagger(place / "checkpoint")
    assert lexicon is None and model.config.readouts == trained.config.readouts
    assert model.config.encoder == replace(trained.config.encoder, norm_eps=1e-6)
    for name, tensor in trained.state_dict().items():
        assert torch.allclose(model.state_dict()[name], tensor, atol=2e-3), name  # tables are stored in fp16


def test_a_graph_that_is_no_such_student_is_refused(tmp_path):

    folder = shutil.copytree(tiny_tagger() / "fp32", tmp_path / "other")
    amend_card(folder, readouts={"gold": ["症状"]})
    with pytest.raises(ModelError) as caught:
        rebuild(open_folder(folder))
    assert caught.value.code == "not_trainable" and json.loads((folder / "card.json").read_bytes())["readouts"] == {"gold": ["症状"]}
