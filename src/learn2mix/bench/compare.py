"""Many runs: what the store lacks is made, in an order in which those done so far can be compared at any time."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from contextlib import contextmanager
from dataclasses import dataclass, field
from multiprocessing import get_context, parent_process
from multiprocessing.connection import wait
from typing import Any

import torch
from filelock import Timeout

from learn2mix.bench.budget import Budget
from learn2mix.bench.data import Data, Progress, quiet
from learn2mix.bench.lookup import find_task
from learn2mix.bench.methods.base import Method
from learn2mix.bench.plan import Budgets, Cell, Shelf, plan
from learn2mix.bench.record import Run
from learn2mix.bench.runner import run
from learn2mix.bench.store import Store
from learn2mix.bench.tasks.base import Task
from learn2mix.bench.training import DivergedError


@dataclass(frozen=True)
class Event:
    """How far a comparison is.

    Args:
        done: Runs that are there or have failed.
        total: Runs in all.
        run: The run at hand, or the one just ended; empty while none is.
        phase: What is being done: ``"decoding"``, ``"preparing"``, ``"training"``, or ``"ended"`` after a run.
        phase_done: How much of it is done.
        phase_total: How much there is.
    """

    done: int
    total: int
    run: str
    phase: str
    phase_done: int
    phase_total: int


Watch = Callable[[Event], None]


def ignore(event: Event) -> None:
    """Take no notice of an event."""


@dataclass(frozen=True)
class Comparison:
    """What came of a comparison.

    Args:
        runs: The runs that there are, in the order of the plan.
        failures: What became of runs that failed, by key.
        new: The keys of runs that were made now; the others were in the store, or another invocation made them.
    """

    runs: list[Run]
    failures: dict[str, str] = field(default_factory=dict)
    new: frozenset[str] = frozenset()

    @property
    def made(self) -> int:
        """How many runs were made now."""
        return len(self.new)


def compare(
    tasks: Sequence[str | Task],
    methods: Sequence[str | Method],
    seeds: Iterable[int],
    *,
    store: Store,
    budget: Budgets = None,
    data: Mapping[str, Data] | None = None,
    data_dir: str | os.PathLike[str] | None = None,
    evaluate_on: str = "test",
    device: torch.device | str | None = None,
    workers: int = 1,
    watch: Watch = ignore,
) -> Comparison:
    """Make the runs that the store lacks, and return them all.

    A run is stored whole as soon as it ends, so that a comparison that was killed goes on where it was. Several
    invocations on one store share the runs between them.

    Args:
        tasks: Tasks, or their names.
        methods: Methods, or their names.
        seeds: The seeds.
        store: Where runs are kept.
        budget: The budget of every run, a whole number for epochs, or one by the method's name; None takes each task's.
        data: Data by task name, where they are at hand.
        data_dir: A folder of local copies of the data.
        evaluate_on: ``"test"``, or ``"validation"`` for tuning.
        device: Where to train; None takes the CPU.
        workers: Processes to train in, each with its share of torch's threads; :func:`fitting_workers` tells how many
            pay. A script that asks for more than one guards its main part (``if __name__ == "__main__":``).
        watch: Told how far things are.

    Returns:
        All runs, and which failed: a run whose loss became NaN or infinite is not stored.

    Raises:
        ValueError: ``workers`` is not at least 1, or see :func:`plan`.
    """
    if workers < 1:
        raise ValueError(f"workers is {workers}; it must be at least 1")
    shelf = Shelf(data, data_dir)
    tally = _Tally(store, watch)
    cells = plan(tasks, methods, seeds, budget, shelf=shelf, evaluate_on=evaluate_on, progress=tally.within(""))
    missing = tally.start(cells)
    if workers == 1 or len(missing) < 2:
        busy = [cell for cell in missing if not tally.make(cell, shelf, device, patient=False)]
    else:
        busy = _make_in_processes(missing, shelf, device, min(workers, len(missing)), tally)
    for cell in busy:  # another invocation had them; by now it may have stored or left them
        tally.make(cell, shelf, device, patient=True)
    return tally.result(cells)


def shortened(
    methods: Sequence[Method],
    task: Task,
    budget: Budget | Mapping[str, Budget],
    *,
    data_dir: str | os.PathLike[str] | None = None,
    progress: Progress = quiet,
) -> list[Method]:
    """Cut what methods do beforehand in the proportion in which a budget is shorter than the task's.

    Args:
        methods: The methods.
        task: The task.
        budget: The budget of every run, or one by the method's name.
        data_dir: A folder of local copies of the data, which tell how many steps an epoch has.
        progress: Told how far decoding is, where that is needed.
    """
    if all(method.cut(0.5) == method for method in methods):
        return list(methods)
    own = [budget[method.name] if isinstance(budget, Mapping) else budget for method in methods]
    per_epoch = 1
    if any(one.epochs is None for one in own):
        train, _ = task.split(task.load(data_dir, progress), seed=0)
        per_epoch = max(1, len(train) // task.batch_size)
    parts = [one.in_steps(per_epoch) / (task.epochs * per_epoch) for one in own]
    return [method.cut(min(1.0, part)) for method, part in zip(methods, parts, strict=True)]


def fitting_workers(tasks: Iterable[str | Task]) -> int:
    """Tell how many workers these tasks leave room for: 1 where a task's runs use all threads there are."""
    threads = [find_task(task).threads for task in tasks]
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return min((max(1, cores // number) if number else 1 for number in threads), default=1)


@dataclass(frozen=True)
class _Made:
    """What became of a cell: a run, made now or found; a failure; or neither, where another invocation has it."""

    run: Run | None = None
    now: bool = False
    failure: str | None = None


def _make(
    cell: Cell, store: Store, shelf: Shelf, device: torch.device | str | None, *, patient: bool, progress: Progress
) -> _Made:
    """Make and store one run, unless it is there or another invocation is at it."""
    lock = store.lock(cell.settings)
    try:
        lock.acquire(timeout=-1 if patient else 0)
    except Timeout:
        return _Made()
    try:
        found = store.get(cell.settings)
        if found is not None:
            return _Made(found)
        made = run(
            cell.task,
            cell.method,
            cell.seed,
            cell.budget,
            data=shelf.get(cell.task, progress),
            evaluate_on=cell.evaluate_on,
            device=device,
            progress=progress,
        )
        store.put(made)
        return _Made(made, now=True)
    except DivergedError as error:
        return _Made(failure=str(error))
    finally:
        lock.release()


class _Tally:
    """Keeps what came of the cells, and tells who watches."""

    def __init__(self, store: Store, watch: Watch) -> None:
        self.store = store
        self._watch = watch
        self._runs: dict[str, Run] = {}
        self._failures: dict[str, str] = {}
        self._new: set[str] = set()
        self._total = 0

    def start(self, cells: list[Cell]) -> list[Cell]:
        """Look up what the store has; return the rest."""
        self._total = len(cells)
        for cell in cells:
            found = self.store.get(cell.settings)
            if found is not None:
                self._runs[cell.key] = found
        self._tell("", "ended", 1, 1)
        return [cell for cell in cells if cell.key not in self._runs]

    def make(self, cell: Cell, shelf: Shelf, device: torch.device | str | None, *, patient: bool) -> bool:
        """Make a run in this process; return whether it came to an end."""
        made = _make(cell, self.store, shelf, device, patient=patient, progress=self.within(str(cell)))
        return self.note(cell, made)

    def note(self, cell: Cell, made: _Made) -> bool:
        """Note what became of a cell; return whether it came to an end."""
        if made.run is not None:
            self._runs[cell.key] = made.run
        elif made.failure is not None:
            self._failures[cell.key] = made.failure
        else:
            return False
        if made.now:
            self._new.add(cell.key)
        self._tell(str(cell), "ended", 1, 1)
        return True

    def within(self, name: str) -> Progress:
        """Return a callback for the progress within a run."""
        return lambda phase, done, total: self._tell(name, phase, done, total)

    def result(self, cells: list[Cell]) -> Comparison:
        """Return all that there is, in the order of the plan."""
        runs = [self._runs[cell.key] for cell in cells if cell.key in self._runs]
        return Comparison(runs, self._failures, frozenset(self._new))

    def _tell(self, name: str, phase: str, done: int, total: int) -> None:
        self._watch(Event(len(self._runs) + len(self._failures), self._total, name, phase, done, total))


def _make_in_processes(
    cells: list[Cell], shelf: Shelf, device: torch.device | str | None, workers: int, tally: _Tally
) -> list[Cell]:
    """Make runs in worker processes; return the cells that another invocation has."""
    threads = max(1, torch.get_num_threads() // workers)
    busy = []
    with _pool(workers, (threads, shelf)) as pool:
        pending = {pool.submit(_make_in_worker, cell, tally.store, device): cell for cell in cells}
        for future in as_completed(pending):
            if not tally.note(pending[future], future.result()):
                busy.append(pending[future])
    return busy


@contextmanager
def _pool(workers: int, arguments: tuple[Any, ...]) -> Iterator[ProcessPoolExecutor]:
    # spawned, not forked: a fork of a process whose torch has threads may hang
    pool = ProcessPoolExecutor(workers, get_context("spawn"), initializer=_start_worker, initargs=arguments)
    try:
        yield pool
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


_worker_shelf = Shelf()


def _start_worker(threads: int, shelf: Shelf) -> None:
    global _worker_shelf
    _worker_shelf = shelf
    torch.set_num_threads(threads)
    # Ctrl-C reaches all processes of a terminal; the parent's answer, to give out no more runs, is enough
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_leave_with_parent, daemon=True).start()


def _leave_with_parent() -> None:
    """End this process when its parent has: a killed parent cannot tell its workers to stop."""
    parent = parent_process()
    if parent is not None:
        wait([parent.sentinel])
        os._exit(1)


def _make_in_worker(cell: Cell, store: Store, device: torch.device | str | None) -> _Made:
    return _make(cell, store, _worker_shelf, device, patient=False, progress=quiet)
