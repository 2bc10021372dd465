"""`tcmstruct train LABELS… -o MODELDIR`: the current model goes on learning from a hospital's own labels.

One command from labels to a model folder, or to a refusal: the new model is written only where it beats the current one on labelled records
that neither training nor tuning saw. See docs/training.md.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch

from tcmstruct.compression.rebuild import rebuild
from tcmstruct.errors import TcmstructError
from tcmstruct.model.checkpoint import save_tagger
from tcmstruct.model.tagger import CharTagger
from tcmstruct.pipeline import Structurer
from tcmstruct.recipes.label_files import Parts, as_labelled, read_parts
from tcmstruct.recipes.own_run import RunFolder, Told, current_model, fingerprints, write_json
from tcmstruct.recipes.own_verdict import Compared, compare, install, make_folder, recalibrate, tell
from tcmstruct.recipes.unlabelled_files import read_texts
from tcmstruct.record import StructuredRecord
from tcmstruct.report.training_page import write_training_page
from tcmstruct.runtime.model_folder import open_folder
from tcmstruct.text.characters import CharacterTable
from tcmstruct.text.lexicon import Lexicon
from tcmstruct.training.data import Example, unlabelled
from tcmstruct.training.own import SCORE, Learnt, OwnConfig, learn
from tcmstruct.training.own_labels import CLINICAL, OwnLabels, own_examples
from tcmstruct.training.tagging import predict_entities, strict_f1
from tcmstruct.training.teachers import Ensemble

MOST_BESIDE = 400
"""Records of `--beside` that are read; they are drawn with the seed."""


@dataclass(frozen=True, slots=True)
class Trained:
    """What a training came to.

    Attributes:
        out: the model folder that was written.
        report: page with learning curves and figures.
    """

    out: Path
    report: Path
    compared: Compared
    learnt: Learnt


def train(labels: Sequence[Path], out: Path, *, heldout: Path | None = None, types: Sequence[str] = (), model: Path | None = None,
          beside: Sequence[Path] = (), from_: str | None = None, config: OwnConfig | None = None, replace_out: bool = False,
          fresh: bool = False, threads: int | None = None) -> Trained:
    """Trains, recalibrates, exports, compares, and writes the model folder if it is better.

    Args:
        labels: files of labelled records (gold JSON Lines, or a format of `tcmstruct.annotation`).
        out: model folder to write. Nothing is there, or what was there is untouched, unless the new model is better.
        heldout: labels that judge; None takes 30 % of the labelled records.
        types: what is trained and judged; empty: what the files label.
        model: current model; None takes the one at `out`, else the shipped one.
        beside: records without labels on which the new model is held to the current one's reading.
        from_: format of `labels`.
        config: how to learn.
        replace_out: `out` may be replaced.
        fresh: forget an unfinished run.
        threads: of torch; None: all cores.

    Raises:
        InputRefused: labels that cannot be used, or too few; a model that cannot be trained.
        UsageError: options that do not fit, `out` is taken, or another run is unfinished.
        TcmstructError: the new model does not beat the current one (code `not_better`), or the loss is no number (`loss_not_finite`).
    """
    config = config or OwnConfig()
    current = current_model(out, model, replace_out)
    folder = open_folder(current)
    parts = read_parts(labels, heldout=heldout, wanted=types, from_=from_, seed=config.seed)
    plan = {"command": "train", "files": fingerprints([*labels, *([heldout] if heldout else []), *beside]), "types": list(parts.types),
            "start": folder.fingerprint, "config": asdict(config), "format": 1}
    out.parent.mkdir(parents=True, exist_ok=True)
    with RunFolder(out, plan, fresh) as run:
        for note in parts.notes:
            print(f"note: {note}", file=sys.stderr)
        print(f"{len(parts.train)} records to learn from, {len(parts.tune)} to tune on, {len(parts.judge)} to judge on; "
              f"types: {', '.join(parts.types)}" + ("; going on with an unfinished run" if run.goes_on else ""), file=sys.stderr)
        if threads is not None:
            torch.set_num_threads(threads)
        start, table, lexicon = rebuild(folder)
        texts = read_texts(beside, MOST_BESIDE, config.seed)
        learnt = _learn(start, table, lexicon, parts, texts, run, config)
        structurer = Structurer(current, threads=threads)
        compared = None
        if learnt.model is not None:
            save_tagger(learnt.model, table, run.path / "mean")
            card = {"own": {"start": folder.fingerprint, "types": list(parts.types), "records": len(parts.train), "share": learnt.share,
                            "seed": config.seed}}
            ranges = [r.text for r in (*parts.train, *parts.tune)] + texts
            made, gate = make_folder(run.path / "mean", structurer, lexicon, ranges, run.path, card)
            recalibrate(made, parts.tune)
            compared = compare(made, structurer, parts.judge, parts.types, gate)
        page = _report(run, parts, learnt, compared, out)
        if compared is None or not compared.better:
            run.finish()
            raise refused(learnt, compared, out, page)
        install(made, out)
        tell(compared, page)
        run.finish()
        return Trained(out, page, compared, learnt)


def refused(learnt: Learnt, compared: Compared | None, out: Path, page: Path) -> TcmstructError:
    """Why nothing was written."""
    if compared is None:
        scores = [p[SCORE] for p in learnt.progress.passes]
        why = f"no pass beat the current model on the tuning records (best {max(scores):.4f}, current {learnt.start_score:.4f})"
    else:
        why = compared.reason
    return TcmstructError(f"the new model does not beat the current one: {why}", where=out.name, code="not_better",
                          hint=f"nothing was written, and what was there is untouched; figures in {page.parent.name}/{page.name}")


def _learn(start: CharTagger, table: CharacterTable, lexicon: Lexicon | None, parts: Parts, texts: Sequence[str], run: RunFolder,
           config: OwnConfig) -> Learnt:
    labelled = own_examples(map(as_labelled, parts.train), parts.types, table, config.max_chars)
    beside = unlabelled(texts, table, config.max_chars)
    soften(start, [*labelled, *beside], lexicon)
    told = Told()
    return learn(start, table, lexicon, OwnLabels(), labelled, beside, tuning_score(parts.tune, parts.types, table, lexicon), run.run,
                 run.best, config, told.say, told.step)


def soften(start: CharTagger, examples: Sequence[Example], lexicon: Lexicon | None) -> None:
    """Writes the start model's scores of every readout into the examples: what nearness is measured against."""
    Ensemble([start]).label(examples, list(start.config.readouts), lexicon=lexicon, say=lambda _: None, chained=False)


