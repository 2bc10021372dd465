"""`tcmstruct adapt RECORDS… -o CHECKPOINT --encoder CHECKPOINT`: an encoder reads on in a hospital's text (continual pre-training).

Masked LM with whole words and vocabulary terms masked. What was read before and is given with `--replay` is read again beside it, against
forgetting; both are measured on texts that were held out. What comes out is a checkpoint to fine-tune or to distil from, no model folder.
"""

from __future__ import annotations

import os
import random
import shutil
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import torch

from tcmstruct.compression.rebuild import rebuild
from tcmstruct.errors import InputRefused, ModelError, UsageError
from tcmstruct.model.checkpoint import save_tagger
from tcmstruct.recipes.own_run import RunFolder, Told, fingerprints, write_json
from tcmstruct.recipes.unlabelled_files import read_texts
from tcmstruct.runtime.memory import peak_resident_bytes
from tcmstruct.runtime.model_folder import DEFAULT_FOLDER, open_folder, refuse_unsafe
from tcmstruct.text.characters import CharacterTable
from tcmstruct.text.lexicon import Lexicon
from tcmstruct.training.pretraining import HEAD, Replay, masked_loss, pretrain

LEAST_TEXTS, HELD_SHARE, MOST_HELD = 20, 0.1, 200


@dataclass(frozen=True)
class Adapted:
    """Losses of masked characters (nats) of held-out texts; None before where the start had no head for them.

    Attributes:
        own_before, own_after: of the hospital's texts.
        earlier_before, earlier_after: of the texts to replay; what the encoder forgets shows here. None without any.
        n_new: characters that got a row.
    """

    own_before: float | None
    own_after: float
    earlier_before: float | None
    earlier_after: float | None
    n_texts: int
    n_new: int
    seconds: float
    peak_mib: int


def adapt_encoder(inputs: Sequence[Path], out: Path, *, encoder: Path, replay: Sequence[Path] = (), replay_share: float = 0.3,
                  grow: int = 3, n_characters: int = 1_500_000, rate: float = 4e-4, mapping: Sequence[str] = (),
                  encoding: str | None = None, most: int = 20_000, seed: int = 0, fresh: bool = False, threads: int | None = None,
                  ) -> Adapted:
    """Adapts, measures, and writes the checkpoint as a whole.

    Args:
        inputs: files of any format that `convert` reads. replay: such files of what was read before.
        out: checkpoint folder to write; what stands there is not touched.
        encoder: checkpoint folder; a model folder, whose graph is turned back into weights; or the file `e5-small-q4.bin`.
        grow: see `pretrain`.
        n_characters, rate: of training.
        most: records that are read of each, drawn with the seed.

    Raises:
        InputRefused: fewer than `LEAST_TEXTS` distinct texts.
        ModelError: `encoder` is no checkpoint, or holds weights of a kind that may run code.
        UsageError: `out` is there, the share is none, or another run is unfinished.
        TcmstructError: the loss is no number (`loss_not_finite`).
    """
    if out.exists():
        raise UsageError("is there already", where=out.name, code="out_exists", hint="name another folder with -o")
    if not 0.0 < replay_share < 1.0:
        raise UsageError(f"{replay_share:g} of the characters are to be replayed; allowed: more than 0, less than 1", code="usage")
    _check(encoder)
    named = fingerprints([encoder / "weights.safetensors" if (encoder / "weights.safetensors").exists() else encoder])
    own, held = _parted(inputs, most, seed, mapping, encoding)
    again, earlier = _parted(replay, most, seed, mapping, encoding) if replay else ([], [])
    plan = {"command": "adapt --encoder", "files": fingerprints([*inputs, *replay]), "map": list(mapping), "most": most,
            "start": named, "seed": seed, "rate": rate,
            "characters": n_characters, "grow": grow, "replay_share": replay_share if replay else None, "format": 1}
    out.parent.mkdir(parents=True, exist_ok=True)
    with RunFolder(out, plan, fresh) as run:
        if threads is not None:
            torch.set_num_threads(threads)
        beside = f"{len(again)} are read again" if replay else "nothing is read again, so what was learnt before may be forgotten: --replay"
        print(f"{len(own)} texts to learn from, {len(held)} held out; {beside}" + "; going on with an unfinished run" * run.goes_on,
              file=sys.stderr)
        if (encoder / "manifest.json").is_file():
            encoder = _checkpoint_of(encoder, run.path / "start")
        knows = encoder.is_dir() and (encoder / HEAD).exists()
        before = [masked_loss(encoder, texts) if knows and texts else None for texts in (held, earlier)]
        told = Told()
        progress = pretrain(own, run.run, characters=DEFAULT_FOLDER / "characters.txt", start=encoder, n_characters=n_characters,
                            learning_rate=rate, seed=seed, replay=Replay(again, replay_share) if replay else None, grow=grow,
                            terms=Lexicon.load(DEFAULT_FOLDER / "lexicon.txt"), told=lambda progress: told.step(progress, n_characters),
                            say=told.say)
        n_before = len(CharacterTable.load(encoder / "characters.txt" if encoder.is_dir() else DEFAULT_FOLDER / "characters.txt"))
        found = Adapted(before[0], masked_loss(run.run, held), before[1], masked_loss(run.run, earlier) if earlier else None, len(own),
                        len(CharacterTable.load(run.run / "characters.txt")) - n_before, round(progress.seconds, 1),
                        round(peak_resident_bytes() / 2**20))
        _install(run.run, out, found)
        shutil.rmtree(run.path / "start", ignore_errors=True)
        run.finish()
    _tell(found)
    return found


