"""De-identification measured both ways: what names a person must go, what describes an illness must stay.

    python -m benchmarks.deidentification [--data ../shared/data] [--records 4000] [--misses 40]

1. Invented records (`readings/deidentification.toml`, `readings/deidentification_blind.toml`): templates, surnames, given names,
   hospitals, places and clinical sentences are split into those that the rules were written with (`develop`) and those that were
   written before they were first run and then mended the rules by their classes of misses, in this order: `held_out`, `fresh`,
   `mended_on`, `judged_on`, `last`, `unseen`. The lists share no template. docs/privacy.md holds the figure of each first run.
   A slot is found when every letter and digit of it is replaced; every other replaced character is loss.
2. Clinical texts: the invented sentences by themselves, and, with `--data`, the real de-identified records of gold/train and
   gold/dev. Their dates, hospitals and masked names (王某) are true finds; `readings/deidentification_gold.tsv` names the pieces of
   them, by id and place, that one reader found to be no such thing. The share of gold mentions and fields that a replaced piece
   touches is counted whatever the piece is.
3. Speed, processor time, one core.

Prints tables; record text only with `--misses N` (invented records) or `--show-gold FILE` (writes pieces with context, 0600).
"""

from __future__ import annotations

import argparse
import json
import os
import random
import re
import time
import tomllib
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from benchmarks.machine import print_machine
from tcmstruct.privacy import DeidentifiedText, Deidentifier, Key

READINGS = Path(__file__).with_name("readings")
SPLITS = ("develop", "held_out", "fresh", "mended_on", "judged_on", "last", "unseen")
CLASSES: dict[str, tuple[str, ...]] = {
    "identity cards": ("id_card",), "record, insurance, specimen numbers": ("record",), "telephones": ("mobile", "landline"),
    "names: patients": ("patient",), "names: relatives": ("relative",), "names: doctors, nurses": ("doctor", "nurse"),
    "beds": ("bed",), "dates": ("date",), "addresses": ("address", "postcode"), "hospitals": ("hospital",), "employers": ("company",),
    "e-mail, WeChat, QQ, plates, bank cards": ("email", "account", "plate", "bank_card"),
}
TARGETS = {"ids and telephones": (("id_card", "record", "mobile", "landline"), 0.99),
           "names": (("patient", "relative", "doctor", "nurse"), 0.95)}
OTHER_NAMES = {"compound": 0.05, "minority": 0.06, "latin": 0.03}
"""List of other names → its share of the names of a split that has it; far more than in most hospitals."""
REGIONS = ("110105", "320106", "330106", "340223", "410305", "420102", "510107", "230604", "371323", "440605", "150402", "620502")
_SLOT = re.compile(r"\{(\w+?)(\d?)\}")
WEIGHTS = (7, 9, 10, 5, 8, 4, 2, 1, 6, 3, 7, 9, 10, 5, 8, 4, 2)
"""Of the check digit (GB 11643, ISO 7064 MOD 11-2)."""
KEY = Key(b"benchmarks.deidentification, no secret")


@dataclass(slots=True)
class Made:
    """An invented record: its text and the slots, (start, end, slot)."""

    text: str
    slots: list[tuple[int, int, str]]


@dataclass(slots=True)
class Tally:
    """Slots found and not, by slot; what was lost outside of them."""

    found: Counter[str] = field(default_factory=Counter)
    partly: Counter[str] = field(default_factory=Counter)
    total: Counter[str] = field(default_factory=Counter)
    misses: list[str] = field(default_factory=list)
    clinical: int = 0
    lost: int = 0
    lost_as: Counter[str] = field(default_factory=Counter)
    losses: list[str] = field(default_factory=list)

    def recall(self, slots: Sequence[str]) -> tuple[int, int, int]:
        return tuple(sum(c[slot] for slot in slots) for c in (self.found, self.partly, self.total))  # type: ignore[return-value]


