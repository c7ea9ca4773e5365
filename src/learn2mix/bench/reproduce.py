"""From an exhibit's name to its runs and figures: what the store lacks is made, the rest is read back."""

from __future__ import annotations

import math
import os
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch

from learn2mix.bench import clock
from learn2mix.bench.analysis.summary import summarise
from learn2mix.bench.budget import Budget
from learn2mix.bench.compare import Event, compare, fitting_workers, ignore, shortened
from learn2mix.bench.data import Progress, quiet
from learn2mix.bench.exhibits import PAPER, STUDIES, Exhibit, Panel, Shown
from learn2mix.bench.exhibits.published import PAPERS_METHODS
from learn2mix.bench.lookup import find_method, fitting
from learn2mix.bench.methods.base import Method
from learn2mix.bench.record import Run
from learn2mix.bench.store import Store
from learn2mix.bench.tasks.base import Task
from learn2mix.bench.tuning import Tuning
from learn2mix.bench.tuning_folder import tuned_in

EXHIBITS = {exhibit.name: exhibit for exhibit in (*PAPER, *STUDIES)}
"""Every table, figure and study by its name."""

CONTROLS = ("natural", "balanced")
"""What it takes to see what of a gain is learn2mix's own."""


@dataclass
class Reproduction:
    """An exhibit with the figures of its runs.

    Args:
        exhibit: The exhibit.
        shown: Its panels.
        runs: All runs behind them.
        timings: Step times, a task each.
        failures: What became of runs that failed, by key.
        made: How many runs were made now.
        notes: Where only what is stored is shown: what of that which was asked for is not.
    """

    exhibit: Exhibit
    shown: list[Shown] = field(default_factory=list)
    runs: list[Run] = field(default_factory=list)
    timings: list[Mapping[str, Any]] = field(default_factory=list)
    failures: dict[str, str] = field(default_factory=dict)
    made: int = 0
    notes: list[str] = field(default_factory=list)


def find_exhibit(name: str) -> Exhibit:
    """Look an exhibit up by its name.

    Raises:
        ValueError: There is none of that name.
    """
    if name not in EXHIBITS:
        raise ValueError(f"no exhibit is called {name!r}; there are: {', '.join(EXHIBITS)}")
    return EXHIBITS[name]


def chosen(exhibit: Exhibit, tasks: Sequence[str] | None) -> list[Panel]:
    """Choose the panels of some tasks, or all but those that stand in for others.

    Raises:
        ValueError: The exhibit has no such task.
    """
    if tasks is None:
        return [panel for panel in exhibit.panels if not panel.stand_in]
    there = list(dict.fromkeys(panel.task for panel in exhibit.panels))
    for task in tasks:
        if task not in there:
            raise ValueError(f"{exhibit.name} has no task {task!r}; it has: {', '.join(there)}")
    return [panel for panel in exhibit.panels if panel.task in tasks]


def reproduce(
    exhibit: Exhibit,
    *,
    folder: str | os.PathLike[str],
    tasks: Sequence[str] | None = None,
    methods: Sequence[str] | None = None,
    seeds: int | None = None,
    fraction: float = 1.0,
    stored_only: bool = False,
    data_dir: str | os.PathLike[str] | None = None,
    device: torch.device | str | None = None,
    workers: int | None = None,
    watch: Callable[[Event], None] = ignore,
    progress: Progress = quiet,
) -> Reproduction:
    """Make an exhibit's runs, as far as they are missing, and work out its figures.

    Args:
        exhibit: The exhibit; see :func:`find_exhibit`.
        folder: Where runs are kept, in a folder for each task and variant.
        tasks: Some of its tasks; None takes all but stand-ins.
        methods: Methods, ``["all"]`` for all that are registered; None takes the paper's and two controls for an exhibit of
            the paper's, and all for a study. Those that do not fit a task are left out there, and of a panel that names its
            own methods only those are taken.
        seeds: How many seeds, from 0; None takes each task's own.
        fraction: The part of each budget E to train for, in (0, 1]; what is read at later parts is left out.
        stored_only: Train nothing; show what the folder holds, each panel at the longest budget up to that part, or else
            at the shortest beyond it.
        data_dir: A folder of local copies of the data.
        device: Where to train; None takes the CPU.
        workers: Processes to train in; None takes what suits task and machine.
        watch: Told how far the runs are.
        progress: Told how far timing is.

    Raises:
        ValueError: ``fraction`` is not in (0, 1], or a name is unknown.
        OSError: No panel's data could be loaded; where only some are lacking, the result's failures say so.
    """
    if not 0 < fraction <= 1:
        raise ValueError(
            f"fraction is {fraction}; it must be above 0 and at most 1, the part of the budget to train for"
        )
    for method in [] if methods in (None, ["all"]) else methods or []:
        find_method(method)  # an unknown name is refused before hours of training
    how = _How(Path(folder), methods, seeds, fraction, stored_only, data_dir, device, workers, watch, progress)
    result = Reproduction(exhibit)
    errors: list[Exception] = []
    parts = []
    for panel in chosen(exhibit, tasks):
        try:
            parts.append(_make(result, panel, _arms(panel, exhibit, methods), how))
        except (ValueError, OSError, ImportError) as error:
            # its data are not there, or no method fits: the others go on
            errors.append(error)
            result.failures[panel.title] = f"{panel.title}: {error}"
            parts.append(_Part(panel, [], fraction))
    if errors and not result.runs:
        raise errors[0]
    _sum_up(result, parts)
    if stored_only:
        result.notes = _notes(exhibit, parts, how)
    return result


