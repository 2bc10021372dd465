"""The shipped model is checked before anything is run."""

import json
import shutil

import pytest

from tcmstruct.errors import ModelError
from tcmstruct.runtime.model_folder import DEFAULT_FOLDER, open_folder, replacing, verify_model, write_manifest


@pytest.fixture
def folder(tmp_path):
    copy = tmp_path / "model"
    shutil.copytree(DEFAULT_FOLDER, copy)
    return copy


def test_shipped_folder_is_whole():
    opened = open_folder()
    assert set(opened.card["readouts"]["gold"]) == {"症状", "舌质", "舌苔", "脉象", "西医诊断", "中医诊断", "治疗"}
    assert {"model.onnx", "card.json", "characters.txt"} <= set(verify_model())
    assert sum(p.stat().st_size for p in DEFAULT_FOLDER.iterdir()) < 25 * 2**20


@pytest.mark.parametrize("name", ["model.onnx", "card.json", "characters.txt", "lexicon.txt"])
def test_missing_file_is_named(folder, name):
    (folder / name).unlink()
    with pytest.raises(ModelError, match=name) as caught:
        open_folder(folder)
    assert caught.value.code == "model_missing"


def test_altered_file_is_named(folder):
    with open(folder / "model.onnx", "r+b") as file:
        file.seek(1000)
        byte = file.read(1)
        file.seek(1000)
        file.write(bytes([byte[0] ^ 1]))
    with pytest.raises(ModelError, match=r"model\.onnx was altered") as caught:
        open_folder(folder)
    assert caught.value.code == "model_altered"


@pytest.mark.parametrize("name", ["weights.pkl", "weights.pt", "weights.bin"])
def test_kinds_that_could_hold_code_are_refused(folder, name):
    (folder / name).write_bytes(b"x")
    with pytest.raises(ModelError, match=name) as caught:
        open_folder(folder)
    assert caught.value.code == "model_unsafe_file"


def test_missing_and_broken_manifest(folder):
    (folder / "manifest.json").write_text("{")
    with pytest.raises(ModelError, match="cannot be read"):
        open_folder(folder)
    (folder / "manifest.json").unlink()
    with pytest.raises(ModelError, match=r"manifest\.json is missing"):
        open_folder(folder)


def test_fingerprint_follows_content(folder):
    before = open_folder(folder).fingerprint
    card = json.loads((folder / "card.json").read_text(encoding="utf-8"))
    card["side_threshold"] = 0.123
    (folder / "card.json").write_text(json.dumps(card), encoding="utf-8")
    write_manifest(folder)
    assert open_folder(folder).fingerprint != before


def test_a_folder_is_replaced_whole_or_not_at_all(tmp_path):
    out = tmp_path / "model"
    with replacing(out, {"name": "first"}) as fresh:
        (fresh / "model.onnx").write_bytes(b"1")
    before = {p.name: p.read_bytes() for p in out.iterdir()}
    with pytest.raises(RuntimeError), replacing(out, {"name": "second"}) as fresh:
        (fresh / "model.onnx").write_bytes(b"2")
        raise RuntimeError
    assert {p.name: p.read_bytes() for p in out.iterdir()} == before and [p.name for p in tmp_path.iterdir()] == ["model"]
    with replacing(out, {"name": "third"}) as fresh:
        (fresh / "model.onnx").write_bytes(b"3")
    assert open_folder(out, needed=("card.json", "model.onnx")).card == {"name": "third"} and (out / "model.onnx").read_bytes() == b"3"
