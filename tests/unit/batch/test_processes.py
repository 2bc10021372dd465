"""Signals that reach workers: the parent's count, anybody else's do not, and none outlives its parent."""

import os
import signal
import subprocess
import sys
import time

import pytest

pytestmark = pytest.mark.skipif(not hasattr(signal, "sigwaitinfo"), reason="the sender of a signal is told on Linux only")

PARENT = """
import multiprocessing, os, signal, sys, time
from tcmstruct.batch.processes import begin_worker, signals_held

def work(pipe):
    begin_worker()
    pipe.send(os.getpid())
    while True:
        pipe.send(pipe.recv())

if __name__ == "__main__":
    mine, its = multiprocessing.get_context("spawn").Pipe()
    with signals_held():
        child = multiprocessing.get_context("spawn").Process(target=work, args=(its,))
        child.start()
    print(mine.recv(), flush=True)
    sys.stdin.readline()
    mine.send("still there")
    print(mine.recv(), flush=True)
    child.terminate()
    child.join(10)
    print(child.exitcode, flush=True)
    sys.stdin.readline()
"""


def test_a_worker_ends_by_its_parents_word_alone(tmp_path):
    (tmp_path / "parent.py").write_text(PARENT)
    environment = {**os.environ, "PYTHONPATH": os.getcwd()}
    with subprocess.Popen([sys.executable, str(tmp_path / "parent.py")], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
                          env=environment) as parent:
        worker = int(parent.stdout.readline())
        for number in (signal.SIGTERM, signal.SIGINT):
            os.kill(worker, number)
        time.sleep(0.2)
        parent.stdin.write("\n")
        parent.stdin.flush()
        assert parent.stdout.readline() == "still there\n"
        assert parent.stdout.readline() == "1\n"
        parent.stdin.close()


def test_a_worker_ends_with_its_parent(tmp_path):
    (tmp_path / "parent.py").write_text(PARENT)
    with subprocess.Popen([sys.executable, str(tmp_path / "parent.py")], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
                          env={**os.environ, "PYTHONPATH": os.getcwd()}) as parent:
        worker = int(parent.stdout.readline())
        parent.kill()
        until = time.monotonic() + 10
        while os.path.exists(f"/proc/{worker}") and time.monotonic() < until:
            time.sleep(0.02)
        assert not os.path.exists(f"/proc/{worker}")
