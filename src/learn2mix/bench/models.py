"""The networks of the tasks.

All take their initial weights from torch's global generator, which the caller seeds and puts back.
"""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor, nn

from learn2mix.bench.data.pixels import Pixels


def mlp(inputs: int, hidden: int, outputs: int) -> nn.Module:
    """One hidden layer with ReLU: (n, inputs) -> (n, outputs)."""
    return nn.Sequential(nn.Linear(inputs, hidden), nn.ReLU(), nn.Linear(hidden, outputs))


def lenet5(num_classes: int = 10) -> nn.Module:
    """LeNet-5 for 28 x 28 images of one channel: (n, 1, 28, 28) -> (n, num_classes).

    Convolutions 1-6 and 6-16 with 5 x 5 kernels, each with ReLU and 2 x 2 max pooling; then 256-120-84-num_classes.

    >>> lenet5()(torch.zeros(2, 1, 28, 28)).shape
    torch.Size([2, 10])
    """
    return nn.Sequential(
        nn.Conv2d(1, 6, 5),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Conv2d(6, 16, 5),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Flatten(),
        nn.Linear(256, 120),
        nn.ReLU(),
        nn.Linear(120, 84),
        nn.ReLU(),
        nn.Linear(84, num_classes),
    )


def large_lenet(num_classes: int, pixels: Pixels | None = None) -> nn.Module:
    """The paper's larger LeNet for 32 x 32 colour images: (n, 3, 32, 32), bytes or floats in [0, 1] -> (n, num_classes).

    Convolutions 3-16-32-64 with 3 x 3 kernels and padding 1, each with ReLU and 2 x 2 max pooling; then 1024-500, ReLU,
    dropout 0.5, 500-num_classes.

    Args:
        num_classes: The number of classes k.
        pixels: How pixels are scaled; without it to [-1, 1].

    >>> large_lenet(100)(torch.zeros(2, 3, 32, 32, dtype=torch.uint8)).shape
    torch.Size([2, 100])

    Reference:
        arXiv:2412.16482, appendix; the layers as its authors' code has them.
    """
    convolutions: list[nn.Module] = []
    for inputs, outputs in ((3, 16), (16, 32), (32, 64)):
        convolutions += [nn.Conv2d(inputs, outputs, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2)]
    return nn.Sequential(
        pixels or Pixels(),
        *convolutions,
        nn.Flatten(),
        nn.Linear(1024, 500),
        nn.ReLU(),
        nn.Dropout(0.5),
        nn.Linear(500, num_classes),
    )


def autoencoder(inputs: int, noise: float = 0.0) -> nn.Module:
    """The paper's autoencoder of flattened images: (n, inputs) in [0, 1] -> (n, inputs) in (0, 1).

    inputs-128, ReLU, 128-32, 32-128, ReLU, 128-inputs, sigmoid.

    Args:
        inputs: Pixels times channels, d.
        noise: The standard deviation of Gaussian noise that is added to all initial weights and biases, 0 or more.

    Raises:
        ValueError: ``noise`` is negative or not a number.

    >>> autoencoder(784, noise=0.05)(torch.zeros(2, 784)).shape
    torch.Size([2, 784])

    Reference:
        arXiv:2412.16482, appendix; the noise as its authors' code has it.
    """
    if not noise >= 0:
        raise ValueError(f"noise is {noise}; give a standard deviation, 0 or more")
    network = nn.Sequential(
        nn.Linear(inputs, 128),
        nn.ReLU(),
        nn.Linear(128, 32),
        nn.Linear(32, 128),
        nn.ReLU(),
        nn.Linear(128, inputs),
        nn.Sigmoid(),
    )
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.add_(torch.randn_like(parameter), alpha=noise)
    return network


def sinusoids(length: int, width: int) -> Tensor:
    """Positions as sines and cosines: ``sin(p / 10000^(2i / width))`` at 2i, the cosine of the same at 2i + 1.

    Args:
        length: The number of positions.
        width: The numbers a position gets; even.

    Returns:
        One row a position, (length, width), float32.

    Raises:
        ValueError: ``width`` is odd.

    >>> sinusoids(1, 4)
    tensor([[0., 1., 0., 1.]])

    Reference:
        Vaswani et al., "Attention Is All You Need", NeurIPS 2017, section 3.5.
    """
    if width % 2:
        raise ValueError(f"width is {width}; sines and cosines come in pairs: give an even number")
    # float64: at position 500 float32 angles are off in the fifth decimal
    rates = torch.exp(torch.arange(0, width, 2, dtype=torch.float64) * (-math.log(10000) / width))
    angles = torch.arange(length, dtype=torch.float64)[:, None] * rates
    return torch.stack([angles.sin(), angles.cos()], dim=2).flatten(1).float()


