"""From runs to figures: who is compared with whom, and every number that is shown."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from learn2mix import metrics
from learn2mix.bench import stats
from learn2mix.bench.figures import AXES, Arm, Row, Summary, TaskSummary
from learn2mix.bench.record import Run
from learn2mix.bench.stats import Estimate, Reached

REFERENCE = "classical"
FOCUS = "learn2mix"
LEVEL = 0.05


def summarise(runs: Iterable[Run], *, timing: Mapping[str, Any] | None = None, target: float | None = None) -> Summary:
    """Work out every figure that is shown of runs.

    Runs with equal settings apart from the method's own (``method`` and settings whose name starts with ``method_``)
    and the seed are compared with each other. Differences are to ``classical``, paired by seed.

    Args:
        runs: Runs, of one task or several; the same run given twice counts once.
        timing: Step times, as the clock writes them; without them there are no seconds.
        target: The level for times to target, in the unit of the primary metric. None takes the level at which the
            worst of the reference's runs ends, so that all of those have reached it.

    Returns:
        The figures.

    Raises:
        ValueError: There is no run, or runs that belong together differ in length, groups or metric.
    """
    unique = {run.key: run for run in runs}
    if not unique:
        raise ValueError("there are no runs to summarise; make some with `learn2mix compare TASK`")
    together: dict[str, list[Run]] = {}
    for run in sorted(unique.values(), key=lambda run: json.dumps(dict(run.settings), sort_keys=True)):
        together.setdefault(json.dumps(_shared(run), sort_keys=True), []).append(run)
    titles = _titles([json.loads(key) for key in together])
    tasks = [_task(title, group, timing, target) for title, group in zip(titles, together.values(), strict=True)]
    return _adjust(tasks)


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
    details = ", ".join(f"{key} {settings.get(key)}" for key in keys)
    return f"{name} ({details})" if details else name


def _arms(runs: Sequence[Run], timing: Mapping[str, Any] | None) -> list[Arm]:
    """Gather runs by method and method settings, the reference first, then the focus, then by name."""
    together: dict[str, list[Run]] = {}
    for run in runs:
        own = {key: value for key, value in run.settings.items() if key.startswith("method")}
        together.setdefault(json.dumps(own, sort_keys=True), []).append(run)
    variants = [{**json.loads(key), **(json.loads(key).get("method_settings") or {})} for key in together]
    arms = []
    for own, members in zip(variants, together.values(), strict=True):
        method = str(own.get("method"))
        rivals = [other for other in variants if other.get("method") == own.get("method")]
        keys = sorted({key for rival in rivals for key in rival} - {"method_settings"})
        differing = [key for key in keys if len({repr(rival.get(key)) for rival in rivals}) > 1]
        by_seed = {int(run.settings["seed"]): run for run in members}
        task = str(members[0].settings.get("task"))
        arms.append(
            Arm(
                _label(method, own, differing),
                method,
                dict(sorted(by_seed.items())),
                _step_seconds(timing, task, method),
            )
        )
    return sorted(arms, key=lambda arm: (arm.method != REFERENCE, arm.method != FOCUS, arm.name))


def _step_seconds(timing: Mapping[str, Any] | None, task: str, method: str) -> float | None:
    """Look a step time up; times of another task say nothing of this one."""
    if timing is None or timing.get("task", task) != task:
        return None
    seconds = timing.get("seconds_per_step", {}).get(method)
    return None if seconds is None else float(seconds)


def _task(title: str, runs: Sequence[Run], timing: Mapping[str, Any] | None, target: float | None) -> TaskSummary:
    _require_alike(title, runs)
    first = runs[0]
    arms = _arms(runs, timing)
    reference = next((arm for arm in arms if arm.method == REFERENCE), None)
    source = "given"
    if target is None and reference is not None:
        target = float(reference.stack("test_metric")[:, -1].max())
        source = f"the level at which the worst run of {reference.name} ends, so all its runs reach it"
    if target is not None and not math.isfinite(target):
        target = None
    shares = np.mean([run.curves["proportions"][0] for run in runs], axis=0)
    rows = tuple(_row(arm, reference, target) for arm in arms)
    seeds = tuple(sorted({seed for arm in arms for seed in arm.runs}))
    return TaskSummary(
        task=str(first.settings.get("task")),
        title=title,
        metric=str(first.facts["metric"]),
        evaluated_on=str(first.settings.get("evaluate_on", "test")),
        epochs=len(first.curves["epoch"]) - 1,
        seeds=seeds,
        group_names=tuple(str(name) for name in first.facts["group_names"]),
        group_shares=tuple(float(share) for share in shares),
        constant=float(np.mean([run.facts["reference_metric"] for run in runs])),
        target=target,
        target_source=source if target is not None else "",
        settings=_shared(first),
        rows=rows,
        arms=tuple(arms),
        notes=_notes(arms, reference, seeds),
    )


def _require_alike(title: str, runs: Sequence[Run]) -> None:
    """Refuse runs that cannot be laid side by side, rather than cut some short."""
    features: dict[str, list[object]] = {
        "length": [len(run.curves["epoch"]) for run in runs],
        "groups": [list(run.facts["group_names"]) for run in runs],
        "metric": [run.facts["metric"] for run in runs],
    }
    for what, values in features.items():
        odd = next((i for i, value in enumerate(values) if value != values[0]), None)
        if odd is not None:
            raise ValueError(
                f"{title}: runs {runs[0].key} and {runs[odd].key} have equal shared settings but another {what} "
                f"({values[0]!r}, {values[odd]!r}); delete the one that is wrong, or put what differs into the settings"
            )


def _row(arm: Arm, reference: Arm | None, target: float | None) -> Row:
    quality = _quality(arm)
    theirs = _quality(reference) if reference is not None and reference is not arm else None
    differences = {name: _difference(values, theirs[name]) if theirs else None for name, values in quality.items()}
    estimates = {name: stats.mean_interval(list(values.values())) for name, values in quality.items()}
    rows = arm.stack("epoch").shape[1]
    return Row(
        name=arm.name,
        method=arm.method,
        n=len(arm.runs),
        final=estimates["final"],
        difference=differences["final"],
        p_adjusted=None,
        verdict="reference" if reference is arm else "",
        worst_group=estimates["worst_group"],
        worst_group_difference=differences["worst_group"],
        balanced=estimates["balanced"],
        balanced_difference=differences["balanced"],
        natural=estimates["natural"],
        to_target=_to_target(arm, target, prepared=False),
        to_target_prepared=_to_target(arm, target, prepared=True),
        forwarded_per_epoch=float(arm.stack("forwarded")[:, -1].mean()) / max(rows - 1, 1),
        backpropagated_per_epoch=float(arm.stack("backpropagated")[:, -1].mean()) / max(rows - 1, 1),
        step_seconds=arm.step_seconds,
        preparation={axis: float(arm.preparation(axis).mean()) for axis in AXES},
    )


def _quality(arm: Arm) -> dict[str, dict[int, float]]:
    """Return each metric at the last epoch, by seed."""
    result: dict[str, dict[int, float]] = {"final": {}, "worst_group": {}, "balanced": {}, "natural": {}}
    for seed, run in arm.runs.items():
        groups = run.curves["group_metric"][-1]
        result["final"][seed] = float(run.curves["test_metric"][-1])
        result["worst_group"][seed] = float(metrics.worst_group(groups))
        result["balanced"][seed] = float(metrics.balanced(groups))
        result["natural"][seed] = float(metrics.weighted(groups, run.curves["proportions"][0]))
    return result


def _difference(ours: Mapping[int, float], theirs: Mapping[int, float]) -> Estimate | None:
    return stats.paired_difference(ours, theirs) if ours.keys() & theirs.keys() else None


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


def _notes(arms: Sequence[Arm], reference: Arm | None, seeds: Sequence[int]) -> tuple[str, ...]:
    notes = []
    if reference is None:
        notes.append(f"There is no run of {REFERENCE}, so there are no differences and no target.")
    if len(arms) == 1:
        notes.append(f"{arms[0].name} is the only method here, so nothing is compared.")
    if len(seeds) == 1:
        notes.append("There is one seed, so there are no intervals: one run says nothing of the next.")
    for arm in arms:
        missing = [seed for seed in seeds if seed not in arm.runs]
        if missing:
            listed = ", ".join(map(str, missing))
            notes.append(
                f"{arm.name} lacks seed {listed}: not run yet, or its loss became infinite and it was not stored."
            )
    if all(arm.step_seconds is None for arm in arms):
        notes.append("Step times were not measured, so there are no seconds.")
    elif untimed := [arm.name for arm in arms if arm.step_seconds is None]:
        notes.append(f"No step time was measured for {', '.join(untimed)}, so seconds leave that out.")
    return tuple(notes)


def _adjust(tasks: Sequence[TaskSummary]) -> Summary:
    """Adjust the p-values of all comparisons together, and judge each."""
    tests = [row.difference.p for task in tasks for row in task.rows if row.difference and row.difference.p is not None]
    adjusted = iter(stats.holm(tests))
    judged = []
    for task in tasks:
        rows = []
        for row in task.rows:
            p = next(adjusted) if row.difference and row.difference.p is not None else None
            rows.append(replace(row, p_adjusted=p, verdict=row.verdict or verdict(row.difference, p)))
        judged.append(replace(task, rows=tuple(rows)))
    return Summary(tuple(judged), len(tests))


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
