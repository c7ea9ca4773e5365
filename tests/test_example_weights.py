"""One weight an example through Mixup and feature weakening: each goes with its own target."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn
from torch.nn import functional as F

from learn2mix.transforms import CMixup, MidpointMixup, Mixed, Mixup, Weakened, mix

EACH = torch.nn.CrossEntropyLoss(reduction="none")


def pair(lam, y=(0, 1), partner_y=(1, 2), partners=(1, 0)):
    return Mixed(torch.zeros(2, 1), torch.tensor(y), torch.tensor(partner_y), lam, torch.tensor(partners))


def test_class_ids_by_hand():
    """Classes cost 1, 10, 100; lam 3/4; weights 2, 4: (3 * 2 * 1 + 4 * 10) / 4 and (3 * 4 * 10 + 2 * 100) / 4."""
    costs, weight = torch.tensor([1.0, 10.0, 100.0]), torch.tensor([2.0, 4.0])
    mixed = pair(0.75)
    assert mixed.loss(lambda outputs, y: costs[y], torch.zeros(2), weight).tolist() == [11.5, 80.0]
    other = torch.tensor([0.0, 1.0])  # partners from elsewhere bring their own
    assert mixed.loss(lambda outputs, y: costs[y], torch.zeros(2), weight, other).tolist() == [1.5, 55.0]


def test_numbers_by_hand():
    """Targets 0 and 4, lam 3/4: 1 and 3; of outputs 0 squares 1 and 9; weights 2 and 6: 3 and 5."""
    mixed = pair(0.75, y=(0.0, 4.0), partner_y=(4.0, 0.0))
    losses = mixed.loss(lambda outputs, y: (outputs - y) ** 2, torch.zeros(2), torch.tensor([2.0, 6.0]))
    assert losses.tolist() == [3.0, 45.0]


@given(st.integers(0, 10**6), st.booleans())
def test_weights_of_one_change_nothing_and_all_of_one_class_are_that_classes(seed, midpoint):
    generator = torch.Generator().manual_seed(seed)
    x, y = torch.randn(6, 3, generator=generator, dtype=torch.float64), torch.arange(6) % 3
    mixed = (MidpointMixup(seed=seed) if midpoint else Mixup(seed=seed))(x, y)
    assert y[mixed.partners].equal(mixed.partner_y)
    torch.testing.assert_close(mixed.x, mixed.lam * x + (1 - mixed.lam) * x[mixed.partners])
    plain = mixed.loss(EACH, mixed.x)
    assert mixed.loss(EACH, mixed.x, torch.ones(6)).allclose(plain, rtol=1e-12)
    by_class = torch.tensor([1.0, 2.0, 5.0], dtype=torch.float64)
    inside = mixed.loss(torch.nn.CrossEntropyLoss(by_class, reduction="none"), mixed.x)
    torch.testing.assert_close(mixed.loss(EACH, mixed.x, by_class[y]), inside)


@pytest.mark.parametrize("numbers", [False, True])
@pytest.mark.parametrize("lam", [0.0, 1.0])
def test_what_has_no_share_has_no_part_not_even_an_infinite_one(lam, numbers):
    y, partner_y = torch.tensor([0, 1]), torch.tensor([1, 0])
    costs = torch.tensor([math.inf, 5.0])
    if numbers:
        y, partner_y = (torch.tensor([math.inf, math.nan]), torch.ones(2))[:: 1 if lam == 0 else -1]
        assert Mixed(y, y, partner_y, lam).loss(lambda outputs, y: y, y).tolist() == [1, 1]
        return
    mixed = Mixed(costs, y, partner_y, lam, torch.tensor([1, 0]))
    shown = mixed.loss(lambda outputs, y: costs[y], costs)
    assert shown.tolist() == ([5.0, math.inf] if lam == 0 else [math.inf, 5.0])
    # the weight is that of the one that counts: the partner's at 0
    weighted = mixed.loss(lambda outputs, y: torch.ones(2), costs, torch.tensor([2.0, 3.0]))
    assert weighted.tolist() == ([3.0, 2.0] if lam == 0 else [2.0, 3.0])


def test_a_stopped_mixup_and_partners_from_elsewhere():
    stopped = Mixup(until=0)(torch.eye(3), torch.arange(3))
    weight = torch.tensor([1.0, 2.0, 3.0])
    assert stopped.loss(EACH, stopped.x, weight).equal(weight * EACH(stopped.x, torch.arange(3)))
    c_mixup = CMixup([0.0, 1.0, 2.0], 1.0)
    x, y = torch.eye(3), torch.arange(3).float()
    partners = c_mixup.partners(range(3))
    mixed = c_mixup(x, y, partner_x=x[partners], partner_y=y[partners])
    squares = torch.nn.MSELoss(reduction="none")
    with pytest.raises(ValueError, match="the partners are not of the batch; give theirs too"):
        mixed.loss(squares, y, weight)
    share = mixed.lam * weight + (1 - mixed.lam) * weight[partners]
    torch.testing.assert_close(mixed.loss(squares, y, weight, weight[partners]), share * squares(y, mixed.target))


def test_feature_weakening_by_hand():
    """Labels 0, 1 keep 1/2 and 1; costs 1 and 10, weights 2 and 4: 1/2 * 2 * 1 + 1/2 * 4 * 10, and 4 * 10."""
    costs, weight = torch.tensor([1.0, 10.0]), torch.tensor([2.0, 4.0])
    drawn = (torch.tensor([0, 1]), torch.tensor([0.5, 1.0]), torch.tensor([1, 0]))
    criterion = lambda outputs, y: costs[y]  # noqa: E731
    assert Weakened(*drawn, "mix").loss(criterion, costs, weight).tolist() == [21.0, 40.0]
    assert Weakened(*drawn).loss(criterion, costs, weight).tolist() == [2.0, 40.0]
    with pytest.raises(TypeError, match=r"weight was \[1, 2\] \(list\)"):
        Weakened(*drawn).loss(criterion, costs, [1, 2])
    with pytest.raises(ValueError, match="the criterion gave a single number"):
        Weakened(*drawn).loss(F.cross_entropy, torch.zeros(2, 2), weight)


@pytest.mark.parametrize(
    ("error", "criterion", "weights", "message"),
    [
        (TypeError, EACH, ([1.0, 2.0],), r"weight was \[1.0, 2.0\] \(list\); .* pass a tensor"),
        (TypeError, EACH, (torch.tensor([1, 2]),), r"weight had dtype torch.int64; .* weight.float\(\)"),
        (ValueError, EACH, (torch.ones(3),), r"weight had shape \(3,\); it must be \(2,\)"),
        (ValueError, EACH, (torch.ones(2, 1),), r"weight had shape \(2, 1\)"),
        (ValueError, F.cross_entropy, (torch.ones(2),), 'the criterion gave a single number; .* reduction="none"'),
        (ValueError, EACH, (None, torch.ones(2)), "partner_weight was given without weight"),
        (ValueError, EACH, (torch.ones(2), torch.ones(1)), r"partner_weight had shape \(1,\)"),
        (TypeError, EACH, (torch.ones(2), torch.tensor([1, 2])), "partner_weight had dtype torch.int64"),
    ],
)
@pytest.mark.parametrize("lam", [0.5, 1.0])
def test_weights_that_are_refused(error, criterion, weights, message, lam):
    pair(lam).loss(EACH, torch.zeros(2, 3), torch.ones(2))
    with pytest.raises(error, match=message):
        pair(lam).loss(criterion, torch.zeros(2, 3), *weights)


def test_weights_of_numbers_are_checked_too():
    mixed = mix(torch.zeros(2, 1), torch.ones(2), partner_x=torch.zeros(2, 1), partner_y=torch.ones(2), lam=0.5)
    with pytest.raises(ValueError, match=r"partner_weight had shape \(1,\)"):
        mixed.loss(nn.MSELoss(reduction="none"), torch.zeros(2), torch.ones(2), torch.tensor([3.0]))


@pytest.mark.parametrize("make", [Mixup, MidpointMixup])
@pytest.mark.parametrize("y", [[0, 1], torch.zeros(3)])
def test_a_batch_that_is_refused_leaves_the_draws_where_they_were(make, y):
    transform, clean, x = make(seed=0), make(seed=0), torch.randn(2, 3)
    with pytest.raises((TypeError, ValueError), match=r"y was|y had"):
        transform(x, y)
    assert transform(x, torch.zeros(2)).x.equal(clean(x, torch.zeros(2)).x)


def test_partners_that_are_refused_leave_the_draws_where_they_were():
    one, clean = CMixup([0.0, 1.0], 1.0), CMixup([0.0, 1.0], 1.0)
    x, y = torch.zeros(2, 1), torch.zeros(2)
    with pytest.raises(ValueError, match="partner_y had shape"):
        one(x, y, partner_x=x, partner_y=y[:1])
    assert one(x, y, partner_x=x, partner_y=y).lam == clean(x, y, partner_x=x, partner_y=y).lam


@pytest.mark.parametrize("until", [None, 0])
@pytest.mark.parametrize(
    ("error", "x", "y", "message"),
    [
        (TypeError, [[1.0]], torch.zeros(1), r"x was \[\[1.0\]\] \(list\); .* pass a tensor: torch.as_tensor\(x\)"),
        (TypeError, np.zeros((1, 1)), torch.zeros(1), r"x was .* \(ndarray\)"),
        (TypeError, torch.zeros(1, 1), [0], r"y was \[0\] \(list\)"),
        (TypeError, torch.zeros(1, 1, dtype=torch.uint8), torch.zeros(1), "x had dtype torch.uint8"),
        (ValueError, torch.zeros(2, 1), torch.zeros(1), "x had 2 rows and y had 1"),
        (ValueError, torch.tensor(1.0), torch.tensor(1.0), r"both must be batches, \(n, ...\)"),
    ],
)
def test_batches_are_checked_also_once_mixup_has_stopped(until, error, x, y, message):
    Mixup(until=until)(torch.zeros(1, 1), torch.zeros(1))
    with pytest.raises(error, match=message):
        Mixup(until=until)(x, y)


def test_partners_must_be_tensors():
    x, y = torch.zeros(1, 1), torch.zeros(1)
    with pytest.raises(TypeError, match=r"partner_y was \[0.0\] \(list\)"):
        mix(x, y, partner_x=x, partner_y=[0.0], lam=0.5)


def test_states_of_other_settings_are_refused():
    for of, to, message in (
        (Mixup(), MidpointMixup(), "the state held"),
        (Mixup(alpha=0.5), Mixup(), "saved with alpha 0.5, and this one has 1.0; make it with the alpha"),
        (CMixup([0.0, 1.0], 1.0), CMixup([0.0, 2.0], 1.0), "saved with targets"),
        (CMixup([0.0, 1.0], 1.0), CMixup([0.0, 1.0], 0.5), "saved with bandwidth 1.0, and this one has 0.5"),
        (CMixup([0.0, 1.0], 1.0, alpha=1), CMixup([0.0, 1.0], 1.0), "saved with alpha 1.0, and this one has 2.0"),
    ):
        with pytest.raises(ValueError, match=message):
            to.load_state_dict(of.state_dict())
    with pytest.raises(ValueError, match="saved with transform 'Mixup'"):
        MidpointMixup().load_state_dict({**MidpointMixup().state_dict(), "transform": "Mixup"})


@pytest.mark.parametrize("broken", [{"kept": [7]}, {"kept": []}, {"draws": {}}, {"draws": None}])
def test_a_refused_state_changes_nothing(broken):
    one = CMixup([0.0, 1.0, 2.0], 1.0)
    one.restrict([0, 1])
    saved = CMixup([0.0, 1.0, 2.0], 1.0)
    saved.partners([0])
    with pytest.raises((TypeError, ValueError)):
        one.load_state_dict({**saved.state_dict(), **broken})
    assert one.kept.tolist() == [0, 1]
    assert one.state_dict()["draws"]["made"] == 0


@pytest.mark.parametrize(
    "make", [lambda s: Mixup(seed=s), lambda s: MidpointMixup(seed=s), lambda s: CMixup([0.0], 1.0, seed=s)]
)
def test_a_tensor_is_no_seed(make):
    with pytest.raises(TypeError, match=r"seed was tensor\(3\) \(Tensor\); .* pass int\(seed\)"):
        make(torch.tensor(3))


@pytest.mark.parametrize(
    "targets", [["1", "2"], np.array(["1"], dtype=object), [1j], torch.tensor([1j]), [b"1"], [10**400]]
)
def test_targets_that_are_no_numbers(targets):
    with pytest.raises(TypeError, match=r"targets was .* it must hold numbers"):
        CMixup(targets, 1.0)
