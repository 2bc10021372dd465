"""The key: made once, private, never shown."""

import os
import pickle
import stat

import pytest

from tcmstruct.errors import InputRefused, UsageError
from tcmstruct.privacy import Key, read_key
from tcmstruct.privacy.key import default_key_file


@pytest.fixture(autouse=True)
def own_settings(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "settings"))
    monkeypatch.delenv("TCMSTRUCT_KEY", raising=False)


def test_a_key_is_made_at_first_use_and_read_after_that(tmp_path):
    for path in (tmp_path / "deep" / "k", None):
        one, two = read_key(path), read_key(path)
        made = path or default_key_file()
        assert one.code("姓名", "李建国") == two.code("姓名", "李建国")
        assert stat.S_IMODE(made.stat().st_mode) == 0o600
        assert [p.name for p in made.parent.iterdir()] == [made.name]
    assert read_key(tmp_path / "deep" / "k").code("姓名", "李") != read_key().code("姓名", "李")


def test_the_environment_gives_a_key_and_a_named_file_wins(tmp_path, monkeypatch):
    monkeypatch.setenv("TCMSTRUCT_KEY", "e" * 32)
    assert read_key().code("姓名", "李") == Key(b"e" * 32).code("姓名", "李")
    assert not default_key_file().exists()
    (tmp_path / "k").write_text("f" * 32 + "\n")
    (tmp_path / "k").chmod(0o600)
    assert read_key(tmp_path / "k").code("姓名", "李") == Key(b"f" * 32).code("姓名", "李")


@pytest.mark.skipif(os.name != "posix", reason="modes are POSIX")
def test_a_key_that_others_may_read_is_refused(tmp_path):
    path = tmp_path / "k"
    path.write_text("f" * 32)
    path.chmod(0o644)
    with pytest.raises(InputRefused, match="chmod 600") as raised:
        read_key(path)
    assert "ffff" not in str(raised.value)


@pytest.mark.parametrize("content", [b"short-secret", b"", b"\xff" * 40])
def test_what_is_no_key_is_refused_without_showing_it(tmp_path, content):
    path = tmp_path / "k"
    path.write_bytes(content)
    path.chmod(0o600)
    with pytest.raises(InputRefused) as raised:
        read_key(path)
    assert "short-secret" not in str(raised.value)


def test_a_key_shows_nothing_of_itself():
    key = Key(b"very secret and long enough")
    assert "secret" not in repr(key) + str(key)
    with pytest.raises(TypeError):
        pickle.dumps(key)
    with pytest.raises(UsageError):
        Key(b"short")


def test_shifts_are_whole_weeks_back():
    key = Key(b"very secret and long enough")
    shifts = {key.shift_days(str(n)) for n in range(400)}
    assert all(-7 * 104 <= days <= -28 and days % 7 == 0 for days in shifts)
    assert len(shifts) > 80
