"""What every registered policy keeps to, and each one's update against numbers worked by hand."""

import dataclasses
import inspect
import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from harness import save_and_load, small_mixer
from learn2mix import Mixer, policies, registry
from learn2mix.policies import DynamicLoading, Learn2Mix, State, ema
from learn2mix.policies.base import pack, unpack

ENTRIES = {entry.name: entry for entry in registry.entries("policy")}
EVERY = pytest.mark.parametrize("policy", [e.part(**e.example) for e in ENTRIES.values()], ids=list(ENTRIES))

LOSS = st.one_of(st.just(0.0), st.floats(1e-300, 1e300), st.floats(0, 10))
MANY = st.lists(st.tuples(st.integers(1, 10**9), LOSS), min_size=2, max_size=50)


def shares(sizes):
    return np.array(sizes, dtype=np.float64) / sum(sizes)


def assert_proportions(proportions, num_groups):
    assert proportions.dtype == np.float64
    assert proportions.shape == (num_groups,)
    assert (proportions >= 0).all()
    assert proportions.sum() == pytest.approx(1, abs=1e-9)


def follow(policy, prior, epochs, counts=None):
    """Give the path of the proportions over epochs of given group losses."""
    state = policy.init(np.array(prior, dtype=np.float64))
    path = [state.proportions.tolist()]
    for losses in epochs:
        seen = np.ones(len(prior)) if counts is None else np.array(counts[len(path) - 1])
        state = policy.update(state, np.array(losses, dtype=np.float64), counts=seen)
        path.append(state.proportions.tolist())
    return path


# --- The contract of all policies -------------------------------------------------------------------------------------


def test_every_public_policy_is_registered():
    public = {getattr(policies, name) for name in policies.__all__} - {policies.Policy, policies.State}
    assert {entry.part for entry in ENTRIES.values()} == public


@EVERY
@given(groups=MANY, epochs=st.integers(1, 4))
def test_any_losses_give_proportions(policy, groups, epochs):
    sizes, losses = zip(*groups, strict=True)
    state = policy.init(shares(sizes))
    assert_proportions(state.proportions, len(sizes))
    for _ in range(epochs):
        state = policy.update(state, np.array(losses), counts=np.array(sizes), unknown_signal=1)
        assert_proportions(state.proportions, len(sizes))


@EVERY
@pytest.mark.parametrize("num_groups", [2, 1000])
@pytest.mark.parametrize("kind", ["zero", "one huge", "all huge", "tiny"])
def test_extreme_losses(policy, num_groups, kind):
    losses = np.full(num_groups, {"zero": 0.0, "one huge": 1.0, "all huge": 1.7e308, "tiny": 5e-324}[kind])
    if kind == "one huge":
        losses[1] = 1.7e308
    if isinstance(policy, policies.floor):
        policy = dataclasses.replace(policy, minimum=1 / num_groups / 2)
    state = policy.init(np.full(num_groups, 1 / num_groups))
    for _ in range(3):
        state = policy.update(state, losses, counts=np.ones(num_groups))
        assert_proportions(state.proportions, num_groups)


@EVERY
@given(groups=st.lists(st.tuples(st.integers(1, 10**6), st.floats(0, 100), st.integers(0, 1)), min_size=2, max_size=20),
       random=st.randoms(use_true_random=False))  # fmt: skip
def test_the_order_of_groups_does_not_matter(policy, groups, random):
    def run(groups):
        sizes, losses, counts = (np.array(column) for column in zip(*groups, strict=True))
        state = policy.init(shares(sizes))
        for factor in (1.0, 3.0, 0.5):
            state = policy.update(state, losses * factor + 0.1 * (factor > 1), counts=counts)
        return state.proportions

    order = list(range(len(groups)))
    random.shuffle(order)
    np.testing.assert_allclose(run([groups[i] for i in order]), run(groups)[order], rtol=1e-9, atol=1e-12)


