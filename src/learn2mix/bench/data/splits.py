"""What is done to a set of examples by a seed or by its own figures: cutting, holding out, standardising."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from learn2mix.bench import seeds
from learn2mix.bench.data.examples import Examples


def cut(groups: Tensor, keep: Sequence[int], seed: int) -> Tensor:
    """Choose which examples stay: ``keep[i]`` of group i, at random.

    Args:
        groups: Group positions, (N,), integers in [0, k).
        keep: How many of each group, (k,).
        seed: Decides the choice alone.

    Returns:
        Indices into ``groups``, ascending, (sum of keep,).

    Raises:
        ValueError: A group has fewer examples than it should keep.

    >>> kept = cut(torch.tensor([0, 0, 0, 1, 1]), [2, 1], seed=0)
    >>> torch.tensor([0, 0, 0, 1, 1])[kept].tolist()
    [0, 0, 1]
    """
    order = torch.randperm(len(groups), generator=seeds.generator(seed))
    shuffled = groups.cpu()[order]
    chosen = []
    for group, count in enumerate(keep):
        members = order[shuffled == group]
        if len(members) < count:
            raise ValueError(f"group {group} has {len(members)} examples and should keep {count}; keep at most all")
        chosen.append(members[:count])
    return torch.cat(chosen).sort().values


def hold_out(examples: Examples, fraction: float, num_groups: int, seed: int) -> tuple[Examples, Examples]:
    """Draw a fraction of each group, at least one example; return the rest and those.

    Raises:
        ValueError: A group has a single example.

    >>> every = torch.arange(30)
    >>> rest, held = hold_out(Examples(every, every, every // 10), 0.2, 3, seed=0)
    >>> rest.group_sizes(3), held.group_sizes(3)
    ([8, 8, 8], [2, 2, 2])
    """
    sizes = examples.group_sizes(num_groups)
    single = [group for group, size in enumerate(sizes) if size < 2]
    if single:
        raise ValueError(
            f"group {single[0]} has {sizes[single[0]]} examples, too few to hold one out; every group needs at least 2"
        )
    held = cut(examples.groups, [max(1, int(fraction * size)) for size in sizes], seed)
    held = held.to(examples.groups.device)
    rest = torch.ones(len(examples), dtype=torch.bool, device=held.device)
    rest[held] = False
    return examples.take(rest.nonzero().squeeze(1)), examples.take(held)


def standardise(examples: Examples, by: Examples) -> Examples:
    """Take every input column in the units of a set: less its mean there, divided by its standard deviation there.

    A column that does not vary in ``by`` is centred and left at that.

    Args:
        examples: Inputs (n, d); targets and groups stay.
        by: The set whose figures count, (m, d).

    >>> y = torch.tensor([0, 1])
    >>> train, test = (Examples(torch.tensor(x), y, y) for x in ([[1.0, 7.0], [3.0, 7.0]], [[5.0, 8.0], [2.0, 7.0]]))
    >>> standardise(train, train).x.tolist(), standardise(test, train).x.tolist()
    ([[-1.0, 0.0], [1.0, 0.0]], [[3.0, 1.0], [0.0, 0.0]])
    """
    mean, deviation = by.x.mean(dim=0), by.x.std(dim=0, correction=0)
    # the deviation of a column that does not vary is 0 or what rounding makes of it
    varies = by.x.amax(dim=0) > by.x.amin(dim=0)
    return Examples((examples.x - mean) / torch.where(varies, deviation, 1.0), examples.y, examples.groups)
