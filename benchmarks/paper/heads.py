"""Table 7: the fusion with 4, 8 and 12 heads, trained and asked as `recipes.fusion_train` does."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from benchmarks.paper import child
from benchmarks.paper.figures import NONE, difference, markdown, middle, millions, plus_minus
from benchmarks.paper.run import PACKAGE, Run
from benchmarks.paper.store import NotMeasured, code_of, content_of

HEADS = (4, 8, 12)
SHIPPED = 8
WIDTH = 128
"""Inner width of the shipped fusion, all heads together."""
INPUTS = ("texts.npz", "photos.npz")


def width_of(n_heads: int) -> int:
    """The multiple of `n_heads` next to `WIDTH`: the rows differ in heads, hardly in size."""
    return min(range(n_heads, 2 * WIDTH, n_heads), key=lambda width: abs(width - WIDTH))


def heads_table(run: Run) -> str:
    """Share of held-out simulated pairs that are answered rightly, size, time."""
    results = {n: [measured(run, n, seed) for seed in range(run.seeds)] for n in HEADS}
    names = list(results[SHIPPED][0]["right"])
    head = ["heads", "width", "folds", *(f"{name}, right" for name in names), "all, right", f"− {SHIPPED} heads", "macro-F1",
            "parameters, M", "ms a record", "memory added, MB", "paper"]
    table = [head]
    for n, found in results.items():
        share, base = ({k: r["right_all"] for k, r in enumerate(results[m])} for m in (n, SHIPPED))
        time = timed(run, n)
        table.append([str(n), str(width_of(n)), str(len(found)),
                      *(plus_minus([r["right"][name] for r in found], 1, 100) for name in names),
                      plus_minus(list(share.values()), 1, 100), "" if n == SHIPPED else difference(share, base, 1, 100),
                      plus_minus([r["macro_f1"] for r in found], 1, 100), millions(found[0]["n_parameters"]), middle([time["ms"]], 2),
                      middle([time["added_mb"]], 1), NONE])
    return (markdown(table) + "\n\nText and photo together on simulated pairs, photos as they are: every seed holds out a fold of records "
            "and photos; percent right, ± 95 % over the folds, differences fold by fold. 128 is no multiple of 12: the nearest width that "
            "is. Time: processor time of the fusion alone on a record of 350 characters; memory: what reading added to a process with it "
            "loaded.")


def measured(run: Run, n_heads: int, seed: int) -> dict[str, Any]:
    """One fold: trained without a fifth of records and photos, asked on them."""
    source = inputs(run)
    from tcmstruct.recipes import fusion_train

    uses = (train, fusion_train.train_fusion, fusion_train.ask, fusion_train.gold_folds, PACKAGE / "model" / "fusion.py",
            PACKAGE / "training" / "pairs.py", PACKAGE / "training" / "loop.py")
    weights = _weights(run)
    folder = run.work / "trained" / "fusion" / hashlib.sha256(json.dumps(
        [code_of(*uses), weights, n_heads, seed, run.settings.head_passes, run.settings.head_every]).encode()).hexdigest()[:16]
    passes, every = run.settings.head_passes, run.settings.head_every
    return run.cell("7", f"{n_heads} heads", "right",
                    lambda: run.child("heads", run=str(source), out=str(folder), n_heads=n_heads, seed=seed, n_passes=passes,
                                      every=every, threads=run.threads),
                    uses=uses, settings={"width": width_of(n_heads), "n_passes": passes, "every": every, "folder": folder.name},
                    weights=weights, seed=seed)


def timed(run: Run, n_heads: int) -> dict[str, Any]:
    """Time and memory of the exported fusion of the first fold."""
    folder = run.work / "trained" / "fusion" / measured(run, n_heads, 0)["folder"] / "model"
    return run.cell("7", f"{n_heads} heads", "time", lambda: run.child("fusion", folder=str(folder), n=50 if run.quick else 300),
                    uses=(child.fusion, PACKAGE / "runtime" / "fusion.py", PACKAGE / "model" / "fusion.py"),
                    settings={"folder": folder.parent.name}, timed=True)


def inputs(run: Run) -> Path:
    """The working folder whose texts and photos are trained on.

    Raises:
        NotMeasured: it is not given, or does not hold them.
    """
    if run.fusion_run is None:
        raise NotMeasured("give --fusion-run, the working folder of tcmstruct.recipes.fusion_train")
    if missing := [name for name in INPUTS if not (run.fusion_run / name).is_file()]:
        raise NotMeasured(f"the folder of --fusion-run holds no {' and no '.join(missing)}")
    return run.fusion_run


_known: dict[Path, dict[str, str]] = {}


def _weights(run: Run) -> Mapping[str, str]:
    source = inputs(run)
    if source not in _known:  # half a gigabyte: read once a run
        _known[source] = {name: content_of([source / name]) for name in INPUTS}
    return _known[source]


def train(run: str, out: str, n_heads: int, seed: int, n_passes: int, every: int, threads: int) -> dict[str, Any]:
    """In the child: trains one fold (or takes the one that was trained), asks it, exports it.

    Args:
        every: of the training records, which are taken (1: all).
    """
    import numpy as np
    import torch

    from benchmarks.fusion import macro_f1
    from benchmarks.paper.systems import export_fusion
    from tcmstruct.image.fusion_input import ATTRIBUTES
    from tcmstruct.recipes import fusion_train
    from tcmstruct.recipes.tongue_outline import N_FOLDS
    from tcmstruct.training.pairs import Photos, Texts

    torch.set_num_threads(threads)
    loaded = []
    for name, kind in zip(INPUTS, (Texts, Photos), strict=True):
        with np.load(Path(run) / name) as kept:
            loaded.append(kind(**{key: kept[key] for key in kept.files}))
    texts, photos = loaded
    fold = seed % N_FOLDS
    of_text = fusion_train.gold_folds(texts)
    net = fusion_train.train_fusion(texts, np.nonzero(of_text != fold)[0][::every], photos, photos.fold != fold, Path(out), seed=seed,
                                    n_passes=n_passes, n_heads=n_heads, width=width_of(n_heads))
    rows = fusion_train.ask(net, texts, np.nonzero(of_text == fold)[0].tolist(), photos, (photos.fold == fold) & (photos.variant == 0),
                            seed=seed)
    export_fusion(net, Path(out) / "model")
    truth, said = np.array([r["truth"] for r in rows]), np.array([int(np.argmax(r["both"])) for r in rows])
    of = {name: np.array([r["attribute"] == name for r in rows]) for name in ATTRIBUTES}
    return {"right": {name: float((truth == said)[own].mean()) for name, own in of.items()}, "right_all": float((truth == said).mean()),
            "macro_f1": float(np.mean([macro_f1(truth[own], said[own]) for own in of.values()])), "n_pairs": len(rows),
            "n_parameters": sum(p.numel() for p in net.parameters()), "folder": Path(out).name}
