"""Which parts of a network to remove under a memory limit: an LSTM controller trained with REINFORCE.

The package sees an abstract `PruningEnv` (units, apply, measure) and nothing of what the network is for.
Needs torch and safetensors.
"""

from .controller import HIDDEN_SIZES, Controller
from .environment import Measurement, Plan, PruningEnv, Unit
from .errors import (
    BudgetUnreachable,
    CheckpointInvalid,
    EnvironmentInvalid,
    FullModelTooLarge,
    PlanOverLimit,
    PrunerError,
    RewardNotFinite,
    SettingInvalid,
    UnitsChanged,
)
from .plot import plot_history
from .policies import BruteForce, Comparison, Greedy, NoPruning, RandomPlans, Uniform, compare, format_comparison
from .problem import REWARDS, Evaluation, Outcome, Policy, PruningProblem
from .search import IterationSummary, LstmSearch, SearchConfig

__all__ = [
    "HIDDEN_SIZES",
    "REWARDS",
    "BruteForce",
    "BudgetUnreachable",
    "CheckpointInvalid",
    "Comparison",
    "Controller",
    "EnvironmentInvalid",
    "Evaluation",
    "FullModelTooLarge",
    "Greedy",
    "IterationSummary",
    "LstmSearch",
    "Measurement",
    "NoPruning",
    "Outcome",
    "Plan",
    "PlanOverLimit",
    "Policy",
    "PrunerError",
    "PruningEnv",
    "PruningProblem",
    "RandomPlans",
    "RewardNotFinite",
    "SearchConfig",
    "SettingInvalid",
    "Uniform",
    "Unit",
    "UnitsChanged",
    "compare",
    "format_comparison",
    "plot_history",
]