def read_lists() -> dict[str, dict[str, list[str]]]:
    """Split → list → lines, of both files."""
    return {split: lists for name in ("deidentification", "deidentification_blind")
            for split, lists in tomllib.loads((READINGS / f"{name}.toml").read_text("utf-8")).items()}


class Maker:
    """Makes records of a split from a seed."""

    def __init__(self, split: str, seed: int) -> None:
        self.lists: dict[str, list[str]] = read_lists()[split]
        self.rng, self.held_out = random.Random(f"{split} {seed}"), split != "develop"

    def record(self) -> Made:
        """One record: a template with all slots filled; the same slot holds the same thing throughout, save clinical sentences."""
        template, filled, slots = self.rng.choice(self.lists["templates"]), {}, []
        text, at = "", 0
        for m in _SLOT.finditer(template):
            text += template[at : m.start()]
            at = m.end()
            if m[1] == "clinical":
                text += self.rng.choice(self.lists["clinical"])
                continue
            if m[0] not in filled:
                filled[m[0]] = self.fill(m[1])
            slots.append((len(text), len(text) + len(filled[m[0]]), m[1]))
            text += filled[m[0]]
        return Made(text + template[at:], slots)

    def fill(self, slot: str) -> str:
        rng = self.rng
        match slot:
            case "patient" | "relative" | "doctor" | "nurse":
                return self._name(slot)
            case "hospital" | "address" | "company":
                return rng.choice(self.lists[{"hospital": "hospitals", "address": "addresses", "company": "companies"}[slot]])
            case "id_card":
                return self._id_card()
            case "mobile":
                digits = f"1{rng.choice('3456789')}{rng.randrange(10**9):09d}"
                forms = [digits, digits, f"{digits[:3]}-{digits[3:7]}-{digits[7:]}", f"{digits[:3]} {digits[3:7]} {digits[7:]}"]
                if self.held_out:
                    forms += [f"+86 {digits}", f"{digits[:4]} {digits[4:8]} {digits[8:]}", _wide(digits), f"86-{digits}",
                              f"{digits[:3]}－{digits[3:]}",
                              f"{digits[:7]}\u200b{digits[7:]}"]
                return rng.choice(forms)
            case "landline":
                area, local = rng.choice(["010", "021", "0571", "025", "0516"]), f"{rng.choice('2345678')}{rng.randrange(10**7):07d}"
                forms = [f"{area}-{local}", f"({area}){local}", f"{area}-{local[:7]}"]
                if self.held_out:
                    forms += [f"（{area}）{local}", f"{area} {local[:4]} {local[4:]}", f"{area}{local}", f"{area}-{local}转801",
                              _wide(f"{area}-{local}"),
                              f"{area}－{local[:4]}－{local[4:]}"]
                return rng.choice(forms)
            case "record":
                n = rng.randrange(10**10)
                forms = [f"{n % 10**6:06d}", f"{n % 10**8:08d}", f"{n:010d}", f"ZY{n % 10**8:08d}", f"2023{n % 10**6:06d}"]
                if self.held_out:
                    forms += [f"MZ-{n % 10**7:07d}", f"00{n:010d}", f"A{n % 10**5:05d}",
                              _wide(f"{n % 10**7:07d}"), f"{n % 10**4}/{n % 97}", f"33010{n:010d}01X"]
                return rng.choice(forms)
            case "bed":
                return rng.choice(["12床", "3床", "25床", "+3床", "8-12床"] + (["加5床", "031床"] if self.held_out else []))
            case "date":
                return self._date()
            case "email":
                host = rng.choice(["163.com", "qq.com", "hospital.org.cn"])
                return f"{rng.choice(['zhang', 'li.wei', 'wang_88', 'doc'])}{rng.randrange(999)}@{host}"
            case "postcode":
                return f"{rng.randrange(100000, 860000)}"
            case "account":
                return rng.choice([f"wxid_{rng.randrange(10**8)}", f"zhang{rng.randrange(10**4):04d}", f"li-mei_{rng.randrange(100)}x"])
            case "plate":
                return rng.choice(["浙A", "京N", "苏C", "粤B"]) + rng.choice(["", "·"]) + f"{rng.randrange(10**4):04d}{rng.choice('ABKMX')}"
            case "bank_card":
                digits = f"62{rng.randrange(10**17):017d}"
                return rng.choice([digits, " ".join(digits[i : i + 4] for i in range(0, 19, 4))])
        raise ValueError(f"unknown slot {slot!r}")

    def _name(self, slot: str) -> str:
        """Mostly a surname of one character; where a split has lists of others, those for their share."""
        rng = self.rng
        others = [name for name in OTHER_NAMES if name in self.lists and (name != "latin" or slot in ("patient", "relative"))]
        draw = rng.random() if others else 1.0
        for name in others:
            draw -= OTHER_NAMES[name]
            if draw < 0:
                return rng.choice(self.lists[name])
        return rng.choice(self.lists["surnames"]) + rng.choice(self.lists["given"])

    def _id_card(self) -> str:
        rng = self.rng
        birth = f"{rng.randrange(1930, 2020)}{rng.randrange(1, 13):02d}{rng.randrange(1, 29):02d}"
        body = rng.choice(REGIONS) + birth + f"{rng.randrange(1000):03d}"
        check = "10X98765432"[sum(int(d) * w for d, w in zip(body, WEIGHTS, strict=True)) % 11]
        good, bad, old = body + check, body + rng.choice("0123456789X".replace(check, "")), body[:6] + body[8:]
        forms = [good, good, bad, old, f"{good[:6]} {good[6:14]} {good[14:]}", good[:17] + "x" if check == "X" else good]
        if self.held_out:
            forms += [_wide(good), f"{good[:6]}-{good[6:14]}-{good[14:]}", " ".join(good[i : i + 4] for i in range(0, 18, 4)),
                      _wide(bad), f"{old[:6]} {old[6:]}"]
        return rng.choice(forms)

    def _date(self) -> str:
        rng = self.rng
        y, m, d = rng.randrange(2005, 2025), rng.randrange(1, 13), rng.randrange(1, 29)
        forms = [f"{y}年{m}月{d}日", f"{y}-{m:02d}-{d:02d}", f"{y}.{m}.{d}", f"{y}/{m:02d}/{d:02d}"]
        if self.held_out:
            forms += [f"{y}年{m:02d}月{d:02d}日", f"{y}{m:02d}{d:02d}", _wide(f"{y}年{m}月{d}日"), f"{y} 年 {m} 月 {d} 日", f"{m}月{d}日"]
        return rng.choice(forms)


