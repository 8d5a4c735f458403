"""Attention's symmetries, positions, the head, the loss, and sizes by formula."""

from __future__ import annotations

import math
from functools import partial
from typing import Any

import pytest
import torch
from torch.nn import functional

from networks.geometry.groups import rotations
from networks.language import counting, loss
from networks.language.attention import Attention, rotate, squared_distances
from networks.language.blocks import first_mixing
from networks.language.model import LanguageModel
from networks.language.settings import Settings, gpt, llama
from networks.language.symmetry import change, move, turn

PADDING = 0


def draw(**choices: Any) -> LanguageModel:
    torch.manual_seed(3)
    given: dict[str, Any] = {"vocabulary": 13, "context": 12, "width": 16, "depth": 2, "heads": 2}
    return LanguageModel(Settings(**given | choices)).eval()


def some_tokens(samples: int = 3, places: int = 12) -> torch.Tensor:
    return torch.randint(1, 13, (samples, places), generator=torch.Generator().manual_seed(4))


def test_rotated_products_depend_on_the_distance_of_places() -> None:
    query, key = torch.randn(2, 8, dtype=torch.float64)
    queries, keys = rotate(query.expand(20, 8)), rotate(key.expand(20, 8))
    products = queries @ keys.T
    for distance in range(-10, 11):
        along = products.diagonal(distance)
        torch.testing.assert_close(along, along[:1].expand_as(along), atol=1e-12, rtol=0)
    assert products[0].std() > 0.01
    torch.testing.assert_close(queries.norm(dim=-1), query.norm().expand(20), atol=1e-12, rtol=0)


def test_rope_sees_order_and_no_positions_do_not() -> None:
    tokens = some_tokens(1)
    swapped = tokens[:, [1, 0, *range(2, 12)]]
    with torch.no_grad():
        for positions, least in (("rope", 1e-4), ("learned", 1e-4)):
            model = draw(mixing="attention", positions=positions, depth=1)
            assert (model(tokens)[:, -1] - model(swapped)[:, -1]).abs().max() > least
        plain = draw(mixing="attention", depth=1)
        torch.testing.assert_close(plain(tokens)[:, -1], plain(swapped)[:, -1], atol=1e-5, rtol=0)


@pytest.mark.parametrize("score", ["dot", "distance", "squared-distance"])
def test_turns_at_the_heads_change_nothing_and_turns_of_the_input_do(score: Any) -> None:
    model = draw(mixing="attention", score=score, positions="learned").double()
    attention = first_mixing(model.blocks[-1])
    assert isinstance(attention, Attention)
    generator = torch.Generator().manual_seed(5)
    heads = [attention.query, attention.key]
    turned = turn(rotations(1, 8, generator)[0])
    assert change(model, some_tokens(), turned, heads) < 1e-12
    assert change(model, some_tokens(), turned, heads[:1]) > 1e-3
    assert change(model, some_tokens(), turn(rotations(1, 16, generator)[0]), [model.embedding]) > 1e-2

    # Moving queries and keys together keeps distances, and not products.
    moved = change(model, some_tokens(), move(torch.randn(8, generator=generator).double()), heads)
    assert (moved < 1e-11) == (score != "dot")


def test_squared_distances_are_right() -> None:
    queries, keys = torch.randn(2, 2, 3, 7, 5, dtype=torch.float64)
    expected = (queries[..., :, None, :] - keys[..., None, :, :]).square().sum(-1)
    torch.testing.assert_close(squared_distances(queries, keys), expected, atol=1e-12, rtol=0)


@pytest.mark.parametrize("score", ["distance", "squared-distance"])
def test_equal_queries_and_keys_have_gradients(score: Any) -> None:
    attention = Attention(8, 2, score=score)
    attention.key.load_state_dict(attention.query.state_dict())
    x = torch.randn(1, 1, 8).expand(2, 6, 8).clone().requires_grad_()
    attention(x).square().sum().backward()
    assert x.grad is not None
    assert all(torch.isfinite(weight.grad).all() for weight in attention.parameters() if weight.grad is not None)
    assert torch.isfinite(x.grad).all()


def test_attention_weights_reproduce_its_output() -> None:
    attention = Attention(8, 2, rotary=True)
    x = torch.randn(1, 6, 8)
    value = attention.value(x).unflatten(-1, (2, 4)).transpose(1, 2)[0]
    joined = (attention.weights(x) @ value).transpose(0, 1).flatten(1)
    torch.testing.assert_close(attention.output(joined), attention(x)[0], atol=1e-6, rtol=1e-5)


