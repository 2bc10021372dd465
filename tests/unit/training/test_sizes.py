"""The table of sizes says what is really built."""

import pytest

torch = pytest.importorskip("torch")

from pydantic import TypeAdapter, ValidationError  # noqa: E402

from tcmstruct.labels import READOUTS  # noqa: E402
from tcmstruct.model.tagger import CharTagger  # noqa: E402
from tcmstruct.training.sizes import Size, load_sizes  # noqa: E402


def count(config):
    with torch.device("meta"):  # shapes without memory
        return sum(p.numel() for p in CharTagger(config).parameters())


@pytest.mark.parametrize("name", load_sizes())
def test_parameters_are_those_of_the_constructed_model(name):
    size = load_sizes()[name]
    n = count(size.shape(7209, {"gold": list(READOUTS["gold"])}))
    assert n == size.n_parameters
    assert round(n / 1e6) == int(name[1:]), "the name says the millions"
    if size.published:
        assert count(size.shape(size.published_rows, {})) / 1e6 == pytest.approx(size.published_parameters, rel=0.1)


def test_sizes_span_3_to_65_million_in_order():
    counts = [s.n_parameters for s in load_sizes().values()]
    assert counts == sorted(counts)
    assert counts[0] == pytest.approx(3e6, rel=0.05) and counts[-1] == pytest.approx(65e6, rel=0.05)


@pytest.mark.parametrize("row", [{"n_parameters": 1, "encoder": {"widht": 3}}, {"n_parameters": 1, "encoder": {}, "layers": 2},
                                 {"encoder": {}}, {"n_parameters": 1, "encoder": {"kind": "recurrent"}}])
def test_row_that_the_format_does_not_allow_is_refused(row):
    with pytest.raises(ValidationError):
        TypeAdapter(Size).validate_python(row)
