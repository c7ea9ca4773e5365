"""Dynamic batch loading: shares grow where the validation loss is above a reference."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import torch

from learn2mix.checks import Range, brief
from learn2mix.parameters import parameter
from learn2mix.policies.base import BasePolicy, Floats, State, check_losses
from learn2mix.policies.logarithms import log_normalised
from learn2mix.registry import register


@dataclass(frozen=True, eq=False)
class DynamicLoadingState(State):
    """ln w, (k,), which never vanishes."""

    log_weights: Floats


@register(
    "dynamic-loading",
    family="policy",
    summary="shares are multiplied by the exponential of the validation loss above a reference",
    example={"reference": 0.5},
    reference="Xia et al., arXiv:2310.06694 (Sheared LLaMA), dynamic batch loading",
)
@dataclass(frozen=True)
class DynamicLoading(BasePolicy):
    """Multiply each group's share by the exponential of its validation loss above a reference.

    ``w_i <- w_i * exp(D_i) / sum_j w_j exp(D_j)``, ``D_i = max(loss_i - reference_i, 0)``; starts at the training set's
    shares. The released code leaves out the maximum and then mixes in a little of equal shares, ``(1 - c) * w + c / K``:
    that is ``clip=False, smoothing=1e-4``.

    The losses are meant to be validation losses, taken every some tens or hundreds of batches, and a Mixer hears those of
    training. Hand them over when they are measured, ``mixer.step(validation_losses=...)``: k mean losses in the order of
    ``mixer.group_names``, which take the place of the training losses. ``step`` may be called in the middle of a pass: it
    ends an epoch there, and the next goes on with examples not yet drawn. Observe the training losses all the same, for a
    Mixer without any does not move. Without the signal the training losses are heard; a group not seen then counts with
    its last known one.

    Args:
        reference: The loss that each group is to reach: k numbers in the order of ``mixer.group_names``, or one for all.
        clip: Whether a group below its reference counts as at it; if not, its share falls the faster, the lower it is.
        smoothing: c, from 0 to 1: no share falls below c / K.

    Raises:
        TypeError: ``reference`` holds no numbers, ``clip`` is no bool, or ``smoothing`` no number.
        ValueError: A reference is not finite, ``smoothing`` lies outside [0, 1], or, when a Mixer is made, there are not k
            references.

    Example:
        >>> import numpy as np
        >>> reference, losses, seen = np.log([2.0, 2.0]), np.log([1.0, 6.0]), np.array([4, 4])  # half and three times it
        >>> paper, released = (DynamicLoading(reference, clip=clip) for clip in (True, False))
        >>> start = paper.init(np.array([0.6, 0.4]))
        >>> paper.update(start, losses, counts=seen).proportions  # 0.6 : 0.4 * 3
        array([0.33333333, 0.66666667])
        >>> released.update(start, losses, counts=seen).proportions  # 0.6 / 2 : 0.4 * 3
        array([0.2, 0.8])
        >>> paper.update(start, np.zeros(2), counts=seen, validation_losses=losses).proportions
        array([0.33333333, 0.66666667])

    Reference:
        Xia et al., Sheared LLaMA (arXiv 2310.06694), where the references come from a scaling law; the released code's
        form is that of its callback.
    """

    signals: ClassVar[frozenset[str]] = frozenset({"validation_losses"})

    reference: float | Sequence[float]
    clip: bool = True
    smoothing: float = parameter(Range(0, 1), default=0.0, fix="0 is the paper's, 1e-4 the released code's")

    def __post_init__(self) -> None:
        super().__post_init__()
        if not isinstance(self.clip, bool):
            raise TypeError(f"DynamicLoading's clip was {self.clip!r}; it must be True or False")
        object.__setattr__(self, "reference", _as_reference(self.reference))

    def init(self, prior: Floats) -> DynamicLoadingState:
        """Start at the groups' shares of the training set, (k,).

        Raises:
            ValueError: There are not k references.
        """
        if isinstance(self.reference, tuple) and len(self.reference) != len(prior):
            raise ValueError(
                f"DynamicLoading's reference held {len(self.reference)} losses for {len(prior)} groups; give one for each, in "
                "the order of mixer.group_names, or a single one for all"
            )
        proportions = np.array(prior, dtype=np.float64)
        with np.errstate(divide="ignore"):
            return DynamicLoadingState(proportions, log_normalised(np.log(proportions)))

    def update(
        self,
        state: DynamicLoadingState,
        losses: Floats,
        *,
        counts: Floats,
        validation_losses: Any = None,
        **signals: Any,
    ) -> DynamicLoadingState:
        """Give the next state.

        Args:
            state: The present one.
            losses: Mean training loss of each group, finite, shape (k,); heard where no others are given.
            counts: Not used; a group without any training loss is given its last known one.
            validation_losses: Mean validation loss of each group, finite, shape (k,).
            **signals: Ignored.

        Raises:
            TypeError: The losses are no numbers.
            ValueError: A loss is not finite, or the shape is wrong.
        """
        if validation_losses is None:
            heard = check_losses(losses, state)
        else:
            heard = check_losses(validation_losses, state, "validation_losses")
        with np.errstate(over="ignore", divide="ignore"):  # a loss near the largest number, and the logarithm of 0
            above = heard - np.asarray(self.reference)
            moved = log_normalised(state.log_weights + (np.maximum(above, 0) if self.clip else above))
            even = np.log(self.smoothing / len(heard))
            mixed = log_normalised(np.logaddexp(np.log1p(-self.smoothing) + moved, even))
        return DynamicLoadingState(np.exp(mixed), mixed)


def _as_reference(given: Any) -> float | tuple[float, ...]:
    """Give plain numbers, so that equal settings are equal."""
    try:
        values = np.asarray(given.detach().cpu() if isinstance(given, torch.Tensor) else given)
        if values.dtype.kind not in "iuf" or values.ndim > 1:
            raise TypeError
        values = values.astype(np.float64)
    except (TypeError, ValueError, RuntimeError):
        raise TypeError(
            f"DynamicLoading's reference was {brief(given)}; it must be a loss for each group, or a single one for all"
        ) from None
    if not values.size or not np.isfinite(values).all():
        raise ValueError(
            f"DynamicLoading's reference was {brief(given)}; losses to be reached must be finite numbers, one for each group "
            "or a single one for all"
        )
    return tuple(values.tolist()) if values.ndim else float(values)
