"""A hospital's own model from 50 labelled records, by the command line alone: what it gains, what it costs.

    python -m benchmarks.train_own [--data DIR] [--work runs/train_own] [--cases seen,convention,unseen,adapt] [--seeds 0,1,2] [--markdown]

`seen`        the shipped model; 50 gold train records; judged on gold dev. It was trained on these very records: little is left to learn.
`convention`  the same, but a denied symptom is marked with its negation word, in labels and dev (made by rule): a hospital that marks
              another way than the guide.
`unseen`      a student made here without any outpatient record; 50 outpatient gold train records; judged on the other outpatient
              records of gold train and dev.
`adapt`       the same student; 150 outpatient texts without labels (`tcmstruct adapt`); judged as `unseen`, without those texts.

`unseen` is the honest case of another hospital: neither the student nor anything that taught it saw a text of that source. It is weaker
than the shipped model (no teacher, a fifth of the training), so its gain is not the gain that the shipped model would show. Dev chose
thresholds and calibration of the shipped model; no model was ever trained on it. Every training is one process on one thread; wall time
follows from the machine's other load. Prints figures alone.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import shlex
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from benchmarks.accuracy import render
from benchmarks.machine import describe_line, describe_machine

ROOT = Path(__file__).resolve().parents[1]
DATA = Path(os.environ.get("TCMSTRUCT_DATA", ROOT / ".." / "shared" / "data"))
COUNT, TEXTS = 50, 150
AWAY = "best4sdt"
"""Source of the outpatient records."""
NEGATIONS = "无未不否"
STUDENT_CHARACTERS = 3_500_000

Row = dict[str, Any]


def read(path: Path) -> list[Row]:
    with open(path, encoding="utf-8") as lines:
        return [json.loads(line) for line in lines]


def write(path: Path, records: Sequence[Row]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps(r, ensure_ascii=False) + "\n" for r in records), encoding="utf-8")
    return path


def widened(record: Row) -> Row:
    """The record labelled another way: a denied symptom begins at its negation word."""
    entities = []
    for e in record["entities"]:
        start = e["start"]
        if e["type"] == "症状" and e.get("status") == "无" and start > 0 and record["text"][start - 1] in NEGATIONS:
            start -= 1
        entities.append({**e, "start": start, "text": record["text"][start : e["end"]]})
    return {**record, "entities": entities}


def student_elsewhere(data: Path, work: Path) -> Path:
    """A model folder of the shipped shape, trained without any record of `AWAY`: gold and the labelled sets, no teacher, no readings. Made
    once; about half an hour on one core."""
    import torch

    from tcmstruct.compression.export import export
    from tcmstruct.model.tagger import CharTagger
    from tcmstruct.recipes.build import CHARACTERS, SHARPEN_SETS, student_shape
    from tcmstruct.text.characters import CharacterTable
    from tcmstruct.text.lexicon import Lexicon
    from tcmstruct.training.loop import LoopConfig
    from tcmstruct.training.tagging import LabelledSet, TrainConfig, fine_tune
    from vocab.reader import load_terms

    folder, checkpoint = work / "elsewhere", work / "student"
    lexicon = Lexicon.from_terms(load_terms())
    if not (checkpoint / "config.json").exists():
        gold = write(work / "elsewhere.jsonl", [r for r in read(data / "gold" / "train.jsonl") if r["source"] != AWAY])
        table = CharacterTable.load(CHARACTERS)
        torch.set_num_threads(1)
        torch.manual_seed(0)
        model = CharTagger(replace(student_shape(table, lexicon), dropout=0.1, crf_readouts=("gold",)))
        torch.nn.init.normal_(model.embedding.character.weight, std=0.5)
        sets = [LabelledSet(gold, "gold", repeats=3),
                *(LabelledSet(data / "ner" / f"{name}.train.jsonl", name, weight, share=share) for name, weight, share in SHARPEN_SETS)]
        loop = LoopConfig(STUDENT_CHARACTERS, learning_rate=2e-3, warmup=0.05, weight_decay=0.02)
        fine_tune(model, table, checkpoint, TrainConfig(sets, loop, max_chars=400, chars_per_batch=3000), lexicon=lexicon)
    if not (folder / "manifest.json").exists():
        card = {"name": "student without outpatient records", "not_a_diagnostic_device": True, "precision": "fp32",
                "review_below": {"field": 0.9, "entity": 0.9}, "side_threshold": 0.6, "min_probability": 0.5}
        export(checkpoint, folder, lexicon=lexicon, card=card)
    return folder


def run_cli(command: Sequence[object]) -> tuple[int, list[str]]:
    """Exit code of `tcmstruct` in a process of its own, on one thread; and what it took: wall time, processor time, peak memory."""
    began = time.monotonic()
    process = subprocess.Popen([sys.executable, "-m", "tcmstruct", *map(str, command)], cwd=ROOT, stdout=subprocess.DEVNULL,
                               env={**os.environ, "OMP_NUM_THREADS": "1"})
    _, status, used = os.wait4(process.pid, 0)
    cost = [f"{(time.monotonic() - began) / 60:.1f} min", f"{(used.ru_utime + used.ru_stime) / 60:.1f} min",
            f"{used.ru_maxrss / 2**10:,.0f} MiB"]
    return os.waitstatus_to_exitcode(status), cost


def judged(out: Path) -> Row:
    return json.loads((out.with_name(out.name + ".training") / "figures.json").read_text(encoding="utf-8"))


def seen(data: Path, work: Path, seed: int) -> list[object]:
    train = read(data / "gold" / "train.jsonl")
    some = random.Random(seed).sample(train, COUNT)
    return ["train", write(work / "labels.jsonl", some), "--heldout", data / "gold" / "dev.jsonl"]


def convention(data: Path, work: Path, seed: int) -> list[object]:
    some = random.Random(seed).sample(read(data / "gold" / "train.jsonl"), COUNT)
    dev = write(work / "dev.jsonl", [widened(r) for r in read(data / "gold" / "dev.jsonl")])
    return ["train", write(work / "labels.jsonl", [widened(r) for r in some]), "--heldout", dev]


def unseen(data: Path, work: Path, seed: int) -> list[object]:
    some, rest = _away(data, seed, COUNT)
    return ["train", write(work / "labels.jsonl", some), "--heldout", write(work / "rest.jsonl", rest), "--model",
            student_elsewhere(data, work.parent)]


def adapt(data: Path, work: Path, seed: int) -> list[object]:
    some, rest = _away(data, seed, TEXTS)
    texts = write(work / "texts.jsonl", [{"id": r["id"], "text": r["text"]} for r in some])
    return ["adapt", texts, "--heldout", write(work / "rest.jsonl", rest), "--model", student_elsewhere(data, work.parent)]


def _away(data: Path, seed: int, count: int) -> tuple[list[Row], list[Row]]:
    """`count` records of that source, and the others whose texts are not among them."""
    train, dev = ([r for r in read(data / "gold" / f"{part}.jsonl") if r["source"] == AWAY] for part in ("train", "dev"))
    random.Random(seed).shuffle(train)
    texts = {r["text"] for r in train[:count]}
    return train[:count], [r for r in [*train[count:], *dev] if r["text"] not in texts]


CASES: dict[str, Callable[[Path, Path, int], list[object]]] = {"seen": seen, "convention": convention, "unseen": unseen, "adapt": adapt}
HEAD = ["case", "seed", "entity strict F1 before", "after", "difference (95 %)", "status acc.", "field F1", "not labelled, kept", "verdict",
        "passes", "wall", "processor", "memory"]


def line(name: str, seed: int, code: int, cost: Sequence[str], figures: Row) -> list[str]:
    """One row of the table."""
    cost = [str(len(figures["passes"])), *cost]
    compared = figures["compared"]
    if compared is None:
        tuned = max(p["score"] for p in figures["passes"])
        why = f"refused: no pass beat it on the tuning records ({figures['start_score']:.3f}, best {tuned:.3f})"
        return [name, str(seed), *["–"] * 6, why, *cost]

    def change(key: str) -> str:
        d = compared["new"]["differences"].get(key)
        return "–" if d is None or d["difference"]["value"] is None else f"{d['against']:.3f} → {d['pred']:.3f}"

    def estimate(side: str) -> str:
        f1 = compared[side]["entities"]["strict"]["f1"]
        return f"{f1['value']:.3f} [{f1['low']:.3f}, {f1['high']:.3f}]"

    d = compared["new"]["differences"]["entities_strict_f1"]["difference"]
    kept = "–" if compared["kept"] is None else f"{compared['kept']:.3f}"
    verdict = "written" if code == 0 else "refused: " + "; ".join(what for what, _, _, ok in compared["checks"] if not ok)
    gain = f"{100 * d['value']:+.1f} [{100 * d['low']:+.1f}, {100 * d['high']:+.1f}]"
    return [name, str(seed), estimate("current"), estimate("new"), gain,
            change("status_accuracy"), change("fields_micro_f1"), kept, verdict, *cost]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=DATA)
    parser.add_argument("--work", type=Path, default=ROOT / "runs" / "train_own")
    parser.add_argument("--cases", default=",".join(CASES))
    parser.add_argument("--seeds", default="0,1,2")
    parser.add_argument("--options", default="", help="further options of the command, e.g. '--rate 3e-4'")
    parser.add_argument("--markdown", action="store_true")
    arguments = parser.parse_args()
    if not (arguments.data / "gold" / "dev.jsonl").exists():
        raise SystemExit("the labelled records are not there: set TCMSTRUCT_DATA or give --data")
    arguments.work.mkdir(parents=True, exist_ok=True)
    rows = [HEAD]
    for name in arguments.cases.split(","):
        for seed in map(int, arguments.seeds.split(",")):
            work = arguments.work / f"{name}-{seed}"
            command = CASES[name](arguments.data, work, seed)
            out = work / "own"
            shutil.rmtree(out, ignore_errors=True)
            code, cost = run_cli([*command, "-o", out, "--seed", seed, "--threads", 1, "--fresh",
                                  *shlex.split(arguments.options)])
            if code not in (0, 1):
                raise SystemExit(f"{name}, seed {seed}: exit code {code}")
            rows.append(line(name, seed, code, cost, judged(out)))
            print(" · ".join(rows[-1]), file=sys.stderr, flush=True)
    print(f"{describe_line(describe_machine())}\n")
    print(render(rows, arguments.markdown))


if __name__ == "__main__":
    main()