def _arms(panel: Panel, exhibit: Exhibit, methods: Sequence[str] | None) -> list[Method]:
    """Choose a panel's methods: its own, those that are asked for, or what the exhibit takes by itself."""
    everything = methods is not None and list(methods) == ["all"]
    usual = (*PAPERS_METHODS, *CONTROLS) if exhibit.of_paper else None
    asked: Sequence[str | Method] | None = panel.methods or (None if everything else methods or usual)
    if panel.methods and methods and not everything:
        asked = [method for method in panel.methods if find_method(method).name in methods]
    made = [] if asked == [] else fitting(panel.varied(), asked)
    if not made:
        raise ValueError(f"none of the methods {', '.join(methods or [])} is for {panel.title} here; name others")
    return made


@dataclass(frozen=True)
class _Part:
    """A panel's runs, which of its methods are not tuned or not stored; see :class:`Shown` for the rest."""

    panel: Panel
    runs: list[Run]
    fraction: float
    missing: int = 0
    tuning: str = ""
    untuned: Sequence[str] = ()
    absent: Sequence[str] = ()


def _sum_up(result: Reproduction, parts: Sequence[_Part]) -> None:
    """Work out all panels' figures at once, so that verdicts are the same here and on the page of all runs."""
    tasks = summarise(result.runs, timing=result.timings).tasks if result.runs else ()
    by_run = {run.key: task for task in tasks for arm in task.arms for run in arm.runs.values()}
    for part in parts:
        found = by_run[part.runs[0].key] if part.runs else None
        result.shown.append(Shown(part.panel, found, part.fraction, part.missing, part.tuning))


@dataclass(frozen=True)
class _How:
    """How runs are made; see :func:`reproduce`."""

    folder: Path
    methods: Sequence[str] | None
    seeds: int | None
    fraction: float
    stored_only: bool
    data_dir: str | os.PathLike[str] | None
    device: torch.device | str | None
    workers: int | None
    watch: Callable[[Event], None]
    progress: Progress

    def options(self, task: Task) -> dict[str, Any]:
        """Return what comparing and tuning take alike."""
        workers = self.workers or fitting_workers([task])
        return {"data_dir": self.data_dir, "device": self.device, "workers": workers, "watch": self.watch}


def _make(result: Reproduction, panel: Panel, arms: list[Method], how: _How) -> _Part:
    """Make or find a panel's runs, and add them to the result."""
    task = panel.varied()
    store, words = Store(how.folder / panel.folder), ""
    shared = {**task.settings(), "evaluate_on": "test"}
    seeds = range(how.seeds or task.seeds)
    asked = arms
    untuned: list[str] = []
    absent: list[str] = []
    if panel.tuned:
        tuning, shared["data"] = _tuned(store.folder, task, arms, seeds, how)
        words = "" if tuning is None else tuning.words
        arms = [] if tuning is None else list(tuning.methods_for(task, seeds, shared["data"]))
        untuned = [method.name for method in asked if method.name not in {arm.name for arm in arms}]
    if how.stored_only:
        runs, fraction, absent = _stored(store, shared, task, arms, panel, how)
        missing, timing = 0, store.timing()
    else:
        budget = Budget(epochs=panel.epochs(how.fraction))
        arms = shortened(arms, task, budget)
        done = compare([task], arms, seeds, store=store, budget=budget, **how.options(task))
        runs, fraction, missing = done.runs, how.fraction, len(done.failures)
        result.made += done.made
        result.failures |= done.failures
        timing = clock.stored(
            store, task, arms, ended=runs, data_dir=how.data_dir, device=how.device, progress=how.progress
        )
    result.timings.extend([timing] if timing is not None else [])
    result.runs.extend(runs)
    return _Part(panel, runs, fraction, missing, words, untuned, absent)