@EVERY
def test_init_and_update_are_pure(policy):
    """What goes in is not written to, and the same comes out again."""
    prior, losses, counts = np.array([0.7, 0.2, 0.1]), np.array([1.0, 2.0, 0.5]), np.array([5.0, 2.0, 0.0])
    for array in (prior, losses, counts):
        array.flags.writeable = False
    state = policy.init(prior)
    kept = str(pack(state))
    first, second = (policy.update(state, losses, counts=counts) for _ in range(2))
    assert str(pack(state)) == kept
    assert str(pack(first)) == str(pack(second))


@EVERY
def test_a_state_keeps_its_shape_and_survives_saving(policy):
    state = policy.init(np.array([0.7, 0.2, 0.1]))
    for _ in range(3):
        packed = pack(state)
        again = unpack(policy.init(np.array([0.7, 0.2, 0.1])), save_and_load(packed))
        assert str(pack(again)) == str(packed)
        losses = np.array([1.0, 2.0, 0.5])
        state, after = (policy.update(s, losses, counts=np.ones(3)) for s in (state, again))
        np.testing.assert_array_equal(state.proportions, after.proportions)
        assert type(state) is type(again)


@EVERY
def test_parameters_are_frozen_and_equal_settings_are_equal(policy):
    first = dataclasses.fields(policy)[0].name
    with pytest.raises(dataclasses.FrozenInstanceError):
        setattr(policy, first, None)
    assert policy == dataclasses.replace(policy)
    assert hash(policy) == hash(dataclasses.replace(policy))


@EVERY
def test_a_policy_that_does_not_adapt_never_moves(policy):
    path = follow(policy, [0.7, 0.2, 0.1], [[1, 2, 9]] * 10)
    assert policy.adaptive == (path[-1] != path[0])


RANGES = [(e, f) for e in ENTRIES.values() for f in dataclasses.fields(e.part) if "range" in f.metadata]


@pytest.mark.parametrize(("entry", "field"), RANGES, ids=lambda x: x.name)
def test_parameters_outside_their_declared_range_are_refused(entry, field):
    allowed, integer = field.metadata["range"], field.metadata["integer"]
    entry.part(**entry.example)  # works
    beside = 1 if integer else 1e-9
    ends = [(allowed.low, allowed.low_open, -beside), (allowed.high, allowed.high_open, beside)]
    for end, is_open, step in ends:
        if math.isinf(end):
            continue
        end = int(end) if integer else end
        outside, inside = end + step, end - step if is_open else end
        entry.part(**{**entry.example, field.name: inside})
        for value in (outside, *([end] if is_open else [])):
            with pytest.raises(ValueError, match=rf"{field.name} was {value!r}; it must be an? \w+, "):
                entry.part(**{**entry.example, field.name: value})
    with pytest.raises((ValueError, TypeError), match=f"{field.name} was nan"):
        entry.part(**{**entry.example, field.name: math.nan})
    for value in ("0.1", None, True, [0.1], 1j):
        with pytest.raises(TypeError, match=rf"{field.name} was .*; it must be an? "):
            entry.part(**{**entry.example, field.name: value})


@pytest.mark.parametrize("entry", ENTRIES.values(), ids=lambda entry: entry.name)
def test_losses_may_be_of_any_numeric_type_and_are_refused_in_words_if_of_none(entry):
    policy, counts = entry.part(**entry.example), np.array([4, 4])
    start, losses = policy.init(np.array([0.75, 0.25])), np.array([1.0, 3.0])
    moved = policy.update(start, losses, counts=counts).proportions
    for told in (losses.tolist(), losses.astype(np.int64), torch.tensor(losses, requires_grad=True)):
        np.testing.assert_array_equal(policy.update(start, told, counts=counts).proportions, moved)
    if entry.name == "static":  # heeds none
        return
    for told in (["1", "3"], {0: 1.0, 1: 3.0}, [True, False], None, [1j, 1.0]):
        with pytest.raises(TypeError, match=r"losses was .* 2 numbers, one mean loss a group"):
            policy.update(start, told, counts=counts)
    with pytest.raises(ValueError, match=r"losses was \[nan, 1.0\]"):
        policy.update(start, np.array([np.nan, 1.0]), counts=counts)


