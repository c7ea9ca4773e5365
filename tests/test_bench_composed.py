"""Several methods at once: that they train as the composed formula says, and what is refused."""

import dataclasses
import pickle
import re
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional as F

from bench_toys import SIZES, assert_same_curves, data_of, toy, toy_data, toy_of
from learn2mix import Mixer, policies, registry
from learn2mix.bench.lookup import find_method
from learn2mix.bench.methods import Classical, Focal, Importance, Learn2Mix, Method, Smote
from learn2mix.bench.methods.composed import Composed
from learn2mix.bench.methods.mfw import MFW
from learn2mix.bench.methods.tuned import Tuned
from learn2mix.bench.runner import make_ready, run
from learn2mix.bench.training import Arm

LogitAdjusted = registry.get("method", "logit-adjusted").part

LINEAR = {"network": lambda: nn.Linear(4, 3), "optimizer": torch.optim.SGD, "learning_rate": 0.1}


def trained_by_hand(task, batches, loss):
    """Gradient descent on the mean of a loss over batches of indices, from the weights that all methods start from."""
    ready = make_ready(task, Classical(), 0, toy_data())
    network, train = ready.job.network(), ready.job.train
    optimizer = torch.optim.SGD(network.parameters(), lr=0.1)
    for rows in batches:
        optimizer.zero_grad()
        loss(network(train.x[rows]), train.y[rows]).mean().backward()
        optimizer.step()
    return network


def same_weights(network, other):
    for one, two in zip(network.parameters(), other.parameters(), strict=True):
        torch.testing.assert_close(one, two)


def test_a_policy_and_a_loss_train_as_the_formula_of_both_says():
    """Three epochs: batches by a mixer that hears the shifted loss, steps on the shifted loss."""
    task = toy(mixing_rate=0.5, **LINEAR)
    ready = make_ready(task, find_method("learn2mix+logit-adjusted"), 0, toy_data())
    for _ in range(3):
        ready.trainer.train_epoch()

    job = ready.job
    network, train = job.network(), job.train
    optimizer = torch.optim.SGD(network.parameters(), lr=0.1)
    shift = (torch.tensor(SIZES) / 84).log()
    mixer = Mixer(train.groups, 8, policy=policies.Learn2Mix(mixing_rate=0.5), seed=job.seed_for("order"))
    for _ in range(3):
        for rows in mixer.batch_sampler:
            losses = F.cross_entropy(network(train.x[rows]) + shift, train.y[rows], reduction="none")
            mixer.observe(losses, train.groups[rows])
            optimizer.zero_grad()
            losses.mean().backward()
            optimizer.step()
        mixer.step()
    same_weights(ready.trainer.network, network)
    np.testing.assert_allclose(ready.trainer.arm.feed.mixer.proportions, mixer.proportions, rtol=1e-5)
    plain = make_ready(task, Learn2Mix(), 0, toy_data())
    for _ in range(3):
        plain.trainer.train_epoch()
    assert np.abs(plain.trainer.arm.feed.mixer.proportions - mixer.proportions).max() > 0.01


def test_what_is_chosen_of_a_policys_batches_leaves_its_position_whole():
    """Half of every batch is trained on; the mixer hears of that half, and its epochs have all their batches."""
    composed = find_method("learn2mix+importance")
    ready = make_ready(toy(mixing_rate=0.5), composed, 0, toy_data())
    mixer = ready.trainer.arm.feed.mixer
    for epoch in range(1, 4):
        ready.trainer.train_epoch()
        assert mixer.epoch == epoch
        update = mixer.history[-1]
        assert update.counts.sum() == 40  # 10 batches, 4 of 8 each
        assert np.isfinite(update.losses).all()
    assert ready.trainer.work.backpropagated == 120
    assert ready.trainer.work.forwarded == 360  # 8 to choose, 4 to train


def test_what_changes_the_set_comes_first():
    """SMOTE makes the classes equal; then the mixer starts from thirds, and the epoch stays as long as it was."""
    ready = make_ready(toy(), find_method("learn2mix+smote"), 0, toy_data())
    mixer = ready.trainer.arm.feed.mixer
    assert mixer.group_sizes.tolist() == [44, 44, 44]
    assert ready.trainer.train_epoch() is not None
    assert ready.trainer.work.steps == 10  # 84 // 8, not 132 // 8
    assert mixer.epoch == 1


