"""What is shipped computes what was trained."""

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from tcmstruct.compression.export import export  # noqa: E402
from tcmstruct.labels import READOUTS  # noqa: E402
from tcmstruct.model.checkpoint import load_tagger, save_tagger  # noqa: E402
from tcmstruct.model.config import EncoderConfig, ModelConfig  # noqa: E402
from tcmstruct.model.tagger import CharTagger  # noqa: E402
from tcmstruct.runtime.model_folder import open_folder  # noqa: E402
from tcmstruct.runtime.tagger import OnnxTagger  # noqa: E402
from tcmstruct.text.characters import CharacterTable  # noqa: E402
from tcmstruct.text.normalise import normalise  # noqa: E402

TEXTS = ["舌淡红苔薄白，脉弦。", "咳" * 70, "无发热"]


@pytest.mark.parametrize("kind", ["conv", "transformer", "shared"])
def test_onnx_equals_torch(tmp_path, kind):
    torch.manual_seed(0)
    table = CharacterTable("舌淡红苔薄白脉弦咳无发热,。" + "".join(chr(0x4E00 + i) for i in range(900))[::-1][:800])
    config = ModelConfig(EncoderConfig(kind=kind, hidden=32, n_layers=3, n_heads=2, feed=64, kernel=5,
                                       attention_after=(2,), max_positions=128),
                         n_characters=len(table), character_width=128 if kind == "conv" else None, n_bigram_buckets=1024, bigram_width=16,
                         readouts={"gold": list(READOUTS["gold"])})
    save_tagger(CharTagger(config), table, tmp_path / "checkpoint")
    export(tmp_path / "checkpoint", tmp_path / "model", lexicon=None, card={}, window_chars=100, window_overlap_chars=20)
    tagger = OnnxTagger(open_folder(tmp_path / "model"), threads=1)
    model = load_tagger(tmp_path / "checkpoint").eval()
    for text, parts in zip(TEXTS, tagger.scores(TEXTS), strict=True):
        with torch.inference_mode():
            expected = model(torch.from_numpy(table.encode(normalise(text))).long()[None])
        assert len(parts) == 1
        assert np.allclose(parts[0].tags["gold"], expected.tags["gold"][0].numpy(), atol=2e-2)
        assert np.allclose(parts[0].status, expected.status[0].numpy(), atol=2e-2)
