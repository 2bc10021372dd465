"""How much of real tongue, coating and pulse phrases the phrase grammar reads, and whether it reads them right.

    python -m benchmarks.phrases [--list] [--list-split train] [--by-field] [--sample 2000]

Prints four tables:

1. The distinct 舌, 苔 and 脉 phrases of records/inpatient.jsonl, published_cases.jsonl and outpatient_cases.jsonl, and the
   share that parses completely. Where a record is annotated (gold/train.jsonl, gold/dev.jsonl), its phrases are the texts
   of its mentions 舌质, 舌苔 and 脉象; where it is not, they are cut (`cut`). Records of dev are of the same kinds but stand
   in none of the three files. The grammar was written with the phrases of train in view; those of dev and of the records
   without annotation were only counted.
2. Three checks from outside: the same records cut by rule throughout, so that no border is chosen by a reader; clauses of
   case books (records/casebooks.jsonl, at random from the half that was not read while the grammar was written); and how
   often the grammar accepts what it should not: mentions of other findings (症状), and its own phrases with the
   characters in random order.
3. Values of 舌色, 舌形, 苔色, 苔质, 脉象 of gold records, recomputed from the mentions by the grammar, beside those of the
   shipped schema reader given the same mentions: F1 of whole fields (equal sets) and of single values.
4. Time of one parse (median of single calls).

Reads $TCMSTRUCT_DATA. Record text is printed with --list and --errors only.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import random
import re
import statistics
import sys
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from benchmarks.machine import print_machine
from benchmarks.schema_fields import f1, mentions, same
from tcmstruct.pipeline import Structurer
from tcmstruct.record import Record
from tcmstruct.schema import load_schema
from vocab.phrase_grammar import Grammar, shipped

FILES = ("inpatient", "published_cases", "outpatient_cases")
KINDS = {"舌质": "tongue_body", "舌苔": "tongue_coating", "脉象": "pulse"}
HEADS = {"舌": "舌质", "苔": "舌苔", "脉": "脉象"}
FIELDS = ("舌色", "舌形", "苔色", "苔质", "脉象")

# 脉 that is no pulse, and 舌 that is no tongue
OTHER = re.compile("(?<!舌下)[动静]脉|[经血冠心筋百奇门任冲督带生通颈八复]脉|(?<!舌下)(?:络脉|脉络)|喉舌|木舌"
                   "|脉(?:管炎|冲|压|证|症|痹|瘀|通|学|诀|散|饮|案)")
STRONG = re.compile("[。；;！!？?\n|]")
CLAUSE = re.compile("[，,：:]")
BEFORE = "左右两双二六寸关尺手侧部腕整体的所有诊切按薄厚白黄腻少无剥灰黑"
"""Characters that belong to the phrase when they stand right before its 舌, 苔 or 脉."""
GOES_ON = re.compile("(?:但|而|且|尤|并|唯|惟)?(?:[边尖根中体质左右两双寸关尺按]|重按|轻|沉取|浮取|有齿|齿|裂|瘀|有裂|有瘀)")
"""How a clause begins that goes on with the phrase before the comma."""

VISIT = re.compile("(?<=[，。；,;：:\\n ])(?:[二三复再]诊[：:（(]|第二诊)")
"""Fields describe the first visit; from here on another is told."""
STATEMENT_GAP = 40
"""Characters between mentions of one statement at most; of several statements the last counts (gold/GUIDE.md)."""


def root() -> Path:
    return Path(os.environ.get("TCMSTRUCT_DATA", Path(__file__).parents[2] / "shared" / "data"))


def lines(path: Path) -> list[dict[str, Any]]:
    with open(path, encoding="utf-8") as source:
        return [json.loads(line) for line in source]


def cut(text: str) -> Iterator[tuple[str, str]]:
    """(type, phrase) for each clause that speaks of tongue, coating or pulse.

    A clause lies between commas; from its first 舌, 苔 or 脉 (with sides, positions and qualities standing right before
    it) to its end, and over the comma where the next clause goes on (边有齿痕, 尺弱, 重按无力). Nothing is dropped for
    being long or odd, only words that are no pulse or tongue (静脉, 脉络, 脉证).
    """
    for sentence in STRONG.split(text):
        clauses = CLAUSE.split(sentence)
        n = 0
        while n < len(clauses):
            clause = clauses[n].strip()
            blanked = OTHER.sub(lambda hit: "　" * len(hit[0]), clause)
            hit = re.search("[舌苔脉]", blanked)
            n += 1
            if hit is None:
                continue
            start = hit.start()
            while start and clause[start - 1] in BEFORE:
                start -= 1
            phrase = clause[start:]
            while n < len(clauses) and not re.search("[舌苔脉]", clauses[n]) and GOES_ON.match(clauses[n].strip()):
                phrase += "，" + clauses[n].strip()
                n += 1
            yield HEADS[hit[0]], phrase.strip()


def phrases() -> list[tuple[str, str, str, str]]:
    """(file, part, type, phrase) of all records, each phrase once a file and part."""
    gold = {r["id"]: (part, r) for part in ("train", "dev") for r in lines(root() / "gold" / f"{part}.jsonl")}
    found: dict[tuple[str, str, str, str], None] = {}
    filed = {r["id"] for file in FILES for r in lines(root() / "records" / f"{file}.jsonl")}
    for part, record in gold.values():
        if record["id"] not in filed:
            found.update(dict.fromkeys(("", part, e["type"], e["text"]) for e in record["entities"] if e["type"] in KINDS))
    for file in FILES:
        for record in lines(root() / "records" / f"{file}.jsonl"):
            part, annotated = gold.get(record["id"], ("no gold", None))
            if annotated is None:
                told: Iterable[tuple[str, str]] = cut(record["text"])
            else:
                told = ((e["type"], e["text"]) for e in annotated["entities"] if e["type"] in KINDS)
            found.update(dict.fromkeys((file, part, kind, phrase) for kind, phrase in told))
    return list(found)


def share(grammar: Grammar, wanted: Iterable[tuple[str, str]]) -> tuple[int, int]:
    """(distinct phrases, of them complete)."""
    distinct = set(wanted)
    return len(distinct), sum(grammar.parse(phrase, KINDS.get(kind)).complete for kind, phrase in distinct)


def cells(n: int, complete: int) -> str:
    return f"{n} | {complete / n:.3f}" if n else "0 | –"


def completeness(grammar: Grammar, rows: list[tuple[str, str, str, str]]) -> None:
    print("\n| | " + " | ".join(f"{kind}: phrases | complete" for kind in KINDS) + " | all: phrases | complete |")
    print("|---" * 9 + "|")
    chosen = [(f"{file}.jsonl", lambda row, file=file: row[0] == file) for file in FILES]
    chosen += [("the three files", lambda row: row[0] != "")]
    chosen += [(part, lambda row, part=part: row[1] == part) for part in ("train", "dev", "no gold")]
    train = {row[2:] for row in rows if row[1] == "train"}
    chosen += [("dev and no gold, not in train", lambda row: row[1] != "train" and row[2:] not in train)]
    chosen += [("the three files and dev", lambda row: True)]
    for name, keep in chosen:
        own = [row[2:] for row in rows if keep(row)]
        per_kind = " | ".join(cells(*share(grammar, (row for row in own if row[0] == kind))) for kind in KINDS)
        print(f"| {name} | {per_kind} | {cells(*share(grammar, own))} |")


def half(text: str) -> bool:
    """Whether a case book may be counted; the words of the other half were read while the grammar was written."""
    return int(hashlib.sha256(text.encode()).hexdigest(), 16) % 2 == 0


def outside(grammar: Grammar, rows: list[tuple[str, str, str, str]], sample: int) -> None:
    print("\n| check | phrases | complete |\n|---|---|---|")
    cut_all = {pair for file in FILES for r in lines(root() / "records" / f"{file}.jsonl") for pair in cut(r["text"])}
    print(f"| the three files cut by rule throughout | {cells(*share(grammar, cut_all))} |")
    books = sorted({pair for r in lines(root() / "records" / "casebooks.jsonl") if half(r["text"])
                    for pair in cut(r["text"])})
    chosen = random.Random(0).sample(books, min(sample, len(books)))
    print(f"| case books, at random | {cells(*share(grammar, chosen))} |")
    short = [pair for pair in chosen if len(pair[1]) <= 8]
    print(f"| – of them, of eight characters or fewer | {cells(*share(grammar, short))} |")
    gold = [r for part in ("train", "dev") for r in lines(root() / "gold" / f"{part}.jsonl")]
    others = {("", e["text"]) for r in gold for e in r["entities"]
              if e["type"] == "症状" and not re.search("[舌苔脉便尿溲痰涕泻泄]", e["text"])}
    print(f"| must not parse: 症状 without a word of tongue, pulse, stool, urine, sputum | {cells(*share(grammar, others))} |")
    read = [(b - a, role) for _, _, kind, phrase in rows for a, b, role in grammar.parse(phrase, KINDS[kind]).words]
    function = sum(n for n, role in read if role == "filler") / sum(n for n, _ in read)
    dice = random.Random(0)
    shuffled = {(kind, "".join(dice.sample(phrase, len(phrase)))) for _, _, kind, phrase in rows if len(phrase) > 5}
    print(f"| should mostly not parse: phrases of six characters or more in random order | {cells(*share(grammar, shuffled))} |")
    print(f"\nCharacters of the phrases of the first table that are read as function words: {function:.3f}")


def recomputed(grammar: Grammar, record: dict[str, Any]) -> dict[str, list[str]]:
    """The five fields by the grammar: of the statements before a second visit, the last that holds a mention of the type."""
    stop = VISIT.search(record["text"], 1)
    limit = stop.start() if stop else len(record["text"])
    statements: dict[str, tuple[int, dict[str, list[str]]]] = {}
    group = last = 0
    for e in sorted((e for e in record["entities"] if e["type"] in KINDS), key=lambda e: e["start"]):
        if e["start"] >= limit:
            break
        group += e["start"] - last > STATEMENT_GAP
        last = e["end"]
        before, told = statements.get(e["type"], (group, {}))
        told = told if before == group else {}
        for name, values in grammar.fields(grammar.parse(e["text"], KINDS[e["type"]])).items():
            told[name] = list(dict.fromkeys(told.get(name, []) + values))
        statements[e["type"]] = group, told
    found: dict[str, list[str]] = {}
    for _, told in statements.values():
        for name, values in told.items():
            found[name] = list(dict.fromkeys(found.get(name, []) + values))
    return {name: found[name] for name in FIELDS if name in found}


def agreement(grammar: Grammar, by_field: bool, errors: str) -> None:
    schema = load_schema("all")
    print("\n| fields from gold mentions | values | grammar: fields F1 | values F1 | schema reader: fields F1 | values F1 |")
    print("|---|---|---|---|---|---|")
    for part in ("train", "dev"):
        records = lines(root() / "gold" / f"{part}.jsonl")
        gold = [{n: v["value"] for n, v in r["fields"].items() if n in FIELDS} for r in records]
        ways = {"grammar": [recomputed(grammar, r) for r in records],
                "schema": [{n: v.value for n, v in schema.extract(r["text"], mentions(r, "oracle")).items() if n in FIELDS}
                           for r in records]}
        for names in [FIELDS, *([(name,) for name in FIELDS] if by_field else [])]:
            n = sum(len(as_set(g[name])) for g in gold for name in names if name in g)
            scores = []
            for found in ways.values():
                whole, single = [0, 0, 0], [0, 0, 0]
                for g, p in zip(gold, found, strict=True):
                    for name in names:
                        a, b = as_set(g.get(name)), as_set(p.get(name))
                        whole = [whole[0] + (bool(a) and a == b), whole[1] + bool(b), whole[2] + bool(a)]
                        single = [single[0] + len(a & b), single[1] + len(b), single[2] + len(a)]
                scores += [f"{f1(whole):.4f}", f"{f1(single):.4f}"]
            print(f"| {part}{'' if len(names) > 1 else ' ' + names[0]} | {n} | {' | '.join(scores)} |")
        if errors == part:
            for r, g, p in zip(records, gold, ways["grammar"], strict=True):
                for name in FIELDS:
                    if not same(g.get(name, []), p.get(name, [])):
                        said = r["fields"][name]["evidence"] if name in g else ""
                        told = " | ".join(e["text"] for e in r["entities"] if e["type"] in KINDS)
                        print(f"{r['id']} {name} gold={g.get(name)} grammar={p.get(name)} schema="
                              f"{ways['schema'][records.index(r)].get(name)} {said!r} of {told!r}", file=sys.stderr)


def from_predicted_mentions(grammar: Grammar, by_field: bool) -> None:
    """The same on dev with the mentions that the shipped model finds: grammar on them, and the fields that the product gives."""
    records = lines(root() / "gold" / "dev.jsonl")
    results = Structurer(threads=1).structure_many([Record(r["id"], r["text"]) for r in records])
    predicted = [{"text": r.text, "entities": [{"type": m.type, "start": m.start, "end": m.end, "text": m.slice(r.text)}
                                               for m in r.entities]} for r in results]
    gold = [{n: v["value"] for n, v in r["fields"].items() if n in FIELDS} for r in records]
    ways = ([recomputed(grammar, r) for r in predicted], [{n: v.value for n, v in r.fields.items() if n in FIELDS} for r in results])
    print("\n| fields from predicted mentions (dev) | grammar: values F1 | product: values F1 |\n|---|---|---|")
    for names in [FIELDS, *([(name,) for name in FIELDS] if by_field else [])]:
        scores = []
        for found in ways:
            pairs = [(as_set(g.get(n)), as_set(p.get(n))) for g, p in zip(gold, found, strict=True) for n in names]
            scores.append(f"{f1([sum(len(a & b) for a, b in pairs), sum(len(b) for _, b in pairs), sum(len(a) for a, _ in pairs)]):.4f}")
        print(f"| {'all' if len(names) > 1 else names[0]} | {' | '.join(scores)} |")


def as_set(value: Any) -> set[str]:
    return set() if value is None else set(value if isinstance(value, list) else [value])


def speed(grammar: Grammar, rows: list[tuple[str, str, str, str]]) -> None:
    took: list[tuple[float, int]] = []
    for _, _, kind, phrase in rows:
        began = time.process_time()
        grammar.parse(phrase, KINDS[kind])
        took.append((time.process_time() - began, len(phrase)))
    print(f"\nOne parse: median {statistics.median(t for t, _ in took) * 1e3:.2f} ms; a character "
          f"{sum(t for t, _ in took) / sum(n for _, n in took) * 1e6:.0f} µs over {len(took)} phrases")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--list", action="store_true", help="print the phrases that do not parse completely (record text)")
    parser.add_argument("--list-split", choices=("train", "dev", "no gold", "all"), default="all", help="part to list")
    parser.add_argument("--by-field", action="store_true", help="agreement of each field")
    parser.add_argument("--errors", choices=("", "train", "dev"), default="", help="print disagreements (record text)")
    parser.add_argument("--sample", type=int, default=2000, help="clauses of case books")
    options = parser.parse_args()
    if not (root() / "gold").is_dir():
        sys.exit(f"no gold/ at {root()} → set TCMSTRUCT_DATA")
    print_machine()
    grammar = shipped()
    rows = phrases()
    completeness(grammar, rows)
    outside(grammar, rows, options.sample)
    agreement(grammar, options.by_field, options.errors)
    from_predicted_mentions(grammar, options.by_field)
    speed(grammar, rows)
    if options.list:
        for file, part, kind, phrase in rows:
            parse = grammar.parse(phrase, KINDS[kind])
            if not parse.complete and options.list_split in ("all", part):
                missed = " ".join(phrase[a:b] for a, b in parse.uncovered) or "(ends too early)"
                print(f"{file} {part} {kind}: {phrase!r}: {missed}")


if __name__ == "__main__":
    main()
