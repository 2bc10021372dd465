"""Batches that meet the world: 26 a record that kills its process, 27 kill -9, full disk, read-only folder, 28 a second run at once, a
changed input, option or model. The processes are real; the structurer is a cheap one."""

import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

FAKES = Path(__file__).parents[1] / "fakes"
FILES = ("records.jsonl", "rejects.jsonl", "table.csv")
posix = pytest.mark.skipif(os.name != "posix", reason="signals and file modes are POSIX")


def source(folder, n=3000, deadly=()):
    path = folder / "in.jsonl"
    path.write_text("".join(json.dumps({"id": f"r{k}", "text": f"{'致命' if k in deadly else '有发热'}{k}"}, ensure_ascii=False) + "\n"
                            for k in range(n)) + '{"id": "r0", "text": "again"}\n{"id": "last"}\n', "utf-8")
    return path


def begin(factory, workers, path, out, *options):
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join((str(FAKES), str(FAKES.parents[1]))), "OMP_NUM_THREADS": "1"}
    command = [sys.executable, str(FAKES / "run_convert.py"), factory, str(workers), str(path), str(out), *options]
    return subprocess.Popen(command, env=environment, stderr=subprocess.PIPE, text=True, start_new_session=True)


def finish(*arguments):
    process = begin(*arguments)
    _, said = process.communicate(timeout=120)
    return process.returncode, said


def contents(out):
    return {name: (out / name).read_bytes() for name in FILES}


def shards(out):
    return len(list((out / ".tcmstruct-work").glob("shard-*.json")))


def wait_for_shards(out, n, process):
    until = time.monotonic() + 60
    while shards(out) < n:
        assert process.poll() is None, "it ended before it could be met in the middle"
        assert time.monotonic() < until
        time.sleep(0.01)


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """The result of an undisturbed run."""
    folder = tmp_path_factory.mktemp("whole")
    assert finish("Slow", 1, source(folder), folder / "o")[0] == 3
    return contents(folder / "o")


@pytest.mark.parametrize("workers", [1, 2])
def test_26_a_record_that_kills_its_process_is_set_aside(tmp_path, workers):
    path = source(tmp_path, 300, deadly=(5, 200))
    code, said = finish("Killing", workers, path, tmp_path / "o")
    if workers == 1:  # there is nobody left who could know; the same command goes on, warned
        assert code == 9
        code, said = finish("Killing", workers, path, tmp_path / "o")
    assert code == 3, said
    rejects = [json.loads(line) for line in (tmp_path / "o" / "rejects.jsonl").read_text("utf-8").splitlines()]
    assert [(r["id"], r["code"]) for r in rejects[:2]] == [("r5", "worker_died"), ("r200", "worker_died")]
    counts = json.loads((tmp_path / "o" / "manifest.json").read_text("utf-8"))["counts"]
    assert counts == {"in": 302, "ok": 298, "warned": 0, "rejected": 4}
    assert "致命" not in said


@posix
@pytest.mark.parametrize("workers", [1, 2])
def test_27_kill_9_and_the_same_command_again_gives_the_same_bytes(tmp_path, whole, workers):
    path, rng = source(tmp_path), random.Random(workers)
    for _ in range(3):
        process = begin("Slow", workers, path, tmp_path / "o")
        wait_for_shards(tmp_path / "o", shards(tmp_path / "o") + rng.randint(1, 4), process)
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        assert not any((tmp_path / "o" / name).exists() for name in FILES)
    code, said = finish("Slow", workers, path, tmp_path / "o")
    assert code == 3, said
    assert "of them before" in said
    assert contents(tmp_path / "o") == whole
    assert [p.name for p in (tmp_path / "o").iterdir() if p.name.startswith(".")] == []


@posix
def test_27_workers_do_not_outlive_a_killed_parent(tmp_path):
    process = begin("Slow", 2, source(tmp_path, 20_000), tmp_path / "o")
    wait_for_shards(tmp_path / "o", 1, process)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    until = time.monotonic() + 20
    while _of_session(process.pid):
        assert time.monotonic() < until
        time.sleep(0.05)


