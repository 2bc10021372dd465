"""Two adapters in one network, of either kind: both act, the right one learns, and fused weights give the same answers."""

import copy

import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("peft")

from tiny_llama import tiny_llama  # noqa: E402
from tiny_tagger import tiny_tagger  # noqa: E402

from tcmstruct.errors import InputRefused, ModelError, UsageError  # noqa: E402
from tcmstruct.runtime.adapter_folder import open_adapter  # noqa: E402
from tcmstruct.training.adapter_llama import LlamaBase  # noqa: E402
from tcmstruct.training.adapter_store import write_adapter  # noqa: E402
from tcmstruct.training.adapter_tagger import TaggerBase  # noqa: E402
from tcmstruct.training.adapters import Adapted, LoraShape  # noqa: E402

SHAPE = LoraShape(rank=2, alpha=4.0)
TEXTS = ["舌淡红，苔薄白，脉弦。咳嗽三天，痰黄，无发热。" * 4, "便血三天，肛门疼痛。舌红苔黄腻，脉滑数。" * 4]


def entities(text, **found):
    return [{"type": kind, "start": text.index(words), "end": text.index(words) + len(words),
             **({"status": "有"} if kind == "症状" else {})} for kind, words in found.items()]


ROWS = [{"text": TEXTS[0], "label": "肺", "entities": entities(TEXTS[0], 症状="咳嗽", 脉象="脉弦")},
        {"text": TEXTS[1], "label": "肛", "entities": entities(TEXTS[1], 症状="便血", 舌苔="苔黄腻")}]


def tagger():
    from tcmstruct.model.checkpoint import load_tagger
    from tcmstruct.text.characters import CharacterTable

    folder = tiny_tagger() / "checkpoint"
    return TaggerBase(load_tagger(folder, dropout=0.0), CharacterTable.load(folder / "characters.txt"), None, "a" * 64)


def llama():
    return LlamaBase(tiny_llama())


BASES = {"tagger": tagger, "llama": llama}


@pytest.fixture(params=BASES)
def base(request):
    torch.manual_seed(0)
    made = BASES[request.param]()
    made.take_labels(made.labels(ROWS))
    made.network.eval()
    return made


def answers(base):
    """What the network says of a text."""
    with torch.inference_mode():
        if base.kind == "llama":
            return base.scores(TEXTS)
        ids = torch.from_numpy(base.table.encode(TEXTS[0])).long()[None]
        output = base.network(ids)
        return torch.cat([output.tags["gold"], output.status], -1)


def disturb(adapted, *steps):
    """Gives steps a term: B starts at zero."""
    for step in steps:
        for module in adapted.base.targets(step):
            torch.nn.init.normal_(adapted.base.network.get_submodule(module).lora_B[step].weight, std=0.3)


def both(base):
    adapted = Adapted(base)
    adapted.add("domain", SHAPE)
    adapted.add("downstream", SHAPE)
    return adapted


def layers(base):
    return [m for m in base.network.modules() if hasattr(m, "lora_A")]


def test_a_new_adapter_changes_nothing_and_both_act_once_they_hold_something(base):
    plain = answers(base)
    adapted = both(base)
    assert torch.equal(answers(base), plain)
    disturb(adapted, "domain")
    one = answers(base)
    disturb(adapted, "downstream")
    two = answers(base)
    assert not torch.allclose(one, plain, atol=1e-3) and not torch.allclose(two, one, atol=1e-3)
    for layer in layers(base):
        assert set(layer.lora_A) <= set(layer.active_adapters), "an adapter that is there does not act"


def test_the_second_adapter_that_peft_adds_does_not_act_by_itself(base):
    """Why `Adapted.add` makes them active: a peft that did so itself would make that line needless, not wrong."""
    adapted = Adapted(base)
    adapted.add("domain", SHAPE)
    adapted._tuner.peft_config["downstream"] = adapted._tuner.peft_config["domain"]
    adapted._tuner.inject_adapter(base.network, "downstream")
    assert all(layer.active_adapters == ["domain"] for layer in layers(base))


def test_both_terms_are_added_in_one_layer(base):
    adapted = both(base)
    disturb(adapted, "domain", "downstream")
    layer = base.network.get_submodule(base.targets("domain")[0])
    x = torch.randn(3, layer.in_features)
    terms = sum(x @ layer.lora_A[s].weight.T @ layer.lora_B[s].weight.T * SHAPE.alpha / SHAPE.rank for s in ("domain", "downstream"))
    assert torch.allclose(layer(x), layer.base_layer(x) + terms, atol=1e-5)