def test_shares_by_name_are_not_taken_for_the_names():
    """The keys 0 and 1 would sum to 1."""
    with pytest.raises(TypeError, match=r"it must be the shares alone.*\[mix\[name\] for name in mixer.group_names\]"):
        policies.Static({0: 0.3, 1: 0.7})


def test_every_combinator_refuses_what_is_no_policy():
    combinators = [e.part for e in ENTRIES.values() if "policy" in inspect.signature(e.part).parameters]
    assert len(combinators) == 3
    for combinator in combinators:
        for policy in (None, policies.Learn2Mix, "learn2mix", 0.1):
            with pytest.raises(
                TypeError, match=f"{combinator.__name__}'s policy was .* an object with init and update"
            ):
                combinator(policy)


def test_every_combinator_adapts_and_heeds_what_its_policy_does():
    for combinator in (policies.floor, policies.ema, policies.warmup):
        assert [combinator(policy).adaptive for policy in (policies.Static(), Learn2Mix())] == [False, True]
        heard = [combinator(policy).signals for policy in (Learn2Mix(), DynamicLoading(0.5))]
        assert heard == [frozenset(), {"validation_losses"}]


@pytest.mark.parametrize("rate", [np.float64(0.25), np.float32(0.25), torch.tensor(0.25), 0.25])
def test_a_parameter_of_any_numeric_type_is_the_same_setting(rate):
    saved = small_mixer(policy=policies.Learn2Mix(mixing_rate=rate)).state_dict()
    small_mixer(policy=policies.Learn2Mix(mixing_rate=0.25)).load_state_dict(saved)


# --- Numbers worked by hand -------------------------------------------------------------------------------------------


def test_learn2mix():
    """Rate 1/4 from (0.6, 0.4): losses 1, 3 give the target (0.25, 0.75), so 0.6 - 0.35 / 4 and 0.4 + 0.35 / 4."""
    path = follow(policies.Learn2Mix(mixing_rate=0.25), [0.6, 0.4], [[1, 3], [0, 0], [2, 0]])
    expected = [[0.6, 0.4], [0.5125, 0.4875], [0.5125, 0.4875], [0.634375, 0.365625]]
    np.testing.assert_allclose(path, expected, rtol=1e-15)


def test_learn2mix_of_three_groups():
    """Rate 1/10, target (1/2, 1/3, 1/6): each a tenth of the way."""
    path = follow(policies.Learn2Mix(mixing_rate=0.1), [0.2, 0.3, 0.5], [[3, 2, 1]])
    np.testing.assert_allclose(path[1], [0.23, 0.27 + 0.1 / 3, 0.45 + 0.1 / 6], rtol=1e-15)


@pytest.mark.parametrize(("rate", "end"), [(0, [0.6, 0.4]), (1, [0.25, 0.75])])
def test_learn2mix_at_the_ends_of_its_range(rate, end):
    assert follow(policies.Learn2Mix(mixing_rate=rate), [0.6, 0.4], [[1, 3]])[1] == end


def test_learn2mix_goes_to_the_normalised_losses():
    """After n updates the distance to the target is (1 - rate)**n of the first."""
    path = follow(policies.Learn2Mix(mixing_rate=0.5), [0.5, 0.5], [[1, 3]] * 10)
    np.testing.assert_allclose(np.array(path)[:, 0] - 0.25, 0.25 * 0.5 ** np.arange(11), atol=1e-16)


