"""The augmentation of training images: each part by itself, drawn for each image from the generator alone."""

import math

import pytest
import torch

from bench_toys import global_random_state
from learn2mix.bench.data.augment import Augmentation
from learn2mix.bench.tasks import CIFAR10, CIFAR10_MOBILENET, CIFAR100_MOBILENET

OFF = {"flip": 0.0, "rotation": 0.0, "jitter": 0.0, "padding": 0, "erase": 0.0}


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def only(**parts):
    return Augmentation(**{**OFF, **parts})


@pytest.fixture
def images():
    return torch.randint(0, 256, (64, 3, 32, 32), dtype=torch.uint8, generator=generator(1))


def test_nothing_is_done_when_all_is_off(images):
    assert torch.equal(Augmentation(**OFF)(images, generator()), images / 255)
    # the geometry runs, but by nothing: every pixel comes from its own place, in oblong images too
    still = Augmentation(**{**OFF, "flip": 1e-12})
    assert torch.equal(still(images, generator()), images / 255)
    assert torch.equal(still(images[..., :7], generator()), images[..., :7] / 255)


def test_bytes_and_floats_are_alike(images):
    one = Augmentation()(images, generator())
    assert torch.equal(one, Augmentation()(images / 255, generator()))
    assert one.dtype == torch.float32
    assert one.shape == images.shape
    assert 0 <= one.min() <= one.max() <= 1


def test_the_generator_decides_and_nothing_else(images):
    before = global_random_state()
    one = generator()
    first, second = Augmentation()(images, one), Augmentation()(images, one)
    assert torch.equal(first, Augmentation()(images, generator()))
    assert not torch.equal(first, second)
    assert not torch.equal(first, Augmentation()(images, generator(2)))
    assert global_random_state() == before


@pytest.mark.parametrize(
    ("part", "least"),  # of 64 images, so many differ; neighbouring angles can pick the same pixels
    [({"rotation": 15.0}, 50), ({"jitter": 0.1}, 64), ({"padding": 4}, 40), ({"erase": 1.0}, 55), ({"flip": 0.5}, 2)],
)
def test_each_image_has_its_own_draw(part, least, images):
    same = images[:1].expand(64, -1, -1, -1)
    changed = only(**part)(same, generator())
    assert len({image.numpy().tobytes() for image in changed}) >= least


def test_flip(images):
    assert torch.equal(only(flip=1.0)(images, generator()), images.flip(3) / 255)
    mirrored = (only(flip=0.3)(images, generator()) == images.flip(3) / 255).flatten(1).all(1)
    assert 8 <= mirrored.sum() <= 32  # 19 are expected


def test_flip_draws_alike_whatever_else_is_on(images):
    mirrored = (only(flip=0.5)(images, generator()) == images.flip(3) / 255).flatten(1).all(1)
    halves = torch.zeros(64, 3, 32, 32)
    halves[..., :16] = 1  # a rotation by 15 degrees leaves most of the white half white
    moved = Augmentation(erase=0.0)(halves, generator())
    assert torch.equal(moved[..., 20:].mean((1, 2, 3)) > moved[..., :12].mean((1, 2, 3)), mirrored)


def test_shift_by_whole_pixels_with_a_black_border():
    numbers = (torch.arange(1, 1025).view(1, 1, 32, 32) / 1024).expand(500, 3, -1, -1)
    moved = only(padding=4)(numbers, generator())
    bordered = torch.nn.functional.pad(numbers[0], (4, 4, 4, 4))
    crops = {(y, x): bordered[:, y : y + 32, x : x + 32] for y in range(9) for x in range(9)}
    places = [next(place for place, crop in crops.items() if torch.equal(image, crop)) for image in moved]
    assert len(set(places)) > 75  # of 81
    for axis in range(2):
        counts = torch.bincount(torch.tensor([place[axis] for place in places]), minlength=9)
        assert counts.min() > 25  # 55.6 are expected


def test_rotation_about_the_middle():
    images = torch.zeros(400, 3, 33, 33)
    images[:, :, 16, 16] = 1
    images[:, :, 16, 30:] = 1  # a mark 14 to 16 pixels right of the middle
    turned = only(rotation=30.0)(images, generator())
    assert (turned[:, :, 16, 16] == 1).all()
    turned[:, :, 16, 16] = 0
    place = torch.arange(33) - 16.0
    weights = turned[:, 0] / turned[:, 0].sum((1, 2), keepdim=True)
    down, right = (weights * place[:, None]).sum((1, 2)), (weights * place).sum((1, 2))
    angles = torch.rad2deg(torch.atan2(down, right))
    assert angles.abs().max() <= 31  # 30, and a pixel's width
    assert -30 < angles.min() < -25
    assert 25 < angles.max() < 30
    assert abs(angles.mean()) < 3
    assert ((down**2 + right**2).sqrt() - 15).abs().max() < 1  # at the same distance