def test_each_head_has_networks_of_its_own() -> None:
    attention = Attention(8, 2, projection_depth=1)
    x = torch.randn(3, 6, 8)
    first = attention.query.networks[0]  # type: ignore[index, union-attr]
    expected = first[2](functional.gelu(first[0](x)))
    torch.testing.assert_close(attention.query(x)[..., :4], expected)
    # What one head's networks say is in the other's queries nowhere.
    attention.query(x)[..., 4:].square().sum().backward()
    assert first[0].weight.grad.abs().max() == 0
    # Linear maps in place of the networks: the plain layer.
    plain = Attention(8, 2)
    for name in ("query", "key", "value"):
        networks = getattr(attention, name).networks
        weight, bias = getattr(plain, name).weight, getattr(plain, name).bias
        for head, network in enumerate(networks):
            rows = slice(4 * head, 4 * head + 4)
            networks[head] = network[2]
            with torch.no_grad():
                network[2].weight.copy_(weight[rows])
                network[2].bias.copy_(bias[rows])
    attention.output.load_state_dict(plain.output.state_dict())
    torch.testing.assert_close(attention(x), plain(x), atol=1e-6, rtol=1e-5)


@pytest.mark.parametrize("positions", ["first-block", "every-block"])
def test_a_position_feature_is_seen_and_none_is_the_plain_model(positions: Any) -> None:
    tokens = torch.ones(2, 12, dtype=torch.int64)
    with torch.no_grad():
        assert torch.equal(draw(positions="none")(some_tokens()), draw()(some_tokens()))

        # With weights between places at nothing, equal tokens differ by their positions alone.
        for model, differ in ((draw(positions=positions), True), (draw(), False)):
            for name, weight in model.named_parameters():
                if ".map." in name:
                    weight.zero_()
            logits = model(tokens)
            assert bool((logits[:, 1:] != logits[:, :-1]).any()) == differ
            assert torch.equal(logits[0], logits[1])


def test_a_tied_head_is_the_embedding() -> None:
    model = draw(tied=True)
    assert model.head is None
    assert counting.counted(model) == counting.counted(draw()) - 13 * 16
    tokens = some_tokens()
    expected = model.hidden(tokens) @ model.embedding.weight.T
    torch.testing.assert_close(model(tokens), expected)


def test_a_map_behind_the_embedding() -> None:
    model, tokens = draw(embedding_map=True, depth=1), some_tokens()
    seen: list[torch.Tensor] = []
    model.blocks[0].register_forward_pre_hook(lambda _module, given: seen.append(given[0]))
    model(tokens)
    expected = model.embedding.weight[tokens] @ model.embedding_map.weight.T + model.embedding_map.bias
    torch.testing.assert_close(seen[0], expected)


def test_a_tied_model_begins_near_chance() -> None:
    model, tokens = draw(tied=True, width=64, positions="learned", final_norm=True), some_tokens(64)
    with torch.no_grad():
        first = loss.cross_entropy(model(tokens), tokens, PADDING).item() / loss.count(tokens, PADDING)
    assert first == pytest.approx(loss.chance(13), abs=1)


def test_post_norm_normalises_what_comes_out() -> None:
    hidden = draw(order="post").hidden(some_tokens())
    torch.testing.assert_close(hidden.mean(-1), torch.zeros(3, 12), atol=1e-5, rtol=0)
    torch.testing.assert_close(hidden.var(-1, correction=0), torch.ones(3, 12), atol=1e-3, rtol=0)


@pytest.mark.parametrize("mixing", ["flat", "attention"])
def test_padding_leaves_the_loss_alone(mixing: Any) -> None:
    model, tokens = draw(mixing=mixing), some_tokens(2, 7)
    padded = functional.pad(tokens, (0, 5), value=PADDING)
    with torch.no_grad():
        plain = loss.cross_entropy(model(tokens), tokens, PADDING)
        with_padding = loss.cross_entropy(model(padded), padded, PADDING)
        everything = loss.cross_entropy(model(padded), padded, None)
    assert loss.count(tokens, PADDING) == loss.count(padded, PADDING) == 12
    assert loss.count(padded, None) == 22
    torch.testing.assert_close(with_padding, plain, atol=1e-4, rtol=1e-6)
    assert everything > with_padding + 1


def test_the_loss_is_in_nats_and_shifted_by_one() -> None:
    tokens = some_tokens(2)
    uniform = loss.cross_entropy(torch.zeros(2, 12, 13), tokens, PADDING)
    assert uniform.item() / loss.count(tokens, PADDING) == pytest.approx(loss.chance(13), rel=1e-6)
    assert loss.chance(13) == pytest.approx(math.log(13))

    # Logits that name the token behind their place are right everywhere.
    logits = torch.zeros(2, 12, 13)
    logits[:, :-1] = 50.0 * functional.one_hot(tokens[:, 1:], 13)
    assert loss.correct(logits, tokens, PADDING) == loss.count(tokens, PADDING) == 22
    assert loss.cross_entropy(logits, tokens, PADDING) < 1e-6
    assert loss.cross_entropy(logits.bfloat16(), tokens, PADDING).dtype == torch.float32


