"""The networks: shapes, numbers of parameters worked by hand, and where their randomness comes from."""

import dataclasses
import math

import numpy as np
import pytest
import torch
from torch import nn

from bench_toys import global_random_state
from learn2mix.bench import seeds
from learn2mix.bench.data import Data, Examples
from learn2mix.bench.data.pixels import Pixels, unit_range
from learn2mix.bench.models import (
    TransformerClassifier,
    autoencoder,
    large_lenet,
    lenet5,
    mlp,
    mobilenet_v3_small,
    resnet18,
    sinusoids,
)
from learn2mix.bench.runner import run
from learn2mix.bench.tasks import (
    CIFAR10,
    CIFAR10_MOBILENET,
    CIFAR100,
    CIFAR100_MOBILENET,
    IMAGENETTE,
    IMDB_200,
    MNIST,
)


def size(network):
    return sum(parameter.numel() for parameter in network.parameters())


@pytest.mark.parametrize(
    ("network", "parameters"),
    [
        # weights and biases layer by layer
        (lenet5(), (25 + 1) * 6 + (150 + 1) * 16 + 257 * 120 + 121 * 84 + 85 * 10),
        (large_lenet(10), (27 + 1) * 16 + (144 + 1) * 32 + (288 + 1) * 64 + 1025 * 500 + 501 * 10),
        (large_lenet(100), (27 + 1) * 16 + (144 + 1) * 32 + (288 + 1) * 64 + 1025 * 500 + 501 * 100),
        (autoencoder(784), 785 * 128 + 129 * 32 + 33 * 128 + 129 * 784),
        (autoencoder(3072), 3073 * 128 + 129 * 32 + 33 * 128 + 129 * 3072),
        (mlp(8, 64, 1), 9 * 64 + 65),
        # embedding; queries, keys and values; output; feed-forward; two normalisations; head
        (
            TransformerClassifier(100, 50),
            100 * 64 + 65 * 192 + 65 * 64 + (65 * 128 + 129 * 64) + 2 * 128 + (65 * 32 + 33 * 2),
        ),
    ],
)
def test_parameters(network, parameters):
    assert size(network) == parameters


def test_lenet5_has_the_published_size():
    assert size(lenet5()) == 44426


@pytest.mark.parametrize(
    ("network", "inputs", "outputs"),
    [
        (lenet5(), torch.zeros(3, 1, 28, 28), (3, 10)),
        (large_lenet(100), torch.zeros(3, 3, 32, 32, dtype=torch.uint8), (3, 100)),
        (large_lenet(7), torch.zeros(3, 3, 32, 32), (3, 7)),
        (autoencoder(12), torch.zeros(3, 12), (3, 12)),
        (TransformerClassifier(9, 20, 4), torch.zeros(3, 20, dtype=torch.int64), (3, 4)),
        (TransformerClassifier(9, 20), torch.ones(3, 1, dtype=torch.int32), (3, 2)),
    ],
)
def test_shapes(network, inputs, outputs):
    assert network(inputs).shape == outputs


class TestPixels:
    def test_bytes_and_floats_meet(self):
        everything = torch.arange(256, dtype=torch.uint8)
        given = everything.clone()
        scaled = Pixels()(everything)
        np.testing.assert_allclose(scaled.numpy(), (np.arange(256) / 255 - 0.5) / 0.5, atol=1e-7)
        assert torch.equal(scaled, Pixels()(everything.float() / 255))
        assert torch.equal(everything, given)
        assert (scaled[0], scaled[255]) == (-1, 1)

    def test_floats_are_left_alone(self):
        floats = torch.rand(5, generator=torch.Generator().manual_seed(0))
        before = floats.clone()
        Pixels()(floats)
        assert torch.equal(floats, before)
        assert unit_range(floats) is floats

    def test_a_number_a_channel(self):
        scaled = Pixels((0.0, 0.5, 1.0), (1.0, 0.5, 0.25))(torch.full((2, 3, 4, 5), 255, dtype=torch.uint8))
        assert scaled.shape == (2, 3, 4, 5)
        assert [scaled[:, i].unique().tolist() for i in range(3)] == [[1.0], [1.0], [0.0]]

    def test_nothing_is_trained_or_saved(self):
        assert not list(Pixels().parameters())
        assert not Pixels().state_dict()

    @pytest.mark.parametrize("dtype", [torch.int64, torch.bool])
    def test_other_types_are_refused(self, dtype):
        with pytest.raises(TypeError, match=f"the pixels are {dtype}; give torch.uint8"):
            Pixels()(torch.zeros(1, dtype=dtype))

    def test_std_is_positive(self):
        with pytest.raises(ValueError, match=r"std is \(1.0, 0.0, 1.0\)"):
            Pixels(std=(1.0, 0.0, 1.0))