@pytest.mark.parametrize(("learning", "trained"), [
    (("domain",), {"domain"}), (("downstream",), {"downstream"}), (("domain", "downstream"), {"domain", "downstream"}), ((), set())])
def test_gradients_reach_what_learns_and_nothing_else(base, learning, trained):
    adapted = both(base)
    disturb(adapted, "domain", "downstream")
    adapted.train_only(*learning)
    task = base.downstream(ROWS, base.labels(ROWS), 0)
    loss = task.objective.loss(base.network, next(iter(task.one_pass())))
    if trained:
        loss.backward()
    got = {name for name, p in base.network.named_parameters() if p.grad is not None and p.grad.abs().sum() > 0}
    assert {step for step in ("domain", "downstream") if any(f".{step}." in name for name in got)} == trained
    own = {name for name in got if ".lora_" not in name}
    assert own == (set(adapted.own()) if "downstream" in learning else set())
    assert sum(p.numel() for n, p in base.network.named_parameters() if ".lora_" in n and p.requires_grad) <= adapted.n_trained()


def test_an_optimiser_moves_only_what_learns(base):
    adapted = both(base)
    adapted.train_only("downstream")
    before = {name: p.detach().clone() for name, p in base.network.named_parameters()}
    task = base.downstream(ROWS, base.labels(ROWS), 0)
    optimiser = torch.optim.AdamW(base.network.parameters(), lr=0.01)
    for _ in range(2):  # in the first step A has no gradient yet, for B is zero
        task.objective.loss(base.network, next(iter(task.one_pass()))).backward()
        optimiser.step()
        optimiser.zero_grad()
    moved = {name for name, p in base.network.named_parameters() if not torch.equal(p, before[name])}
    expected = {name for name in before if ".downstream." in name} | set(adapted.own())
    assert moved <= expected and any("lora_A" in name for name in moved) and any("lora_B" in name for name in moved)


def test_without_an_adapter_only_the_new_head_learns(base):
    adapted = Adapted(base)
    adapted.train_only("downstream")
    assert adapted.n_trained() == sum(p.numel() for p in adapted.own().values())


def test_a_tagger_keeps_to_its_answers_on_records_beside():
    base, other = tagger(), tagger()
    for one in (base, other):
        one.network.eval()
    before = answers(base)
    base.beside(["痰黄咳嗽，无发热三天。" * 5])
    adapted = both(base)
    adapted.train_only("downstream")
    task = base.downstream(ROWS, base.labels(ROWS), 0)
    kept = [batch for batch in task.one_pass() if batch.soft]
    assert len(kept) == 1 and task.n_characters > other.downstream(ROWS, base.labels(ROWS), 0).n_characters
    assert task.objective.loss(base.network, kept[0]).item() == pytest.approx(0, abs=1e-3)  # it still answers so
    disturb(adapted, "downstream")
    assert not torch.equal(answers(base), before)
    loss = task.objective.loss(base.network, kept[0])
    loss.backward()
    assert loss.item() > 0.01 and base.network.get_submodule(base.targets("domain")[0]).lora_B["downstream"].weight.grad.abs().sum() > 0


def test_a_decoder_has_no_answers_to_keep():
    with pytest.raises(UsageError):
        llama().beside(TEXTS)


def test_domain_step_learns_on_text_alone(base):
    adapted = Adapted(base)
    adapted.add("domain", SHAPE)
    adapted.train_only("domain")
    task = base.domain(TEXTS, 0)
    assert task.n_records == 2 and task.n_characters >= 2 * 60
    for batch in task.one_pass():
        task.objective.loss(base.network, batch).backward()
    got = {name for name, p in base.network.named_parameters() if p.grad is not None}
    assert got and all(".domain." in name for name in got)


def test_fused_weights_answer_as_both_adapters_do(base):
    shape = {name: p.shape for name, p in base.network.state_dict().items()}
    adapted = both(base)
    disturb(adapted, "domain", "downstream")
    apart = answers(base)
    assert adapted.fuse() is base.network
    assert torch.allclose(answers(base), apart, atol=1e-5)
    assert {name: p.shape for name, p in base.network.state_dict().items()} == shape and not layers(base)


