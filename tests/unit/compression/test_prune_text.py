"""Cutting neurons and heads of a text encoder, convolutional or not."""

from dataclasses import dataclass, replace

import pytest
import torch

from rl_pruner import Greedy, Plan, PruningProblem
from tcmstruct.compression.prune_text import TextPruning, importance, pruned_tagger, refit_tagger
from tcmstruct.model.config import EncoderConfig, ModelConfig
from tcmstruct.model.tagger import CharTagger

ENCODERS = {
    "transformer": EncoderConfig("transformer", hidden=16, n_layers=2, n_heads=4, feed=32, max_positions=64),
    "conv": EncoderConfig("conv", hidden=16, n_layers=3, n_heads=4, feed=32, kernel=3, attention_after=(2,)),
}
PLACES = {"transformer": ["layer 1 heads", "layer 1 feed", "layer 2 heads", "layer 2 feed"],
          "conv": ["layer 1 feed", "layer 2 feed", "heads after layer 2", "layer 3 feed"]}


@dataclass
class Text:
    ids: torch.Tensor
    lexicon: torch.Tensor | None = None


def text(n: int = 8, seed: int = 0) -> Text:
    ids = torch.randint(3, 50, (n, 20), generator=torch.Generator().manual_seed(seed))
    ids[0, 12:] = 0
    return Text(ids)


@pytest.fixture(params=ENCODERS)
def model(request) -> CharTagger:
    torch.manual_seed(0)
    made = CharTagger(ModelConfig(ENCODERS[request.param], n_characters=50, readouts={"gold": ["症状"]}, dropout=0.0)).eval()
    for parameter in made.parameters():
        torch.nn.init.normal_(parameter, std=0.25)
    made.kind = request.param
    return made


def loss(model: CharTagger, batch: Text) -> torch.Tensor:
    return model.encode(batch.ids, batch.lexicon).square().mean()


def environment(model: CharTagger) -> TextPruning:
    wanted = model.encode(text().ids).detach()
    return TextPruning(model, importance(model, [text()], loss), text(32, 1),
                       lambda cut: 1 / (1 + (cut.encode(text().ids) - wanted).square().mean().item()), n_characters=40)


def test_places_are_named_from_the_bottom_up(model):
    names = dict.fromkeys(unit.name.partition("/")[0] for unit in environment(model).units())
    assert list(names) == PLACES[model.kind]


def test_keeping_everything_changes_nothing(model):
    same = pruned_tagger(model, {name: range(32 if "feed" in name else 4) for name in PLACES[model.kind]})
    assert torch.equal(same.encode(text().ids), model.encode(text().ids))


def test_members_that_weigh_nothing_can_go(model):
    feed = model.encoder.layers[1].feed_out
    attention = model.encoder.layers[1].attention if model.kind == "transformer" else model.encoder.attention["2"]
    feed.weight.data[:, [0, 5, 31]] = 0
    attention.output.weight.data[:, 4:8] = 0
    heads = "layer 2 heads" if model.kind == "transformer" else "heads after layer 2"
    cut = pruned_tagger(model, {"layer 2 feed": [n for n in range(32) if n not in (0, 5, 31)], heads: [0, 2, 3]})
    assert torch.allclose(cut.encode(text().ids), model.encode(text().ids), atol=1e-5)
    assert sum(p.numel() for p in cut.parameters()) < sum(p.numel() for p in model.parameters())


def test_refitting_brings_the_encoder_nearer_to_what_it_gave(model):
    cut = pruned_tagger(model, {"layer 1 feed": range(20), "layer 2 feed": range(8, 32)})
    unseen = text(8, 5)

    def error() -> float:
        return (cut.encode(unseen.ids) - model.encode(unseen.ids)).square().mean().item()

    before = error()
    refit_tagger(cut, model, text(64, 2))
    assert error() < before


def test_predicted_memory_is_measured_and_a_search_holds_the_wall(model):
    env = environment(model)
    units = env.units()
    small = Plan(tuple(u.required for u in units))
    full_bytes, small_bytes = (env.memory_bytes(p) for p in (Plan.full(len(units)), small))
    assert small_bytes < full_bytes
    for plan in (Plan.full(len(units)), small, Plan(tuple(u.required or i % 3 == 0 for i, u in enumerate(units)))):
        assert env.memory_bytes(plan) == env._allocated(env.apply(plan))
    problem = PruningProblem(env, (full_bytes + small_bytes) // 2, reward="relative_f1")
    best = Greedy("taylor").run(problem).best
    assert best.measurement.memory_bytes == env.memory_bytes(best.plan) <= problem.limit_bytes


def test_taylor_is_zero_where_nothing_hangs_on_it(model):
    model.encoder.layers[0].feed_out.weight.data[:, 3] = 0
    found = importance(model, [text()], loss)["taylor"]["layer 1 feed"]
    assert found[3] == 0 and (found > 0).sum() > 20


def test_another_table_is_another_environment(model):
    other = CharTagger(replace(model.config, n_characters=60)).eval()
    assert TextPruning(other, importance(other, [text()], loss), text(), lambda m: 1.0).fingerprint() != environment(model).fingerprint()
