"""Generation puts tokens into the right slots, and draws as often as the softmax says; width estimates hold."""

from __future__ import annotations

import math

import pytest
import torch

from networks.language.generation import choose, fill_window
from networks.language.model import LanguageModel
from networks.language.settings import Settings
from networks.language.width import projection_error, smallest_width, width_bound

CONTEXT, VOCABULARY = 12, 9


def draw(mixing: str = "flat") -> LanguageModel:
    torch.manual_seed(6)
    settings = Settings(vocabulary=VOCABULARY, context=CONTEXT, width=16, depth=2, heads=2, mixing=mixing)  # type: ignore[arg-type]
    return LanguageModel(settings).eval()


def random_window(seed: int, samples: int = 4) -> torch.Tensor:
    return torch.randint(VOCABULARY, (samples, CONTEXT), generator=torch.Generator().manual_seed(seed))


def generator(seed: int = 7) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


@pytest.mark.parametrize("mixing", ["flat", "multi-head", "attention"])
def test_filling_is_greedy_slot_by_slot_whatever_stood_there(mixing: str) -> None:
    model, window = draw(mixing), random_window(1)
    lengths = torch.tensor([3, 5, 1, 7])
    filled = fill_window(model, window, lengths, 5)
    other = random_window(2)
    garbage = torch.where(torch.arange(CONTEXT) < lengths[:, None], window, other)
    again = fill_window(model, garbage, lengths, 5)

    # Each slot by hand, from a whole window.
    for row, length in enumerate(lengths.tolist()):
        assert torch.equal(filled[row, : length + 5], again[row, : length + 5])
        assert torch.equal(filled[row, :length], window[row, :length])
        assert torch.equal(filled[row, length + 5 :], window[row, length + 5 :])
        for slot in range(length, length + 5):
            with torch.no_grad():
                assert filled[row, slot] == model(filled[row : row + 1])[0, slot - 1].argmax()


def test_a_batch_is_filled_like_its_samples() -> None:
    model, window, lengths = draw(), random_window(3), torch.tensor([4, 2, 6, 3])
    together = fill_window(model, window, lengths, 6)
    for row in range(4):
        alone = fill_window(model, window[row : row + 1], lengths[row : row + 1], 6)
        assert torch.equal(together[row], alone[0])


def test_the_last_slot_is_filled_too() -> None:
    window = fill_window(draw(), torch.zeros(1, CONTEXT, dtype=torch.int64), torch.tensor([CONTEXT - 4]), 4)
    with torch.no_grad():
        assert window[0, -1] == draw()(window)[0, -2].argmax()
    with pytest.raises(AssertionError):
        fill_window(draw(), window, torch.tensor([CONTEXT - 4]), 5)


def test_cold_is_greedy_and_hot_is_even() -> None:
    logits = torch.randn(200, VOCABULARY, generator=generator())
    assert torch.equal(choose(logits, 1e-4, generator()), logits.argmax(-1))
    assert torch.equal(choose(logits, 0.0), logits.argmax(-1))
    hot = choose(logits[:1].expand(9000, -1), 1e4, generator()).bincount(minlength=VOCABULARY)
    assert (hot - 1000).abs().max() < 5 * math.sqrt(1000)
    assert torch.isfinite(choose(1e4 * logits, 0.8, generator()).float()).all()


@pytest.mark.parametrize("temperature", [0.5, 0.8, 2.0])
def test_frequencies_are_those_of_the_softmax(temperature: float) -> None:
    logits, draws = torch.randn(VOCABULARY, generator=generator(8)), 10_000
    expected = (logits / temperature).softmax(0)
    chosen = choose(logits.expand(draws, -1), temperature, generator(9))
    frequencies = chosen.bincount(minlength=VOCABULARY) / draws
    assert ((frequencies - expected).abs() < 3 * (expected * (1 - expected) / draws).sqrt()).all()


def test_a_seed_says_what_is_drawn() -> None:
    model, window, lengths = draw(), random_window(5), torch.tensor([2, 2, 2, 2])
    torch.manual_seed(1)
    first = fill_window(model, window, lengths, 8, temperature=1.5, generator=generator(1))
    torch.manual_seed(2)
    assert torch.equal(first, fill_window(model, window, lengths, 8, temperature=1.5, generator=generator(1)))
    assert not torch.equal(first, fill_window(model, window, lengths, 8, temperature=1.5, generator=generator(2)))


@pytest.mark.parametrize(
    ("points", "expected"), [(15 * 10**12, 243), (15 * 10**18, 353), (512 * 10**6, 160), (10**570, 10_500)]
)
def test_widths_of_the_text(points: int, expected: int) -> None:
    assert float(f"{width_bound(points, 1):.3g}") == pytest.approx(expected, abs=0.5)
    assert smallest_width(points, 1) > width_bound(points, 1) >= smallest_width(points, 1) - 1
    assert width_bound(points, 0.5) == pytest.approx(4 * width_bound(points, 1))


def test_distances_survive_a_projection_to_the_estimated_width() -> None:
    points = torch.randn(500, 1000, generator=generator(10))
    width = smallest_width(500, 0.5)
    assert width == 199
    assert projection_error(points, width, generator(11)) < 0.5
    assert projection_error(points, 10, generator(11)) > 0.5