def _checkpoint_of(folder: Path, place: Path) -> Path:
    model, table, _ = rebuild(open_folder(folder))
    save_tagger(model, table, place)
    return place


def _check(encoder: Path) -> None:
    if encoder.is_dir():
        refuse_unsafe(encoder)
    if (encoder / "manifest.json").is_file():
        return  # a model folder; it is checked as it is opened
    files = [encoder / name for name in ("config.json", "weights.safetensors", "characters.txt")] if encoder.is_dir() else [encoder]
    missing = [file.name for file in files if not file.is_file()]
    if missing:
        raise ModelError(f"is no checkpoint of an encoder: {', '.join(missing)} missing", where=encoder.name, code="no_checkpoint",
                         hint="name a folder that `adapt --encoder`, `distil` or a training wrote, or e5-small-q4.bin")


def _parted(files: Sequence[Path], most: int, seed: int, mapping: Sequence[str], encoding: str | None) -> tuple[list[str], list[str]]:
    """Texts to learn from, and those held out."""
    texts = read_texts(files, most, seed, mapping=mapping, encoding=encoding)
    if len(texts) < LEAST_TEXTS:
        raise InputRefused(f"{len(texts)} distinct texts, at least {LEAST_TEXTS} are needed", where=", ".join(p.name for p in files),
                           code="too_few_texts", hint="give more records; an adaptation needs some hundreds")
    random.Random(seed).shuffle(texts)
    n_held = max(2, min(MOST_HELD, round(HELD_SHARE * len(texts))))
    return texts[n_held:], texts[:n_held]


def _install(made: Path, out: Path, found: Adapted) -> None:
    """The checkpoint takes its place as a whole, for its owner only: what a model has read can in part be asked out of it."""
    fresh = out.with_name(f".{out.name}.new")
    shutil.rmtree(fresh, ignore_errors=True)
    fresh.mkdir(mode=0o700)
    for name in ("config.json", "weights.safetensors", "characters.txt", HEAD):
        shutil.move(made / name, fresh / name)
    write_json(fresh / "adaptation.json", asdict(found))
    for file in fresh.iterdir():
        file.chmod(0o600)
    os.replace(fresh, out)


def _tell(found: Adapted) -> None:
    def change(before: float | None, after: float) -> str:
        return f"{after:.3f}" if before is None else f"{before:.3f} → {after:.3f}"

    parts = [f"masked characters of held-out texts, loss: {change(found.own_before, found.own_after)}"]
    if found.earlier_after is not None:
        parts.append(f"of the earlier texts: {change(found.earlier_before, found.earlier_after)}")
    if found.n_new:
        parts.append(f"{found.n_new} new characters")
    print("; ".join([*parts, f"{found.seconds:.0f} s, {found.peak_mib:,} MiB"]), file=sys.stderr)
