"""Tables 4 to 6: pruning policies at equal memory, ratios, and the controller's width, from what the pruning recipe measured."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from benchmarks.paper.figures import NONE, difference, markdown, over_seeds, paired, plus_minus
from benchmarks.paper.run import Run
from benchmarks.paper.store import NotMeasured
from tcmstruct.errors import InputRefused, MissingExtra

OUTCOMES = "outcomes.jsonl"
TITLES = {"none": "none (not pruned)", "random": "random", "l1": "L1", "taylor": "Taylor", "taylor/byte": "Taylor per byte",
          "uniform": "uniform", "lstm-rl": "**LSTM-RL**"}
OURS = "lstm-rl"
AIM_F1, AIM_MEMORY, MOST_LOST = 0.3, 0.10, 1.0
"""Points of F1 or share of memory by which LSTM-RL is to win; points that half of the removable memory may cost."""
NEEDED = {"table": str, "policy": str, "seed": int, "ratio": (int, float), "f1": (int, float), "f1_full": (int, float),
          "memory_bytes": int, "memory_full_bytes": int, "n_parameters": int, "n_parameters_full": int}
_MB = 1_000_000
Outcome = Mapping[str, Any]


QUICK_PLANS = 12


def quick_prune_outcomes(run: Run) -> list[dict[str, Any]]:
    """What a quick run measures of pruning itself: the policies, one seed, few plans; kept in `--work` by the recipe's own journal.

    Raises:
        NotMeasured: the recipe's material is not given, or a module is not installed.
    """
    if not (run.fusion_run and run.tongue_run and run.lite0):
        raise NotMeasured("give --prune-run, or what a quick search needs: --fusion-run, --tongue-run and --lite0")
    try:
        from tcmstruct.recipes.prune import run_tables

        return read_outcomes(run_tables(run.work / "prune-quick", run.data, run.lite0, run.tongue_run, run.fusion_run, ["policies"], 1,
                                        QUICK_PLANS))
    except (ImportError, MissingExtra) as missing:
        raise NotMeasured(f"a quick search needs the extra image-train ({missing})") from None


def read_outcomes(file: Path) -> list[dict[str, Any]]:
    """The recipe's outcomes; a last line that was cut off is left out.

    Raises:
        InputRefused: a line without a figure that the tables need, or with one that is no finite number.
    """
    content = file.read_text(encoding="utf-8")
    lines = content.splitlines() if content.endswith("\n") else content.splitlines()[:-1]
    out = []
    for number, line in enumerate(lines, start=1):
        where = f"{file}:{number}"
        try:
            outcome = json.loads(line)
        except ValueError:
            raise InputRefused("the line is no JSON object", where=where, code="outcomes_unreadable") from None
        for name, kind in NEEDED.items():
            value = outcome.get(name) if isinstance(outcome, dict) else None
            if not isinstance(value, kind) or isinstance(value, bool) or (isinstance(value, float) and not math.isfinite(value)):
                allowed = {str: "text", int: "a whole number"}.get(kind, "a finite number")
                raise InputRefused(f"`{name}` is {value!r}, allowed is {allowed}", where=where, code="outcomes_unreadable",
                                   hint="let the pruning recipe write the file again")
        out.append(outcome)
    return out


def outcomes(run: Run) -> list[dict[str, Any]]:
    """Of the given folder, else of a quick search.

    Raises:
        NotMeasured: there are none.
    """
    if run.prune_run is None:
        if run.quick:
            return quick_prune_outcomes(run)
        raise NotMeasured("give --prune-run, the working folder of the pruning recipe")
    if not (file := run.prune_run / OUTCOMES).is_file():
        raise NotMeasured(f"the folder of --prune-run holds no {OUTCOMES}")
    return read_outcomes(file)


def by_seed(rows: Iterable[Outcome], figure: str) -> dict[int, float]:
    """Seed → figure; of two outcomes of a seed the later."""
    return {row["seed"]: row[figure] for row in rows if row.get(figure) is not None}


def policies_table(run: Run) -> str:
    """Policies at equal measured memory, LSTM-RL paired with each of the others by seed."""
    rows = _of(run, "policies")
    told = []
    for ratio in sorted({r["ratio"] for r in rows if r["policy"] != "none"}):
        here = [r for r in rows if r["policy"] == "none" or r["ratio"] == ratio]
        told.append(f"**{ratio:.0%} of the removable memory removed**\n\n{_policies(here)}")
    return "\n\n".join([*told, _NOTE])


_NOTE = ("F1 after fine-tuning, held out, in points; memory is measured; ± 95 % over seeds (Student's t), differences seed by seed. "
         "The paper: its table is of another data set, machine and network, its figures are not known to us.")


def _policies(rows: Sequence[Outcome]) -> str:
    names = [n for n in TITLES if any(r["policy"] == n for r in rows)] + sorted({r["policy"] for r in rows} - TITLES.keys())
    own = [r for r in rows if r["policy"] == OURS]
    head = ["policy", "seeds", "memory, MB", "of the whole", "parameters, M", "F1", "F1 lost", "photos/s", "plans measured",
            "LSTM-RL − it, F1", "LSTM-RL − it, memory", "paper"]
    table = [head]
    for name in names:
        mine = [r for r in rows if r["policy"] == name]
        other = name not in (OURS, "none")
        table.append([TITLES.get(name, name), str(len(by_seed(mine, "f1"))), *_common(mine),
                      difference(by_seed(own, "f1"), by_seed(mine, "f1"), 2, 100) if other and own else "",
                      _less_memory(own, mine) if other and own else "", NONE])
    return "\n\n".join([markdown(table), _verdict(rows)])


def _common(mine: Sequence[Outcome]) -> list[str]:
    """Cells that all three tables have, of one row's outcomes."""
    lost = [100 * (r["f1_full"] - r["f1"]) for r in mine]
    speed = [r["photos_per_s"] for r in mine if r.get("photos_per_s")]
    plans = [r["n_evaluations"] for r in mine if r.get("n_evaluations") is not None]
    share = [r["memory_bytes"] / r["memory_full_bytes"] for r in mine]
    return [plus_minus([r["memory_bytes"] / _MB for r in mine], 2), plus_minus(share, 1, 100) + " %",
            plus_minus([r["n_parameters"] / 1e6 for r in mine], 3), plus_minus([r["f1"] for r in mine], 2, 100), plus_minus(lost, 2),
            plus_minus(speed, 1), NONE if not plans else f"{sum(plans) / len(plans):.0f}"]