def test_the_order_of_the_names_does_not_matter():
    one, other = find_method("logit-adjusted+learn2mix"), find_method("learn2mix+logit-adjusted")
    assert one == other
    assert one.name == "learn2mix+logit-adjusted"
    assert pickle.loads(pickle.dumps(one)) == one
    assert_same_curves(run(toy(), one, 0, 2, data=toy_data()), run(toy(), other.name, 0, 2, data=toy_data()))


def test_settings_are_named_by_method():
    composed = find_method("learn2mix+focal")
    assert composed.settings(toy()) == {"learn2mix.mixing_rate": 0.2, "focal.focusing": 2.0}
    changed = composed.with_settings(**{"mixing_rate": 0.4, "focal.focusing": 1.0, "unknown": 3})
    assert changed.settings(toy()) == {"learn2mix.mixing_rate": 0.4, "focal.focusing": 1.0}
    assert changed.name == composed.name
    assert changed.version == Learn2Mix.version + Focal.version
    settings = run(toy(), changed, 0, 1, data=toy_data()).settings
    assert settings["method"] == "learn2mix+focal"
    assert settings["method_settings"]["focal.focusing"] == 1.0


@dataclass(frozen=True)
class Counting(Method):
    """Notes the epochs that it is told of."""

    name: ClassVar[str] = "counting"
    summary: ClassVar[str] = "counts"
    changes: ClassVar[frozenset[str]] = frozenset({"start_epoch"})
    epochs: tuple[list, ...] = ([],)

    def prepare(self, job):
        return Arm(start_epoch=lambda epoch, model: self.epochs[0].append((epoch, model.training)))


@dataclass(frozen=True)
class Second(Counting):
    name: ClassVar[str] = "second"


def test_several_may_start_epochs_and_all_are_told():
    first, second = Counting(([],)), Second(([],))
    run(toy(), Composed((first, second, Learn2Mix())), 0, 3, data=toy_data())
    assert first.epochs[0] == second.epochs[0] == [(0, True), (1, True), (2, True)]


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("focal+logit-adjusted", "focal and logit-adjusted both set the loss"),
        ("learn2mix+balanced", "balanced and learn2mix both decide what fills the batches"),
        ("classical+focal", "classical changes nothing"),
        ("focal+focal", "both set the loss"),
        ("focal+nonsense", "no method is called 'nonsense'"),
        ("focal+", "no method is called ''"),
    ],
)
def test_what_does_not_go_together_is_refused(name, message):
    with pytest.raises(ValueError, match=message):
        find_method(name)


@dataclass(frozen=True)
class Proud(Counting):
    name: ClassVar[str] = "proud"
    clashes: ClassVar[dict[str, str]] = {"focal": "proud does what focal does"}


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("balanced+logit-adjusted", "class sizes are evened by balanced and corrected by logit-adjusted"),
        ("oversample+post-hoc-logit-adjustment", "evened by oversample and corrected by post-hoc"),
        ("smote+oversample", "evened by smote and evened by oversample"),
        ("class-balanced+post-hoc-logit-adjustment", "corrected by class-balanced and corrected by post-hoc"),
        ("drw+logit-adjusted", "so they would count twice"),
        ("mixup+drw", "drw weights single examples here, and mixup trains on pairs"),
        ("infobatch+mixup-stopped", "infobatch weights single examples here, and mixup-stopped trains on pairs"),
        ("dynamic-loading+infobatch", "ends its mixer's epochs when it validates"),
        ("smote+mfw", "none is a major one"),
        ("dynamic-loading+ldam", "references are of a network trained on the task's own loss"),
        ("dynamic-loading+logit-adjusted", "references are of a network trained on the task's own loss"),
        ("dynamic-loading+post-hoc-logit-adjustment", "changed logits against references without"),
        ("group-dro+infobatch", "follow the selector's factors rather than the losses"),
    ],
)
def test_what_would_count_twice_or_go_wrong_is_refused(name, message):
    with pytest.raises(ValueError, match=message):
        find_method(name)