class TransformerClassifier(nn.Module):
    """A one-layer transformer that classifies texts: word ids (n, length) -> (n, num_classes).

    Embedding of width 64 plus sinusoidal positions, one encoder layer (4 heads, feed-forward 128, dropout 0.1), the mean
    over all positions, dropout 0.1, 64-32, ReLU, 32-num_classes. There is no padding mask: padding is a word like others, but
    its vector is zero and stays so.

    Args:
        words: The size of the vocabulary; ids are in [0, words), 0 is padding.
        length: The most words a text may have.
        num_classes: The number of classes.
        attention_dropout: The dropout of attention weights, in [0, 1]. Above 0, torch has no fast attention on a CPU.

    Raises:
        ValueError: A text is longer than ``length``.

    >>> TransformerClassifier(words=20, length=6)(torch.zeros(3, 5, dtype=torch.int32)).shape
    torch.Size([3, 2])

    Reference:
        arXiv:2412.16482, appendix; the layers as its authors' code has them.
    """

    def __init__(self, words: int, length: int, num_classes: int = 2, *, attention_dropout: float = 0.1) -> None:
        super().__init__()
        width = 64
        self.embedding = nn.Embedding(words, width, padding_idx=0)
        self.positions: Tensor
        self.register_buffer("positions", sinusoids(length, width), persistent=False)
        # batch_first=True would let evaluation take torch's "fast path", which keeps all attention weights at once:
        # 4 MB a text of 500 words
        self.encoder = nn.TransformerEncoderLayer(width, nhead=4, dim_feedforward=128, dropout=0.1)
        self.encoder.self_attn.dropout = attention_dropout
        self.head = nn.Sequential(nn.Dropout(0.1), nn.Linear(width, 32), nn.ReLU(), nn.Linear(32, num_classes))

    def forward(self, ids: Tensor) -> Tensor:
        """Classify the texts."""
        length = ids.shape[1]
        if length > len(self.positions):
            raise ValueError(
                f"the texts are {length} words long, the network knows {len(self.positions)} positions; cut the texts, or "
                "make the network with a larger length"
            )
        encoded: Tensor = self.encoder((self.embedding(ids) + self.positions[:length]).transpose(0, 1))
        logits: Tensor = self.head(encoded.mean(dim=0))
        return logits


def mobilenet_v3_small(num_classes: int) -> nn.Module:
    """MobileNet-V3 Small: colour images (n, 3, h, w), bytes or floats in [0, 1], scaled to 224 x 224 -> (n, num_classes).

    The weights are drawn anew: those trained on ImageNet, which the paper starts from, are not to be had offline.

    Raises:
        ImportError: Torchvision is not installed, or does not fit the installed torch.

    Reference:
        Howard et al., "Searching for MobileNetV3", ICCV 2019; torchvision's implementation.
    """
    network = _torchvision_models().mobilenet_v3_small(weights=None, num_classes=num_classes)
    return nn.Sequential(Pixels(), nn.Upsample(size=(224, 224), mode="bilinear"), network)


def resnet18(num_classes: int, pixels: Pixels | None = None) -> nn.Module:
    """ResNet-18 for colour images of about 224 x 224: (n, 3, h, w), bytes or floats in [0, 1] -> (n, num_classes).

    The weights are drawn anew.

    Args:
        num_classes: The number of classes k.
        pixels: How pixels are scaled; without it to [-1, 1].

    Raises:
        ImportError: Torchvision is not installed, or does not fit the installed torch.

    Reference:
        He et al., "Deep Residual Learning for Image Recognition", CVPR 2016; torchvision's implementation.
    """
    return nn.Sequential(pixels or Pixels(), _torchvision_models().resnet18(weights=None, num_classes=num_classes))


def _torchvision_models() -> Any:
    try:
        from torchvision import models
    except ImportError as error:
        raise ImportError("this network is torchvision's: pip install 'learn2mix[vision]'") from error
    except RuntimeError as error:  # its compiled operators were not found
        raise ImportError(
            f"torchvision does not fit torch {torch.__version__} ({error}); install both from the same package index: a torch "
            "without CUDA needs the torchvision without CUDA"
        ) from error
    return models
