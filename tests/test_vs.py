"""Vector scaling: numbers worked by hand, an independent reference, and the two losses that it joins."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn
from torch.nn import functional

from learn2mix.losses import VSLoss, cdt_loss, logit_adjusted_loss, vs_loss

COUNTS = st.lists(st.integers(1, 10**6), min_size=2, max_size=5)
SETTINGS = st.sampled_from([0.0, 0.3, 1.0])


def random_logits(num_classes, seed):
    generator = torch.Generator().manual_seed(seed)
    logits = torch.randn(4, num_classes, generator=generator, dtype=torch.float64) * 3
    return logits.requires_grad_(), torch.randint(num_classes, (4,), generator=generator)


def test_numbers_worked_by_hand():
    """Counts 4 : 1, gamma 1/2: 9 becomes 3; the shift makes 1 : 3 into 4 : 3. At strength 1/2 it is 2 : 3."""
    logits = torch.log(torch.tensor([[1.0, 9.0]] * 2, dtype=torch.float64))
    losses = vs_loss(logits, torch.tensor([0, 1]), [4, 1], gamma=0.5, reduction="none")
    torch.testing.assert_close(losses, torch.tensor([math.log(7 / 4), math.log(7 / 3)], dtype=torch.float64))
    losses = vs_loss(logits, torch.tensor([0, 1]), [4, 1], gamma=0.5, strength=0.5, reduction="none")
    torch.testing.assert_close(losses, torch.tensor([math.log(5 / 2), math.log(5 / 3)], dtype=torch.float64))


@given(COUNTS, SETTINGS, SETTINGS, st.integers(0, 10**6))
def test_values_and_gradients_are_those_of_the_formula(counts, gamma, strength, seed):
    """The gradient by a logit is the probability, less 1 at the target, over the temperature."""
    logits, targets = random_logits(len(counts), seed)
    vs_loss(logits, targets, counts, gamma=gamma, strength=strength, reduction="sum").backward()
    p = []
    for row in logits.tolist():
        powers = [
            z / (max(counts) / n) ** gamma + strength * math.log(n / sum(counts))
            for z, n in zip(row, counts, strict=True)
        ]
        terms = [math.exp(power - max(powers)) for power in powers]
        p.append([term / sum(terms) for term in terms])
    temperatures = torch.tensor([(max(counts) / n) ** gamma for n in counts], dtype=torch.float64)
    expected = (torch.tensor(p, dtype=torch.float64) - functional.one_hot(targets, len(counts))) / temperatures
    torch.testing.assert_close(logits.grad, expected, rtol=1e-9, atol=1e-9)


@given(COUNTS, st.integers(0, 10**6))
def test_it_joins_two_losses(counts, seed):
    logits, targets = random_logits(len(counts), seed)
    torch.testing.assert_close(
        vs_loss(logits, targets, counts, strength=0.0), cdt_loss(logits, targets, counts, gamma=0.3)
    )
    torch.testing.assert_close(
        vs_loss(logits, targets, counts, gamma=0.0), logit_adjusted_loss(logits, targets, counts)
    )


def test_its_claim_the_rare_class_gains_ground_on_what_overlaps():
    """A bias alone, trained to the end on 9 : 1: plainly it learns the odds; here it ends where both classes are even."""
    y = torch.tensor([0] * 90 + [1] * 10)
    bias = nn.Parameter(torch.zeros(2, dtype=torch.float64))
    optimizer = torch.optim.LBFGS([bias], max_iter=200, line_search_fn="strong_wolfe")

    def train(loss):
        nn.init.zeros_(bias)

        def step():
            optimizer.zero_grad()
            found = loss(bias.expand(100, 2), y)
            found.backward()
            return found

        optimizer.step(step)
        return (bias[1] - bias[0]).item()

    assert train(functional.cross_entropy) == pytest.approx(-math.log(9), abs=1e-4)
    assert train(VSLoss([90, 10]).double()) == pytest.approx(0.0, abs=1e-4)


@pytest.mark.parametrize("name", ["gamma", "strength"])
def test_settings_that_are_refused(name):
    with pytest.raises(ValueError, match=f"{name} was -1"):
        vs_loss(torch.zeros(1, 2), torch.tensor([0]), [1, 1], **{name: -1})
    with pytest.raises(TypeError, match=name):
        VSLoss([1, 1], **{name: "0.3"})
