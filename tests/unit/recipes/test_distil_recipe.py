"""The distilling recipe: one teacher as ever, several with weights, every objective from a file, and jobs that are refused."""

import json
from dataclasses import replace
from pathlib import Path
from typing import get_args

import pytest

torch = pytest.importorskip("torch")

from tcmstruct.errors import ModelError, UsageError  # noqa: E402
from tcmstruct.labels import READOUTS  # noqa: E402
from tcmstruct.model.checkpoint import load_tagger, save_tagger  # noqa: E402
from tcmstruct.model.config import EncoderConfig, ModelConfig  # noqa: E402
from tcmstruct.model.tagger import CharTagger  # noqa: E402
from tcmstruct.recipes.distil import DistilConfig, Job, distil, f1_on, prepare, read_job, run, weights_on  # noqa: E402
from tcmstruct.text.characters import CharacterTable  # noqa: E402
from tcmstruct.training import objectives, sizes  # noqa: E402
from tcmstruct.training.distillation import ObjectiveName  # noqa: E402
from tcmstruct.training.loop import LoopConfig  # noqa: E402
from tcmstruct.training.tagging import LabelledSet  # noqa: E402
from tcmstruct.training.teachers import Ensemble  # noqa: E402

TEXTS = ["患者咳嗽三天，痰黄，口苦，大便干。", "舌淡红，苔薄白，脉弦滑。", "头痛反复发作两年，无发热，睡眠差；食欲可。",
         "腹痛，便溏，畏寒肢冷，舌淡，苔白，脉沉细。"]
PLACES = {TEXTS[0]: [(2, 4, "有"), (7, 9, "有")], TEXTS[2]: [(0, 2, "有"), (10, 12, "无")]}
GOLD = [{"text": text, "entities": [{"type": "症状", "start": a, "end": b, "status": status} for a, b, status in places]}
        for text, places in PLACES.items()]
TABLE = CharacterTable(sorted(set("".join(TEXTS))))
LABELS = {"gold": list(READOUTS["gold"]), "cshan": list(READOUTS["cshan"])}
BERT = EncoderConfig(hidden=24, n_layers=2, n_heads=2, feed=48, max_positions=64)
CONV = EncoderConfig(kind="conv", hidden=16, n_layers=2, n_heads=2, feed=32, kernel=3, attention_after=(1,))

LOSSES_BEFORE = [
    0.67011, 2.61881, 2.52884, 0.68582, 2.47816, 0.62241, 0.54546, 2.26734, 2.29103, 0.51724,
    2.13955, 0.44770, 2.06395, 0.41954, 0.43611, 2.05637, 2.03042, 1.91488, 0.39789, 0.36603,
    1.94107, 0.37943, 0.35168, 1.80513, 1.79293, 0.36368, 1.86476, 0.33742, 0.33562, 1.84246,
    1.74083, 0.35260, 0.33127, 0.35096, 1.82594, 1.72722, 0.34966, 0.32935, 1.72529, 1.82257,
]
"""Of the run below, recorded before teachers could be several and objectives chosen."""


def shape(encoder, dropout=0.0, **others):
    return ModelConfig(encoder, n_characters=len(TABLE), readouts=LABELS, dropout=dropout, **others)


def write_jsonl(path, rows):
    path.write_text("".join(json.dumps(r, ensure_ascii=False) + "\n" for r in rows), encoding="utf-8")
    return path


@pytest.fixture
def folder(tmp_path):
    for seed, name in ((5, "teacher"), (6, "other")):
        torch.manual_seed(seed)
        save_tagger(CharTagger(shape(BERT, 0.1)), TABLE, tmp_path / name)
    write_jsonl(tmp_path / "gold.jsonl", GOLD)
    write_jsonl(tmp_path / "texts.jsonl", [{"text": t} for t in TEXTS])
    return tmp_path


def config(encoder=CONV, n=300, **others):
    settings = {"temperature": 1.5, "max_chars": 32, "chars_per_batch": 64, "repeats": {"gold": 2}}
    return DistilConfig(shape(encoder, **({"character_width": 8} if encoder is CONV else {})),
                        LoopConfig(n, learning_rate=2e-3, log_every_s=1e9, seed=3), {"gold": 1.0, "cshan": 0.4}, **{**settings, **others})


def test_one_soft_teacher_gives_the_losses_that_it_always_gave(folder, monkeypatch):
    losses, plain = [], objectives.Distillation.loss

    def watched(self, model, batch):
        value = plain(self, model, batch)
        losses.append(value.item())
        return value

    monkeypatch.setattr(objectives.Distillation, "loss", watched)
    torch.manual_seed(0)
    distil([folder / "teacher"], folder / "student", config(n=1500), [LabelledSet(folder / "gold.jsonl", "gold")], TEXTS)
    assert losses == pytest.approx(LOSSES_BEFORE, rel=1e-3)


