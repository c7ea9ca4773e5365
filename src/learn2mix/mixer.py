"""Mixer: the one object that a training loop holds."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch.utils.data import Sampler

from learn2mix import checkpoint
from learn2mix.checks import brief, whole_number
from learn2mix.feedback import Feedback
from learn2mix.groups import ContiguousGroups, Names, as_groups, check_batch_size, check_indices
from learn2mix.parameters import describe
from learn2mix.policies.base import Floats, Policy, check_policy, check_signals, check_state, pack, unpack
from learn2mix.replicas import Reduce, find_replicas
from learn2mix.samplers.batch_sampler import BatchSampler
from learn2mix.samplers.stream import Stream
from learn2mix.selectors.base import Selector
from learn2mix.selectors.selection import select
from learn2mix.updates import Pace, Update


class Mixer:
    """Fills batches by group, hears the losses, and moves the proportions.

    Args:
        groups: The group of each training example, (N,): integers or strings; array, tensor or list. At least two
            groups. Or ``learn2mix.groups.ListedGroups``, which can be saved and mapped into memory.
        batch_size: M, examples a batch, over all replicas together; from 1 to N.
        policy: How the proportions move: one of ``learn2mix.policies``, or any object with ``init`` and ``update``.
        selector: Which examples fill a group's seats: one of ``learn2mix.selectors``; None for every example in turn, a new
            order each pass. With one, :meth:`observe` needs ``indices``, losses are to be multiplied by :meth:`weights_of`,
            and some 45 bytes an example are kept.
        seed: Decides the order of the examples, together with the proportions; 0 or more.
        num_replicas: W, a divisor of M. Taken from the process group where one is initialised.
        rank: This process's place, 0 to W - 1. Given together with ``num_replicas``.
        process_group: The data-parallel process group, where it is not the default one.
        update_every: Update after each so many batches, from within :meth:`observe`, rather than at :meth:`step`.
        look_ahead: With ``update_every``: how many batches the loader may draw before the batch at hand is observed
            (``num_workers * prefetch_factor`` for a ``DataLoader`` with workers); updates take hold that much later.

    Raises:
        TypeError: An argument is of the wrong kind.
        ValueError: An argument is out of range, or there are fewer than two groups.

    Example:
        >>> import torch
        >>> from learn2mix import Mixer, policies
        >>> labels = torch.tensor([0] * 6 + [1] * 2)
        >>> mixer = Mixer(labels, batch_size=4, policy=policies.Learn2Mix(mixing_rate=0.5), seed=0)
        >>> mixer.proportions
        array([0.75, 0.25])
        >>> for indices in mixer.batch_sampler:
        ...     hard = torch.where(labels[indices] == 1, 3.0, 1.0)  # a loss for each example
        ...     mixer.observe(hard, labels[indices])
        >>> mixer.step()
        >>> mixer.proportions
        array([0.5, 0.5])

    Reference:
        Venkatasubramanian and Tarokh (arXiv 2412.16482), Algorithm 1; batches here are exact, what is owed carries over.
    """

    def __init__(
        self,
        groups: Any,
        batch_size: int,
        *,
        policy: Policy,
        selector: Selector | None = None,
        seed: int = 0,
        num_replicas: int | None = None,
        rank: int | None = None,
        process_group: Any = None,
        update_every: int | None = None,
        look_ahead: int = 0,
    ) -> None:
        self._groups = as_groups(groups)
        self._names = np.array(self._groups.names)
        self._num_examples = int(self._groups.sizes.sum())
        self._batch_size = check_batch_size(batch_size, self._num_examples)
        self._policy = check_policy(policy)
        self._seed = whole_number("seed", seed)
        self._replicas = find_replicas(num_replicas, rank, process_group)
        self._local_size = self._replicas.share(self._batch_size)
        self._pace = Pace(update_every, look_ahead, self._replicas)
        self._policy_name = type(policy).__name__
        self._state = self._policy.init(self._groups.sizes / self._num_examples)
        self._proportions = check_state(self._state, self.num_groups, self._policy_name)
        reports = getattr(policy, "adaptive", True) or selector is not None
        self._feedback = Feedback(self._groups.names, wants_step=reports and not self._pace.every)
        self.history: deque[Update] = deque(maxlen=1000)
        """The last 1000 updates, oldest first; not part of the state."""
        self._selection = select(selector, self._groups, self._batch_size, self._replicas.count, self._replicas.rank)
        stream = Stream(
            self._groups,
            self._batch_size,
            self._proportions,
            seed=self._seed,
            part=self._replicas.rank,
            num_parts=self._replicas.count,
            order=self._selection.order,
        )
        self._sampler = BatchSampler(
            stream,
            self._num_examples // self._batch_size,
            self._local_size,
            self._pace.look_ahead if self._pace.every else None,
            reports=reports,
            before_pass=self._replicas.check,
        )

    @classmethod
    def from_sizes(cls, sizes: Mapping[str, int] | Mapping[int, int], batch_size: int, **options: Any) -> Mixer:
        """Make a Mixer for groups that lie one after another; it keeps nothing per example.

        Args:
            sizes: Examples by group name, in the order in which the groups lie.
            batch_size: M.
            **options: As for ``Mixer``; ``policy`` is required.

        Example:
            >>> from learn2mix import Mixer, policies
            >>> mixer = Mixer.from_sizes({"wiki": 10**8, "code": 10**7}, 1000, policy=policies.Static("balanced"))
            >>> mixer.groups_of([0, 10**8 - 1, 10**8]).tolist()
            ['wiki', 'wiki', 'code']
        """
        return cls(ContiguousGroups(sizes), batch_size, **options)

    def __repr__(self) -> str:
        return f"<Mixer, epoch {self.epoch}: {brief(dict(zip(self._groups.names, self._proportions.tolist(), strict=True)))}>"

    @property
    def batch_sampler(self) -> Sampler[list[int]]:
        """The sampler to give to a ``DataLoader`` as ``batch_sampler``; its length is N // M."""
        return self._sampler

    @property
    def epoch(self) -> int:
        """The epoch under way, from 0. It ends at :meth:`step`, or when the sampler is iterated again after its end."""
        return self._sampler.epoch

    @property
    def num_groups(self) -> int:
        """k, how many groups there are."""
        return len(self._groups.sizes)

    @property
    def group_names(self) -> Names:
        """The groups' names in the order of :attr:`proportions`: sorted labels, or the order of ``from_sizes``."""
        return self._groups.names.copy()

    @property
    def group_sizes(self) -> NDArray[np.int64]:
        """Examples in each group, (k,)."""
        return self._groups.sizes.copy()

    @property
    def proportions(self) -> Floats:
        """alpha, each group's share of a batch, float64 of shape (k,)."""
        return self._proportions.copy()

    def groups_of(self, indices: Any) -> NDArray[Any]:
        """Give the group name of each data-set index, ready for :meth:`observe`.

        Args:
            indices: Integers from 0 to N - 1, any shape.

        Raises:
            TypeError: They are no integers.
            ValueError: One lies outside the data set.
        """
        checked = check_indices(indices, self._num_examples)
        return self._names[self._groups.of(checked)]

    def weights_of(self, indices: Any) -> torch.Tensor:
        """Give the selector's factor for each data-set index, as of the epoch under way; 1 without a selector.

        Train on the mean of losses times factors; :meth:`observe` takes the losses as they are.

        Args:
            indices: Integers from 0 to N - 1, any shape.

        Returns:
            Float32, of the shape of ``indices`` and on their device.

        Raises:
            TypeError: They are no integers.
            ValueError: One lies outside the data set (not looked for on an accelerator).
        """
        if not (isinstance(indices, torch.Tensor) and indices.device.type != "cpu"):
            indices = torch.from_numpy(check_indices(indices, self._num_examples))
        return self._selection.factors(indices)

    def observe(self, losses: Any, groups: Any, *, weights: Any = None, indices: Any = None) -> None:
        """Hear the losses of a training batch, or of a piece of one.

        Losses are detached and added up on their own device, without waiting for it. A non-finite one is left out,
        counted, and its group warned of once.

        Args:
            losses: One loss an example, (n,), or (n, ...) to be averaged over all but the first axis.
            groups: (n,), the values that ``Mixer`` was given (labels 3, 7, 9: pass 3), never positions.
            weights: Shape of ``losses``, 0 or more: for the average within an example, such as a padding mask. An
                example whose weights are all 0 has no loss.
            indices: (n,), the data-set indices of the examples; a selector needs them, else nobody looks.

        Raises:
            TypeError: An argument is of the wrong kind.
            ValueError: Shapes disagree, more is observed than was drawn, a group or index is unknown or a weight negative
                (on an accelerator, the latter show at :meth:`step`): nothing is added then. Or the policy refuses the losses
                of an update made here: those since the last are left out.
        """
        loss, counted, positions = self._feedback.read(losses, groups, weights)
        chosen = self._selection.read(indices, positions)
        self._sampler.check(len(loss))
        self._feedback.begin(self.epoch)
        if not self._sampler.open:
            self._feedback.drop_open()  # what a pass that was broken off left behind
        factors = self._selection.hear(loss, counted, chosen, epoch=self.epoch, place=self._sampler.place)
        rows = self._feedback.rows(loss, counted, factors)
        done = 0
        while done < len(loss):
            left = self._pace.left
            stop = len(loss) if left is None else min(len(loss), done + left * self._local_size - self._sampler.open)
            self._hear(rows[:, done:stop], positions[done:stop])
            done = stop

    def skip(self, num_batches: int) -> None:
        """Say that so many batches were trained on without being observed.

        Raises:
            ValueError: That is more than were drawn, or a batch is observed in part.
        """
        count = whole_number("num_batches", num_batches)
        if self._sampler.open:
            seen = self._sampler.open
            raise ValueError(
                f"skip({count}) was called with {seen} examples of a batch observed; observe the rest of it first"
            )
        place = self._sampler.place
        self._sampler.consume(count * self._local_size)
        self._selection.skip(count * self._local_size, epoch=self.epoch, place=place)
        self._count(count)

    def step(self, *, reduce: Reduce | None = None, **signals: Any) -> None:
        """End the epoch: turn its group losses into new proportions.

        With ``update_every`` the proportions have moved already; this ends the epoch. A selector goes by the losses of single
        examples from here on; those of an epoch that ended without ``step`` it never hears of.

        Args:
            reduce: Sums an array over the replicas, where no process group does: it gets this replica's float64 array
                and returns the sum of all replicas' arrays, the same for each.
            **signals: Passed on to the policy's ``update``.

        Raises:
            ValueError: The policy heeds no such signal, or refuses the losses; there are several replicas and neither a
                process group nor ``reduce``; they used different numbers of batches; an unknown group was observed. The epoch
                goes on.
        """
        if self._pace.every is not None and (reduce is not None or signals):
            raise ValueError(
                f"step was given {brief(sorted(signals) or 'reduce')} and Mixer update_every={self._pace.every}; the updates "
                "are made in observe then, which hears losses alone; leave it out, or leave out update_every"
            )
        check_signals(self._policy, signals)
        sums = [self._feedback.sums(whole=not self._sampler.open)] if self._pace.every is None else []
        tables = self._selection.tables(epoch=self.epoch, place=self._sampler.place)
        totals = self._replicas.totals([*sums, *tables], self._sampler.used, reduce)
        scores = self._selection.merged(totals[len(sums) :])
        if self._pace.every is None:
            self._update(totals[0], signals)
        elif self._sampler.open:
            self._sampler.close()
            self._feedback.settle()
            self._count(1)
        self._selection.take_up(scores)
        drawn = self._sampler.end_epoch()
        if self._pace.every is None:
            self._sampler.change(self._proportions)
            self._feedback.compare(totals[0], drawn)

    def state_dict(self) -> dict[str, Any]:
        """Give all that is needed to go on from here: tensors, numbers and dicts.

        It stands at the last whole batch observed; one observed in part is drawn again. Loads with
        ``torch.load(weights_only=True)``. With several replicas this is one replica's state and nothing is
        communicated; :meth:`gather_state_dict` gives one that loads at any number of replicas.
        """
        return self._saved(self._heard())

    def gather_state_dict(self) -> dict[str, Any]:
        """Give one state for all replicas; every replica must call it (collective).

        Raises:
            ValueError: There are several replicas and no process group joins them, or they used different numbers of
                batches.
        """
        if self._replicas.count == 1:
            return self.state_dict()
        return {**self._saved(self._replicas.totals(self._heard(), self._sampler.consumed)), "replica": None}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on from a saved state: the same indices, the same proportions.

        The first pass over the sampler then gives the rest of the epoch, and is empty if only ``step()`` is missing.

        Args:
            state: From :meth:`state_dict` or :meth:`gather_state_dict` of a Mixer made with the same arguments (but
                for the number of replicas). A policy or selector of your own is told from others by its fields if it is a
                dataclass, else by the name of its class alone.

        Raises:
            TypeError: It is no state at all.
            ValueError: It is damaged, of another version, or of a Mixer with other arguments; or it is one replica's
                state with sums of an epoch under way, and this is another replica. Nothing is changed then.
        """
        me, batches = self._replicas.place, len(self._sampler)
        saved = checkpoint.load(state, setup=self._setup(), replica=me, batches_per_epoch=batches)
        policy_state = unpack(self._state, saved.policy)
        proportions = check_state(policy_state, self.num_groups, "the saved state")
        self._state, self._proportions = policy_state, proportions
        self._feedback.load(saved.sums, saved.known)
        self._selection.load(saved.selection, epoch=saved.epoch)
        self._pace.unused = saved.unused
        self._sampler.resume(saved.epoch, saved.consumed, saved.reports, saved.stream)

    def _hear(self, rows: torch.Tensor, positions: torch.Tensor) -> None:
        """Count and add losses that reach no further than the next update."""
        was_open, before = self._sampler.open, self._sampler.consumed
        whole = self._sampler.consume(len(positions))
        if whole:
            if was_open:
                self._feedback.settle()
            self._feedback.add(rows[:, :whole], positions[:whole], settled=True)
        if whole < len(positions):
            self._feedback.add(rows[:, whole:], positions[whole:], settled=False)
        self._count(self._sampler.consumed - before)

    def _count(self, batches: int) -> None:
        """Count batches towards the next update within the epoch, and make it when it is due."""
        if self._pace.count(batches):
            total = self._replicas.total(self._feedback.sums(), self._sampler.used)
            try:
                self._update(total, {})
            except (TypeError, ValueError):
                self._feedback.drop()  # or what is refused would come up again at the next update
                raise
            self._sampler.change(self._proportions)

    def _update(self, sums: Floats, signals: Mapping[str, Any]) -> None:
        heard = self._feedback.hear(sums)
        state = self._state
        if heard.losses is not None:
            state = self._policy.update(state, heard.losses.copy(), counts=heard.counts.copy(), **signals)
            check_state(state, self.num_groups, self._policy_name)
            if self._replicas.joined:
                state = unpack(state, self._replicas.from_first(pack(state)))
        self._state, self._proportions = state, check_state(state, self.num_groups, self._policy_name)
        self._feedback.forget(heard)
        told = heard.losses, heard.counts, heard.non_finite, self._proportions.copy()
        self.history.append(Update(self.epoch, self._sampler.consumed, *told))

    def _heard(self) -> list[Floats]:
        """What whole batches of the epoch told: arrays that add up over the replicas."""
        tables = self._selection.tables(epoch=self.epoch, place=self._sampler.consumed * self._local_size)
        return [self._feedback.sums(), *tables]

    def _saved(self, heard: list[Floats]) -> dict[str, Any]:
        epoch, consumed, reports, stream = self._sampler.checkpoint()
        return checkpoint.save(
            setup=self._setup(),
            replica=None if self._replicas.count == 1 else self._replicas.place,
            position=(epoch, consumed, reports),
            stream=stream.state(),
            policy=pack(self._state),
            feedback=(heard[0], self._feedback.known, self._pace.unused),
            scores=self._selection.state(heard[1:]),
        )

    def _setup(self) -> dict[str, Any]:
        """What a state must agree with."""
        return {
            "groups": self._groups.fingerprint,
            "num_examples": self._num_examples,
            "num_groups": self.num_groups,
            "batch_size": self._batch_size,
            "seed": self._seed,
            "policy": describe(self._policy),
            "update_every": self._pace.every,
            "look_ahead": self._pace.look_ahead,
            **self._selection.setup(),
        }
