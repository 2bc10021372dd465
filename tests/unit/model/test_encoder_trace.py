"""What an encoder shows of its layers is what its forward pass computes; the shared encoder; students cut from a teacher."""

from dataclasses import replace

import pytest

torch = pytest.importorskip("torch")

from tcmstruct.errors import UsageError  # noqa: E402
from tcmstruct.model.checkpoint import load_tagger, save_tagger, student_from_layers  # noqa: E402
from tcmstruct.model.config import EncoderConfig, ModelConfig  # noqa: E402
from tcmstruct.model.encoder import ENCODERS  # noqa: E402
from tcmstruct.model.tagger import CharTagger  # noqa: E402
from tcmstruct.text.characters import CharacterTable  # noqa: E402

ENCODER = EncoderConfig(hidden=24, n_layers=4, n_heads=4, feed=48, max_positions=64)
SHAPES = {
    "transformer": ENCODER,
    "shared": replace(ENCODER, kind="shared", adapter=4),
    "shared without adapters": replace(ENCODER, kind="shared"),
    "conv": replace(ENCODER, kind="conv", attention_after=(2,), kernel=3),
}
IDS = torch.tensor([[3, 4, 5, 6, 7, 8, 9, 10], [11, 5, 4, 3, 9, 0, 0, 0]])


def tagger(encoder, dropout=0.0, seed=0, **others):
    torch.manual_seed(seed)
    return CharTagger(ModelConfig(encoder, n_characters=16, readouts={"gold": ["症状", "舌质"]}, dropout=dropout, **others))


@pytest.mark.parametrize("name", SHAPES)
@pytest.mark.parametrize("training", [False, True])
def test_trace_agrees_with_forward(name, training):
    model = tagger(SHAPES[name], dropout=0.1).train(training)
    torch.manual_seed(1)
    plain = model(IDS)
    torch.manual_seed(1)
    output, trace = model.trace(IDS)
    assert torch.equal(output.tags["gold"], plain.tags["gold"]) and torch.equal(output.status, plain.status)
    assert len(trace.hidden) == 5 and all(h.shape == (2, 8, 24) for h in trace.hidden)
    assert trace.seen.tolist() == [[True] * 9, [True] * 6 + [False] * 3]
    if not training:
        assert torch.equal(trace.hidden[-1], model.encode(IDS))


@pytest.mark.parametrize("name", ["transformer", "shared"])
def test_traced_scores_are_those_of_the_fused_kernel(name):
    model = tagger(SHAPES[name]).eval()
    with torch.no_grad():
        trace = model.encoder.trace(model.embedding(IDS), IDS != 0)
        assert len(trace.attention) == 4 and all(a.shape == (2, 4, 9, 9) for a in trace.attention)
        # the last layer by hand, from the vectors before it and the traced scores
        layer, adapters = model.encoder._runs()[-1]
        start = torch.cat([model.encoder.start.expand(2, 1, -1), model.embedding(IDS)], 1)
        x = model.encoder.embedding_norm(start + model.encoder.position.weight[:9])
        bias = (~trace.seen)[:, None, None] * -1e4
        for earlier, own in model.encoder._runs()[:-1]:
            x = earlier(x, bias, own)
        x = x if adapters is None else adapters.attention(x)
        value = layer.attention.value(x).view(2, 9, 4, 6).transpose(1, 2)
        mixed = ((trace.attention[-1] + bias).softmax(-1) @ value).transpose(1, 2).reshape(2, 9, 24)
        x = layer.attention_norm(x + layer.attention.output(mixed))
        x = x if adapters is None else adapters.feed(x)
        x = layer.output_norm(x + layer.feed_out(torch.nn.functional.gelu(layer.feed_in(x))))
    assert torch.allclose(x[:, 1:], trace.hidden[-1], atol=1e-5)


def test_shared_encoder_has_the_weights_of_one_layer_and_adapters_for_every_run():
    def count(encoder):
        return sum(p.numel() for p in ENCODERS[encoder.kind](encoder, 0.0).parameters())

    one, shared = count(replace(ENCODER, n_layers=1)), SHAPES["shared"]
    assert count(SHAPES["shared without adapters"]) == one
    adapter = 2 * 24 * 4 + 4 + 24 + 2 * 24
    assert count(shared) == one + 4 * 2 * adapter
    assert count(replace(shared, n_layers=2)) == one + 2 * 2 * adapter