def test_soft_targets_follow_the_weights(folder):
    both = [folder / "teacher", folder / "other"]
    first, second, mixed = ([e.soft["tags:gold"].astype("float32") for e in prepare(t, [], TEXTS, TABLE, config(weights=w))]
                            for t, w in ((both[:1], None), (both[1:], None), (both, [3.0, 1.0])))
    for a, b, m in zip(first, second, mixed, strict=True):
        assert abs(0.75 * a + 0.25 * b - m).max() < 5e-3 and abs(a - b).max() > 0.05


def test_student_that_begins_as_its_guide_is_its_guide_before_it_learns(folder):
    settings = config(replace(BERT, n_layers=1), n=0, objective="distilclinical", start_every=2, guide=1)
    distil([folder / "teacher", folder / "other"], folder / "student", settings, [], TEXTS)
    student, guide = load_tagger(folder / "student").state_dict(), load_tagger(folder / "other").state_dict()
    assert torch.equal(student["embedding.character.weight"], guide["embedding.character.weight"])
    assert torch.equal(student["encoder.layers.0.feed_in.weight"], guide["encoder.layers.1.feed_in.weight"])
    assert torch.equal(student["readouts.gold.bias"], guide["readouts.gold.bias"])


def test_a_student_goes_on_where_another_run_left_it(folder):
    distil([folder / "teacher"], folder / "student", config(n=300), [], TEXTS)
    distil([folder / "teacher"], folder / "again", config(n=0, start=folder / "student"), [], TEXTS)
    before, after = (load_tagger(folder / name).state_dict() for name in ("student", "again"))
    assert all(torch.equal(before[name], after[name]) for name in before)


def test_student_wider_than_its_teacher_takes_the_rows_it_can(folder):
    distil([folder / "teacher"], folder / "student", config(replace(BERT, hidden=32), n=0), [], TEXTS)
    rows, theirs = (load_tagger(folder / n).embedding.character.weight.detach() for n in ("student", "teacher"))
    assert torch.allclose(rows[1:, :24], (theirs / theirs.std() * 0.5)[1:]) and rows[1:, 24:].std() > 0.3 and not rows[0].any()


def test_run_resumes_where_it_stopped(folder, monkeypatch):
    both, settings = [folder / "teacher", folder / "other"], {"objective": "tinyclinical", "temperature": None}
    small = EncoderConfig(hidden=12, n_layers=1, n_heads=2, feed=24, max_positions=64)
    steps = []
    monkeypatch.setattr("tcmstruct.training.loop.LoopConfig.__init__", _saving(LoopConfig.__init__))
    for n in (150, 150, 400):
        progress = distil(both, folder / "student", config(small, n, **settings), [LabelledSet(folder / "gold.jsonl", "gold")], TEXTS)
        steps.append(progress.step)
    assert steps[0] == steps[1] < steps[2]


def _saving(plain):
    return lambda self, *a, **k: plain(self, *a, **{**k, "checkpoint_every_s": -1.0})


@pytest.fixture
def tiny_sizes(monkeypatch):
    made = {"tiny": sizes.Size(1, EncoderConfig(hidden=12, n_layers=2, n_heads=2, feed=24, max_positions=64)),
            "shared": sizes.Size(1, EncoderConfig("shared", hidden=16, n_layers=2, n_heads=2, feed=24, max_positions=64, adapter=2), 8)}
    monkeypatch.setattr("tcmstruct.recipes.distil.load_sizes", lambda: made)


JOB = """
teachers = ["teacher", "other"]
weights = [0.5, 0.5]
out = "student"
n_characters = 200
max_chars = 40
chars_per_batch = 64
texts = ["texts.jsonl"]
sets = [{path = "gold.jsonl", readout = "gold", repeats = 2}]
readout_weights = {gold = 1.0, cshan = 0.4}
"""


@pytest.mark.parametrize(("objective", "more"), [
    ("soft", 'size = "tiny"'), ("pkd", 'size = "tiny"'), ("tinybert", 'size = "tiny"'),
    ("distilclinical", "start_every = 2"),
    ("tinyclinical", 'size = "tiny"\nguide = 1'), ("minialbert", 'size = "shared"\nlayers = {1 = 1, 2 = 2}'),
])
def test_every_objective_runs_from_a_file(folder, tiny_sizes, objective, more):
    (folder / "job.toml").write_text(f'objective = "{objective}"\n{more}\n' + JOB, encoding="utf-8")
    progress = run(read_job(folder / "job.toml"))
    assert progress.n_characters >= 200
    student = load_tagger(folder / "student")
    assert list(student.config.readouts) == ["gold", "cshan"]
    assert all(torch.isfinite(p).all() for p in student.parameters())
    assert 0 <= f1_on(student, TABLE, folder / "gold.jsonl") <= 1


def test_weights_may_come_from_a_labelled_file(folder, tiny_sizes, capsys):
    job = JOB.replace("weights = [0.5, 0.5]", 'weights_from = "gold.jsonl"\nsize = "tiny"')
    (folder / "job.toml").write_text(job, encoding="utf-8")
    run(read_job(folder / "job.toml"))
    chosen = weights_on([folder / "teacher", folder / "other"], folder / "gold.jsonl", max_chars=40)
    assert sum(chosen) == pytest.approx(1.0)
    assert f"weights of the teachers: {chosen[0]:g}, {chosen[1]:g}" in capsys.readouterr().out