def test_weights_that_would_not_be_finite_are_not_fused(base):
    adapted = both(base)
    disturb(adapted, "domain", "downstream")
    with torch.no_grad():
        base.network.get_submodule(base.targets("domain")[0]).lora_B["domain"].weight[0, 0] = float("nan")
    with pytest.raises(ModelError) as caught:
        adapted.fuse()
    assert caught.value.code == "adapter_invalid"


def test_what_is_written_is_read_back_and_acts_the_same(base, tmp_path):
    adapted = both(base)
    disturb(adapted, "domain", "downstream")
    apart, labels = answers(base), base.labels(ROWS)
    written = write_adapter(adapted, tmp_path / "院A", labels, {"domain": {"records": 2}, "downstream": {}})
    assert written.manifest.kind == base.kind and written.manifest.base == base.fingerprint and written.manifest.labels == labels
    assert written.manifest.steps["domain"].learnt == {"records": 2} and (tmp_path / "院A").stat().st_mode & 0o777 == 0o700
    assert all(file.stat().st_mode & 0o777 == 0o600 for file in (tmp_path / "院A").iterdir())
    other = BASES[base.kind]()
    other.take_labels(labels)
    other.network.eval()
    again = Adapted(other)
    again.load(open_adapter(tmp_path / "院A"))
    assert torch.equal(answers(other), apart)


def test_a_domain_step_alone_is_taken_from_an_adapter_of_two(base, tmp_path):
    adapted = both(base)
    disturb(adapted, "domain", "downstream")
    write_adapter(adapted, tmp_path / "院A", base.labels(ROWS), {"domain": {}, "downstream": {}})
    other = BASES[base.kind]()
    again = Adapted(other)
    again.load(open_adapter(tmp_path / "院A"), ("domain",))
    assert set(again.shapes) == {"domain"} and set(again.tensors()) == {n for n in adapted.tensors() if n.startswith("domain/")}


def test_the_other_part_of_the_encoder_can_be_left_out(tmp_path):
    from tcmstruct.model.checkpoint import load_tagger
    from tcmstruct.text.characters import CharacterTable

    folder = tiny_tagger() / "checkpoint"
    for parts, ends in ((("attention",), {"query", "key", "value", "output"}), (("feed-forward",), {"feed_in", "feed_out"})):
        base = TaggerBase(load_tagger(folder), CharacterTable.load(folder / "characters.txt"), None, "a" * 64, parts=parts)
        assert {name.rpartition(".")[2] for name in base.targets("domain")} == ends
        assert set(base.targets("downstream")) - set(base.targets("domain")) == {"readouts.gold", "status"}


def test_data_of_one_class_or_of_other_labels_are_refused():
    found = {"tagger": tagger(), "llama": llama()}
    nothing = [{**row, "entities": []} for row in ROWS]
    one = [{**row, "entities": [e for e in row["entities"] if e["type"] == "症状"], "label": "肺"} for row in ROWS]
    other = [{**row, "entities": [{**row["entities"][0], "type": "针法"}]} for row in ROWS]
    for base, rows, code in ((found["tagger"], nothing, "no_labels"), (found["tagger"], one, "one_class"),
                             (found["llama"], one, "one_class"), (found["llama"], [], "one_class")):
        with pytest.raises(InputRefused) as caught:
            base.labels(rows)
        assert caught.value.code == code
    with pytest.raises(ModelError) as caught:
        found["tagger"].labels(other)
    assert caught.value.code == "adapter_other_labels"
    with pytest.raises(ModelError):
        found["tagger"].take_labels({"gold": ("症状",)})


def test_a_decoders_folder_with_pickled_weights_is_refused(tmp_path):
    import shutil

    folder = tmp_path / "llama"
    shutil.copytree(tiny_llama(), folder)
    (folder / "pytorch_model.bin").write_bytes(b"\x80\x04.")
    with pytest.raises(ModelError) as caught:
        LlamaBase(folder)
    assert caught.value.code == "adapter_unsafe_file"


def test_other_weights_have_another_fingerprint():
    assert LlamaBase(tiny_llama(0)).fingerprint != LlamaBase(tiny_llama(1)).fingerprint


def test_a_copy_of_a_network_keeps_its_adapters_apart(base):
    adapted = both(base)
    other = copy.deepcopy(base.network)
    disturb(adapted, "domain")
    kept = {name: p for name, p in other.named_parameters() if ".lora_B.domain" in name}
    assert kept and all((p == 0).all() for p in kept.values())
