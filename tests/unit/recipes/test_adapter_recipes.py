"""From files to an adapter and back to plain weights; and all that leaves the adapter before it as it was."""

import json
import shutil

import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("peft")

from tiny_llama import tiny_llama  # noqa: E402
from tiny_tagger import tiny_tagger  # noqa: E402

from tcmstruct.errors import InputRefused, ModelError, TcmstructError, UsageError  # noqa: E402
from tcmstruct.model.checkpoint import load_tagger  # noqa: E402
from tcmstruct.recipes import adapter_bases, adapter_train  # noqa: E402
from tcmstruct.recipes.adapter_fuse import fuse, with_adapter  # noqa: E402
from tcmstruct.recipes.adapter_train import AdapterConfig, train_adapter  # noqa: E402
from tcmstruct.runtime.adapted import Shelf  # noqa: E402
from tcmstruct.runtime.adapter_folder import open_adapter  # noqa: E402
from tcmstruct.runtime.model_folder import open_folder  # noqa: E402
from tcmstruct.runtime.tagger import OnnxTagger  # noqa: E402
from tcmstruct.text.normalise import normalise  # noqa: E402
from tcmstruct.training import objectives  # noqa: E402
from tcmstruct.training.adapters import LoraShape  # noqa: E402

TEXTS = ["舌淡红，苔薄白，脉弦。咳嗽三天，痰黄，无发热。" * 5, "便血三天，肛门疼痛。舌红苔黄腻，脉滑数。" * 5]
QUICK = AdapterConfig(LoraShape(2, 4.0), domain_passes=1, passes=2, domain_rate=5e-3, rate=5e-3)


def rows(kinds=("症状", "脉象")):
    found = []
    for i, text in enumerate(TEXTS):
        words = dict(zip(kinds, ("咳嗽", "脉弦") if i == 0 else ("便血", "脉滑数"), strict=False))
        entities = [{"type": kind, "start": text.index(w), "end": text.index(w) + len(w), "text": w,
                     **({"status": "有"} if kind == "症状" else {})} for kind, w in words.items()]
        found.append({"id": str(i), "text": text, "entities": entities, "label": "肺" if i == 0 else "肛"})
    return found


def jsonl(path, found):
    path.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in found), encoding="utf-8")
    return path


@pytest.fixture
def files(tmp_path):
    return jsonl(tmp_path / "病历.jsonl", [{"id": r["id"], "text": r["text"]} for r in rows()]), jsonl(tmp_path / "标注.jsonl", rows())


def bytes_of(folder):
    return {file.name: file.read_bytes() for file in folder.iterdir()}


@pytest.fixture
def before(tmp_path, files):
    """An adapter that stands where the next one is to go."""
    train_adapter(tmp_path / "院A", base=tiny_tagger() / "fp32", labels=files[1], config=QUICK)
    return tmp_path / "院A"


def test_torch_onnxruntime_and_fused_weights_agree(tmp_path, files, capsys, monkeypatch):
    texts, labels = files
    model = tiny_tagger() / "fp32"
    adapter = train_adapter(tmp_path / "院A", base=model, texts=[texts], labels=labels, config=QUICK)
    assert list(adapter.manifest.steps) == ["domain", "downstream"] and adapter.manifest.labels.keys() == {"gold"}
    assert adapter.manifest.steps["domain"].learnt["records"] == 2
    told = capsys.readouterr().err
    assert "parameters" in told and "MiB" in told and " s · " in told
    folder = open_folder(model)
    plain, shelf = OnnxTagger(folder, 1), Shelf(folder, tmp_path / "院A")
    adapted = plain.over(shelf.session(shelf.adapter(), 1))
    ours, theirs = (tagger.scores([TEXTS[0]])[0][0].tags["gold"] for tagger in (adapted, plain))

    def in_torch(network):
        ids = torch.from_numpy(held.base.table.encode(normalise(TEXTS[0])[: len(ours)])).long()[None]
        with torch.inference_mode():
            return network.eval()(ids).tags["gold"][0].numpy()

    held = with_adapter(tmp_path / "院A", model)
    apart = in_torch(held.base.network)
    assert abs(ours - apart).max() < 1e-3 < 0.02 < abs(ours - theirs).max()
    written = []
    monkeypatch.setattr(adapter_bases, "export", lambda checkpoint, out, *, lexicon, card, **_: (
        written.append(card), shutil.copytree(checkpoint, out)))  # the export itself: tests/unit/compression/test_export.py
    fuse(tmp_path / "院A", tmp_path / "合并", model)
    assert abs(in_torch(load_tagger(tmp_path / "合并")) - apart).max() < 1e-5 and written[0] == {**folder.card, "precision": "fp32"}
    with pytest.raises(UsageError):
        fuse(tmp_path / "院A", tmp_path / "合并", model)