@pytest.mark.parametrize(
    ("policy", "expected"),
    [
        (policies.Static(), [16 / 21, 4 / 21, 1 / 21]),
        (policies.Static("square-root"), [4 / 7, 2 / 7, 1 / 7]),
        (policies.Static("balanced"), [1 / 3, 1 / 3, 1 / 3]),
        (policies.Static(temperature=2), [4 / 7, 2 / 7, 1 / 7]),
        (policies.Static(temperature=0.5), [256 / 273, 16 / 273, 1 / 273]),
        (policies.Static(temperature=math.inf), [1 / 3, 1 / 3, 1 / 3]),
        (policies.Static(temperature=1e-300), [1, 0, 0]),
        (policies.Static([0.2, 0.8, 0.0]), [0.2, 0.8, 0.0]),
        (policies.Static(np.array([0.25, 0.5, 0.25])), [0.25, 0.5, 0.25]),
    ],
)
def test_static(policy, expected):
    for alpha in follow(policy, [16 / 21, 4 / 21, 1 / 21], [[1, 2, 3]] * 2):
        np.testing.assert_allclose(alpha, expected, rtol=1e-12)


def test_floor():
    """(0.8, 0.15, 0.05) with at least 0.1: 0.1 for the last, 0.9 shared as 80 to 15."""
    path = follow(policies.floor(policies.Learn2Mix(mixing_rate=1.0), minimum=0.1), [0.8, 0.15, 0.05], [[8, 1, 1]])
    np.testing.assert_allclose(path[0], [0.9 * 80 / 95, 0.9 * 15 / 95, 0.1], rtol=1e-15)
    np.testing.assert_allclose(path[1], [0.8, 0.1, 0.1], rtol=1e-15)


def test_floor_raises_those_that_scaling_down_pushes_below():
    """(0.5, 0.3, 0.15, 0.05) at least 0.15: 0.85 shared as 50:30:15 leaves 0.134 < 0.15, so 0.7 as 50:30."""
    path = follow(policies.floor(policies.Static([0.5, 0.3, 0.15, 0.05]), minimum=0.15), [0.25] * 4, [])
    np.testing.assert_allclose(path[0], [0.7 * 5 / 8, 0.7 * 3 / 8, 0.15, 0.15], rtol=1e-15)


def test_floor_leaves_the_inner_policy_its_own_way():
    """Inner (0.9, 0.1) -> (0.5, 0.5) at rate 1/2 and losses (1, 9): from its own 0.1, not from the raised 0.3."""
    path = follow(policies.floor(policies.Learn2Mix(mixing_rate=0.5), minimum=0.3), [0.9, 0.1], [[1, 9]])
    np.testing.assert_allclose(path, [[0.7, 0.3], [0.5, 0.5]])


@given(st.integers(2, 1000), st.randoms(use_true_random=False))
def test_floor_at_its_highest_is_balanced_and_any_is_kept(num_groups, random):
    prior = shares([random.randint(1, 10**6) for _ in range(num_groups)])
    highest = policies.floor(policies.Static(), minimum=1 / num_groups).init(prior).proportions
    np.testing.assert_allclose(highest, np.full(num_groups, 1 / num_groups))
    minimum = random.random() / num_groups
    raised = policies.floor(policies.Static(), minimum=minimum).init(prior).proportions
    assert_proportions(raised, num_groups)
    assert raised.min() >= minimum * (1 - 1e-12)


def test_ema():
    """Decay 0.75: hears (4, 4), then (4 + (8 - 4) / 4, 4) = (5, 4), then group 1 unseen: (5 + 3 / 4, 4)."""
    counts = [[1, 1], [1, 1], [1, 0]]
    policy = policies.ema(policies.Learn2Mix(mixing_rate=1.0), decay=0.75)
    path = follow(policy, [0.9, 0.1], [[4, 4], [8, 4], [8, 100]], counts)
    np.testing.assert_allclose(path, [[0.9, 0.1], [1 / 2, 1 / 2], [5 / 9, 4 / 9], [5.75 / 9.75, 4 / 9.75]])


def test_ema_hears_what_it_is_told_of_a_group_until_that_is_seen():
    counts = [[1, 0], [1, 1]]
    policy = policies.ema(policies.Learn2Mix(mixing_rate=1.0), decay=0.5)
    path = follow(policy, [0.5, 0.5], [[3, 1], [3, 9]], counts)
    np.testing.assert_allclose(path[1:], [[0.75, 0.25], [0.25, 0.75]])


