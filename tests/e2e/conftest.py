import threading

import pytest
from browser_page import ReviewPage, chromium


@pytest.fixture(scope="session")
def driver():
    made = chromium()
    yield made
    made.quit()


@pytest.fixture
def page(driver):
    """A page on a desk; what it keeps in the browser is gone afterwards."""
    made = ReviewPage(driver)
    yield made
    driver.execute_script("sessionStorage.clear(); localStorage.clear()")


@pytest.fixture
def serve_app():
    """Serves routers on a free port until the test ends, then closes what is behind them; gives the address."""
    from tcmstruct.serve.app import make_app
    from tcmstruct.serve.limits import Limits
    from tcmstruct.serve.server import listen, make_server

    running = []

    def start(workers, gate, routers, behind):
        ready, sock = threading.Event(), listen("127.0.0.1", 0)
        server = make_server(make_app(workers, gate, Limits(), routers), Limits(), ready=ready.set)
        thread = threading.Thread(target=server.run, args=([sock],))
        thread.start()
        assert ready.wait(20)
        running.append((server, thread, behind))
        return f"http://127.0.0.1:{sock.getsockname()[1]}/"

    yield start
    for server, thread, behind in running:
        server.should_exit = True
        thread.join()
        behind.close()
