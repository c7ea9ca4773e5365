"""Updates within an epoch: what counts towards them, and what step() is for then."""

import pytest
import torch

from learn2mix import Mixer, policies

LABELS = torch.tensor([0] * 6 + [1] * 6)


def make(**options):
    return Mixer(LABELS, 2, policy=policies.Learn2Mix(mixing_rate=0.5), seed=0, update_every=2, **options)


def observe(mixer, batch):
    groups = LABELS[batch]
    mixer.observe(1.0 + 2.0 * groups, groups)  # losses 1 and 3


def test_a_skipped_batch_counts_towards_the_next_update():
    mixer = make()
    batches = iter(mixer.batch_sampler)
    observe(mixer, next(batches))
    assert len(mixer.history) == 0
    next(batches)
    mixer.skip(1)
    assert len(mixer.history) == 1
    assert mixer.proportions.tolist() == [0.375, 0.625]  # halfway from 1/2 to 1/4 and 3/4


def test_batches_left_over_at_the_end_of_an_epoch_count_in_the_next():
    mixer = make()
    for count, batch in enumerate(mixer.batch_sampler):
        if count == 3:
            break
        observe(mixer, batch)
    mixer.step()
    assert len(mixer.history) == 1
    observe(mixer, next(iter(mixer.batch_sampler)))
    assert [(update.epoch, update.batch) for update in mixer.history] == [(0, 2), (1, 1)]


@pytest.mark.parametrize("given", [{"reduce": lambda sums: sums}, {"validation_loss": 1.0}])
def test_step_takes_nothing_where_the_updates_are_made_in_observe(given):
    mixer = make()
    next(iter(mixer.batch_sampler))
    with pytest.raises(ValueError, match=r"step was given .* update_every=2; .* leave it out"):
        mixer.step(**given)
    assert mixer.epoch == 0
    mixer.step()
    assert mixer.epoch == 1


def test_losses_that_the_policy_refuses_are_left_out_and_training_goes_on():
    """Negative ones; then 1 and 3 are heard as if those had never been."""
    mixer = make()
    batches = iter(mixer.batch_sampler)
    observe(mixer, next(batches))
    batch = next(batches)
    with pytest.raises(ValueError, match="none may be negative"):
        mixer.observe(torch.full((2,), -9.0), LABELS[batch])
    assert mixer.proportions.tolist() == [0.5, 0.5]
    for _ in range(2):
        observe(mixer, next(batches))
    assert mixer.history[-1].losses.tolist() == [1.0, 3.0]
    assert mixer.proportions.tolist() == [0.375, 0.625]


def test_a_step_refused_in_the_middle_of_a_batch_can_be_made_again():
    """The open batch is closed once: it counts as one, and its losses are not heard."""
    mixer = make()
    batches = iter(mixer.batch_sampler)
    observe(mixer, next(batches))
    mixer.observe(torch.tensor([-9.0]), LABELS[next(batches)[:1]])
    with pytest.raises(ValueError, match="none may be negative"):
        mixer.step()
    assert mixer.epoch == 0
    mixer.step()
    assert mixer.epoch == 1
    batches = iter(mixer.batch_sampler)
    observe(mixer, next(batches))
    assert len(mixer.history) == 0  # one batch of two
    observe(mixer, next(batches))
    assert mixer.history[-1].losses.tolist() == [1.0, 3.0]