def test_ema_without_decay_is_the_inner_policy():
    losses = [[1, 3], [5, 2], [0, 1]]
    plain = policies.Learn2Mix(mixing_rate=0.3)
    assert follow(policies.ema(plain, decay=0), [0.6, 0.4], losses) == follow(plain, [0.6, 0.4], losses)


def test_warmup():
    """Two updates pass; the third is the inner policy's first."""
    policy = policies.warmup(policies.Learn2Mix(mixing_rate=0.5), updates=2)
    path = follow(policy, [0.6, 0.4], [[0, 1], [0, 1], [1, 0], [1, 0]])
    np.testing.assert_allclose(path, [[0.6, 0.4], [0.6, 0.4], [0.6, 0.4], [0.8, 0.2], [0.9, 0.1]])


def test_warmup_before_fixed_proportions():
    """Natural while warming up, then what the policy starts with; without warm-up from the start."""
    fixed = policies.Static([0.5, 0.5])
    assert follow(policies.warmup(fixed, updates=1), [0.6, 0.4], [[1, 1]]) == [[0.6, 0.4], [0.5, 0.5]]
    assert follow(policies.warmup(fixed, updates=0), [0.6, 0.4], [[1, 1]]) == [[0.5, 0.5], [0.5, 0.5]]


def test_combinators_combine():
    """Warm up for 1, then smoothed by a half, then at least 0.2: 0.5, then (3, 1) heard: 0.75, then (2, 4): 1/3."""
    policy = policies.warmup(policies.ema(policies.Learn2Mix(mixing_rate=1.0), decay=0.5), updates=1)
    path = follow(policies.floor(policy, minimum=0.4), [0.5, 0.5], [[9, 1], [3, 1], [1, 7]])
    np.testing.assert_allclose(path, [[0.5, 0.5], [0.5, 0.5], [0.6, 0.4], [0.4, 0.6]])


def test_a_mixer_makes_the_update_of_the_paper():
    """Losses 1 and 4 throughout: target (0.2, 0.8); from (0.75, 0.25) at rate 0.1 to (0.695, 0.305)."""
    mixer = Mixer([0, 0, 0, 1], 2, policy=policies.Learn2Mix(mixing_rate=0.1))
    for batch in mixer.batch_sampler:
        groups = torch.as_tensor(mixer.groups_of(batch))
        mixer.observe(1.0 + 3.0 * groups, groups)
    mixer.step()
    np.testing.assert_allclose(mixer.proportions, [0.695, 0.305], rtol=1e-15)


class Outsider:
    """Any object with init and update is a policy; its state any dataclass with proportions."""

    @dataclasses.dataclass
    class Memory:
        proportions: np.ndarray
        note: str
        level: float
        told: int

    def init(self, prior):
        return self.Memory(np.float32(prior), "first", np.float64(0.5), 0)

    def update(self, state, losses, *, counts, boost=1.0, **signals):
        share = boost * losses / (boost * losses).sum()
        return self.Memory(share.astype(np.float32), "later", state.level / 2, state.told + 1)


def test_an_outside_policy_works_and_is_saved():
    mixer = Mixer([0, 1, 2] * 50, 100, policy=Outsider())
    batch = next(iter(mixer.batch_sampler))
    mixer.observe(torch.ones(100) + torch.as_tensor(mixer.groups_of(batch)), mixer.groups_of(batch))
    mixer.step(boost=2.0)
    np.testing.assert_allclose(mixer.proportions, [1 / 6, 2 / 6, 3 / 6], rtol=1e-6)
    assert mixer.proportions.sum() == pytest.approx(1, abs=1e-15)  # shares in float32 are brought to sum to 1
    other = Mixer([0, 1, 2] * 50, 100, policy=Outsider())
    other.load_state_dict(save_and_load(mixer.state_dict()))
    np.testing.assert_array_equal(other.proportions, mixer.proportions)
    assert other._state.note == "later"
    assert other._state.told == 1