@pytest.mark.parametrize(
    "choices",
    [
        {},
        {"kernel": 4, "norm": "rms"},
        {"mixing": "expanded", "expansion": 0.7, "kernel": 2},
        {"mixing": "parallel", "convolutions": 3, "tied": True},
        {"mixing": "multi-head", "kernel": 3, "bias": False},
        {"mixing": "attention", "positions": "learned", "final_norm": True, "feed_forward": "relu"},
        {"mixing": "attention", "feed_forward": "swiglu", "widening": 2.5},
        {"mixing": "series", "kernel": 4},
        {"mixing": "side-by-side", "projection_depth": 1, "heads": 4},
        {"positions": "every-block"},
        {"positions": "learned", "embedding_map": True, "tied": True},
    ],
)
def test_parameters_by_formula_are_those_counted(choices: dict[str, Any]) -> None:
    model = draw(**choices)
    assert counting.parameters(model.settings) == counting.counted(model)


@pytest.mark.parametrize(
    ("width", "mixer", "transformer"), [(128, None, 3.1), (256, 8.41, 10.5), (512, 23.1, 37.8), (1024, 77.7, 142.6)]
)
def test_parameters_of_the_text_s_models(width: int, mixer: float | None, transformer: float) -> None:
    flat = Settings(vocabulary=4096, context=512, width=width, depth=8)
    attention = llama(vocabulary=4096, context=512, width=width, heads=16)
    with torch.device("meta"):
        assert counting.counted(LanguageModel(flat)) == counting.parameters(flat)
        assert counting.counted(LanguageModel(attention)) == counting.parameters(attention)
    assert mixer is None or round(counting.parameters(flat) / 1e6, 2 if mixer < 10 else 1) == mixer
    assert round(counting.parameters(attention) / 1e6, 1) == transformer


def test_the_widest_mixer_and_the_weights_between_places() -> None:
    widest = Settings(vocabulary=4096, context=512, width=2048, depth=8)
    assert round(counting.parameters(widest) / 1e6) == 287
    for width in (256, 2048):
        narrow = Settings(vocabulary=4096, context=512, width=width, depth=8)
        assert round(8 * counting.mixing_parameters(narrow) / 1e6, 2) == 2.10


def test_the_first_gpt_ties_its_head_and_normalises_behind() -> None:
    settings = gpt(vocabulary=13, context=12, width=16, depth=2, heads=2)
    model = LanguageModel(settings)
    assert model.head is None
    assert model.places is not None
    assert counting.parameters(settings) == counting.counted(model)


def test_kept_bytes_grow_with_the_context_four_times_faster_in_a_transformer() -> None:
    sizes: dict[str, Any] = {"vocabulary": 4096, "width": 1024, "depth": 4}
    mixer, transformer = (
        [counting.kept_bytes(make(context=context, **sizes), head=False) for context in (512, 1024, 2048)]
        for make in (Settings, partial(llama, heads=16))
    )
    assert mixer == sorted(mixer)
    assert transformer == sorted(transformer)
    assert transformer[2] - transformer[0] > 4 * (mixer[2] - mixer[0])
    with_head = Settings(context=512, **sizes)
    assert counting.kept_bytes(with_head) > mixer[0]
    assert counting.kept_bytes(with_head, samples=3, head=False) > 2 * mixer[0]


@pytest.mark.parametrize(
    ("block", "choices"),
    [(0, {"positions": "first-block", "embedding_map": True}), (1, {"positions": "every-block", "residual": False})],
)
def test_places_differ_in_half_precision(block: int, choices: dict[str, Any]) -> None:
    model, given = draw(context=2048, **choices), list[torch.Tensor]()
    model.blocks[block].register_forward_pre_hook(lambda _module, inputs: given.append(inputs[0]))
    with torch.no_grad(), torch.autocast("cpu", torch.bfloat16):
        model(some_tokens(1, 2048))
    assert len(given[0][0, :, -1].unique()) == 2048


def test_residuals_are_summed_in_the_type_of_the_weights() -> None:
    with torch.no_grad(), torch.autocast("cpu", torch.bfloat16):
        assert draw(embedding_map=True).hidden(some_tokens()).dtype == torch.float32
    assert draw(embedding_map=True).bfloat16().hidden(some_tokens()).dtype == torch.bfloat16