def _less_memory(own: Sequence[Outcome], other: Sequence[Outcome]) -> str:
    """Measured memory of LSTM-RL's plans relative to another policy's, in percent."""
    a, b = by_seed(own, "memory_bytes"), by_seed(other, "memory_bytes")
    return difference({s: a[s] / b[s] for s in a.keys() & b.keys()}, dict.fromkeys(b, 1.0), 1, 100) + " %" if a.keys() & b.keys() else NONE


def _verdict(rows: Sequence[Outcome]) -> str:
    """LSTM-RL against the best of the others."""
    own = by_seed([r for r in rows if r["policy"] == OURS], "f1")
    others = {name: by_seed([r for r in rows if r["policy"] == name], "f1") for name in {r["policy"] for r in rows} - {OURS, "none"}}
    others = {name: f1 for name, f1 in others.items() if f1.keys() & own.keys()}
    if not own or not others:
        return "LSTM-RL is not compared: it has no seed in common with another policy."
    best = max(others, key=lambda name: over_seeds(list(others[name].values()))[0])
    mean, half, n = paired(own, others[best])
    gain, half = 100 * mean, None if half is None else 100 * half
    a, b = (by_seed([r for r in rows if r["policy"] == name], "memory_bytes") for name in (OURS, best))
    saved, _, _ = paired(dict.fromkeys(b, 1.0), {s: a[s] / b[s] for s in a.keys() & b.keys()})
    won = gain >= AIM_F1 or (gain >= 0 and saved >= AIM_MEMORY)
    sure = "" if half is None else (", an interval that excludes 0" if abs(gain) > half else ", an interval that includes 0")
    return (f"LSTM-RL against the best other ({TITLES.get(best, best)}): {gain:+.2f}{'' if half is None else f' ± {half:.2f}'} points over "
            f"{n} seed{'s' if n > 1 else ''}{sure}; {saved:+.1%} memory saved. Aim: {AIM_F1} points or {AIM_MEMORY:.0%} of memory: "
            f"{'met' if won else '**missed**'}.")


def ratios_table(run: Run) -> str:
    """LSTM-RL from 30 to 70 % removed."""
    rows = _of(run, "ratios")
    head = ["removed", "policy", "seeds", "memory, MB", "of the whole", "parameters, M", "F1", "F1 lost", "photos/s", "plans measured",
            "paper"]
    table = [head]
    for ratio in sorted({r["ratio"] for r in rows}):
        for policy in [n for n in TITLES if any(r["ratio"] == ratio and r["policy"] == n for r in rows)]:
            mine = [r for r in rows if r["ratio"] == ratio and r["policy"] == policy]
            table.append([f"{ratio:.0%}", TITLES[policy], str(len(by_seed(mine, "f1"))), *_common(mine), NONE])
    half = [100 * (r["f1_full"] - r["f1"]) for r in rows if abs(r["ratio"] - 0.5) < 1e-9 and r["policy"] == OURS]
    told = [markdown(table)]
    if half:
        lost = sum(half) / len(half)
        told.append(f"At 50 %, LSTM-RL loses {plus_minus(half, 2)} points (asked: at most {MOST_LOST:.0f}): "
                    f"{'met' if lost <= MOST_LOST else '**missed**'}.")
    return "\n\n".join([*told, _NOTE])


def hidden_table(run: Run) -> str:
    """Width of the controller's LSTM."""
    rows = [r for r in _of(run, "hidden") if r.get("hidden")]
    if not rows:
        raise NotMeasured("no outcome names the controller's width")
    head = ["LSTM hidden", "seeds", "memory, MB", "of the whole", "parameters, M", "F1", "F1 lost", "photos/s", "plans measured",
            "− narrowest, F1", "paper"]
    table, narrowest = [head], min(r["hidden"] for r in rows)
    base = by_seed([r for r in rows if r["hidden"] == narrowest], "f1")
    for hidden in sorted({r["hidden"] for r in rows}):
        mine = [r for r in rows if r["hidden"] == hidden]
        gain = "" if hidden == narrowest else difference(by_seed(mine, "f1"), base, 2, 100)
        table.append([str(hidden), str(len(by_seed(mine, "f1"))), *_common(mine), gain, NONE])
    return "\n\n".join([markdown(table), _NOTE])


def _of(run: Run, table: str) -> list[dict[str, Any]]:
    rows = [r for r in outcomes(run) if r["table"] == table]
    if not rows:
        raise NotMeasured(f"{OUTCOMES} holds no outcome of the table {table!r}")
    return rows