class TestAutoencoder:
    def test_outputs_are_pixels(self):
        out = autoencoder(12, noise=3.0)(torch.rand(50, 12, generator=torch.Generator().manual_seed(0)))
        assert 0 <= out.min() < 0.1
        assert 0.9 < out.max() <= 1

    def test_no_relu_at_the_narrow_place(self):
        assert [type(layer) for layer in autoencoder(9)] == [
            nn.Linear, nn.ReLU, nn.Linear, nn.Linear, nn.ReLU, nn.Linear, nn.Sigmoid,
        ]  # fmt: skip

    def test_noise_is_added_to_every_weight(self):
        def made(noise):
            with seeds.isolated(1):
                return torch.cat([parameter.flatten() for parameter in autoencoder(784, noise).parameters()])

        # torch draws weights and noise from one generator, layer by layer first: so the weights are the same
        added = (made(0.05) - made(0.0)).detach()
        assert (added != 0).double().mean() > 0.999
        assert abs(added.mean()) < 4 * 0.05 / math.sqrt(len(added))
        assert abs(added.std() / 0.05 - 1) < 4 / math.sqrt(2 * len(added))

    @pytest.mark.parametrize("noise", [-0.1, math.nan])
    def test_bad_noise(self, noise):
        with pytest.raises(ValueError, match="give a standard deviation, 0 or more"):
            autoencoder(4, noise)


class TestTransformer:
    def test_positions_by_the_formula(self):
        rows = sinusoids(500, 64)
        for p in (0, 1, 77, 499):
            for i in (0, 1, 31):
                angle = p / 10000 ** (2 * i / 64)
                assert float(rows[p, 2 * i]) == pytest.approx(math.sin(angle), abs=1e-7)
                assert float(rows[p, 2 * i + 1]) == pytest.approx(math.cos(angle), abs=1e-7)
        with pytest.raises(ValueError, match="width is 5; sines and cosines come in pairs"):
            sinusoids(3, 5)

    @pytest.mark.parametrize(("attention_dropout", "flag"), [(0.1, 0.1), (0.0, 0.0)])
    def test_dropout_where_it_should_be(self, attention_dropout, flag):
        network = TransformerClassifier(20, 8, attention_dropout=attention_dropout)
        assert network.encoder.self_attn.dropout == flag
        rates = {name: module.p for name, module in network.named_modules() if isinstance(module, nn.Dropout)}
        assert rates == {"encoder.dropout": 0.1, "encoder.dropout1": 0.1, "encoder.dropout2": 0.1, "head.0": 0.1}

    def test_attention_dropout_takes_effect(self):
        texts = torch.arange(8)[None]

        def twice(network):
            for module in network.modules():
                if isinstance(module, nn.Dropout):
                    module.p = 0.0
            return [network(texts) for _ in range(2)]

        one, other = twice(TransformerClassifier(20, 8, attention_dropout=0.5))
        assert not torch.equal(one, other)
        one, other = twice(TransformerClassifier(20, 8, attention_dropout=0.0))
        assert torch.equal(one, other)

    def test_words_and_their_order_count_and_texts_do_not_mix(self):
        network = TransformerClassifier(20, 8).eval()
        texts = torch.tensor([[3, 4, 5, 0], [5, 4, 3, 0], [3, 4, 5, 6]])
        together = network(texts)
        assert len({tuple(row) for row in together.tolist()}) == 3
        for i in range(3):
            torch.testing.assert_close(network(texts[i : i + 1])[0], together[i])

    def test_padding_has_no_vector_but_counts_in_the_mean(self):
        network = TransformerClassifier(20, 8).eval()
        assert (network.embedding.weight[0] == 0).all()
        network(torch.tensor([[3, 0]])).sum().backward()
        assert (network.embedding.weight.grad[0] == 0).all()
        assert not torch.allclose(network(torch.tensor([[3, 0]])), network(torch.tensor([[3]])))

    def test_evaluation_is_what_the_layers_say(self):
        """With gradients or without, the same: torch's fast path, which keeps all attention weights, is not taken."""
        network = TransformerClassifier(20, 8).eval()
        texts = torch.randint(0, 20, (5, 8), generator=torch.Generator().manual_seed(0))
        with torch.no_grad():
            without = network(texts)
        assert torch.equal(without, network(texts).detach())

    def test_texts_that_are_too_long(self):
        with pytest.raises(ValueError, match="9 words long, the network knows 8 positions"):
            TransformerClassifier(20, 8)(torch.zeros(1, 9, dtype=torch.int64))