def _wide(text: str) -> str:
    return "".join(chr(ord(c) + 0xFEE0) if c.isascii() and c != " " else c for c in text)


def score(made: Made, done: DeidentifiedText, tally: Tally) -> None:
    """Adds one record to the tally."""
    kind_at = [""] * len(made.text)
    for r in done.replaced:
        kind_at[r.start : r.end] = [r.kind] * (r.end - r.start)
    inside = bytearray(len(made.text))
    for start, end, slot in made.slots:
        inside[start:end] = b"\1" * (end - start)
        letters = [place for place in range(start, end) if made.text[place].isalnum()]
        covered = sum(bool(kind_at[place]) for place in letters)
        tally.total[slot] += 1
        if covered == len(letters):
            tally.found[slot] += 1
        else:
            tally.partly[slot] += covered > 0
            tally.misses.append(f"{slot}: {made.text[max(0, start - 12) : start]}【{made.text[start:end]}】{made.text[end : end + 8]}")
    for place, kind in enumerate(kind_at):
        if not inside[place] and made.text[place].isalnum():
            tally.clinical += 1
            tally.lost += bool(kind)
            tally.lost_as[kind] += bool(kind)
    for r in done.replaced:
        if any(not inside[p] and made.text[p].isalnum() for p in range(r.start, r.end)):
            words = made.text[r.start : r.end]
            tally.losses.append(f"{r.kind}: {made.text[max(0, r.start - 8) : r.start]}【{words}】{made.text[r.end : r.end + 8]}")