def test_a_domain_adapter_is_trained_once_and_used_for_several_hospitals(tmp_path, files):
    texts, labels = files
    base = tiny_tagger() / "checkpoint"
    domain = train_adapter(tmp_path / "领域", base=base, texts=[texts], config=QUICK)
    assert list(domain.manifest.steps) == ["domain"] and domain.manifest.labels == {}
    frozen = train_adapter(tmp_path / "院A", base=base, labels=labels, domain=tmp_path / "领域", config=QUICK)
    moving = train_adapter(tmp_path / "院B", base=base, labels=labels, domain=tmp_path / "领域",
                           config=AdapterConfig(**{**vars(QUICK), "train_domain": True}))
    same = [(frozen.tensors[name] == domain.tensors[name]).all() for name in domain.tensors]
    moved = [(moving.tensors[name] != domain.tensors[name]).any() for name in domain.tensors]
    assert all(same) and any(moved)


def test_a_decoder_goes_the_same_way(tmp_path, files):
    texts, labels = files
    adapter = train_adapter(tmp_path / "院A", base=tiny_llama(), texts=[texts], labels=labels, config=QUICK)
    assert (adapter.manifest.kind, adapter.manifest.labels) == ("llama", {"class": ("肛", "肺")})
    assert adapter.manifest.own == ("score.weight",)
    held = with_adapter(tmp_path / "院A", tiny_llama())
    apart = held.base.scores(TEXTS)
    fuse(tmp_path / "院A", tmp_path / "合并", tiny_llama())
    from transformers import AutoModelForSequenceClassification

    whole = AutoModelForSequenceClassification.from_pretrained(tmp_path / "合并", local_files_only=True)
    ids = torch.tensor([held.base._pieces(TEXTS[0])[0]])
    with torch.inference_mode():
        assert torch.allclose(whole.eval()(input_ids=ids).logits[0], apart[0], atol=1e-5)
    assert whole.config.id2label == {0: "肛", 1: "肺"}
    with pytest.raises(ModelError) as caught:
        with_adapter(tmp_path / "院A", tiny_llama(1))
    assert caught.value.code == "adapter_other_base"


def test_a_run_that_was_broken_off_ends_where_a_whole_one_does(tmp_path, files, monkeypatch):
    texts, labels = files
    config = AdapterConfig(**{**vars(QUICK), "domain_passes": 2, "passes": 3})
    ask = dict(base=tiny_tagger() / "checkpoint", texts=[texts], labels=labels, config=config)
    whole = train_adapter(tmp_path / "院A", **ask)
    real, calls = objectives.Tagging.loss, []

    def stops(self, *given):
        calls.append(1)
        if len(calls) == 2:
            raise KeyboardInterrupt
        return real(self, *given)

    monkeypatch.setattr(objectives.Tagging, "loss", stops)
    with pytest.raises(KeyboardInterrupt):
        train_adapter(tmp_path / "院B", **ask)
    assert not (tmp_path / "院B").exists()
    resumed = train_adapter(tmp_path / "院B", **ask)
    assert len(calls) == 4, "the first step, or the first pass of the second, was run again"
    assert resumed.manifest.sha256 == whole.manifest.sha256