def _of_session(session):
    listed = subprocess.run(["ps", "-o", "pid=", "-s", str(session)], capture_output=True, text=True, check=False).stdout.split()
    return [pid for pid in listed if Path(f"/proc/{pid}").exists()]


@posix
def test_27_sigterm_to_all_processes_ends_in_good_order(tmp_path, whole):
    path = source(tmp_path)
    process = begin("Slow", 2, path, tmp_path / "o")
    wait_for_shards(tmp_path / "o", 2, process)
    os.killpg(process.pid, signal.SIGTERM)
    _, said = process.communicate(timeout=60)
    assert process.returncode == 128 + signal.SIGTERM, said
    assert "rows are done and kept" in said
    assert finish("Slow", 1, path, tmp_path / "o")[0] == 3
    assert contents(tmp_path / "o") == whole


@posix
@pytest.mark.skipif(not shutil.which("prlimit"), reason="prlimit limits the size of a file")
def test_27_a_disk_that_takes_no_more_keeps_the_old_result(tmp_path, whole):
    path = source(tmp_path)
    assert finish("Slow", 1, path, tmp_path / "o")[0] == 3
    process = begin("Slow", 1, path, tmp_path / "o", "--fresh")
    subprocess.run(["prlimit", "--pid", str(process.pid), "--fsize=100000"], check=True)
    _, said = process.communicate(timeout=60)
    assert process.returncode == 1, said
    assert "disk_full" in said
    assert contents(tmp_path / "o") == whole
    assert finish("Slow", 1, path, tmp_path / "o")[0] == 3
    assert contents(tmp_path / "o") == whole


@posix
@pytest.mark.skipif(hasattr(os, "geteuid") and os.geteuid() == 0, reason="root writes anywhere")
def test_27_a_read_only_folder_is_named(tmp_path):
    (tmp_path / "o").mkdir(mode=0o500)
    code, said = finish("Slow", 1, source(tmp_path), tmp_path / "o")
    assert (code, said.split(":")[0]) == (2, "out_not_writable")


def test_28_a_second_run_at_once_is_refused(tmp_path, whole):
    path = source(tmp_path)
    first = begin("Slow", 1, path, tmp_path / "o")
    wait_for_shards(tmp_path / "o", 1, first)
    code, said = finish("Slow", 1, path, tmp_path / "o")
    assert (code, said.split(":")[0]) == (2, "out_locked")
    first.communicate(timeout=60)
    assert contents(tmp_path / "o") == whole


@posix
def test_28_a_changed_input_is_refused_and_the_unfinished_run_can_still_be_finished(tmp_path, whole):
    path = source(tmp_path)
    process = begin("Slow", 1, path, tmp_path / "o")
    wait_for_shards(tmp_path / "o", 2, process)
    process.kill()
    process.wait()
    data = path.read_bytes()
    path.write_bytes(data.replace("有发热".encode(), "无发热".encode(), 1))
    code, said = finish("Slow", 1, path, tmp_path / "o")
    assert (code, said.split(":")[0]) == (2, "run_changed")
    assert "another inputs" in said
    path.write_bytes(data)
    code, said = finish("Other", 1, path, tmp_path / "o")
    assert (code, said.split(":")[0]) == (2, "run_changed")
    assert "another model" in said
    assert finish("Slow", 1, path, tmp_path / "o")[0] == 3
    assert contents(tmp_path / "o") == whole


@posix
def test_on_ray_a_killed_driver_goes_on_and_a_deadly_record_is_set_aside(tmp_path, whole):
    pytest.importorskip("ray", reason="the extra [ray] is not installed")
    path = source(tmp_path)
    process = begin("Slow", 2, path, tmp_path / "o", "--ray")
    wait_for_shards(tmp_path / "o", 2, process)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    code, said = finish("Slow", 2, path, tmp_path / "o", "--ray")
    assert code == 3, said
    assert "of them before" in said
    assert contents(tmp_path / "o") == whole
    code, said = finish("Killing", 2, source(tmp_path, 300, deadly=(5,)), tmp_path / "p", "--ray")
    assert code == 3, said
    assert json.loads((tmp_path / "p" / "rejects.jsonl").read_text("utf-8").splitlines()[0])["code"] == "worker_died"