def invented(split: str, n: int, seed: int, deidentifier: Deidentifier) -> Tally:
    """Scores n invented records of a split."""
    maker, tally = Maker(split, seed), Tally()
    for _ in range(n):
        made = maker.record()
        score(made, deidentifier.deidentify(made.text), tally)
    return tally


@dataclass(slots=True)
class Gold:
    """What was replaced in real records."""

    records: int = 0
    characters: int = 0
    pieces: Counter[str] = field(default_factory=Counter)
    replaced: Counter[str] = field(default_factory=Counter)
    wrong: Counter[str] = field(default_factory=Counter)
    wrong_characters: int = 0
    mentions: int = 0
    mentions_touched: int = 0
    fields: int = 0
    fields_touched: int = 0
    pieces_seen: list[tuple[str, int, int, str, str]] = field(default_factory=list)


def gold(path: Path, deidentifier: Deidentifier) -> Gold:
    """What is replaced in a gold file."""
    out, wrong = Gold(), _judged_wrong()
    for line in path.read_text("utf-8").splitlines():
        data: dict[str, Any] = json.loads(line)
        text = data["text"]
        done = deidentifier.deidentify(text)
        out.records += 1
        out.characters += len(text)
        for r in done.replaced:
            out.pieces[r.kind] += 1
            out.replaced[r.kind] += r.end - r.start
            if (data["id"], r.start, r.end) in wrong:
                out.wrong[r.kind] += 1
                out.wrong_characters += r.end - r.start
            out.pieces_seen.append((data["id"], r.start, r.end, r.kind,
                                    f"{text[max(0, r.start - 14) : r.start]}【{text[r.start : r.end]}】{text[r.end : r.end + 10]}"))
        for entity in data["entities"]:
            out.mentions += 1
            out.mentions_touched += _touched(entity, done)
        for value in _values(data["fields"]):
            out.fields += 1
            out.fields_touched += _touched(value, done)
    return out


def _values(fields: dict[str, Any]) -> Iterator[dict[str, Any]]:
    for value in fields.values():
        yield from value if isinstance(value, list) else [value]


def _touched(place: dict[str, Any], done: DeidentifiedText) -> bool:
    return any(r.start < place["end"] and place["start"] < r.end for r in done.replaced)


def _judged_wrong() -> set[tuple[str, int, int]]:
    path = READINGS / "deidentification_gold.tsv"
    rows = [row.split("\t") for row in path.read_text("utf-8").splitlines() if row and not row.startswith("#")]
    return {(id, int(start), int(end)) for id, start, end, *_ in rows}


def speed(texts: Sequence[str], deidentifier: Deidentifier, repeats: int = 5) -> float:
    """MB (UTF-8) a second of processor time, best of several."""
    size, best = sum(len(t.encode()) for t in texts), 1e9
    for _ in range(repeats):
        began = time.process_time()
        for text in texts:
            deidentifier.deidentify(text)
        best = min(best, time.process_time() - began)
    return size / best / 1e6


