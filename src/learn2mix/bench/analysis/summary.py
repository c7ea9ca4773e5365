"""From runs to figures: who is compared with whom, and every number that is shown."""

from __future__ import annotations

import json
from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, TypeVar

import numpy as np

from learn2mix import metrics
from learn2mix.bench.analysis import stats
from learn2mix.bench.analysis.figures import AXES, Arm, Row, Summary, TaskSummary
from learn2mix.bench.analysis.quantities import PRIMARY, QUANTITIES, Quantity
from learn2mix.bench.analysis.stats import Estimate, Reached
from learn2mix.bench.record import Run
from learn2mix.bench.step_times import StepTimes

REFERENCE = "classical"
FOCUS = "learn2mix"
LEVEL = 0.05
NO_BETTER_THAN_CONSTANT = (
    "No method ends better than a constant prediction: this measures how fast a bias moves, not what is learned."
)


def summarise(runs: Iterable[Run], *, timing: Mapping[str, Any] | Sequence[Mapping[str, Any]] | None = None) -> Summary:
    """Work out every figure that is shown of runs.

    Runs with equal settings apart from the method's own (``method`` and settings whose name starts with ``method_``)
    and the seed are compared with each other. Differences are to ``classical``, paired by seed. Times to target are to
    the level at which the worst of its runs ends, so that all of those have reached it.

    Args:
        runs: Runs, of one task or several; the same run given twice counts once.
        timing: Step times, as the clock writes them, of one task or several; without them there are no seconds.

    Returns:
        The figures.

    Raises:
        ValueError: There is no run, or runs that belong together differ in their last epoch, groups or metric.
    """
    timings = [timing] if isinstance(timing, Mapping) else list(timing or [])
    unique = {run.key: run for run in runs}
    if not unique:
        raise ValueError("there are no runs to summarise; make some with `learn2mix compare TASK`")
    together: dict[str, list[Run]] = {}
    for run in sorted(unique.values(), key=lambda run: json.dumps(dict(run.settings), sort_keys=True)):
        together.setdefault(json.dumps(_shared(run), sort_keys=True), []).append(run)
    titles = _titles([json.loads(key) for key in together])
    pairs = sorted(zip(titles, together.values(), strict=True), key=lambda pair: pair[0])
    return _adjust([_task(title, group, timings) for title, group in pairs])


def _shared(run: Run) -> dict[str, Any]:
    """Return the settings that all methods under comparison have in common."""
    return {key: value for key, value in run.settings.items() if key != "seed" and not key.startswith("method")}


def _titles(settings: Sequence[Mapping[str, Any]]) -> list[str]:
    """Name each set of settings by its task, and by what differs where a task comes several times."""
    titles = []
    for own in settings:
        rivals = [other for other in settings if other.get("task") == own.get("task")]
        differing = [k for k in sorted({k for r in rivals for k in r}) if len({repr(r.get(k)) for r in rivals}) > 1]
        titles.append(_label(str(own.get("task")), own, differing))
    return titles


def _label(name: str, settings: Mapping[str, Any], keys: Sequence[str]) -> str:
    details = ", ".join(f"{key} {settings[key]}" for key in keys if key in settings)
    return f"{name} ({details})" if details else name


def _arms(runs: Sequence[Run], timings: Sequence[Mapping[str, Any]]) -> list[Arm]:
    """Gather runs by method and method settings, the reference first, then the focus, then by name."""
    together: dict[str, list[Run]] = {}
    for run in runs:
        together.setdefault(json.dumps(_own(run), sort_keys=True), []).append(run)
    variants = [{**json.loads(key), **(json.loads(key).get("method_settings") or {})} for key in together]
    arms = []
    for own, members in zip(variants, together.values(), strict=True):
        method = str(own.get("method"))
        rivals = [other for other in variants if other.get("method") == own.get("method")]
        keys = sorted({key for rival in rivals for key in rival} - {"method_settings"})
        differing = [key for key in keys if len({repr(rival.get(key)) for rival in rivals}) > 1]
        by_seed = {int(run.settings["seed"]): run for run in members}
        arms.append(
            Arm(
                _label(method, own, differing),
                method,
                dict(sorted(by_seed.items())),
                *_step_times(timings, members[0].settings, method),
            )
        )
    return sorted(arms, key=lambda arm: (arm.method != REFERENCE, arm.method != FOCUS, arm.name))


