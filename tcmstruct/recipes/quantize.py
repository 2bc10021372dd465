"""`tcmstruct quantize FOLDER -o OUT --texts FILE`: a narrower model folder, written only where it passes the gate."""

from __future__ import annotations

import json
import shutil
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from tcmstruct.compression.quantise import kind_named, quantise
from tcmstruct.errors import InputRefused, TcmstructError, UsageError
from tcmstruct.recipes.acceptance import Verdict, judge, read_labelled
from tcmstruct.runtime.backends import backend_named
from tcmstruct.runtime.model_folder import amend_card, open_folder


def quantize(folder: Path, out: Path, texts: Path, *, labelled: Path | None = None, checkpoint: Path | None = None,
             kind: str = "static", backend: str | None = None, fresh: bool = False) -> Verdict:
    """Makes an artefact of `kind`, measures it against its parent, and puts it at `out` if it is accepted.

    Args:
        folder: fp32 model folder.
        out: folder to write; nothing is there, or what was there is untouched, unless the artefact is accepted.
        texts: JSONL with `text`: every second one may fix ranges, the others measure.
        labelled: gold records that F1 is measured on.
        checkpoint: trained tagger that `folder` was exported from; it must agree too. Needs the extra [train].
        kind: of `compression.quantise.KINDS`.
        backend: that is measured; None: the kind's own.
        fresh: replace what stands at `out`.

    Raises:
        UsageError: an unknown kind or backend, one that cannot be used here, a folder that is quantised already, `out` taken.
        InputRefused: a file that cannot be read.
        TcmstructError: the artefact is not accepted (code `not_accepted`); the verdict says which number fell short.
    """
    wanted = kind_named(kind)
    name = backend_named(backend or wanted.backend).name  # before any work: what cannot be measured cannot be accepted
    open_folder(folder)
    if out.exists() and not fresh:
        raise UsageError("is there already", where=str(out), code="out_exists", hint="give another folder with -o, or --fresh")
    if out.resolve() == folder.resolve():
        raise UsageError("is the parent itself", where=str(out), code="out_exists", hint="give another folder with -o")
    some = read_texts(texts)
    gold = None if labelled is None else read_labelled(labelled)
    out.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=out.parent, prefix=".quantize-") as scratch:
        made = quantise(folder, Path(scratch) / out.name, some[::2], kind)
        verdict = judge(folder, made, some[1::2] or some, labelled=gold, checkpoint=checkpoint, backend=name)
        print(verdict, file=sys.stderr)
        if not verdict.accepted:
            raise TcmstructError(f"the {kind} artefact is not accepted: {_why(verdict)}", where=out.name, code="not_accepted",
                                 hint="nothing was written; try another kind, or stay with the parent")
        amend_card(made, accepted=verdict.to_card(), backend_measured=name)
        if out.exists():
            shutil.rmtree(out)
        made.rename(out)
    return verdict


def _why(verdict: Verdict) -> str:
    return "; ".join(f"{c.what} {c.found}, allowed {c.allowed}" for c in verdict.checks if not c.ok)


def read_texts(file: Path) -> Sequence[str]:
    """`text` of every line.

    Raises:
        InputRefused: the file cannot be read, or a line has no text.
    """
    texts = []
    try:
        with open(file, encoding="utf-8-sig") as lines:
            for n, line in enumerate(lines, start=1):
                if line.strip():
                    texts.append(_text(line, f"{file.name}:{n}"))
    except (OSError, UnicodeDecodeError) as error:
        raise InputRefused(f"cannot be read ({type(error).__name__})", where=file.name, code="unreadable",
                           hint="give JSON Lines in UTF-8 with `text`") from None
    if not texts:
        raise InputRefused("holds no text", where=file.name, code="no_texts", hint="give JSON Lines in UTF-8 with `text`")
    return texts


def _text(line: str, where: str) -> str:
    try:
        text = json.loads(line)["text"]
    except (ValueError, KeyError, TypeError):
        text = None
    if not isinstance(text, str) or not text.strip():
        raise InputRefused("the line is no object with a `text`", where=where, code="text_missing", hint="give JSON Lines with `text`")
    return text
