"""An encoder that reads on: growth, replay, what is measured, what is refused."""

import json
import random

import pytest

torch = pytest.importorskip("torch", reason="encoders are trained with torch")
from tiny_tagger import tiny_tagger  # noqa: E402

from tcmstruct.errors import InputRefused, ModelError, TcmstructError, UsageError  # noqa: E402
from tcmstruct.model.checkpoint import load_config, load_tagger  # noqa: E402
from tcmstruct.recipes.adapt_encoder import adapt_encoder  # noqa: E402
from tcmstruct.text.characters import CharacterTable  # noqa: E402
from tcmstruct.text.lexicon import Lexicon  # noqa: E402
from tcmstruct.training import objectives  # noqa: E402
from tcmstruct.training.pretraining import grown, masked_loss, word_numbers  # noqa: E402

PARTS = ("咳嗽三天", "无发热", "痰黄", "舌淡红", "苔薄白", "脉弦", "飧泄", "飧泄三天")
OTHERS = ("淡红", "红舌", "白苔", "三弦", "弦脉三天", "天天黄")


def written(path, parts, n=60, seed=0):
    rng = random.Random(seed)
    texts = {"，".join(rng.choices(parts, k=5)) + "。" for _ in range(4 * n)}
    path.write_text("".join(json.dumps({"id": str(i), "text": text}, ensure_ascii=False) + "\n" for i, text in
                            enumerate(sorted(texts)[:n])), encoding="utf-8")
    return path


@pytest.fixture
def start():
    return tiny_tagger() / "checkpoint"


def test_it_learns_grows_and_writes_a_checkpoint(start, tmp_path, capfd):
    own = written(tmp_path / "a.jsonl", PARTS)
    first = adapt_encoder([own], tmp_path / "院", encoder=start, n_characters=6000, rate=2e-3, grow=3)
    assert first.own_before is None and first.n_new == 2  # 飧泄: the table has neither
    table = CharacterTable.load(tmp_path / "院" / "characters.txt")
    assert len(table) == load_config(tmp_path / "院").n_characters and set("飧泄") <= set(table.characters[-2:])
    assert {file.stat().st_mode & 0o777 for file in (tmp_path / "院").iterdir()} == {0o600}
    again = adapt_encoder([own], tmp_path / "再", encoder=tmp_path / "院", n_characters=6000, rate=2e-3)
    assert again.n_new == 0 and again.own_after < again.own_before - 0.1
    told = capfd.readouterr()
    assert "咳嗽" not in told.err + told.out and "may be forgotten" in told.err


def test_replay_keeps_what_was_learnt_before(start, tmp_path):
    earlier, own = written(tmp_path / "先.jsonl", OTHERS), written(tmp_path / "后.jsonl", PARTS[:4], seed=1)
    adapt_encoder([earlier], tmp_path / "一", encoder=start, n_characters=40_000, rate=2e-3, grow=0)
    options = {"encoder": tmp_path / "一", "n_characters": 40_000, "rate": 2e-3, "grow": 0}
    kept = adapt_encoder([own], tmp_path / "二", replay=[earlier], replay_share=0.5, **options)
    adapt_encoder([own], tmp_path / "三", **options)
    texts = [json.loads(line)["text"] for line in earlier.read_text(encoding="utf-8").splitlines()]
    assert masked_loss(tmp_path / "二", texts) < masked_loss(tmp_path / "三", texts) - 0.1
    assert kept.earlier_before is not None and kept.earlier_after < kept.earlier_before + 0.5


def test_a_new_row_reads_as_the_unknown_character(start):
    model, table = load_tagger(start, n_bigram_buckets=0, bigram_width=0, dropout=0.0).eval(), CharacterTable.load(start / "characters.txt")
    larger, rows = grown(model, table, ["飧泄"] * 3, 3)
    assert len(rows) == len(table) + 2 and grown(model, table, ["飧泄"] * 2, 3)[0] is model
    text = "飧泄三天"
    with torch.inference_mode():
        before, after = (m.eval()(torch.from_numpy(t.encode(text)).long()[None]).tags["gold"] for m, t in ((model, table), (larger, rows)))
    assert torch.equal(before, after)


def test_whole_terms_are_masked():
    terms = Lexicon(["症状体征"], {"恶寒发热": (0,), "发热": (0,)})
    assert word_numbers("有恶寒发热。", terms).tolist() == [0, 1, 1, 1, 1, 2]
    assert len(set(word_numbers("有恶寒发热。").tolist())) > 3


def test_what_is_refused_leaves_everything(start, tmp_path, monkeypatch):
    own = written(tmp_path / "a.jsonl", PARTS)
    with pytest.raises(InputRefused, match="at least 20"):
        adapt_encoder([written(tmp_path / "b.jsonl", PARTS, n=5)], tmp_path / "o", encoder=start)
    (tmp_path / "空").mkdir()
    with pytest.raises(ModelError, match="is no checkpoint"):
        adapt_encoder([own], tmp_path / "o", encoder=tmp_path / "空")
    (tmp_path / "空" / "pytorch_model.bin").write_bytes(b"\x80\x04.")
    with pytest.raises(ModelError) as refused:
        adapt_encoder([own], tmp_path / "o", encoder=tmp_path / "空")
    assert refused.value.code == "model_unsafe_file"
    with pytest.raises(UsageError, match="less than 1"):
        adapt_encoder([own], tmp_path / "o", encoder=start, replay=[own], replay_share=1.0)
    with pytest.raises(TcmstructError) as refused, monkeypatch.context() as patched:
        patched.setattr(objectives.MaskedLM, "loss", lambda self, model, batch: torch.tensor(float("nan"), requires_grad=True))
        adapt_encoder([own], tmp_path / "o", encoder=start, n_characters=100)
    assert refused.value.code == "loss_not_finite" and not (tmp_path / "o").exists()
    (tmp_path / "o").mkdir()
    with pytest.raises(UsageError, match="there already"):
        adapt_encoder([own], tmp_path / "o", encoder=start)


def test_a_model_folder_is_a_start_too(tmp_path):
    own = written(tmp_path / "a.jsonl", PARTS)
    found = adapt_encoder([own], tmp_path / "院", encoder=tiny_tagger() / "fp32", n_characters=2000)
    assert found.own_before is None and load_config(tmp_path / "院").encoder.kind == "conv"
    assert not (tmp_path / "院.training" / "start").exists()