def test_a_quarter_turn_of_an_oblong_keeps_its_middle():
    """Angles are those of the picture, not of the grid: nothing is stretched."""
    images = torch.zeros(1, 3, 9, 21)
    images[:, :, 4, 7:14] = 1  # a line of 7 pixels
    for seed in range(200):
        turned = only(rotation=180.0)(images, generator(seed))[0, 0]
        draws = torch.rand(12, 1, generator=generator(seed))
        angle = 180 * (2 * float(draws[4]) - 1)
        if abs(abs(angle) - 90) < 2:
            assert torch.equal(turned.nonzero()[:, 1].unique(), torch.tensor([10]))
            assert turned.sum() == 7
            return
    pytest.fail("no quarter turn was drawn")


def grey(image):
    return (torch.tensor([0.299, 0.587, 0.114])[:, None, None] * image).sum(0)


def test_jitter_by_its_formulas(images):
    images = images[:20] / 255 * 0.5 + 0.25  # far enough from black and white that nothing is clamped
    changed = only(jitter=0.1)(images, generator())
    factors = 0.9 + 0.2 * torch.rand(12, 20, generator=generator())[:3]
    assert factors.min() < 0.92
    assert factors.max() > 1.08
    for image, after, (brightness, contrast, saturation) in zip(images, changed, factors.T, strict=True):
        bright = brightness * image
        contrasty = contrast * bright + (1 - contrast) * grey(bright).mean()
        expected = saturation * contrasty + (1 - saturation) * grey(contrasty)
        torch.testing.assert_close(after, expected)


def test_jitter_stays_in_range(images):
    changed = only(jitter=1.0)(images, generator())
    assert changed.min() == 0
    assert changed.max() == 1


def test_erased_rectangles():
    colour = (0.25, 0.5, 0.75)
    images = torch.zeros(2000, 3, 32, 32)
    erased = only(erase=0.5, erase_area=(0.02, 0.1), erase_colour=colour)(images, generator())
    hit = erased[:, 0] > 0
    touched = hit.flatten(1).any(1)
    assert 920 < touched.sum() < 1080  # 4 standard errors about 1000
    assert torch.equal(erased[touched][0].amax((1, 2)), torch.tensor(colour))
    heights, widths = hit.any(2).sum(1)[touched], hit.any(1).sum(1)[touched]
    areas = hit.sum((1, 2))[touched]
    assert torch.equal(areas, heights * widths)  # rectangles
    parts, ratios = areas / 1024, heights / widths
    # between the bounds, give or take the rounding of sides
    assert 0.012 < parts.min() < 0.03
    assert 0.09 < parts.max() < 0.115
    assert abs(parts.mean() - 0.06) < 0.005
    assert 0.2 < ratios.min() < 0.4
    assert 2.5 < ratios.max() < 4.5
    assert abs(ratios.log().mean() - math.log(0.3 * 3.3) / 2) < 0.1
    assert hit.any(0).all()  # any place can be hit


def test_erasing_all_of_an_image():
    assert (only(erase=1.0, erase_area=(1.0, 1.0))(torch.zeros(9, 3, 2, 2), generator()) == 0.5).flatten(1).any(1).all()


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda: Augmentation(flip=1.1), ValueError, "flip is 1.1; it must be between 0 and 1"),
        (lambda: Augmentation(rotation=-1), ValueError, "rotation is -1; it must be between 0 and 180"),
        (lambda: Augmentation(jitter=math.nan), ValueError, "jitter is nan"),
        (lambda: Augmentation(padding=-4), ValueError, "padding is -4"),
        (lambda: Augmentation(erase_area=(0.2, 0.1)), ValueError, r"erase_area is \(0.2, 0.1\)"),
        (
            lambda: Augmentation()(torch.zeros(2, 1, 8, 8), generator()),
            ValueError,
            r"\(2, 1, 8, 8\); give colour images",
        ),
        (lambda: Augmentation()(torch.zeros(2, 3, 8, 8, dtype=torch.int64), generator()), TypeError, "torch.int64"),
    ],
)
def test_refusals(make, error, message):
    with pytest.raises(error, match=message):
        make()


def test_the_tasks_parts():
    assert CIFAR10.augment == Augmentation(0.5, 15, 0.1, 4, 0.5, (0.02, 0.1), (0.7384, 0.7257, 0.7081))
    assert CIFAR10_MOBILENET.augment == CIFAR100_MOBILENET.augment == only(flip=0.5)
