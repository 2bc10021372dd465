"""What all tests share: nothing is written into the home of who runs them."""

import pytest

import tcmstruct  # noqa: F401  # before any test loads onnxruntime: switches its telemetry off


@pytest.fixture(autouse=True, scope="session")
def cache_of_its_own(tmp_path_factory):
    """The fit of the machine's memory goes into a temporary folder, here and in the processes that tests start."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.mktemp("cache")))
        yield
