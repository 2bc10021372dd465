"""What all tests share: nothing is written into the home of who runs them."""

import pytest

import tcmstruct  # noqa: F401  # before any test loads onnxruntime: switches its telemetry off


@pytest.fixture(autouse=True, scope="session")
def folders_of_their_own(tmp_path_factory):
    """The fit of the machine's memory and the key of pseudonyms go into temporary folders, here and in the processes that tests start."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.mktemp("cache")))
        patch.setenv("XDG_CONFIG_HOME", str(tmp_path_factory.mktemp("config")))
        patch.delenv("TCMSTRUCT_KEY", raising=False)
        yield
