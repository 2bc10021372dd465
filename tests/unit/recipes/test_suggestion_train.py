"""Heads from an invented data folder: what is refused, and that a refusal touches nothing."""

import json
from dataclasses import replace

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="heads are trained with torch")
from case_folder import case_folder  # noqa: E402
from tiny_tagger import tiny_tagger  # noqa: E402

from tcmstruct.errors import InputRefused, ModelError, TcmstructError, UsageError  # noqa: E402
from tcmstruct.pipeline import Structurer  # noqa: E402
from tcmstruct.recipes import suggestion_train as recipe  # noqa: E402
from tcmstruct.runtime.clause_states import RecordStates  # noqa: E402
from tcmstruct.runtime.model_folder import amend_card  # noqa: E402
from tcmstruct.runtime.suggestion import Suggester  # noqa: E402

FAST = {name: replace(own, n_passes=8, learning_rate=1e-2) for name, own in recipe.SETTINGS.items()}
BROKEN = RecordStates(np.full((3, 48), np.inf, np.float16), np.array([1, 2], np.int32))
OPTIONS = {"tasks": ("disease", "syndrome"), "least": 5, "seeds": 1, "settings": FAST}


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """(run, data, head) of one training."""
    place = tmp_path_factory.mktemp("heads")
    data = case_folder(place / "data")
    head = recipe.build(place / "run", data, place / "head", model=tiny_tagger() / "fp32", **OPTIONS)
    return place / "run", data, head


def fingerprint(folder):
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_the_head_is_small_names_codes_and_stands_on_its_text_model(made):
    _, _, head = made
    card = json.loads((head / "card.json").read_text(encoding="utf-8"))
    assert {one["code"] for one in card["tasks"]["disease"]["labels"]} == {"10.3.1.3", "9.1.1"}
    assert card["not_a_diagnostic_device"] and "n_records" in card["tasks"]["syndrome"]
    assert sum(path.stat().st_size for path in head.iterdir()) < 200_000
    Suggester(head, Structurer(tiny_tagger() / "fp32").folder.sha256["model.onnx"])


def test_what_is_learnt_is_not_the_diagnosis_in_the_text(made):
    run, data, _ = made
    store, corpus = recipe.StateStore(run, tiny_tagger() / "fp32"), recipe.read_corpus(data, run)
    assert not any("诊断" in text or "混合痔" in text or "气虚血瘀" in text for text in corpus.texts())
    given = recipe.material(corpus, store, "disease", 5)
    scores, _ = recipe.out_of_fold(given, run, FAST["disease"], 0)
    from tcmstruct.evaluation.multilabel import macro_auroc

    assert macro_auroc(given.task.truth, scores) > 0.8


def test_a_run_goes_on_from_the_heads_that_stand(made, monkeypatch):
    run, data, head = made
    monkeypatch.setattr(recipe, "fit", lambda *a, **k: pytest.fail("trained again"))
    before = fingerprint(head)
    recipe.build(run, data, head, model=tiny_tagger() / "fp32", **OPTIONS)
    assert json.loads(before["card.json"]) == json.loads((head / "card.json").read_text(encoding="utf-8"))


def test_another_text_models_head_is_refused_by_the_runtime(made):
    _, _, head = made
    with pytest.raises(ModelError) as refused:
        Suggester(head, "0" * 64)
    assert refused.value.code == "head_of_another_model"


@pytest.fixture
def copied(made, tmp_path):
    """A head of one's own to harm."""
    import shutil

    return shutil.copytree(made[2], tmp_path / "head")


@pytest.mark.parametrize(("harm", "code"), [
    (lambda head: amend_card(head, text_model_sha256="0" * 64), "head_of_another_model"),
    (lambda head: (head / "weights.pt").write_bytes(b"x"), "model_unsafe_file"),
    (lambda head: (head / "model.onnx").write_bytes(b"x"), "model_altered"),
])
def test_a_saved_head_that_does_not_fit_is_not_replaced(made, copied, harm, code):
    run, data, _ = made
    harm(copied)
    before = fingerprint(copied)
    with pytest.raises(ModelError) as refused:
        recipe.build(run, data, copied, model=tiny_tagger() / "fp32", **OPTIONS)
    assert refused.value.code == code and fingerprint(copied) == before


def test_changed_labels_are_refused_and_replaced_only_when_asked(made, copied, tmp_path):
    _, _, _ = made
    data = case_folder(tmp_path / "data")
    path = data / "records" / "inpatient.jsonl"
    path.write_text(path.read_text(encoding="utf-8").replace("中风病", "消渴病"), encoding="utf-8")
    before, options = fingerprint(copied), {**OPTIONS, "model": tiny_tagger() / "fp32"}
    with pytest.raises(ModelError) as refused:
        recipe.build(tmp_path / "run", data, copied, **options)
    assert refused.value.code == "labels_changed" and fingerprint(copied) == before
    recipe.build(tmp_path / "run", data, copied, fresh=True, **options)
    assert "消渴病" in (copied / "card.json").read_text(encoding="utf-8")


def test_a_run_of_other_settings_is_not_taken_for_this_one(made, tmp_path):
    run, data, _ = made
    other = {**FAST, "disease": replace(FAST["disease"], n_passes=9)}
    with pytest.raises(UsageError) as refused:
        recipe.build(run, data, tmp_path / "head", model=tiny_tagger() / "fp32", **{**OPTIONS, "settings": other})
    assert refused.value.code == "run_changed" and not (tmp_path / "head").exists()


def test_pickled_weights_in_the_run_are_refused(made, tmp_path):
    _, data, _ = made
    (tmp_path / "run" / "disease").mkdir(parents=True)
    (tmp_path / "run" / "disease" / "head.pkl").write_bytes(b"x")
    with pytest.raises(ModelError) as refused:
        recipe.build(tmp_path / "run", data, tmp_path / "head", model=tiny_tagger() / "fp32", **OPTIONS)
    assert refused.value.code == "model_unsafe_file"


@pytest.mark.parametrize(("n", "code"), [(0, "no_cases"), (1, "labels_too_few")])
def test_empty_and_one_class_data_are_refused_before_anything_is_written(tmp_path, n, code):
    data = case_folder(tmp_path / "data", n)
    with pytest.raises(InputRefused) as refused:
        recipe.build(tmp_path / "run", data, tmp_path / "head", model=tiny_tagger() / "fp32", **OPTIONS)
    assert refused.value.code == code and not (tmp_path / "head").exists()


def test_a_fold_with_one_outcome_is_refused(made):
    run, data, _ = made
    store, corpus = recipe.StateStore(run, tiny_tagger() / "fp32"), recipe.read_corpus(data, run)
    given = recipe.material(corpus, store, "disease", 5)
    given.task.truth[:] = 0
    with pytest.raises(InputRefused) as refused:
        recipe.train_head(given, np.arange(10), None, None, FAST["disease"])
    assert refused.value.code == "data_one_class"


def test_a_loss_that_is_not_finite_ends_the_run_and_writes_no_head(made, copied, tmp_path, monkeypatch):
    _, data, _ = made
    before = fingerprint(copied)
    monkeypatch.setattr(recipe.StateStore, "states", lambda self, name, texts: [BROKEN for _ in texts])
    with pytest.raises(TcmstructError) as ended:
        recipe.build(tmp_path / "run", data, copied, model=tiny_tagger() / "fp32",
                     **{**OPTIONS, "settings": {name: replace(own, states=True) for name, own in FAST.items()}})
    assert ended.value.code == "loss_not_finite" and fingerprint(copied) == before