@pytest.mark.parametrize(
    "make",
    [lenet5, lambda: large_lenet(10), lambda: autoencoder(16, 0.05), lambda: TransformerClassifier(9, 4)],
)
def test_weights_come_from_the_global_generator(make):
    def weights(seed):
        with seeds.isolated(seed):
            return torch.cat([parameter.detach().flatten() for parameter in make().parameters()])

    before = global_random_state()
    assert torch.equal(weights(0), weights(0))
    assert not torch.equal(weights(0), weights(1))
    assert global_random_state() == before


def test_without_torchvision_the_way_to_it_is_named(monkeypatch):
    import sys

    monkeypatch.setitem(sys.modules, "torchvision", None)  # importing it now fails
    for make in (mobilenet_v3_small, resnet18):
        with pytest.raises(ImportError, match=r"pip install 'learn2mix\[vision\]'"):
            make(10)


class TestTorchvision:
    @pytest.fixture(autouse=True)
    def torchvision(self):
        pytest.importorskip("torchvision")

    @pytest.mark.parametrize("k", [10, 100])
    def test_parameters(self, k):
        # as published with 1000 classes, less their head, with ours
        assert size(mobilenet_v3_small(k)) == 2542856 + 1025 * (k - 1000)
        assert size(resnet18(k)) == 11689512 + 513 * (k - 1000)

    def test_shapes(self):
        assert mobilenet_v3_small(10).eval()(torch.zeros(2, 3, 32, 32, dtype=torch.uint8)).shape == (2, 10)
        assert resnet18(10).eval()(torch.zeros(2, 3, 64, 64, dtype=torch.uint8)).shape == (2, 10)

    def test_mobilenet_is_given_224_pixels(self):
        network = mobilenet_v3_small(10).eval()
        seen = []
        network[-1].register_forward_pre_hook(lambda module, inputs: seen.append(inputs[0]))
        network(torch.full((1, 3, 32, 32), 255, dtype=torch.uint8))
        assert seen[0].shape == (1, 3, 224, 224)
        torch.testing.assert_close(seen[0], torch.ones(1, 3, 224, 224))

    @pytest.mark.parametrize("task", [CIFAR10_MOBILENET, CIFAR100_MOBILENET, IMAGENETTE], ids=lambda task: task.name)
    def test_a_step_of_the_task(self, task):
        # small images: ResNet-18 takes any size
        train_a_little(task, torch.uint8, (3, 32, 32), 100 if task is CIFAR100_MOBILENET else 10)


def train_a_little(task, dtype, shape, k):
    """Run one epoch on made data, without the task's imbalance."""
    generator = torch.Generator().manual_seed(0)
    y = torch.arange(max(20, k)) % k
    if dtype == torch.float32:
        x = torch.rand(len(y), *shape, generator=generator)
    else:
        x = torch.randint(0, 256 if dtype == torch.uint8 else 20, (len(y), *shape), generator=generator).to(dtype)
    data = Data(Examples(x, y, y), Examples(x[:k], y[:k], y[:k]), tuple(map(str, range(k))))
    before = global_random_state()
    result = run(dataclasses.replace(task, profile=None, batch_size=10), "learn2mix", seed=0, budget=1, data=data)
    assert global_random_state() == before
    assert np.isfinite(result.curves["test_loss"]).all()
    assert result.curves["steps"][-1] == len(y) // 10
    return result


@pytest.mark.parametrize(
    ("task", "dtype", "shape", "k"),
    [
        (MNIST, torch.float32, (1, 28, 28), 10),
        (CIFAR10, torch.uint8, (3, 32, 32), 10),
        (CIFAR100, torch.uint8, (3, 32, 32), 100),
        (IMDB_200, torch.int32, (30,), 2),
    ],
    ids=lambda value: getattr(value, "name", None),
)
def test_a_step_of_each_task(task, dtype, shape, k):
    one, other = (train_a_little(task, dtype, shape, k) for _ in range(2))
    assert one.curves["test_loss"].tolist() == other.curves["test_loss"].tolist()