def _step_times(
    timings: Sequence[Mapping[str, Any]], settings: Mapping[str, Any], method: str
) -> tuple[float | None, tuple[float, ...]]:
    """Look a step time and its rounds up; times of another task, or under other settings, say nothing of this one."""
    for timing in timings:
        theirs = timing.get("settings", {"task": timing.get("task", settings.get("task"))})
        same = all(settings.get(key) == value for key, value in theirs.items())
        if same and method in timing.get("seconds_per_step", {}):
            rounds = timing.get("rounds", {}).get(method)
            return float(timing["seconds_per_step"][method]), StepTimes(**rounds).by_round if rounds else ()
    return None, ()


def _task(title: str, runs: Sequence[Run], timings: Sequence[Mapping[str, Any]]) -> TaskSummary:
    first = runs[0]
    _require_alike(title, runs)
    runs = _aligned(runs)
    arms = _arms(runs, timings)
    reference = next((arm for arm in arms if arm.method == REFERENCE), None)
    constant = float(np.mean([run.facts["reference_metric"] for run in runs]))
    target, source = _target(reference, constant)
    shares = np.mean([run.curves["proportions"][0] for run in runs], axis=0)
    rows = tuple(_row(arm, reference, target) for arm in arms)
    seeds = tuple(sorted({seed for arm in arms for seed in arm.runs}))
    epochs = float((reference or arms[0]).stack("epoch")[0, -1])
    task = TaskSummary(
        task=str(first.settings.get("task")),
        title=title,
        metric=str(first.facts["metric"]),
        evaluated_on=str(first.settings.get("evaluate_on", "test")),
        epochs=int(epochs) if epochs.is_integer() else epochs,
        budget=_budget(first.settings, epochs),
        seeds=seeds,
        group_names=tuple(str(name) for name in first.facts["group_names"]),
        group_shares=tuple(float(share) for share in shares),
        constant=constant,
        target=target,
        target_source=source,
        settings=_shared(first),
        rows=rows,
        arms=tuple(arms),
    )
    return replace(task, notes=_notes(task))


def _target(reference: Arm | None, constant: float) -> tuple[float | None, str]:
    """Choose the level for times to target, and say where it comes from."""
    if reference is None:
        return None, ""
    level = float(reference.stack("test_metric")[:, -1].max())
    if not level <= constant:  # what a constant prediction does better is no aim, nor is NaN
        return None, ""
    return level, f"the level at which the worst run of {reference.name} ends, so all its runs reach it"


def _budget(settings: Mapping[str, Any], epochs: float) -> str:
    """Word the budget in the unit that it was given in; epochs where the settings name none."""
    unit = next((unit for unit in ("seconds", "steps", "epochs") if unit in settings), "epochs")
    amount = float(settings.get(unit, epochs))
    written = f"{amount:,.0f}" if amount.is_integer() else f"{amount:,.4g}"
    return f"{written} {unit.removesuffix('s') if amount == 1 else unit}"


def _require_alike(title: str, runs: Sequence[Run]) -> None:
    """Refuse runs that cannot be laid side by side, rather than cut some short.

    A budget in seconds gives each method its own number of steps; otherwise all end with the same epoch.
    """
    features: dict[str, list[object]] = {
        "groups": [list(run.facts["group_names"]) for run in runs],
        "metric": [run.facts["metric"] for run in runs],
        "last epoch": [float(run.curves["epoch"][-1]) for run in runs],
    }
    counterparts = _counterparts(runs)
    for what, values in features.items():
        for i, value in enumerate(values):
            first = counterparts[i] if what == "last epoch" else 0
            if value != values[first]:
                raise ValueError(
                    f"{title}: runs {runs[first].key} and {runs[i].key} have equal shared settings but another {what} "
                    f"({values[first]!r}, {value!r}); delete the one that is wrong, or put what differs into the settings"
                )


