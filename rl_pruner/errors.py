"""What can go wrong in a search, each with the two numbers that disagree and what to do."""

from __future__ import annotations


class PrunerError(Exception):
    """Base of all errors of this package.

    Args:
        what: one sentence: found against allowed.
        hint: what the user can do.
    """

    def __init__(self, what: str, *, hint: str = "") -> None:
        self.what, self.hint = what, hint
        super().__init__(f"{what} → {hint}" if hint else what)


class SettingInvalid(PrunerError):
    """A setting of the search or of a policy is outside what it allows."""


class EnvironmentInvalid(PrunerError):
    """The environment contradicts itself: units without a name, a memory that falls when a unit is kept."""


class BudgetUnreachable(PrunerError):
    """The memory limit lies below the smallest plan that the environment allows."""


class PlanOverLimit(PrunerError):
    """A plan needs more memory than the limit, predicted or measured."""


class FullModelTooLarge(PlanOverLimit):
    """Without pruning the model does not fit under the limit."""


class RewardNotFinite(PrunerError):
    """A measurement gives no usable reward (NaN, infinite, or a full model with F1 0)."""


class UnitsChanged(PrunerError):
    """The environment's units are not those that a checkpoint or a cache was made with."""


class CheckpointInvalid(PrunerError):
    """A checkpoint or cache is damaged, belongs to other settings, or is in the way of a fresh start."""