def _share(found: int, total: int) -> str:
    return f"{found / total:.4f}" if total else "–"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=Path(os.environ.get("TCMSTRUCT_DATA", "../shared/data")))
    parser.add_argument("--records", type=int, default=4000, help="invented records of each split")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--split", choices=SPLITS, action="append", help="only this split")
    parser.add_argument("--misses", type=int, default=0, help="show so many misses and losses of the invented records")
    parser.add_argument("--show-gold", type=Path, help="write every piece replaced in gold, with context: RECORD TEXT")
    arguments = parser.parse_args()
    print_machine()
    deidentifier = Deidentifier(KEY)
    deidentifier.deidentify("患者张三")
    for split in arguments.split or SPLITS:
        tally = invented(split, arguments.records, arguments.seed, deidentifier)
        _print_split(split, tally, arguments.records)
        for kind, lines in (("missed", tally.misses), ("lost", tally.losses)) if arguments.misses else ():
            for line, n in Counter(re.sub(r"\d", "0", line) for line in lines).most_common(arguments.misses):
                print(f"{kind} ×{n} {line!r}")
    _print_clinical(deidentifier)
    texts = [Maker("develop", 1).record().text for _ in range(1000)]
    print(f"\nSpeed: invented records {speed(texts, deidentifier):.1f} MB/s", end="")
    if not (arguments.data / "gold" / "dev.jsonl").exists():
        print(f"\nno gold files under {arguments.data.name} (TCMSTRUCT_DATA): clinical records not measured")
        return
    real = [json.loads(line)["text"] for line in (arguments.data / "gold" / "train.jsonl").read_text("utf-8").splitlines()]
    whole = "\n".join(real)
    print(f" · gold/train {speed(real, deidentifier, 3):.1f} MB/s · gold/train as one text {speed([whole], deidentifier, 3):.1f} MB/s")
    _print_gold({part: gold(arguments.data / "gold" / f"{part}.jsonl", deidentifier) for part in ("train", "dev")}, arguments.show_gold)


def _print_split(split: str, tally: Tally, n: int) -> None:
    print(f"\n### {split}, {n:,} invented records\n\n| what | slots | missed | of these in part | recall |\n|---|---|---|---|---|")
    for name, slots in CLASSES.items():
        found, partly, total = tally.recall(slots)
        print(f"| {name} | {total:,} | {total - found:,} | {partly:,} | {_share(found, total)} |")
    for name, (slots, target) in TARGETS.items():
        found, partly, total = tally.recall(slots)
        print(f"| **{name}** (target {target}) | {total:,} | {total - found:,} | {partly:,} | **{_share(found, total)}** |")
    print(f"\nLost outside of the slots: {tally.lost:,} of {tally.clinical:,} characters, {tally.lost / tally.clinical:.3%}"
          + "".join(f" · {kind} {count}" for kind, count in tally.lost_as.most_common() if count))


def _print_clinical(deidentifier: Deidentifier) -> None:
    lists = read_lists()
    sentences = [s for split in SPLITS for s in lists[split]["clinical"]] + lists["clinical_only"]["texts"]
    lost: dict[str, int] = defaultdict(int)
    for sentence in sentences:
        for r in deidentifier.deidentify(sentence).replaced:
            lost[r.kind] += r.end - r.start
    total = sum(map(len, sentences))
    print(f"\n{len(sentences)} invented clinical texts, {total:,} characters, nothing in them names anybody: {sum(lost.values())} lost "
          f"({sum(lost.values()) / total:.3%})" + "".join(f" · {kind} {n}" for kind, n in lost.items()))


def _print_gold(parts: dict[str, Gold], show: Path | None) -> None:
    print("\n### Real records (gold)\n\n| part | characters | replaced: dates | other | of the other wrong | "
          "characters wrong | mentions touched | fields touched |"
          "\n|---|---|---|---|---|---|---|---|")
    for part, g in parts.items():
        other = sum(n for kind, n in g.pieces.items() if kind != "date")
        print(f"| {part} ({g.records}) | {g.characters:,} | {g.pieces['date']:,} | {other:,} | {sum(g.wrong.values())} | "
              f"{g.wrong_characters} ({g.wrong_characters / g.characters:.4%}) | {g.mentions_touched} of {g.mentions:,} "
              f"({g.mentions_touched / g.mentions:.3%}) | {g.fields_touched} of {g.fields:,} ({g.fields_touched / g.fields:.3%}) |")
    for part, g in parts.items():
        print(f"{part}: " + ", ".join(f"{kind} {n}" for kind, n in g.pieces.most_common()))
    if show:
        with open(os.open(show, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w", encoding="utf-8") as file:
            for g in parts.values():
                for id, start, end, kind, context in g.pieces_seen:
                    file.write(f"{id}\t{start}\t{end}\t{kind}\t{' '.join(context.split())}\n")


if __name__ == "__main__":
    main()
