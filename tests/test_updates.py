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
