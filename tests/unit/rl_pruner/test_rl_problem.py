import json

import pytest
from toy_environment import ToyEnv, misleading_env

from rl_pruner import (
    BruteForce,
    BudgetUnreachable,
    CheckpointInvalid,
    EnvironmentInvalid,
    FullModelTooLarge,
    Greedy,
    Measurement,
    NoPruning,
    Plan,
    PlanOverLimit,
    PruningProblem,
    RandomPlans,
    RewardNotFinite,
    SettingInvalid,
    Unit,
    UnitsChanged,
    compare,
    format_comparison,
)
from rl_pruner.problem import n2n_reward, relative_f1


def test_rewards():
    full = Measurement(0.9, 1000)
    assert n2n_reward(Measurement(0.81, 400), full) == pytest.approx(0.6 * 1.4 * 0.9)
    assert n2n_reward(full, full) == 0
    assert relative_f1(Measurement(0.81, 400), full) == pytest.approx(0.9)


def test_limit_below_the_smallest_plan_names_both():
    env = ToyEnv([1, 1, 1], [10, 20, 30], required=[1])
    with pytest.raises(BudgetUnreachable, match="limit is 119 bytes, the smallest possible plan needs 120"):
        PruningProblem(env, 119)
    assert BruteForce().run(PruningProblem(env, 120)).best.plan.key == "010"


class Untruthful(ToyEnv):
    """Measures a byte more than it predicts."""

    def measure(self, pruned):
        found = super().measure(pruned)
        return Measurement(found.f1, found.memory_bytes + 1)


def test_plans_over_the_wall_are_refused_predicted_and_measured(tmp_path):
    env = Untruthful([1, 1], [10, 20])
    problem = PruningProblem(env, 110, cache_file=tmp_path / "cache.jsonl")
    with pytest.raises(PlanOverLimit, match="01 is predicted at 120 bytes, the limit is 110"):
        problem.evaluate(Plan((False, True)))
    assert env.measured == []
    with pytest.raises(PlanOverLimit, match="10 was measured at 111 bytes, the limit is 110"):
        problem.evaluate(Plan((True, False)))
    assert '"10"' not in (tmp_path / "cache.jsonl").read_text()


@pytest.mark.parametrize("f1", [float("nan"), float("inf"), 0.0])
def test_full_model_without_a_usable_f1(f1, tmp_path):
    env = ToyEnv([1, 1], [10, 20])
    env.measure = lambda pruned: Measurement(f1, 130)
    with pytest.raises(RewardNotFinite, match=f"full model has F1 {f1} at 130 bytes"):
        PruningProblem(env, 130, cache_file=tmp_path / "cache.jsonl").evaluate(Plan((True, False)))
    assert not (tmp_path / "cache.jsonl").exists()


@pytest.mark.parametrize(("plan", "message"), [
    (Plan((True,)), "decides on 1 units, the environment has 2"), (Plan((False, True)), "removes the required unit 'u0'")])
def test_plans_that_do_not_fit_the_units(plan, message):
    with pytest.raises(EnvironmentInvalid, match=message):
        PruningProblem(ToyEnv([1, 1], [10, 20], required=[0]), 130).evaluate(plan)


@pytest.mark.parametrize(("units", "message"), [
    ([], "has 0 prunable units"),
    ([Unit("a", "k", 1, 1), Unit("a", "k", 1, 1)], r"unit 1 \('a'\) has the name of unit 0"),
    ([Unit("a", "k", -1, 1)], "size -1"),
    ([Unit("a", "k", 1, 1, {"l1": 1.0}), Unit("b", "k", 1, 1)], r"has the scores \[\], unit 0 has \['l1'\]"),
    ([Unit("a", "k", 1, 1, {"l1": float("nan")})], "l1 is nan"),
    ([Unit("a", "k", 1, 1, mean_gate=float("inf"))], "mean_gate is inf"),
])
def test_unusable_units_are_named(units, message):
    env = ToyEnv([1], [10])
    env.units = lambda: units
    with pytest.raises(EnvironmentInvalid, match=message):
        PruningProblem(env, 1000)


def test_memory_that_falls_when_units_are_kept():
    env = ToyEnv([1], [10])
    env.memory_bytes = lambda plan: 100 - sum(plan.keep)
    with pytest.raises(EnvironmentInvalid, match="smallest plan needs 100 bytes and the full one 99"):
        PruningProblem(env, 1000)


# ---------------------------------------------------------------------------------------------------------------- cache


def test_cache_measures_once_and_survives(tmp_path):
    env, path = ToyEnv([1, 2], [10, 20]), tmp_path / "cache.jsonl"
    for reward, limit in (("n2n", 130), ("relative_f1", 120)):  # another limit and reward share the measurements
        problem = PruningProblem(env, limit, reward=reward, cache_file=path)
        assert problem.evaluate(Plan((False, True))) == problem.evaluate(Plan((False, True)))
    assert env.measured == ["11", "01"]


def test_cache_cut_short_goes_on_and_other_damage_is_named(tmp_path):
    env, path = ToyEnv([1, 2], [10, 20]), tmp_path / "cache.jsonl"
    PruningProblem(env, 130, cache_file=path).evaluate(Plan((False, True)))
    whole = path.read_bytes()
    header = whole.index(b"\n")
    for cut in (0, 1, header, header + 1, header + 2, whole.rindex(b"\n", 0, -1), len(whole) - 1):
        path.write_bytes(whole[:cut])
        PruningProblem(env, 130, cache_file=path).evaluate(Plan((False, True)))
        assert path.read_bytes() == whole
    path.write_bytes(whole.replace(b'"plan": "11"', b'"plan": "2"'))
    with pytest.raises(CheckpointInvalid, match=r"cache\.jsonl:2 is not a measurement of 2 units"):
        PruningProblem(env, 130, cache_file=path)


