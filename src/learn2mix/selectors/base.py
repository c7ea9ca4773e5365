"""What a selector is: a pure rule from the losses of a group's examples to their chances of its seats."""

from __future__ import annotations

from typing import Any, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from learn2mix.checks import brief

Floats = NDArray[np.float64]


@runtime_checkable
class Selector(Protocol):
    """Any object with this attribute and this method is a selector.

    Make it a frozen dataclass, as those here are: a saved state then loads only into a Mixer whose selector has the same
    settings. Of any other class it keeps the name alone, and does not see that another setting was given.

    Group losses are weighted by the factors over the mean factor that a seat of the group is expected to have,
    ``sum(chance * factor) / sum(chance)``. They estimate the mean over the whole group wherever ``chance * factor`` is the
    same for all its examples.

    Example:
        >>> from dataclasses import dataclass
        >>> import numpy as np
        >>> from learn2mix import selectors
        >>> @dataclass(frozen=True)
        ... class SeldomUnseen:
        ...     chance: float = 0.5
        ...     replace = False
        ...
        ...     def weigh(self, scores, epoch):
        ...         chances = np.where(np.isnan(scores), self.chance, 1.0)
        ...         return chances, 1 / chances
        >>> isinstance(SeldomUnseen(), selectors.Selector)
        True
    """

    @property
    def replace(self) -> bool:
        """How chances fill the seats.

        True: an example is drawn for each seat anew, in proportion to its chance. False: the group is gone through in
        passes, a new order each pass, and an example met on the way takes the seat with its chance over the largest one
        of its group, or is left out until the next pass.
        """
        ...

    def weigh(self, scores: Floats, epoch: int) -> tuple[Floats, Floats]:
        """Give chances and factors for an epoch.

        Args:
            scores: The last loss of each example of one group, NaN for one not seen yet, (n,).
            epoch: Its number, from 0.

        Returns:
            Chances, above 0, only their ratios count, (n,); and the factors, 0 or more, by which the losses are to be
            multiplied, (n,).
        """
        ...


def check_selector(selector: Any) -> Selector:
    """Return the selector, after checking that it can be one.

    Raises:
        TypeError: It lacks ``weigh`` or ``replace``, or is a class rather than an object.
    """
    if isinstance(selector, type) or not isinstance(selector, Selector):
        raise TypeError(
            f"selector was {brief(selector)}; it must be an object with weigh and replace, for instance "
            "selectors.InfoBatch(prune=0.5)"
        )
    return selector


def check_weighed(weighed: Any, size: int, source: str) -> tuple[Floats, Floats]:
    """Return the chances and factors that a selector gave for a group of ``size`` examples, checked.

    Raises:
        TypeError: They are no two arrays of numbers.
        ValueError: One has another shape than (size,), or holds a number out of range.
    """
    try:
        chances, factors = (np.asarray(part, dtype=np.float64) for part in weighed)
    except (TypeError, ValueError):
        raise TypeError(
            f"{source} gave {brief(weighed)}; weigh must return chances and factors, two arrays of numbers"
        ) from None
    if chances.shape != (size,) or factors.shape != (size,):
        raise ValueError(
            f"{source} gave chances of shape {chances.shape} and factors of shape {factors.shape} for a group of {size} "
            f"examples; both must be ({size},)"
        )
    if not (np.isfinite(chances).all() and (chances > 0).all()):
        raise ValueError(
            f"{source} gave the chances {brief(chances.tolist())}; they must be finite and above 0: what has no chance "
            "is never seen again"
        )
    if not (np.isfinite(factors).all() and (factors >= 0).all()):
        raise ValueError(f"{source} gave the factors {brief(factors.tolist())}; they must be finite and 0 or more")
    return chances, factors