# --- Signals ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("policy", "signal", "message"),
    [
        (Learn2Mix(), "validation_losses", "the signal 'validation_losses', and Learn2Mix heeds none"),
        (DynamicLoading(0.5), "val_losses", "'val_losses', and DynamicLoading heeds validation_losses alone"),
        (ema(DynamicLoading(0.5)), "val_losses", "ema heeds validation_losses alone"),
    ],
)
def test_a_signal_that_nobody_heeds_is_refused_and_nothing_is_lost(policy, signal, message):
    mixer = Mixer([0, 1] * 4, 2, policy=policy)
    for indices in mixer.batch_sampler:
        mixer.observe([1.0, 2.0], mixer.groups_of(indices))
    with pytest.raises(ValueError, match=message):
        mixer.step(**{signal: np.array([1.0, 2.0])})
    assert mixer.epoch == 0
    mixer.step()
    assert mixer.epoch == 1


def test_a_policy_of_ones_own_that_names_no_signals_takes_any():
    class Own:
        def init(self, prior):
            return State(prior)

        def update(self, state, losses, *, counts, wanted=None, **signals):
            return State(wanted)

    for policy in (Own(), ema(Own())):
        mixer = Mixer([0, 1] * 4, 2, policy=policy)
        for indices in mixer.batch_sampler:
            mixer.observe([1.0, 2.0], mixer.groups_of(indices))
        mixer.step(wanted=np.array([0.25, 0.75]))
        assert mixer.proportions.tolist() == [0.25, 0.75]


@pytest.mark.parametrize("value", ["2", 2.5, True, torch.tensor(2)])
def test_a_saved_number_of_another_kind_is_refused(value):
    policy = policies.OnlineDataMixing()
    saved = pack(policy.init(np.array([0.5, 0.5])))
    assert unpack(policy.init(np.array([0.5, 0.5])), {**saved, "updates": 2}).updates == 2
    with pytest.raises(ValueError, match=r"the saved policy state's updates was .*; it must be like 0"):
        unpack(policy.init(np.array([0.5, 0.5])), {**saved, "updates": value})


class TakesNoCounts:
    def init(self, prior):
        return policies.State(prior)

    def update(self, state, losses):
        return state


class TakesNoPrior(TakesNoCounts):
    def init(self):
        raise AssertionError("never called")


@pytest.mark.parametrize(
    ("policy", "message"),
    [
        (
            TakesNoCounts(),
            r"policy.update takes \(state, losses\), and is called as policy.update\(state, losses, counts=counts\)",
        ),
        (TakesNoPrior(), r"policy.init takes \(\), and is called as policy.init\(prior\)"),
    ],
)
def test_a_policy_that_cannot_be_called_is_refused_before_an_epoch_is_spent(policy, message):
    with pytest.raises(TypeError, match=message):
        Mixer([0, 0, 1, 1], 2, policy=policy)
    with pytest.raises(TypeError, match="floor's policy"):
        policies.floor(policy, minimum=0.1)


@pytest.mark.parametrize(
    ("policy", "reference", "share"),
    [
        (policies.Learn2Mix(mixing_rate=0.1), 0.0, 2.3 / 2.45),
        (policies.floor(policies.Learn2Mix(mixing_rate=0.1), minimum=0.01), 0.0, 2.3 / 2.45),
        (policies.floor(policies.Learn2Mix(mixing_rate=0.1), minimum=1 / 8), 0.0, 5 / 8),
        (policies.Learn2Mix(mixing_rate=0.1), 2.3, 0.0),
    ],
)
def test_a_group_of_noise_takes_over_unless_its_excess_is_observed_or_a_large_floor_bounds_it(policy, reference, share):
    """Four groups; three can be learnt, down to 0.05, and one keeps 2.3 whatever it is given: 2.3 of 2.45."""
    state = policy.init(np.array([0.3, 0.3, 0.3, 0.1]))
    for _ in range(300):
        state = policy.update(state, np.array([0.05, 0.05, 0.05, 2.3 - reference]), counts=np.ones(4))
    assert state.proportions[3] == pytest.approx(share, abs=1e-9)
