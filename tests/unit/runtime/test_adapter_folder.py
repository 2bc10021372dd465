"""What an adapter's folder may hold, and everything that is refused about it."""

import json

import numpy as np
import pytest
from drawn_adapters import drawn_adapter, safetensors_bytes

from tcmstruct.errors import ModelError
from tcmstruct.runtime.adapter_folder import MANIFEST, WEIGHTS, open_adapter, open_shelf
from tcmstruct.runtime.tensor_file import read_tensors

ONE = {"a": np.arange(6, dtype=np.float32).reshape(2, 3), "b": np.zeros((0, 2), np.float32), "c": np.ones((), np.float32)}


def refused(folder):
    with pytest.raises(ModelError) as caught:
        open_adapter(folder)
    return caught.value


def test_tensors_are_read_as_they_were_written():
    found = read_tensors(safetensors_bytes(ONE))
    assert found.keys() == ONE.keys()
    assert all(np.array_equal(found[name], ONE[name]) and found[name].shape == ONE[name].shape for name in ONE)


def test_the_library_writes_what_is_read_here():
    save = pytest.importorskip("safetensors.numpy").save
    found = read_tensors(save(ONE, metadata={"from": "elsewhere"}))
    assert all(np.array_equal(found[name], ONE[name]) for name in ONE)


@pytest.mark.parametrize("spoilt", [
    b"", b"\x00" * 7, (2**40).to_bytes(8, "little") + b"{}", (2).to_bytes(8, "little") + b"[]", (2).to_bytes(8, "little") + b"{{",
    safetensors_bytes(ONE) + b"x", safetensors_bytes(ONE)[:-1], safetensors_bytes(ONE, dtype="F64"), safetensors_bytes(ONE, shape=[3, 3]),
    safetensors_bytes(ONE, shape=[-2, -3]), safetensors_bytes(ONE, shape=[True, 6]), safetensors_bytes(ONE, data_offsets=[0, 24, 24]),
    safetensors_bytes(ONE, data_offsets=[4, 28]), safetensors_bytes(ONE, more=1), safetensors_bytes({"a": np.array([np.nan])}),
    safetensors_bytes({"a": np.array([np.inf])}),
])
def test_a_spoilt_file_is_refused(spoilt):
    with pytest.raises(ValueError):
        read_tensors(spoilt)


def test_a_name_that_stands_twice_is_refused():
    entry = '"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}'
    told = ("{" + entry + "," + entry + "}").encode()
    with pytest.raises(ValueError, match="twice"):
        read_tensors(len(told).to_bytes(8, "little") + told + b"\0" * 4)


def test_terms_hold_the_scale_and_all_steps(tmp_path):
    adapter = open_adapter(drawn_adapter(tmp_path / "院A", 1, rank=3))
    a, b = adapter.terms()["encoder.attention.3.query"]
    assert a.shape == (224, 3) and b.shape == (3, 224)
    stored = adapter.tensors["downstream/encoder.attention.3.query/B"]
    assert np.allclose(b, 2 * stored.T) and np.array_equal(a, adapter.tensors["downstream/encoder.attention.3.query/A"].T)


@pytest.mark.parametrize("name", ["adapter_model.bin", "weights.pt", "x.PKL", "a.npz"])
def test_a_folder_with_a_pickle_is_refused_though_nothing_would_open_it(tmp_path, name):
    folder = drawn_adapter(tmp_path / "院A", 1)
    (folder / name).write_bytes(b"\x80\x04.")
    error = refused(folder)
    assert error.code == "adapter_unsafe_file" and name in str(error)


def test_nothing_else_may_lie_in_it(tmp_path):
    folder = drawn_adapter(tmp_path / "院A", 1)
    (folder / "run.py").write_text("")
    assert refused(folder).code == "adapter_unsafe_file"


def test_a_link_is_no_file_of_an_adapter(tmp_path):
    folder = drawn_adapter(tmp_path / "院A", 1)
    (folder / WEIGHTS).rename(tmp_path / "elsewhere")
    (folder / WEIGHTS).symlink_to(tmp_path / "elsewhere")
    assert refused(folder).code == "adapter_unsafe_file"


def test_altered_weights_are_refused(tmp_path):
    folder = drawn_adapter(tmp_path / "院A", 1)
    data = bytearray((folder / WEIGHTS).read_bytes())
    data[-1] ^= 1
    (folder / WEIGHTS).write_bytes(data)
    assert refused(folder).code == "adapter_altered"


@pytest.mark.parametrize("changes", [
    {"format": 2}, {"format": "1"}, {"kind": "other"}, {"base": "abc"}, {"note": "?"}, {"steps": {}}, {"own": ["score"]}, {"bytes": "1"},
    {"steps": {"downstream": {"rank": 0, "alpha": 8.0, "modules": [], "learnt": {}}}},
    {"steps": {"downstream": {"rank": 3, "alpha": float("inf"), "modules": [], "learnt": {}}}},
    {"steps": {"third": {"rank": 3, "alpha": 8.0, "modules": [], "learnt": {}}}},
    {"steps": {"downstream": {"rank": 4, "alpha": 8.0, "modules": ["status"], "learnt": {}}}},
])
def test_a_manifest_that_says_something_else_is_refused(tmp_path, changes):
    assert refused(drawn_adapter(tmp_path / "院A", 1, **changes)).code == "adapter_invalid"


def test_a_manifest_never_repeats_what_it_holds(tmp_path):
    folder = drawn_adapter(tmp_path / "院A", 1)
    manifest = json.loads((folder / MANIFEST).read_text())
    (folder / MANIFEST).write_text(json.dumps({**manifest, "base": "机密标记"}))
    assert "机密标记" not in str(refused(folder))


def test_missing_files_and_folders_are_told(tmp_path):
    folder = drawn_adapter(tmp_path / "院A", 1)
    (folder / WEIGHTS).unlink()
    assert refused(folder).code == "adapter_missing" and refused(tmp_path / "院B").code == "adapter_missing"
    (tmp_path / "empty").mkdir()
    with pytest.raises(ModelError) as caught:
        open_shelf(tmp_path / "empty")
    assert caught.value.code == "adapter_missing"


def test_a_shelf_passes_over_a_training_that_is_under_way_and_over_nothing_else(tmp_path):
    drawn_adapter(tmp_path / "院A", 1)
    (tmp_path / "院A.training").mkdir()
    (tmp_path / ".院C.x").mkdir()
    assert list(open_shelf(tmp_path)) == ["院A"]
    (tmp_path / "院B").mkdir()
    with pytest.raises(ModelError):
        open_shelf(tmp_path)


def test_another_base_or_label_set_is_refused_by_name(tmp_path):
    adapter = open_adapter(drawn_adapter(tmp_path / "院A", 1))
    labels = {name: list(values) for name, values in adapter.manifest.labels.items()}
    adapter.require_base("tagger", adapter.manifest.base, labels)
    for kind, base in (("llama", adapter.manifest.base), ("tagger", "0" * 64)):
        with pytest.raises(ModelError) as caught:
            adapter.require_base(kind, base, labels)
        assert caught.value.code == "adapter_other_base"
    for changed in ([*labels["gold"], "新"], labels["gold"][:-1], labels["gold"][::-1]):
        with pytest.raises(ModelError) as caught:
            adapter.require_base("tagger", adapter.manifest.base, {"gold": changed})
        assert caught.value.code == "adapter_other_labels"
