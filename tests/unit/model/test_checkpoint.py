import pytest

torch = pytest.importorskip("torch")

from tcmstruct.errors import ModelError  # noqa: E402
from tcmstruct.model.checkpoint import average_taggers, load_tagger, save_tagger  # noqa: E402
from tcmstruct.model.config import EncoderConfig, ModelConfig  # noqa: E402
from tcmstruct.model.tagger import CharTagger  # noqa: E402
from tcmstruct.text.characters import CharacterTable  # noqa: E402


def saved(folder, seed, hidden=8):
    torch.manual_seed(seed)
    table = CharacterTable(["头", "痛"])
    shape = EncoderConfig(kind="conv", hidden=hidden, n_layers=1, n_heads=2, feed=8, kernel=3)
    model = CharTagger(ModelConfig(shape, n_characters=len(table), readouts={"gold": ["症状"]}, crf_readouts=("gold",)))
    save_tagger(model, table, folder)
    return model.state_dict()


def test_average_is_the_mean_of_every_weight(tmp_path):
    a, b = saved(tmp_path / "a", 1), saved(tmp_path / "b", 2)
    average_taggers([tmp_path / "a", tmp_path / "b"], tmp_path / "c")
    for name, weight in load_tagger(tmp_path / "c").state_dict().items():
        assert torch.allclose(weight, (a[name] + b[name]) / 2), name


def test_other_shapes_are_refused(tmp_path):
    saved(tmp_path / "a", 1)
    saved(tmp_path / "b", 1, hidden=16)
    with pytest.raises(ModelError) as refused:
        average_taggers([tmp_path / "a", tmp_path / "b"], tmp_path / "c")
    assert refused.value.code == "shapes_differ"
