"""The encoder must equal the reference implementation of BERT, and the lexicon channel must start silent."""

import pytest

torch = pytest.importorskip("torch")

from tcmstruct.model.config import EncoderConfig, ModelConfig  # noqa: E402
from tcmstruct.model.encoder import ConvEncoder, TransformerEncoder  # noqa: E402
from tcmstruct.model.pretrained import _dequantise  # noqa: E402
from tcmstruct.model.tagger import CharTagger  # noqa: E402

_OURS_TO_BERT = {
    "attention.query": "attention.self.query", "attention.key": "attention.self.key", "attention.value": "attention.self.value",
    "attention.output": "attention.output.dense", "attention_norm": "attention.output.LayerNorm", "feed_in": "intermediate.dense",
    "feed_out": "output.dense", "output_norm": "output.LayerNorm",
}


def test_equals_bert_of_transformers():
    transformers = pytest.importorskip("transformers")
    torch.manual_seed(0)
    config = transformers.BertConfig(vocab_size=20, hidden_size=24, num_hidden_layers=3, num_attention_heads=4, intermediate_size=48,
                                     max_position_embeddings=32, hidden_act="gelu")
    bert = transformers.BertModel(config, add_pooling_layer=False).eval()
    reference = bert.state_dict()
    ours = TransformerEncoder(EncoderConfig(hidden=24, n_layers=3, n_heads=4, feed=48, max_positions=32), dropout=0.0).eval()
    state = {
        "start": torch.randn(24),
        "position.weight": reference["embeddings.position_embeddings.weight"] + reference["embeddings.token_type_embeddings.weight"][0],
        "embedding_norm.weight": reference["embeddings.LayerNorm.weight"],
        "embedding_norm.bias": reference["embeddings.LayerNorm.bias"],
    }
    for layer in range(3):
        for mine, theirs in _OURS_TO_BERT.items():
            for kind in ("weight", "bias"):
                state[f"layers.{layer}.{mine}.{kind}"] = reference[f"encoder.layer.{layer}.{theirs}.{kind}"]
    assert not ours.load_state_dict(state, strict=True).missing_keys
    x = torch.randn(2, 9, 24)
    mask = torch.ones(2, 9, dtype=torch.bool)
    mask[1, 6:] = False
    with torch.inference_mode():
        got = ours(x, mask)
        full = torch.cat([state["start"].expand(2, 1, -1), x], dim=1)
        full_mask = torch.cat([torch.ones(2, 1, dtype=torch.long), mask.long()], dim=1)
        expected = bert(inputs_embeds=full, attention_mask=full_mask).last_hidden_state[:, 1:]
    assert torch.allclose(got[mask], expected[mask], atol=2e-5)


@pytest.mark.parametrize("kind", [TransformerEncoder, ConvEncoder])
def test_padding_changes_nothing(kind):
    torch.manual_seed(1)
    encoder = kind(EncoderConfig(hidden=16, n_layers=3, n_heads=2, feed=32, kernel=5, attention_after=(2,), max_positions=64), 0.0).eval()
    x, mask = torch.randn(1, 10, 16), torch.ones(1, 10, dtype=torch.bool)
    padded = torch.cat([x, torch.randn(1, 7, 16)], dim=1)
    padded_mask = torch.cat([mask, torch.zeros(1, 7, dtype=torch.bool)], dim=1)
    with torch.inference_mode():
        assert torch.allclose(encoder(x, mask), encoder(padded, padded_mask)[:, :10], atol=1e-5)


def test_lexicon_channel_is_silent_at_step_0_and_speaks_after_a_change():
    torch.manual_seed(2)
    config = ModelConfig(EncoderConfig(hidden=16, n_layers=1, n_heads=2, feed=32, max_positions=32), n_characters=50, lexicon_features=8,
                         readouts={"gold": ["症状"]})
    model = CharTagger(config).eval()
    ids, channel = torch.randint(3, 50, (2, 12)), torch.ones(2, 12, 8)
    with torch.inference_mode():
        assert torch.equal(model(ids, channel).tags["gold"], model(ids, torch.zeros_like(channel)).tags["gold"])
        model.embedding.lexicon.weight.normal_()
        assert not torch.allclose(model(ids, channel).tags["gold"], model(ids, torch.zeros_like(channel)).tags["gold"])


def test_dequantise_reads_low_nibbles_first_and_subtracts_eight():
    import numpy as np

    scale = np.array([0.5], np.float16).view(np.uint8)
    block = np.concatenate([scale, np.arange(16, dtype=np.uint8) | (np.arange(16, dtype=np.uint8)[::-1] << 4)])
    values = _dequantise(block, 1, 32)[0]
    assert values[:16].tolist() == [(i - 8) * 0.5 for i in range(16)]
    assert values[16:].tolist() == [(i - 8) * 0.5 for i in reversed(range(16))]
