"""What the pruning recipe writes is what the paper's tables read."""

import json

import pytest

pytest.importorskip("torch_pruning")


def test_outcomes_of_the_recipe_make_the_table(tmp_path, monkeypatch):
    from benchmarks.paper import pruning
    from rl_pruner import Measurement, Plan, PruningEnv, Unit
    from tcmstruct.recipes import prune

    class Toy(PruningEnv):
        fixed_bytes = 50

        def units(self):
            return [Unit(f"layer {i // 2}/{i}", "unit", 10, 100, {"taylor": float(i), "l1": 1.0}, required=i % 2 == 0) for i in range(8)]

        def apply(self, plan):
            return plan

        def measure(self, plan):
            return Measurement(0.5 + sum(plan.keep) / 20, self.memory_bytes(plan))

    def reported(run, env, material, plan, n_seeds):
        f1 = env.measure(plan).f1
        return {"f1": [f1 + seed / 100 for seed in range(n_seeds)], "memory_bytes": env.memory_bytes(plan), "peak_bytes": 1,
                "n_parameters": 7, "photos_per_s": 3.0}

    monkeypatch.setattr(prune, "reported", reported)
    cells = [*prune.cells(["policies"], 2), *prune.cells(["ratios"], 1)]
    prune.compare(tmp_path, Toy(), None, cells, 12, 2)
    rows = pruning.read_outcomes(tmp_path / "outcomes.jsonl")
    assert {r["policy"] for r in rows} == set(pruning.TITLES)
    assert all(r["memory_bytes"] <= r["limit_bytes"] for r in rows if r["policy"] != "none")
    whole = Toy().memory_bytes(Plan.full(8))
    assert all(r["memory_full_bytes"] == whole and r["f1_full"] == pytest.approx(0.9 + r["seed"] / 100) for r in rows)
    text = pruning._policies([r for r in rows if r["table"] == "policies"])
    assert "**LSTM-RL**" in text and "LSTM-RL against the best other" in text
    before = (tmp_path / "outcomes.jsonl").read_text()
    with open(tmp_path / "outcomes.jsonl", "a") as file:
        file.write('{"cell": "cut')
    prune.compare(tmp_path, Toy(), None, cells, 12, 2)  # nothing is left to do, and the cut line does not count
    assert (tmp_path / "outcomes.jsonl").read_text().startswith(before) and len(prune._lines(tmp_path / "outcomes.jsonl")) == len(rows)
    assert json.loads(before.splitlines()[0])["table"] == "policies"