def _counterparts(runs: Sequence[Run]) -> list[int]:
    """Return for each run the place of the first that it has to end with: any, or any of its method."""
    methods = [json.dumps(_own(run), sort_keys=True) if "seconds" in run.settings else "" for run in runs]
    return [methods.index(method) for method in methods]


def _aligned(runs: Sequence[Run]) -> list[Run]:
    """Keep the epochs that all runs which end together have: some may have been thinned, for publishing."""
    counterparts = _counterparts(runs)
    epochs = [set(run.curves["epoch"].tolist()) for run in runs]
    common = {place: set.intersection(*_those_of(epochs, counterparts, place)) for place in set(counterparts)}
    aligned = []
    for run, own, place in zip(runs, epochs, counterparts, strict=True):
        if len(own) > len(common[place]):
            rows = np.isin(run.curves["epoch"], list(common[place]))
            run = replace(run, curves={name: column[rows] for name, column in run.curves.items()})
        aligned.append(run)
    return aligned


def _those_of(epochs: Sequence[set[float]], counterparts: Sequence[int], place: int) -> list[set[float]]:
    return [own for own, its in zip(epochs, counterparts, strict=True) if its == place]


def _own(run: Run) -> dict[str, Any]:
    """Return the settings that are the method's own."""
    return {key: value for key, value in run.settings.items() if key.startswith("method")}


def _row(arm: Arm, reference: Arm | None, target: float | None) -> Row:
    ends = {quantity: found for quantity in QUANTITIES if (found := arm.at_end(quantity))}
    differences = {}
    if reference is not None and reference is not arm:
        differences = {quantity: difference(arm, reference, quantity) for quantity in ends if quantity.compared}
    epochs = float(arm.stack("epoch")[0, -1]) or 1.0  # a run of no epoch spends nothing
    return Row(
        name=arm.name,
        method=arm.method,
        n=len(arm.runs),
        estimates={quantity: stats.mean_interval(list(values.values())) for quantity, values in ends.items()},
        differences={quantity: found for quantity, found in differences.items() if found is not None},
        p_adjusted=None,
        verdict="reference" if reference is arm else "",
        constant=float(np.mean([run.facts["reference_metric"] for run in arm.runs.values()])),
        to_target=_to_target(arm, target, prepared=False),
        to_target_prepared=_to_target(arm, target, prepared=True),
        forwarded_per_epoch=float(arm.stack("forwarded")[:, -1].mean()) / epochs,
        backpropagated_per_epoch=float(arm.stack("backpropagated")[:, -1].mean()) / epochs,
        step_seconds=arm.step_seconds,
        preparation={axis: float(arm.preparation(axis).mean()) for axis in AXES},
    )


def difference(ours: Arm, theirs: Arm, quantity: Quantity = PRIMARY) -> Estimate | None:
    """Estimate ours less theirs at the end, paired by seed; None without a common seed that recorded the quantity."""
    ends = ours.at_end(quantity), theirs.at_end(quantity)
    return stats.paired_difference(*ends) if ends[0].keys() & ends[1].keys() else None


def _to_target(arm: Arm, target: float | None, *, prepared: bool) -> dict[str, Reached]:
    """Find when each run reaches the target, by axis, and sum it up."""
    result: dict[str, Reached] = {}
    curves = arm.stack("test_metric")
    for axis in AXES:
        at = arm.progress(axis)
        if target is None or at is None:
            continue
        before = arm.preparation(axis) if prepared else np.zeros(len(at))
        times = [metrics.time_to_target(c, a + b, target=target) for c, a, b in zip(curves, at, before, strict=True)]
        result[axis] = stats.reached(times)
    return result