def test_feature_weakening_is_of_pairs_where_it_mixes_labels():
    assert Composed((MFW(), find_method("drw"))).name == "mfw+drw"
    with pytest.raises(ValueError, match="drw weights single examples here, and mfw trains on pairs"):
        Composed((MFW(labels="mix"), find_method("drw")))


@pytest.mark.parametrize("name", ["ldam+drw", "cdt+drw", "learn2mix+logit-adjusted", "learn2mix+infobatch+focal"])
def test_what_belongs_together_is_not(name):
    assert find_method(name).name.count("+") == name.count("+")


@pytest.mark.parametrize("given", [3, None, ["learn2mix"], Learn2Mix])
def test_a_method_is_a_name_or_made(given):
    with pytest.raises(TypeError, match=r"method was .*; it must be a name such as 'learn2mix', or a method made"):
        find_method(given)
    with pytest.raises(TypeError, match="was to be composed; it must be a method made"):
        Composed((given, Focal()))


def test_names_may_be_apart():
    assert find_method(" cdt + learn2mix") == find_method("cdt+learn2mix")


@pytest.mark.parametrize("name", ["learn2mix", "learn2mix-weighted", "yoked"])
def test_a_mixing_rate_is_checked_when_it_is_given(name):
    assert find_method(name).with_settings(mixing_rate=1.0).given() == {"mixing_rate": 1.0}
    with pytest.raises(ValueError, match="mixing_rate was 2; it must be a number, at least 0 and at most 1"):
        find_method(name).with_settings(mixing_rate=2)


def test_methods_may_be_composed_in_steps_but_not_after_tuning():
    inner = Composed((Learn2Mix(), find_method("infobatch")))
    whole = Composed((inner, Focal()))
    assert whole == find_method("learn2mix+focal+infobatch")
    assert whole.mixes
    with pytest.raises(ValueError, match=r"post-hoc.*, so they would count twice"):
        Composed((Composed((find_method("post-hoc-logit-adjustment"), Learn2Mix())), Focal()))
    with pytest.raises(ValueError, match="learning rate of its own; compose first, then tune the whole"):
        Composed((Tuned(Learn2Mix(), 0.05), Focal()))
    assert Tuned(whole, 0.05).name == whole.name


def test_a_method_may_say_what_it_clashes_with():
    with pytest.raises(ValueError, match="focal\\+proud makes no sense: proud does what focal does"):
        Composed((Focal(), Proud()))
    with pytest.raises(ValueError, match="give two methods or more"):
        Composed((Focal(),))


def test_a_task_that_one_of_them_refuses_is_refused():
    words = toy(tokens=True)
    assert "smote would interpolate" in find_method("learn2mix+smote").refusal(words)
    assert find_method("learn2mix+logit-adjusted").refusal(words) == ""
    regression = dataclasses.replace(toy(), kind="regression")
    assert "is a regression" in find_method("learn2mix+logit-adjusted").refusal(regression)


ENTRIES = list(registry.entries("method"))


def attempted(*parts):
    """The methods together, or why not."""
    try:
        return Composed(parts), ""
    except ValueError as error:
        return None, str(error)


@pytest.mark.parametrize("entry", [entry for entry in ENTRIES if entry.part.changes], ids=lambda entry: entry.name)
def test_every_other_method_either_trains_beside_it_or_is_refused_in_words(entry):
    for other in ENTRIES:
        composed, refusal = attempted(entry.part().rehearsal(), other.part().rehearsal())
        if composed is None:
            assert re.search(
                "both|makes no sense|not offered|changes nothing|a way of its own|no kind of task", refusal
            ), refusal
            continue
        kind = min(composed.kinds)
        if composed.refusal(toy_of(kind)):
            continue
        result = run(toy_of(kind), composed, 0, 1, data=data_of(kind))
        assert np.isfinite(result.curves["test_loss"]).all(), composed.name
        assert result.curves["steps"][-1] == 10


def test_tuning_and_rehearsing_go_through_to_the_parts():
    composed = Composed((Importance(), LogitAdjusted()))
    assert composed.search == {"logit-adjusted.strength": LogitAdjusted.search["strength"]}
    assert composed.rehearsal() == composed
    assert Composed((Smote(), Learn2Mix())).given() == {"learn2mix.mixing_rate": None}
