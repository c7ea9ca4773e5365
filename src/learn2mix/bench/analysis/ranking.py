"""Methods over all tasks: how often each ends lower than another one, and how low beside a constant prediction."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from learn2mix import registry
from learn2mix.bench.analysis import stats
from learn2mix.bench.analysis.figures import Arm, Row, Summary, TaskSummary
from learn2mix.bench.analysis.quantities import PRIMARY, Array
from learn2mix.bench.analysis.stats import Estimate
from learn2mix.bench.analysis.summary import FOCUS, REFERENCE

OPPONENTS = (REFERENCE, "natural", "balanced")
"""What methods may be ranked against: the plain ways to fill a batch."""


@dataclass(frozen=True)
class Standing:
    """One method beside an opponent, over the tasks and seeds that both have.

    Args:
        name: The method's name in tables.
        method: The method.
        tasks: How many tasks both have.
        runs: How many runs of each: over those tasks, the seeds that both have.
        improvement: The probability that a run of the method ends lower than one of the opponent, with its stratified
            bootstrap interval; n counts runs.
        relative: The interquartile mean of the final metric over that of a constant prediction, likewise.
        opponent_relative: The opponent's, over the same tasks and seeds.
    """

    name: str
    method: str
    tasks: int
    runs: int
    improvement: Estimate
    relative: Estimate
    opponent_relative: Estimate


@dataclass
class _Pool:
    """Final metrics of a method and of its opponent: a task an array, (seeds,)."""

    method: str
    ours: list[Array] = field(default_factory=list)
    theirs: list[Array] = field(default_factory=list)
    constants: list[Array] = field(default_factory=list)


def opponents(summary: Summary) -> tuple[str, ...]:
    """Return the opponents that there are runs of."""
    return tuple(method for method in OPPONENTS if any(task.row(method) for task in summary.tasks))


def foremost(task: TaskSummary) -> list[Row]:
    """Choose a row a method: the reference, the focus and the opponents first, then from the lowest metric up.

    Of several settings of a method those count that it has on the task when none is asked for; else the first.
    """
    rows: dict[str, Row] = {}
    for row, arm in zip(task.rows, task.arms, strict=True):
        if row.method not in rows or _is_default(arm, task):
            rows[row.method] = row
    first = [rows.pop(method) for method in dict.fromkeys((REFERENCE, FOCUS, *OPPONENTS)) if method in rows]
    return [*first, *sorted(rows.values(), key=lambda row: (np.isnan(row.final.mean), row.final.mean))]


def _is_default(arm: Arm, task: TaskSummary) -> bool:
    """Tell whether runs have the settings that their method takes from their task; not where either is unknown."""
    registry.load()
    try:
        method, on = registry.get("method", arm.method).part, registry.get("task", task.task).part
    except ValueError:
        return False
    return bool(next(iter(arm.runs.values())).settings.get("method_settings") == method().settings(on))


def rank(summary: Summary, opponent: str = REFERENCE) -> tuple[Standing, ...]:
    """Set every method beside an opponent over the tasks and seeds that both have.

    Args:
        summary: The figures; a task under several settings counts as several, one on which every method ends worse than a
            constant prediction does not count.
        opponent: The method to rank against.

    Returns:
        A standing a method that has a task and seed in common with the opponent: those over most tasks first, of equally
        many the most often lower.
    """
    pools: dict[str, _Pool] = {}
    for task in (task for task in summary.tasks if not task.no_better_than_constant):
        theirs = next((arm for arm in task.arms if arm.method == opponent), None)
        for arm in task.arms:
            seeds = sorted(arm.runs.keys() & theirs.runs.keys()) if theirs and theirs is not arm else []
            if theirs and seeds:
                pool = pools.setdefault(arm.name, _Pool(arm.method))
                pool.ours.append(_finals(arm, seeds))
                pool.theirs.append(_finals(theirs, seeds))
                pool.constants.append(_constants(arm, seeds))
    standings = [_standing(name, pool) for name, pool in pools.items()]
    return tuple(sorted(standings, key=lambda own: (-own.tasks, -own.improvement.mean, own.name)))


def _finals(arm: Arm, seeds: Sequence[int]) -> Array:
    """Return the final metrics; what is not finite has lost to everything that is."""
    by_seed = arm.at_end(PRIMARY)
    ends = np.array([by_seed[seed] for seed in seeds])
    return np.where(np.isnan(ends), np.inf, ends)


def _constants(arm: Arm, seeds: Sequence[int]) -> Array:
    return np.array([arm.runs[seed].facts["reference_metric"] for seed in seeds], dtype=np.float64)


def _standing(name: str, pool: _Pool) -> Standing:
    known = [i for i, constants in enumerate(pool.constants) if (constants > 0).all()]
    ours, theirs = ([side[i] / pool.constants[i] for i in known] for side in (pool.ours, pool.theirs))
    return Standing(
        name=name,
        method=pool.method,
        tasks=len(pool.ours),
        runs=sum(task.size for task in pool.ours),
        improvement=_improvement(pool.ours, pool.theirs),
        relative=_middle(ours),
        opponent_relative=_middle(theirs),
    )


def _improvement(ours: Sequence[Array], theirs: Sequence[Array]) -> Estimate:
    chance = float(stats.probability_of_improvement(ours, theirs))
    low, high = _interval(stats.probability_of_improvement, ours, theirs)
    return Estimate(chance, low, high, sum(task.size for task in ours))


def _middle(scores: Sequence[Array]) -> Estimate:
    if not scores:
        return Estimate(float("nan"), None, None, 0)
    low, high = _interval(stats.interquartile_mean, scores)
    return Estimate(float(stats.interquartile_mean(scores)), low, high, sum(task.size for task in scores))


def _interval(statistic: stats.Statistic, *samples: Sequence[Array]) -> tuple[float | None, float | None]:
    """Bound a statistic, where every task has the two runs that this takes, all scores are finite and draws differ."""
    tasks = [task for sample in samples for task in sample]
    if min(task.size for task in tasks) < 2 or not all(np.isfinite(task).all() for task in tasks):
        return None, None
    low, high = stats.bootstrap_interval(statistic, *samples, seed=0)
    return (None, None) if np.isclose(low, high, rtol=1e-12, atol=0) else (low, high)


def method_names(tasks: Sequence[TaskSummary]) -> Mapping[str, str]:
    """Return all names of rows with their methods: the reference first, then the focus, then by name."""
    methods = {row.name: row.method for task in tasks for row in task.rows}
    order = sorted(methods, key=lambda name: (methods[name] != REFERENCE, methods[name] != FOCUS, name))
    return {name: methods[name] for name in order}
