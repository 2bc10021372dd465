import pytest

from tcmstruct.batch.folder import OWNED, open_folder
from tcmstruct.errors import UsageError


def fill(out, name="records.jsonl", data=b"x", **options):
    with open_folder(out, **options) as folder:
        folder.write(name, data)
        folder.write("_SUCCESS", b"")
        folder.publish()


def test_an_earlier_result_is_kept_unless_fresh(tmp_path):
    fill(tmp_path / "o", data=b"1")
    with pytest.raises(UsageError) as caught:
        fill(tmp_path / "o", data=b"2")
    assert (caught.value.code, caught.value.exit_code) == ("out_exists", 2)
    assert (tmp_path / "o" / "records.jsonl").read_bytes() == b"1"
    fill(tmp_path / "o", "table.csv", b"2", fresh=True)
    assert sorted(p.name for p in (tmp_path / "o").iterdir()) == ["_SUCCESS", "table.csv"]


def test_foreign_files_are_never_touched(tmp_path):
    (tmp_path / "notes.txt").write_text("mine")
    fill(tmp_path)
    fill(tmp_path, fresh=True)
    assert (tmp_path / "notes.txt").read_text() == "mine"


def test_a_file_in_the_place_of_the_folder(tmp_path):
    (tmp_path / "o").write_text("mine")
    with pytest.raises(UsageError), open_folder(tmp_path / "o"):
        pass
    assert (tmp_path / "o").read_text() == "mine"


def test_an_input_is_never_replaced(tmp_path):
    (tmp_path / "records.jsonl").write_text("mine")
    with pytest.raises(UsageError) as caught, open_folder(tmp_path, fresh=True, inputs=[tmp_path / "records.jsonl"]):
        pass
    assert caught.value.code == "out_holds_input"


def test_nothing_stands_in_place_before_the_end(tmp_path):
    with pytest.raises(RuntimeError), open_folder(tmp_path / "o") as folder:
        folder.write("records.jsonl", b"x")
        assert not set(OWNED).intersection(p.name for p in (tmp_path / "o").iterdir())
        raise RuntimeError
    assert not (tmp_path / "o").exists()