def test_cache_of_another_environment_is_refused(tmp_path):
    path = tmp_path / "cache.jsonl"
    PruningProblem(ToyEnv([1, 2], [10, 20]), 130, cache_file=path).evaluate(Plan((False, True)))
    before = path.read_bytes()
    with pytest.raises(UnitsChanged, match=r"measured with 2 units .* now there are 3"):
        PruningProblem(ToyEnv([1, 2, 3], [10, 20, 30]), 160, cache_file=path)
    assert path.read_bytes() == before


def test_cache_holds_no_number_that_json_lacks(tmp_path):
    path = tmp_path / "cache.jsonl"
    PruningProblem(ToyEnv([1, 2], [10, 20]), 130, cache_file=path).evaluate(Plan((True, True)))
    for line in path.read_text().splitlines():
        json.loads(line, parse_constant=pytest.fail)


# ------------------------------------------------------------------------------------------------------------- policies


def test_greedy_keeps_the_best_scores_that_fit():
    env = ToyEnv([3, 2, 1, 0.5], [70, 60, 30, 20])
    problem = PruningProblem(env, env.fixed_bytes + 100)
    assert Greedy("taylor").run(problem).best.plan.key == "1010"  # 60 no longer fits beside 70, 30 does
    assert Greedy("l1").run(problem).best.plan.key == "0011"  # the opposite ranking
    even = PruningProblem(ToyEnv([3, 2, 2], [100, 50, 50]), 200)
    assert Greedy("taylor").run(even).best.plan.key == "100"
    assert Greedy("taylor", per_byte=True).run(even).best.plan.key == "011"
    with pytest.raises(SettingInvalid, match=r"score is 'fisher', the environment gives \['l1', 'taylor'\]"):
        Greedy("fisher").run(problem)


def test_greedy_keeps_required_units_first():
    env = ToyEnv([3, 2, 1], [50, 50, 50], required=[2])
    assert Greedy("taylor").run(PruningProblem(env, env.fixed_bytes + 100)).best.plan.key == "101"


def test_no_pruning_refuses_a_limit_that_is_too_low():
    env = ToyEnv([1, 1], [10, 20])
    assert NoPruning().run(PruningProblem(env, 130)).best.plan.key == "11"
    with pytest.raises(FullModelTooLarge, match="needs 130 bytes, the limit is 129"):
        NoPruning().run(PruningProblem(env, 129))


def test_random_plans_are_distinct_reproducible_and_under_the_wall():
    env = misleading_env(0, 8)
    problem = PruningProblem(env, env.fixed_bytes + sum(env.memory) // 2)
    first, again = RandomPlans(20, seed=3).run(problem), RandomPlans(20, seed=3).run(problem)
    assert first == again
    assert first.n_evaluations == 20
    assert len(set(env.measured)) == len(env.measured) == 21  # with the full model
    assert all(env.memory_bytes(Plan.from_key(key)) <= problem.limit_bytes for key in env.measured[1:])
    assert RandomPlans(10**3).run(PruningProblem(ToyEnv([1], [5]), 105)).n_evaluations == 2  # no more plans than that


def test_brute_force_is_the_best_there_is_and_bounded():
    env = ToyEnv([5, 4, 3], [60, 50, 50])
    problem = PruningProblem(env, env.fixed_bytes + 100, reward="relative_f1")
    outcome = BruteForce().run(problem)
    assert (outcome.best.plan.key, outcome.n_evaluations) == ("011", 5)  # 2 × 50 beats 60, which greedy would take
    assert Greedy("taylor").run(problem).best.reward < outcome.best.reward
    big = ToyEnv([1] * 17, [1] * 17)
    with pytest.raises(SettingInvalid, match="over 17 units, at most 16"):
        BruteForce().run(PruningProblem(big, 1000))


def test_comparison_holds_every_policy_at_one_limit():
    env = misleading_env(1, 6)
    problem = PruningProblem(env, env.fixed_bytes + sum(env.memory) // 2, reward="relative_f1")
    rows = compare(problem, [NoPruning(), RandomPlans(5), Greedy("l1"), Greedy("taylor"), BruteForce()])
    assert [row.policy for row in rows] == ["none", "random", "l1", "taylor", "brute force"]
    assert rows[0].outcome is None and f"the limit is {problem.limit_bytes}" in rows[0].reason
    found = [row.outcome.best for row in rows[1:]]
    assert all(best.measurement.memory_bytes <= problem.limit_bytes for best in found)
    assert max(found, key=lambda best: best.reward) == found[-1]
    table = format_comparison(problem, rows)
    assert table.count("\n| ") == 7  # head, full model, five policies
    assert f"{found[-1].measurement.f1:.4f}" in table


def test_a_wall_crossed_by_measurement_is_no_line_of_the_comparison():
    problem = PruningProblem(Untruthful([1, 1], [10, 20]), 110)
    with pytest.raises(PlanOverLimit):
        compare(problem, [Greedy("taylor")])


def test_unknown_reward():
    with pytest.raises(SettingInvalid, match=r"reward is 'f2', allowed are \['n2n', 'relative_f1'\]"):
        PruningProblem(ToyEnv([1], [1]), 1000, reward="f2")
