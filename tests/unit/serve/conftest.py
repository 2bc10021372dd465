"""Servers without a model: in this process, and over a real socket."""

import socket
import threading
import time

import pytest
from fake_structurers import Fake
from starlette.testclient import TestClient

from tcmstruct.serve.app import make_app
from tcmstruct.serve.guard import Gate
from tcmstruct.serve.limits import Limits
from tcmstruct.serve.server import listen, make_server
from tcmstruct.serve.workers import Workers

BASE = "http://127.0.0.1:8765"


@pytest.fixture
def client_of():
    """Makes a client of an application whose structurer works in a thread."""
    opened = []

    def make(factory=Fake, token=None, gate=None, routers=(), **limits):
        app = make_app(Workers(factory, 0), gate or Gate(token), Limits(**limits), routers)
        client = TestClient(app, base_url=BASE, raise_server_exceptions=False).__enter__()
        opened.append(client)
        return client

    yield make
    for client in opened:
        client.__exit__(None, None, None)


@pytest.fixture
def client(client_of):
    return client_of()



class Sluggish(Fake):
    """Takes half a second for a call."""

    def structure_many(self, records):
        time.sleep(0.5)
        return super().structure_many(records)


STRUCTURERS = {"fake": Fake, "slow": Sluggish}


class Running:
    """A server behind a real socket, in a thread of this process."""

    def __init__(self, kind, limits):
        limits, ready = Limits(**limits), threading.Event()
        sock = listen("127.0.0.1", 0)
        self.port = sock.getsockname()[1]
        self.server = make_server(make_app(Workers(STRUCTURERS[kind], 0), Gate(), limits), limits, ready=ready.set)
        self.thread = threading.Thread(target=self.server.run, args=([sock],))
        self.thread.start()
        assert ready.wait(20)

    def stop(self):
        self.server.should_exit = True
        self.thread.join()

    def connect(self):
        return socket.create_connection(("127.0.0.1", self.port), timeout=20)

    def raw(self, *pieces):
        """Sends pieces, then reads until the server closes the connection."""
        data = b""
        with self.connect() as sock:
            try:
                for piece in pieces:
                    sock.sendall(piece)
                while more := sock.recv(65536):
                    data += more
            except (ConnectionResetError, BrokenPipeError):
                pass
        return data


@pytest.fixture
def server():
    running = []

    def start(kind="fake", **limits):
        running.append(Running(kind, limits))
        return running[-1]

    yield start
    for one in running:
        one.stop()