def tuning_score(tune: Sequence[StructuredRecord], types: Sequence[str], table: CharacterTable,
                 lexicon: Lexicon | None) -> Callable[[CharTagger], dict[str, float]]:
    """Strict F1 of a model on the tuning records, of the labelled types; statuses count where they are labelled."""
    gold = [as_labelled(record) for record in tune]
    with_status = any(m["status"] for g in gold for m in g["entities"])

    def read(model: CharTagger, text: str) -> list[dict[str, Any]]:
        found = predict_entities(model, table, text, CLINICAL, lexicon=lexicon)
        return [{**m, "status": m["status"] if with_status else None} for m in found if m["type"] in types]

    return lambda model: {SCORE: strict_f1(gold, [read(model, g["text"]) for g in gold])}


def _report(run: RunFolder, parts: Parts, learnt: Learnt, compared: Compared | None, out: Path) -> Path:
    figures: dict[str, Any] = {
        "command": "train", "model": out.name, "types": list(parts.types), "notes": list(parts.notes),
        "records": {"train": len(parts.train), "tune": len(parts.tune), "judge": len(parts.judge)},
        "start_score": learnt.start_score, "passes": learnt.progress.passes, "share": learnt.share,
        "shares": {str(k): v for k, v in learnt.scores.items()}, "seconds": learnt.progress.seconds,
        "compared": None if compared is None else compared.to_dict()}
    write_json(run.path / "figures.json", figures)
    return write_training_page(run.path / "report.html", figures)
