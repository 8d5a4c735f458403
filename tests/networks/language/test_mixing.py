"""Every way of mixing tokens: nothing flows backwards, masks drop no more than they must, and known special cases hold."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest
import torch
from torch import nn
from torch.nn import functional

from networks.language import counting
from networks.language.blocks import SideBySide
from networks.language.mixers import CausalMap, ExpandedMixer, FlatMixer, MultiHeadMixer, ParallelMixer
from networks.language.model import LanguageModel
from networks.language.settings import Settings, gpt, llama

CONTEXT, WIDTH, VOCABULARY = 16, 12, 11

CHOICES: dict[str, Mapping[str, Any]] = {
    "flat": {},
    "flat-kernel-4": {"kernel": 4},
    "flat-kernel-3": {"kernel": 3},
    "flat-position-first": {"positions": "first-block"},
    "flat-position-every": {"positions": "every-block"},
    "flat-post": {"order": "post", "feed_forward": "relu"},
    "flat-no-residual": {"residual": False, "norm": "rms"},
    "flat-embedding-map": {"embedding_map": True},
    "expanded": {"mixing": "expanded"},
    "expanded-half": {"mixing": "expanded", "expansion": 0.5},
    "expanded-kernel-4": {"mixing": "expanded", "kernel": 4, "expansion": 1.0},
    "parallel": {"mixing": "parallel", "convolutions": 4},
    "multi-head": {"mixing": "multi-head", "heads": 3},
    "multi-head-kernel-4": {"mixing": "multi-head", "heads": 2, "kernel": 4},
    "attention": {"mixing": "attention", "heads": 2},
    "attention-learned": {"mixing": "attention", "heads": 1, "positions": "learned"},
    "attention-rope": {"mixing": "attention", "heads": 2, "positions": "rope", "feed_forward": "swiglu"},
    "attention-networks": {"mixing": "attention", "heads": 2, "positions": "rope", "projection_depth": 2},
    "distance": {"mixing": "attention", "heads": 2, "score": "distance", "positions": "learned"},
    "squared-distance": {"mixing": "attention", "heads": 2, "score": "squared-distance", "positions": "rope"},
    "series": {"mixing": "series", "heads": 2, "positions": "rope"},
    "side-by-side": {"mixing": "side-by-side", "heads": 2, "kernel": 4},
}
SETTINGS = {
    name: Settings(vocabulary=VOCABULARY, context=CONTEXT, width=WIDTH, depth=2, **choices)
    for name, choices in CHOICES.items()
}
SETTINGS["llama"] = llama(vocabulary=VOCABULARY, context=CONTEXT, width=WIDTH, depth=2, heads=2)
SETTINGS["gpt"] = gpt(vocabulary=VOCABULARY, context=CONTEXT, width=WIDTH, depth=2, heads=2)
MASKED = [name for name, settings in SETTINGS.items() if settings.mixing != "attention"]


def draw(settings: Settings) -> LanguageModel:
    torch.manual_seed(1)
    return LanguageModel(settings).eval()


def some_tokens(samples: int = 3) -> torch.Tensor:
    return torch.randint(VOCABULARY, (samples, CONTEXT), generator=torch.Generator().manual_seed(2))


@pytest.mark.parametrize("name", SETTINGS)
def test_later_tokens_change_no_earlier_logit(name: str) -> None:
    model, tokens = draw(SETTINGS[name]), some_tokens()
    other = tokens.clone()
    other[:, 10:] = (other[:, 10:] + 5) % VOCABULARY
    with torch.no_grad():
        difference = (model(tokens) - model(other)).abs().amax(dim=(0, 2))
    assert difference[:10].max() == 0.0
    assert difference[10:].min() > 0


@pytest.mark.parametrize("name", SETTINGS)
def test_half_precision_is_as_causal(name: str) -> None:
    model, tokens = draw(SETTINGS[name]), some_tokens()
    other = tokens.clone()
    other[:, 10:] = (other[:, 10:] + 5) % VOCABULARY
    with torch.no_grad(), torch.autocast("cpu", torch.bfloat16):
        logits = model(tokens)
        assert (logits - model(other))[:, :10].abs().max() == 0.0
    torch.testing.assert_close(logits.float(), model(tokens), atol=0.1, rtol=0.1)


@pytest.mark.parametrize("name", SETTINGS)
def test_the_last_logit_knows_the_first_token(name: str) -> None:
    model, tokens = draw(SETTINGS[name]), some_tokens()
    other = tokens.clone()
    other[:, 0] = (other[:, 0] + 5) % VOCABULARY
    with torch.no_grad():
        assert (model(tokens) - model(other))[:, -1].abs().max() > 0


@pytest.mark.parametrize("name", SETTINGS)
def test_a_shorter_window_gives_the_same_logits(name: str) -> None:
    model, tokens = draw(SETTINGS[name]), some_tokens()
    with torch.no_grad():
        torch.testing.assert_close(model(tokens[:, :9]), model(tokens)[:, :9], atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("name", SETTINGS)
def test_sizes_are_known_without_memory(name: str) -> None:
    settings = SETTINGS[name]
    assert counting.parameters(settings) == counting.counted(draw(settings))
    assert counting.kept_bytes(settings, samples=2) > counting.kept_bytes(settings) > 4 * CONTEXT * WIDTH


@pytest.mark.parametrize("name", SETTINGS)
def test_no_mask_is_kept(name: str) -> None:
    model = draw(SETTINGS[name])
    assert not list(model.buffers())
    assert set(model.state_dict()) == {name for name, _ in model.named_parameters()}


@pytest.mark.parametrize("name", SETTINGS)
def test_the_shown_weights_are_causal(name: str) -> None:
    weights = draw(SETTINGS[name]).mixing_weights(some_tokens())
    assert weights.shape == (SETTINGS[name].num_maps, CONTEXT, CONTEXT)
    assert torch.equal(weights, weights.tril())
    if SETTINGS[name].has_attention:
        torch.testing.assert_close(weights.sum(-1), torch.ones(weights.shape[:2]))


@pytest.mark.parametrize("name", MASKED)
def test_masked_weights_get_no_gradient_and_change_nothing(name: str) -> None:
    model, tokens = draw(SETTINGS[name]), some_tokens()
    plain = model(tokens)
    plain.square().sum().backward()
    maps = [module for module in model.modules() if isinstance(module, CausalMap)]
    assert maps
    for one in maps:
        masked = ~torch.ones(one.weight.shape[:2], dtype=torch.bool).tril()
        assert one.weight.grad is not None
        assert one.weight.grad[masked].abs().max() == 0
        with torch.no_grad():
            one.weight[masked] = 1e6
    assert torch.equal(model(tokens), plain)


@pytest.mark.parametrize("kernel", [1, 3, 4])
def test_no_legal_tap_is_dropped(kernel: int) -> None:
    places = 16
    one = CausalMap(places, kernel=kernel)
    one(torch.randn(2, places, 40)).square().sum().backward()
    assert one.weight.grad is not None
    assert int((one.weight.grad != 0).sum()) == kernel * places * (places + 1) // 2


@pytest.mark.parametrize("kernel", [1, 2, 3, 4])
def test_a_causal_map_is_a_masked_convolution(kernel: int) -> None:
    one = CausalMap(8, kernel=kernel)
    x = torch.randn(2, 8, 10)
    weight = one.weight * torch.ones(8, 8).tril()[:, :, None]
    padded = functional.pad(x, ((kernel - 1) // 2, kernel // 2))
    torch.testing.assert_close(one(x), functional.conv1d(padded, weight, one.bias), atol=1e-6, rtol=1e-5)


@pytest.mark.parametrize("places", [16, 64])
def test_what_is_dead_in_an_expanded_mixer(places: int) -> None:
    mixer = ExpandedMixer(places, 2 * places)
    mixer(torch.randn(4, places, 8)).square().sum().backward()
    first, second = mixer.first.weight.grad, mixer.second.weight.grad
    assert first is not None
    assert second is not None
    assert int((first[:, :, 0] == 0).all(dim=1).sum()) == places
    assert first[places:].abs().max() == 0
    for gradient in (first, second):
        assert (gradient == 0).double().mean().item() == pytest.approx(3 / 4 - 1 / (4 * places), abs=1e-12)


def test_an_expanded_mixer_follows_its_two_masked_maps() -> None:
    mixer = ExpandedMixer(8, 16)
    x = torch.randn(2, 8, 5)
    first = mixer.first.weight[:, :, 0] * torch.ones(16, 8).tril()
    second = mixer.second.weight[:, :, 0] * torch.ones(8, 16).tril()
    expected = second @ functional.gelu(first @ x + mixer.first.bias[:, None]) + mixer.second.bias[:, None]
    torch.testing.assert_close(mixer(x), expected, atol=1e-6, rtol=1e-5)


def test_a_narrow_middle_loses_the_places_behind_it() -> None:
    mixer = ExpandedMixer(16, 8)
    x = torch.randn(1, 16, 4)
    other = x.clone()
    other[:, 8:] += 1
    assert torch.equal(mixer(x), mixer(other))


@pytest.mark.parametrize("kernel", [1, 4])
def test_parallel_maps_are_one_map(kernel: int) -> None:
    mixer = ParallelMixer(CONTEXT, 3, kernel)
    x = torch.randn(2, CONTEXT, 9)
    merged = mixer.merged()
    torch.testing.assert_close(merged(x), mixer(x), atol=1e-6, rtol=0)
    torch.testing.assert_close(merged.weights(x), mixer.weights(x), atol=1e-6, rtol=0)


def test_one_head_without_projection_is_the_flat_mixer() -> None:
    mixer, flat = MultiHeadMixer(CONTEXT, WIDTH, 1), FlatMixer(CONTEXT)
    with torch.no_grad():
        for linear in (mixer.value, mixer.output):
            linear.weight.copy_(torch.eye(WIDTH))
            linear.bias.zero_()
        flat.load_state_dict({name.replace("maps.0", "map"): w for name, w in mixer.maps.named_parameters("maps")})
    x = torch.randn(2, CONTEXT, WIDTH)
    torch.testing.assert_close(mixer(x), flat(x), atol=1e-6, rtol=0)


def test_heads_of_a_mixer_have_gradients_of_their_own() -> None:
    mixer = MultiHeadMixer(CONTEXT, WIDTH, 3)
    with torch.no_grad():
        mixer.output.weight.copy_(torch.eye(WIDTH))
    mixer(torch.randn(2, CONTEXT, WIDTH))[..., 4:8].square().sum().backward()
    gradients = [one.weight.grad for one in mixer.maps]
    assert [bool(gradient is not None and gradient.abs().max() > 0) for gradient in gradients] == [False, True, False]
    assert mixer.value.weight.grad is not None
    assert mixer.value.weight.grad[4:8].abs().max() > 0
    assert mixer.value.weight.grad[:4].abs().max() == mixer.value.weight.grad[8:].abs().max() == 0


@pytest.mark.parametrize("mixing", ["series", "side-by-side"])
def test_a_mixer_branch_of_zeros_leaves_the_transformer(mixing: Any) -> None:
    common: Any = {"vocabulary": VOCABULARY, "context": CONTEXT, "width": WIDTH, "depth": 2, "heads": 2}
    hybrid = draw(Settings(**common, mixing=mixing))
    transformer = draw(Settings(**common, mixing="attention"))

    # The parts that both have, in their order; the mixer's own and its norm are left out.
    mixer_parts = [m for m in hybrid.modules() if isinstance(m, FlatMixer)]
    for part in mixer_parts:
        for weight in part.parameters():
            nn.init.zeros_(weight)
    left_out = {id(weight) for part in mixer_parts for weight in part.parameters()}
    if mixing == "series":
        left_out |= {id(weight) for block in hybrid.blocks for weight in block.get_submodule("1.norm").parameters()}
    shared = [weight for weight in hybrid.parameters() if id(weight) not in left_out]
    assert len(shared) == len(list(transformer.parameters()))
    with torch.no_grad():
        for weight, source in zip(transformer.parameters(), shared, strict=True):
            weight.copy_(source)
        assert torch.equal(hybrid(some_tokens()), transformer(some_tokens()))
    assert mixing == "series" or any(isinstance(module, SideBySide) for module in hybrid.modules())
