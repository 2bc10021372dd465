"""Where a record's photo may lie: inside of the image folder, and nowhere else."""

import os

import pytest

from tcmstruct.errors import UsageError
from tcmstruct.image.decode import decode
from tcmstruct.image.paths import MAX_PATH_CHARACTERS, image_folder, read_file, resolve
from tcmstruct.image.refusal import REASONS, ImageRefused


@pytest.fixture
def root(tmp_path):
    (tmp_path / "照片" / "2026").mkdir(parents=True)
    (tmp_path / "照片" / "2026" / "a.png").write_bytes(b"x")
    (tmp_path / "secret.png").write_bytes(b"s")
    return tmp_path / "照片"


@pytest.mark.parametrize("named", ["2026/a.png", "2026\\a.png", " 2026/a.png ", "./2026/a.png", "2026//a.png"])
def test_paths_inside_are_found(root, named):
    assert read_file(resolve(named, root)) == b"x"


@pytest.mark.parametrize(("named", "reason"), [
    ("../secret.png", "path_traversal"), ("2026/../../secret.png", "path_traversal"), ("..\\secret.png", "path_traversal"),
    ("/etc/passwd", "path_absolute"), ("C:\\a.png", "path_absolute"), ("~/a.png", "path_absolute"), ("\\a.png", "path_absolute"),
    ("\\\\server\\share\\a.png", "path_unc"), ("//server/a.png", "path_unc"),
    ("http://host/a.png", "path_url"), ("file:///etc/passwd", "path_url"), ("data:image/png;base64,AA", "path_url"),
    ("a\0.png", "path_invalid"), ("", "path_invalid"), ("  ", "path_invalid"), ("a\n.png", "path_invalid"),
    ("a" * (MAX_PATH_CHARACTERS + 1), "path_invalid"), ("b.png", "not_found"), ("2026/a.png/b", "not_found"),
])
def test_other_paths_are_refused_without_being_repeated(root, named, reason):
    with pytest.raises(ImageRefused) as refused:
        resolve(named, root)
    assert refused.value.reason == reason and reason in REASONS
    if named.strip():
        assert named not in str(refused.value)


@pytest.mark.skipif(os.name != "posix", reason="links need POSIX")
def test_a_link_may_lead_inside_but_not_out(root):
    (root / "in.png").symlink_to(root / "2026" / "a.png")
    (root / "out.png").symlink_to(root.parent / "secret.png")
    (root / "up").symlink_to(root.parent)
    (root / "circle").symlink_to(root / "circle")
    assert read_file(resolve("in.png", root)) == b"x"
    for named in ("out.png", "up/secret.png", "circle"):
        with pytest.raises(ImageRefused) as refused:
            resolve(named, root)
        assert refused.value.reason == "path_outside_root"


def test_a_folder_and_a_pipe_are_no_photos(root):
    for path in (root, root / "2026"):
        with pytest.raises(ImageRefused) as refused:
            read_file(path)
        assert refused.value.reason == "not_a_file"
    if hasattr(os, "mkfifo"):
        os.mkfifo(root / "pipe")
        with pytest.raises(ImageRefused) as refused:
            read_file(root / "pipe")  # and is not waited for
        assert refused.value.reason == "not_a_file"


def test_decode_keeps_to_the_image_folder(root):
    with pytest.raises(ImageRefused) as refused:
        decode("../secret.png", root=root)
    assert refused.value.reason == "path_traversal"


def test_the_image_folder_must_be_one(root):
    assert image_folder(str(root)) == root
    for named in (root / "2026" / "a.png", root / "没有"):
        with pytest.raises(UsageError) as refused:
            image_folder(named)
        assert named.name in str(refused.value) and str(root) not in str(refused.value)