def _tuned(
    folder: Path, task: Task, arms: Sequence[Method], reported: range, how: _How
) -> tuple[Tuning | None, str | None]:
    """Give what was chosen for methods, tuning those for which nothing is, and the data that it holds for."""
    if how.stored_only:
        place = folder / "tuned.json"
        tuning = Tuning.load(place).only([method.name for method in arms]) if place.exists() else None
        return tuning, None if tuning is None else tuning.data
    data = task.load(how.data_dir, lambda *phase: how.watch(Event(0, 0, "", *phase)))
    return tuned_in(folder, task, arms, reported=reported, data=data, **how.options(task)), data.fingerprint


def _stored(
    store: Store, shared: Mapping[str, Any], task: Task, arms: Sequence[Method], panel: Panel, how: _How
) -> tuple[list[Run], float, list[str]]:
    """Find a panel's runs in a store, at the budget nearest to what is asked, rather below than above; and who has none."""
    found = [
        run
        for run in store.runs()
        if all(run.settings.get(key) == value for key, value in shared.items())
        and run.settings.get("epochs", math.inf) <= panel.epochs()
        and (how.seeds is None or run.settings["seed"] < how.seeds)
    ]
    if panel.length > 1:  # a shorter run says nothing of what comes after
        found = [run for run in found if run.settings["epochs"] == panel.epochs()]
    asked = panel.epochs(how.fraction)
    for epochs in sorted({run.settings["epochs"] for run in found}, key=lambda one: (one > asked, abs(asked - one))):
        there, absent = [], []
        for arm in shortened(arms, task, Budget(epochs=epochs)):
            own = {"method": arm.name, "method_version": arm.version, "method_settings": arm.settings(task)}
            its = [run for run in found if all(run.settings[k] == v for k, v in {**own, "epochs": epochs}.items())]
            there += its
            absent += [] if its else [arm.name]
        if there:
            # of runs on several states of the data those of the one that most are on
            data = Counter(run.settings["data"] for run in there).most_common(1)[0][0]
            kept = {run.key for run in there if run.settings["data"] == data}
            return [run for run in found if run.key in kept], min(1.0, epochs / panel.epochs()), absent
    return [], 0.0, [arm.name for arm in arms]


def _notes(exhibit: Exhibit, parts: Sequence[_Part], how: _How) -> list[str]:
    """Say what was asked for and is not stored: whole panels in one line, of the others what they lack."""
    notes = []
    empty = [part.panel.title for part in parts if not part.runs]
    if empty:
        limits = [f"methods {', '.join(how.methods)}"] if how.methods else []
        limits += [f"seeds below {how.seeds}"] if how.seeds is not None else []
        where = f"{how.folder}" if how.folder.is_dir() else f"{how.folder}, which is no folder"
        notes.append(f"no run is stored of {'; '.join(empty)}{''.join(f'; {one}' for one in limits)} in {where}")
    for part in parts:
        lacks = _lacks(exhibit, part, how)
        notes += [f"{part.panel.title}, in {how.folder / part.panel.folder}: {'; '.join(lacks)}"] if lacks else []
    return [f"{exhibit.name}: {note}" for note in notes]


def _lacks(exhibit: Exhibit, part: _Part, how: _How) -> list[str]:
    lacks = [f"not tuned: {', '.join(part.untuned)}"] if part.untuned and (part.runs or how.methods) else []
    if not part.runs:
        return lacks
    methods = list(how.methods or ())
    absent = list(part.absent) if methods or part.panel.methods or exhibit.of_paper else []
    if methods != ["all"]:  # those that do not fit, or are not among the panel's own
        known = {*part.untuned, *absent, *(run.settings["method"] for run in part.runs)}
        absent += [name for name in (find_method(method).name for method in methods) if name not in known]
    lacks += [f"not stored: {', '.join(dict.fromkeys(absent))}"] if absent else []
    seeds = Counter((run.settings["method"], str(run.settings["method_settings"])) for run in part.runs)
    fewer = [f"{name} {number}" for (name, _), number in seeds.items() if number < (how.seeds or 0)]
    lacks += [f"of {how.seeds} seeds there are fewer: {', '.join(fewer)}"] if fewer else []
    epochs, wanted = part.runs[0].settings["epochs"], part.panel.epochs(how.fraction)
    if how.fraction < 1 and epochs != wanted:
        lacks.append(f"{wanted} epochs were asked for, and these runs have {epochs}")
    return lacks