def test_ensemble_is_scored_like_a_model(folder):
    """The members are made to answer with the gold labels, each for a half of the characters."""
    from tcmstruct.training.data import tags_of

    class Knowing(CharTagger):
        def forward(self, ids, lexicon=None, only=None):
            output = super().forward(ids, lexicon, only)
            for record in GOLD:
                rows = torch.from_numpy(TABLE.encode(record["text"].replace("，", ",").replace("；", ";"))).long()
                if ids.shape[1] == len(rows):
                    tags, status = tags_of(len(rows), record["entities"], LABELS["gold"])
                    output.tags["gold"] = 20.0 * torch.nn.functional.one_hot(torch.from_numpy(tags), 15)[None].float()
                    output.status = 20.0 * torch.nn.functional.one_hot(torch.from_numpy(status).clamp(min=0), 4)[None].float()
            return output

    torch.manual_seed(0)
    knowing, ignorant = Knowing(shape(BERT)).eval(), load_tagger(folder / "other").eval()
    file = folder / "gold.jsonl"
    alone = f1_on(ignorant, TABLE, file)
    assert f1_on(knowing, TABLE, file) == 1.0 and alone < 0.5
    assert f1_on(Ensemble([ignorant]), TABLE, file) == alone
    assert f1_on(Ensemble([knowing, ignorant]), TABLE, file) == 1.0
    assert f1_on(Ensemble([knowing, ignorant], [0, 1]), TABLE, file) == alone


@pytest.mark.parametrize(("text", "message"), [
    ('teachers = ["teacher"', "job.toml: "),
    (JOB + 'size = "tiny"\nobjectiv = "pkd"', r"job.toml: objectiv: .*keys: teachers, out, n_characters"),
    (JOB + 'size = "tiny"\nobjective = "pdk"', "job.toml: objective: Input should be 'soft', 'pkd'"),
    (JOB + 'size = "tiny"\nweights_from = "gold.jsonl"', "weights and weights_from exclude each other"),
    (JOB + 'size = "huge"', "size 'huge' is none of tiny, shared"),
    (JOB.replace('["teacher", "other"]', "[]") + 'size = "tiny"', "no teacher is named"),
    (JOB.replace("[0.5, 0.5]", "[0.5]") + 'size = "tiny"', "1 weights for 2 teachers"),
    (JOB + 'size = "tiny"\nguide = 2', "guide is teacher 2; there are teachers 0 to 1"),
    (JOB.replace("max_chars = 40", "max_chars = 64") + 'size = "tiny"', "windows of 64 characters, but the student reads at most 63"),
    (JOB + 'size = "tiny"\nlayers = "skip"', "'soft' compares no layers"),
    (JOB + 'size = "tiny"\nstart_every = 2', "job.toml: give either size or start_every"),
    (JOB, "give either size or start_every"),
    (JOB + "start_every = 3", "one layer in 3 of 2 leaves none"),
])
def test_job_that_cannot_run_is_refused_with_the_reason(folder, tiny_sizes, text, message):
    (folder / "job.toml").write_text(text, encoding="utf-8")
    with pytest.raises(UsageError, match=message):
        run(read_job(folder / "job.toml"))
    assert not (folder / "student").exists()


@pytest.mark.parametrize("change", [{"objective": "tinybert"}, {"objective": "pkd", "layers": {1: 9}}, {"start_every": 2}])
def test_what_cannot_work_is_refused_before_the_teachers_are_asked(folder, monkeypatch, change):
    monkeypatch.setattr("tcmstruct.recipes.distil.prepare", lambda *_: pytest.fail("the teachers were asked"))
    with pytest.raises(UsageError):
        distil([folder / "teacher"], folder / "student", config(**change), [], TEXTS)
    assert not (folder / "student").exists()


def test_student_with_another_table_is_refused(folder):
    wrong = config()
    wrong.student = replace(wrong.student, n_characters=9)
    with pytest.raises(ModelError, match=f"9 character rows, the teachers' table {len(TABLE)}"):
        distil([folder / "teacher"], folder / "student", wrong, [], TEXTS)


def test_page_shows_a_job_that_can_be_read_and_the_sizes_there_are(tmp_path):
    page = (Path(__file__).parents[3] / "docs" / "distillation.md").read_text(encoding="utf-8")
    (tmp_path / "job.toml").write_text(page.split("```toml\n")[1].split("```")[0], encoding="utf-8")
    assert read_job(tmp_path / "job.toml").size in sizes.load_sizes()
    for name, size in sizes.load_sizes().items():
        assert f"| `{name}` | " in page and f"| {size.n_parameters:,} |" in page
    assert [o for o in get_args(ObjectiveName) if f"| `{o}` (" not in page] == []


def test_keys_of_a_job_are_described():
    described = Job.__doc__ + DistilConfig.__doc__ + LoopConfig.__doc__
    assert [k for k in Job.model_fields if k not in described] == []
