"""Every code block of the documentation is run, read or compared; what cannot be run says why in a comment above it.

| block | what happens to it |
|---|---|
| `python` | run in a folder with the files it names, one namespace a page; `expression   # literal` has to be true |
| `sh`, `console`, none | every command is run; those of `doc_commands.NEEDS` and synopses are read by the option parser |
| – `$ command` | what stands below is what it prints; … stands for anything |
| `toml`, `json`, `xml`, `csv`, `ini` | read; a pack by the schema's reader; with a `title` it is a file for the commands below |
| `text` and what begins with no program | a drawing or an output: nothing |
| under `<!-- not run: reason -->` | nothing, and counted |
"""

import copy
import functools
import re
import shutil
from pathlib import Path

import pytest
import typer
from doc_blocks import faults_of
from doc_pages import PAGES, ROOT, read_page
from doc_stage import stage

from tcmstruct import cli, pipeline
from tcmstruct.image.paths import image_folder

BLOCKS = {page: read_page(ROOT / page).blocks for page in PAGES}
MOST_NOT_RUN = 6


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """The folder that every page gets a copy of, made with the shipped model, which is loaded once for all."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(pipeline, "Structurer", functools.partial(shared, {}, pipeline.Structurer))
        patch.setenv("COLUMNS", "100")
        patch.setenv("TCMSTRUCT_KEY", "k" * 40)
        folder = tmp_path_factory.mktemp("docs")
        stage(folder)
        yield folder


def shared(loaded, make, model=None, schema="all", *, codes=None, image_root=None, memory_limit_bytes=None, threads=None, **more):
    """A structurer, the same one for all who want the same; a memory limit is of a process that is not also a test's."""
    packs = [schema] if isinstance(schema, (str, Path)) else list(schema)
    key = (model, *map(content, packs), "codes", content(codes), *((name, value) for name, value in more.items() if value is not None))
    if key not in loaded:
        loaded[key] = make(model, packs, codes=codes, **more)
    if image_root is None:
        return loaded[key]
    _ = loaded[key].photo_side
    one = copy.copy(loaded[key])
    one.image_root = image_folder(image_root)
    return one


def content(name):
    """A pack's name, or what is in the file: pages may have different files of one name."""
    return Path(name).read_bytes() if name is not None and Path(name).is_file() else name


@pytest.mark.parametrize("page", [page for page in PAGES if BLOCKS[page]])
def test_the_code_of_a_page(page, files, tmp_path, monkeypatch):
    folder = tmp_path / "files"
    shutil.copytree(files, folder)
    monkeypatch.chdir(folder)
    names = {"__name__": "__docs__"}
    faults = [f"{block.place}: {fault}" for block in BLOCKS[page] if not block.not_run for fault in faults_of(block, names, folder)]
    assert not faults, "\n" + "\n".join(faults)


def test_what_is_not_run_is_little_and_says_why():
    marked = [block for blocks in BLOCKS.values() for block in blocks if block.not_run]
    assert all(len(block.not_run) > 10 for block in marked)
    assert len(marked) <= MOST_NOT_RUN, [(block.place, block.not_run) for block in marked]


def test_every_command_is_shown_somewhere():
    text = "\n".join((ROOT / page).read_text("utf-8") for page in PAGES)
    assert [path for path in calls(typer.main.get_command(cli.app), "tcmstruct") if not re.search(rf"{path}\b", text)] == []


def calls(command, path):
    """What every command is called by."""
    if not hasattr(command, "commands"):
        return [path]
    return [call for name, inner in command.commands.items() for call in calls(inner, f"{path} {name}")]


@pytest.mark.parametrize(("text", "found"), [
    ("```python\nx = 2\nx    # 3\n```", "gives 2, shown is 3"),
    ("```python\nundefined\n```", "NameError"),
    ("```\ntcmstruct convert a.csv -o out --formt csv\n```", "--formt"),
    ("```\ntcmstruct convert IN -o OUT [--formt csv]\n```", "no option --formt"),
    ("```\ntcmstruct serve out --prot 1\n```", "--prot"),
    ("```sh\ntcmstruct verify nowhere\n```", "exit code 4"),
    ("```sh\ncurl http://example.org\n```", "needs a marker"),
    ("```\npython -m benchmarks.speed --slowly\n```", "no option --slowly"),
    ("```\nmake coffee\n```", "no such target"),
    ("```\npip install 'tcmstruct[teapot]'\n```", "no such extra"),
    ("```console\n$ tcmstruct version\n99.9\n```", "shown is"),
    ("```toml\n[pack]\nname = \"x\"\n[fields.\"y\"]\ntyp = \"enum\"\n```", "unknown key"),
    ("```json\n{\"a\": }\n```", "JSONDecodeError"),
    ("```cobol\nMOVE A TO B\n```", "nothing here reads it"),
])
def test_faults_are_found(text, found, tmp_path, monkeypatch):
    monkeypatch.setattr("doc_pages.ROOT", tmp_path)
    monkeypatch.chdir(tmp_path)
    (tmp_path / "page.md").write_text(text, "utf-8")
    (block,) = read_page(tmp_path / "page.md").blocks
    assert found in "\n".join(faults_of(block, {}, tmp_path))


def test_a_block_that_is_as_shown_has_no_fault(tmp_path, monkeypatch):
    monkeypatch.setattr("doc_pages.ROOT", tmp_path)
    monkeypatch.chdir(tmp_path)
    page = "<!-- not run: needs a teapot -->\n```sh\nbrew\n```\n\n```python\n1 + 1   # 2  (of course)\n```\n"
    (tmp_path / "page.md").write_text(page, "utf-8")
    marked, python = read_page(tmp_path / "page.md").blocks
    assert marked.not_run == "needs a teapot" and not list(faults_of(python, {}, tmp_path))