def test_a_loss_that_is_no_number_leaves_the_adapter_before(before, files, monkeypatch):
    kept = bytes_of(before)
    monkeypatch.setattr(objectives.Tagging, "loss", lambda self, model, batch: model(batch.ids).status.sum() * float("nan"))
    with pytest.raises(TcmstructError) as caught:
        train_adapter(before, base=tiny_tagger() / "fp32", labels=files[1], config=QUICK, fresh=True)
    assert caught.value.code == "loss_not_finite" and bytes_of(before) == kept


@pytest.mark.parametrize(("kinds", "error", "code"), [
    ((), InputRefused, "no_labels"), (("症状",), InputRefused, "one_class"), (("针法", "脉象"), ModelError, "adapter_other_labels")])
def test_labels_that_teach_nothing_or_something_else_leave_the_adapter_before(before, tmp_path, kinds, error, code):
    kept = bytes_of(before)
    with pytest.raises(error) as caught:
        train_adapter(before, base=tiny_tagger() / "fp32", labels=jsonl(tmp_path / "坏.jsonl", rows(kinds)), config=QUICK)
    assert caught.value.code == code and bytes_of(before) == kept


def test_what_cannot_be_trained_on_leaves_the_adapter_before(before, tmp_path, files):
    kept, fp32 = bytes_of(before), tiny_tagger() / "fp32"
    pickled = tmp_path / "pickled"
    shutil.copytree(tiny_tagger() / "checkpoint", pickled)
    (pickled / "optimizer.pt").write_bytes(b"\x80\x04.")
    short = jsonl(tmp_path / "短.jsonl", [{"id": "1", "text": "脉弦。"}])
    empty = jsonl(tmp_path / "空.jsonl", [])
    for code, given in {
        "no_data": {"base": fp32}, "no_texts": {"base": fp32, "texts": [short]}, "empty": {"base": fp32, "labels": empty},
        "adapter_unsafe_file": {"base": pickled, "labels": files[1]}, "model_missing": {"base": tmp_path / "无", "labels": files[1]},
        "adapter_other_base": {"base": tiny_tagger() / "checkpoint", "labels": files[1], "domain": before},
        "option_invalid": {"base": fp32, "labels": files[1], "domain": before},  # it has no domain step
    }.items():
        with pytest.raises(TcmstructError) as caught:
            train_adapter(before, config=QUICK, **given)
        assert caught.value.code == code and "脉弦" not in str(caught.value)
    assert bytes_of(before) == kept


def test_something_else_is_never_replaced(tmp_path, files):
    (tmp_path / "病历库").mkdir()
    (tmp_path / "病历库" / "a.txt").write_text("x")
    with pytest.raises(UsageError) as caught:
        train_adapter(tmp_path / "病历库", base=tiny_tagger() / "fp32", labels=files[1], config=QUICK)
    assert caught.value.code == "out_exists" and (tmp_path / "病历库" / "a.txt").exists()


def test_a_write_that_fails_leaves_the_adapter_before(before, files, monkeypatch):
    from tcmstruct.training import adapter_store

    kept = bytes_of(before)
    monkeypatch.setattr(adapter_store, "open_adapter", lambda _: (_ for _ in ()).throw(ModelError("spoilt", code="adapter_invalid")))
    with pytest.raises(ModelError):
        train_adapter(before, base=tiny_tagger() / "fp32", labels=files[1], config=QUICK, fresh=True)
    monkeypatch.undo()
    assert bytes_of(before) == kept and open_adapter(before)
    assert not [p for p in before.parent.iterdir() if p.name.startswith(".院A")]


def test_classes_of_a_decoder_are_read_strictly(tmp_path):
    for line in ("[1]", '{"text": "脉弦"}', '{"text": "", "label": "肺"}', '{"text": "脉弦", "label": 3}', "不是"):
        (tmp_path / "类.jsonl").write_text(line + "\n", encoding="utf-8")
        with pytest.raises(InputRefused) as caught:
            adapter_train._rows(type("Base", (), {"kind": "llama"}), tmp_path / "类.jsonl", "label")
        assert caught.value.code == "not_labels" and "脉弦" not in str(caught.value)