def _notes(task: TaskSummary) -> tuple[str, ...]:
    notes, arms, seeds = [], task.arms, task.seeds
    if task.row(REFERENCE) is None:
        notes.append(f"There is no run of {REFERENCE}, so there are no differences and no target.")
    if len(arms) == 1:
        notes.append(f"{arms[0].name} is the only method here, so nothing is compared.")
    if len(seeds) == 1:
        notes.append("There is one seed, so there are no intervals: one run says nothing of the next.")
    if task.no_better_than_constant:
        notes.append(NO_BETTER_THAN_CONSTANT)
    for arm in arms:
        missing = [seed for seed in seeds if seed not in arm.runs]
        if missing:
            listed = ", ".join(map(str, missing))
            notes.append(
                f"{arm.name} lacks seed {listed}: not run yet, or its loss became infinite and it was not stored."
            )
    epochs = next(iter(arms[0].runs.values())).curves["epoch"]
    if len(epochs) - 1 < epochs[-1] - 1:  # the last may be a part of one
        notes.append(
            f"Curves have {len(epochs)} points over {epochs[-1]:g} epochs; when a target is reached is read at those."
        )
    if all(arm.step_seconds is None for arm in arms):
        notes.append("Step times were not measured, so there are no seconds.")
    elif untimed := [arm.name for arm in arms if arm.step_seconds is None]:
        notes.append(f"No step time was measured for {', '.join(untimed)}, so seconds leave that out.")
    return tuple(notes)


def _adjust(tasks: Sequence[TaskSummary]) -> Summary:
    """Adjust the p-values of all comparisons together, and judge each."""
    p_values = [None if row.difference is None else row.difference.p for task in tasks for row in task.rows]
    adjusted = iter(stats.holm(p_values))
    judged = []
    for task in tasks:
        rows = [
            replace(row, p_adjusted=(p := next(adjusted)), verdict=row.verdict or verdict(row.difference, p))
            for row in task.rows
        ]
        judged.append(replace(task, rows=tuple(rows), comparisons=len(p_values) - p_values.count(None)))
    return Summary(tuple(judged), len(p_values) - p_values.count(None))


def verdict(difference: Estimate | None, p_adjusted: float | None = None) -> str:
    """Judge a difference of a metric where smaller is better.

    >>> verdict(Estimate(-2.0, -3.0, -1.0, 5))
    'better'
    >>> verdict(Estimate(-2.0, -3.0, -1.0, 5), p_adjusted=0.2)
    'undecided'
    """
    if difference is None:
        return ""
    unsure = p_adjusted is not None and p_adjusted >= LEVEL
    if difference.low is None or difference.high is None or unsure or difference.low <= 0 <= difference.high:
        return "undecided"
    return "better" if difference.high < 0 else "worse"


@dataclass(frozen=True)
class Judged:
    """A difference and what is to be said of it.

    Args:
        difference: The difference; below 0 is better.
        verdict: ``"better"``, ``"worse"`` or ``"undecided"``.
        family: How many comparisons the verdict is adjusted for, itself among them.
    """

    difference: Estimate
    verdict: str
    family: int


_Key = TypeVar("_Key", bound=Hashable)


def judge(family: Mapping[_Key, Estimate]) -> dict[_Key, Judged]:
    """Judge differences together, by Holm's adjustment over all of them that have a p-value."""
    p_values = [found.p for found in family.values()]
    adjusted = zip(family.items(), stats.holm(p_values), strict=True)
    tested = len(p_values) - p_values.count(None)
    return {key: Judged(found, verdict(found, p), tested) for (key, found), p in adjusted}


def against_each(
    tasks: Sequence[TaskSummary | None], compare: Callable[[Arm, Arm], Estimate | None]
) -> dict[tuple[int, str], Judged]:
    """Compare learn2mix with every other method on every task; a method's verdicts take Holm's adjustment over its tasks.

    Args:
        tasks: The tasks, None where there is no run.
        compare: Gives learn2mix less the other, paired by seed; None where that cannot be.

    Returns:
        By a task's place and a method, what can be compared. Of a method with several settings the first counts.
    """
    differences: dict[str, dict[int, Estimate]] = {}
    for place, task in enumerate(tasks):
        arms = {arm.method: arm for arm in reversed(task.arms)} if task is not None else {}
        ours = arms.pop(FOCUS, None)
        for method, theirs in arms.items():
            if ours is not None and (found := compare(ours, theirs)) is not None:
                differences.setdefault(method, {})[place] = found
    return {(place, method): found for method, by in differences.items() for place, found in judge(by).items()}
