"""`tcmstruct adapt RECORDS… -o MODELDIR`: the current model gets used to a hospital's text, from records without labels.

What can be judged without labels is little: that masked words of held-out text are guessed better than from the current model's vectors,
and that mentions are still read as before. Gold records given with `--heldout` judge as `train` does. See docs/training.md.
"""

from __future__ import annotations

import random
import sys
from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import jieba
import torch

from tcmstruct.compression.rebuild import rebuild
from tcmstruct.errors import InputRefused, TcmstructError
from tcmstruct.model.checkpoint import save_tagger
from tcmstruct.model.tagger import CharTagger
from tcmstruct.pipeline import Structurer
from tcmstruct.recipes.label_files import read_judge
from tcmstruct.recipes.own_run import RunFolder, Told, current_model, fingerprints, write_json
from tcmstruct.recipes.own_verdict import Compared, compare, compare_readings, install, make_folder, tell
from tcmstruct.recipes.train import Trained, soften
from tcmstruct.recipes.unlabelled_files import read_texts
from tcmstruct.report.training_page import write_training_page
from tcmstruct.runtime.model_folder import open_folder
from tcmstruct.text.characters import CharacterTable
from tcmstruct.text.lexicon import Lexicon
from tcmstruct.training.data import Example, batches, unlabelled
from tcmstruct.training.own import SCORE, Learnt, OwnConfig, learn
from tcmstruct.training.own_texts import OwnTexts
from tcmstruct.training.pretraining import word_numbers

HELD_SHARE, MOST_HELD, LEAST_TEXTS = 0.1, 100, 20
"""Records that are held out to judge on, and how many there must be in all."""
PASS_CHARS = 30_000


def adapt(inputs: Sequence[Path], out: Path, *, heldout: Path | None = None, model: Path | None = None, mapping: Sequence[str] = (),
          encoding: str | None = None, most: int = 3000, config: OwnConfig | None = None, replace_out: bool = False, fresh: bool = False,
          threads: int | None = None) -> Trained:
    """Adapts, exports, compares, and writes the model folder if it passes.

    Args:
        inputs: files of any format that `convert` reads.
        out: model folder to write. Nothing is there, or what was there is untouched, unless the new model passes.
        heldout: gold records that judge; their texts are not learnt from.
        model: current model; None takes the one at `out`, else the shipped one.
        most: records that are read, drawn with the seed.
        config: how to learn; `pass_chars` and `shares` are set here (the masked-word heads fit one model, so no mean is tried).
        replace_out, fresh, threads: as for `train`.

    Raises:
        InputRefused: files that cannot be used, or fewer than `LEAST_TEXTS` distinct texts.
        UsageError: options that do not fit, `out` is taken, or another run is unfinished.
        TcmstructError: the new model does not pass (code `not_better`), or the loss is no number (`loss_not_finite`).
    """
    config = replace(config or OwnConfig(), pass_chars=PASS_CHARS, shares=(1.0,))
    current = current_model(out, model, replace_out)
    folder = open_folder(current)
    gold, types = read_judge(heldout) if heldout is not None else ([], ())
    judged = {record.text for record in gold}
    texts = [text for text in read_texts(inputs, most, config.seed, mapping=mapping, encoding=encoding) if text not in judged]
    if len(texts) < LEAST_TEXTS:
        raise InputRefused(f"{len(texts)} distinct texts, at least {LEAST_TEXTS} are needed", where=", ".join(p.name for p in inputs),
                           code="too_few_texts", hint="give more records; an adaptation needs some hundreds")
    random.Random(config.seed).shuffle(texts)
    n_held = max(2, min(MOST_HELD, round(HELD_SHARE * len(texts))))
    held, learnt_from = texts[:n_held], texts[n_held:]
    plan = {"command": "adapt", "files": fingerprints([*inputs, *([heldout] if heldout else [])]), "map": list(mapping), "most": most,
            "start": folder.fingerprint, "config": asdict(config), "format": 1}
    out.parent.mkdir(parents=True, exist_ok=True)
    with RunFolder(out, plan, fresh) as run:
        print(f"{len(learnt_from)} texts to learn from, {len(held)} held out"
              + (f", {len(gold)} gold records judge" if gold else "; without --heldout GOLD nobody sees whether findings are read better")
              + ("; going on with an unfinished run" if run.goes_on else ""), file=sys.stderr)
        if threads is not None:
            torch.set_num_threads(threads)
        start, table, lexicon = rebuild(folder)
        learnt, lm = _learn(start, table, lexicon, learnt_from, held, run, config)
        structurer, compared = Structurer(current, threads=threads), None
        if learnt.model is not None:
            save_tagger(learnt.model, table, run.path / "mean")
            card = {"own": {"start": folder.fingerprint, "texts": len(learnt_from), "seed": config.seed}}
            made, gate = make_folder(run.path / "mean", structurer, lexicon, learnt_from[:400], run.path, card)
            compared = compare(made, structurer, gold, types, gate) if gold else compare_readings(made, structurer, held, gate, lm)
        page = _report(run, learnt_from, held, gold, types, learnt, compared, lm, out)
        if compared is None or not compared.better:
            run.finish()
            raise _refused(compared, lm, out, page)
        install(made, out)
        tell(compared, page)
        run.finish()
        return Trained(out, page, compared, learnt)


def _learn(start: CharTagger, table: CharacterTable, lexicon: Lexicon | None, texts: Sequence[str], held: Sequence[str], run: RunFolder,
           config: OwnConfig) -> tuple[Learnt, tuple[float, float]]:
    jieba.setLogLevel(60)
    examples, aside = (_worded(unlabelled(some, table, config.max_chars)) for some in (texts, held))
    soften(start, examples, lexicon)
    torch.manual_seed(config.seed)
    objective = OwnTexts(start)
    kept = list(batches(aside, 8 * config.chars_per_batch, random.Random(0)))

    def score(model: CharTagger) -> dict[str, float]:
        if model is start:
            return {SCORE: 0.0}
        now, before = objective.held_out(model, kept)
        return {"masked": now, "masked_before": before, SCORE: before - now}

    told = Told()
    learnt = learn(start, table, lexicon, objective, [], examples, score, run.run, run.best, config, told.say, told.step)
    return learnt, objective.held_out(learnt.model or start, kept)


def _worded(examples: list[Example]) -> list[Example]:
    for example in examples:
        example.soft["word"] = word_numbers(example.text)
    return examples


def _refused(compared: Compared | None, lm: tuple[float, float], out: Path, page: Path) -> TcmstructError:
    why = compared.reason if compared else f"masked words are guessed no better than before ({lm[1]:.3f} → {lm[0]:.3f})"
    return TcmstructError(f"the adapted model does not take the current one's place: {why}", where=out.name, code="not_better",
                          hint=f"nothing was written, and what was there is untouched; figures in {page.parent.name}/{page.name}")


def _report(run: RunFolder, texts: Sequence[str], held: Sequence[str], gold: Sequence[Any], types: Sequence[str], learnt: Learnt,
            compared: Compared | None, lm: tuple[float, float], out: Path) -> Path:
    figures: dict[str, Any] = {
        "command": "adapt", "model": out.name, "types": list(types), "notes": [], "start_score": 0.0,
        "records": {"train": len(texts), "tune": len(held), "judge": len(gold) or len(held)},
        "passes": learnt.progress.passes, "share": learnt.share, "shares": {}, "seconds": learnt.progress.seconds,
        "masked": {"now": lm[0], "before": lm[1]}, "compared": None if compared is None else compared.to_dict()}
    write_json(run.path / "figures.json", figures)
    return write_training_page(run.path / "report.html", figures)