def test_every_run_of_the_shared_layer_changes_the_result_and_every_adapter_gets_a_gradient():
    model = tagger(SHAPES["shared"]).eval()
    model(IDS).tags["gold"].square().sum().backward()
    assert all(p.grad is not None and p.grad.abs().sum() > 0 for p in model.encoder.adapters.parameters())
    shallow = tagger(replace(SHAPES["shared"], n_layers=3)).eval()
    shallow.load_state_dict({k: v for k, v in model.state_dict().items() if ".adapters.3." not in k})
    with torch.inference_mode():
        assert not torch.allclose(shallow.encode(IDS), model.encode(IDS))


def test_padding_changes_nothing_in_the_shared_encoder():
    model = tagger(SHAPES["shared"]).eval()
    with torch.inference_mode():
        assert torch.allclose(model.encode(IDS)[1, :5], model.encode(IDS[1:, :5])[0], atol=1e-5)


def test_checkpoint_of_a_shared_encoder_and_of_one_written_before_adapters(tmp_path):
    import json

    table = CharacterTable("甲乙丙丁戊己庚辛壬癸子丑寅")
    for name in ("shared", "transformer"):
        model = tagger(SHAPES[name]).eval()
        save_tagger(model, table, tmp_path / name)
        if name == "transformer":  # as checkpoints were before the encoder knew of adapters
            file = tmp_path / name / "config.json"
            config = json.loads(file.read_text())
            del config["encoder"]["adapter"]
            file.write_text(json.dumps(config))
        loaded = load_tagger(tmp_path / name).eval()
        assert loaded.config == model.config
        with torch.inference_mode():
            assert torch.equal(loaded(IDS).tags["gold"], model(IDS).tags["gold"])


def test_student_takes_every_second_layer_and_everything_else():
    teacher = tagger(ENCODER, character_width=12)
    student = student_from_layers(teacher, 2)
    assert student.config == replace(teacher.config, encoder=replace(ENCODER, n_layers=2))
    theirs, own = teacher.state_dict(), student.state_dict()
    for name, tensor in own.items():
        source = name.replace("layers.1.", "layers.3.").replace("layers.0.", "layers.1.")
        assert torch.equal(tensor, theirs[source]), name
        assert tensor.data_ptr() != theirs[source].data_ptr()


def test_student_of_all_layers_is_its_teacher():
    teacher = tagger(ENCODER).eval()
    with torch.inference_mode():
        assert torch.equal(student_from_layers(teacher, 1).eval()(IDS).tags["gold"], teacher(IDS).tags["gold"])


def test_student_may_have_parts_that_its_teacher_lacks():
    teacher = tagger(ENCODER)
    shape = replace(teacher.config, encoder=replace(ENCODER, n_layers=2), lexicon_features=5, dropout=0.3,
                    readouts={**teacher.config.readouts, "cshan": ["SYM"]})
    student = student_from_layers(teacher, 2, shape)
    assert student.config == shape and not student.embedding.lexicon.weight.any()
    assert torch.equal(student.readouts["gold"].weight, teacher.readouts["gold"].weight)


@pytest.mark.parametrize(("encoder", "every", "change", "message"), [
    (ENCODER, 5, {}, "one layer in 5 of 4"),
    (ENCODER, 0, {}, "one layer in 0 of 4"),
    (SHAPES["conv"], 2, {}, "'conv' encoder"),
    (ENCODER, 2, {"encoder": replace(ENCODER, n_layers=2, hidden=12)}, "gives EncoderConfig"),
    (ENCODER, 2, {"encoder": replace(ENCODER, n_layers=2), "n_characters": 17}, "17 character rows, the teacher 16"),
])
def test_student_that_cannot_be_cut_is_refused(encoder, every, change, message):
    teacher = tagger(encoder)
    with pytest.raises(UsageError, match=message):
        student_from_layers(teacher, every, replace(teacher.config, **change) if change else None)
