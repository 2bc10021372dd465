"""Memory of one process: what a batch of text takes, what becomes of its texts, and what looking at one photograph takes.

    python -m benchmarks.memory [text] [work] [photos]

The figures behind `BatchMemory`, `WORK_BYTES` and `PHOTO_BYTES` in `tcmstruct/runtime/memory.py`. "text" holds the fit on this
machine against batches that it was not made from, "work" structures `CHUNK_CHARS` characters in batches of one window. Each row
is a process of its own, one thread; "grew by" is its largest resident set less that before the step, in MiB. Photos are drawings:
two of the size that a phone makes, and for each kind of file the largest that `image.decode` lets through. Linux only (/proc).
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
from PIL import Image, ImageFilter

from benchmarks.machine import print_machine
from tcmstruct.runtime.memory import CHUNK_CHARS, PHOTO_BYTES, WORK_BYTES
from tcmstruct.runtime.memory_fit import fit
from tcmstruct.runtime.model_folder import DEFAULT_FOLDER

BATCHES = ((192, 16), (48, 64), (24, 128), (12, 256), (4, 384), (6, 512))
"""(windows, padded characters)."""

WORK = {"records of 400 characters": 400, "one record": CHUNK_CHARS}
SENTENCE = "患者反复咳嗽3天，咳黄痰，最高体温38.5℃，无恶心呕吐，纳眠可，大便2日1行。"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("parts", nargs="*", help="text, work, photos; all by default")
    parser.add_argument("--child", nargs=2, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.child:
        _measure(*arguments.child)
        return
    parts = arguments.parts or ["text", "work", "photos"]
    print_machine()
    if "text" in parts:
        model = fit(DEFAULT_FOLDER / "model.onnx", 1)
        print(f"\n{model.source}: {model.per_char:,.0f}·B·L + {model.per_pair:.1f}·B·L² + {model.fixed:,.0f} bytes\n")
        print("| windows × characters | model loaded | grew by | reckoned, with the margin |\n|---|---|---|---|")
        for windows, chars in BATCHES:
            base, grown = _child("text", f"{windows}x{chars}")
            print(f"| {windows} × {chars} | {base:.0f} | {grown:.0f} | {model.bytes(windows, chars) / 2**20:.0f} |")
    if "work" in parts:
        print(f"\n| {CHUNK_CHARS:,} characters | model loaded, one window read | grew by |\n|---|---|---|")
        for name, chars in WORK.items():
            base, grown = _child("work", str(chars))
            print(f"| {name} | {base:.0f} | {grown:.0f} |")
        print(f"\nReckoned with: {WORK_BYTES / 2**20:.0f} MiB.")
    if "photos" in parts:
        print("\n| photo | file | model and networks loaded | grew by |\n|---|---|---|---|")
        with tempfile.TemporaryDirectory() as folder:
            for name in PHOTOS:
                path = Path(folder) / name.replace(" ", "_")
                subprocess.run([sys.executable, "-m", "benchmarks.memory", "--child", "draw", f"{name}:{path}"], check=True)
                base, grown = _child("photo", str(path))
                print(f"| {name} | {path.stat().st_size / 2**20:.1f} | {base:.0f} | {grown:.0f} |")
                path.unlink()
        print(f"\nReckoned with: {PHOTO_BYTES / 2**20:.0f} MiB a process.")


def _phone() -> Image.Image:
    """12 megapixels with a tongue on them, so that every network is asked."""
    with Image.open(Path(__file__).resolve().parents[1] / "examples" / "photos" / "SY0005.jpg") as drawing:
        return drawing.resize((3240, 3700), Image.Resampling.BICUBIC)


def _skin(width: int, height: int) -> Image.Image:
    """Reddish clouds with grain: compresses about as a photograph does."""
    rng = np.random.default_rng(0)
    small = rng.integers(90, 220, (height // 64 + 2, width // 64 + 2, 3)).astype(np.uint8)
    return Image.fromarray(small).resize((width, height)).filter(ImageFilter.BoxBlur(1))


PHOTOS = {
    "phone, JPEG 12 megapixels": lambda to: _phone().save(to, "JPEG", quality=88),
    "phone, WebP 12 megapixels": lambda to: _phone().save(to, "WEBP", quality=80),
    "JPEG, 79 megapixels": lambda to: _skin(8900, 8900).save(to, "JPEG", quality=70),
    "JPEG, CMYK, 79 megapixels": lambda to: _skin(8900, 8900).convert("CMYK").save(to, "JPEG", quality=70),
    "JPEG, progressive, 33 megapixels": lambda to: _skin(5770, 5770).save(to, "JPEG", quality=80, progressive=True),
    "PNG, 25 megapixels": lambda to: _skin(4995, 4995).save(to, "PNG", compress_level=1),
    "PNG, alpha, 25 megapixels": lambda to: _skin(4995, 4995).convert("RGBA").save(to, "PNG", compress_level=1),
    "PNG, 16-bit grey, 25 megapixels": lambda to: Image.fromarray(
        np.asarray(_skin(4995, 4995).convert("L")).astype(np.uint16) << 8).save(to, "PNG", compress_level=1),
    "PNG, palette with transparency, 25 megapixels": lambda to: _skin(4995, 4995).quantize(64).save(
        to, "PNG", compress_level=1, transparency=3),
    "WebP, lossless with alpha, 12 megapixels": lambda to: _skin(3530, 3530).convert("RGBA").save(
        to, "WEBP", lossless=True, method=0, quality=10),
}


def _child(kind: str, what: str) -> tuple[float, float]:
    """Resident before the step and growth to the largest within it, MiB."""
    done = subprocess.run([sys.executable, "-m", "benchmarks.memory", "--child", kind, what], check=True, capture_output=True, text=True)
    base, grown = done.stdout.split()
    return float(base), float(grown)


def _measure(kind: str, what: str) -> None:
    from tcmstruct import Structurer
    from tcmstruct.batch.chunks import structure_chunk
    from tcmstruct.image.refusal import ImageRefused
    from tcmstruct.record import Record

    if kind == "draw":
        name, _, path = what.partition(":")
        PHOTOS[name](Path(path))
        return
    if kind == "text":
        windows, chars = map(int, what.split("x"))
        structurer = Structurer(threads=1, chars_per_batch=windows * chars)
        structurer.structure("咳嗽")
        before = _start()
        for _ in structurer.tagger.stream([(SENTENCE * (chars // len(SENTENCE) + 1))[:chars]] * windows):
            pass
    elif kind == "work":
        structurer = Structurer(threads=1, chars_per_batch=512)
        structurer.structure(SENTENCE * 20)
        text = (SENTENCE * (int(what) // len(SENTENCE) + 1))[: int(what)]
        records = [Record(str(n), text) for n in range(CHUNK_CHARS // int(what))]
        before = _start()
        structure_chunk(structurer.structure_many, records)
    else:
        structurer = Structurer(threads=1, image_root=Path(what).parent)
        structurer.structure(SENTENCE)
        before = _start()
        try:
            structurer.photo_side.examiner.examine(Path(what).name, root=structurer.image_root)
        except ImageRefused as refused:
            raise SystemExit(f"{Path(what).name}: {refused.reason}") from None
    print(before / 1024, (_status("VmHWM") - before) / 1024)


def _start() -> int:
    """Resident set now, kB; the largest is counted from here."""
    Path("/proc/self/clear_refs").write_text("5")
    return _status("VmRSS")


def _status(key: str) -> int:
    lines = Path("/proc/self/status").read_text().splitlines()
    return int(next(line for line in lines if line.startswith(f"{key}:")).split()[1])


if __name__ == "__main__":
    main()
