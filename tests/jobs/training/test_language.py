"""The task `language`: what it asks for, what it refuses, that it learns, and what a trained model leaves."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from jobs.training.tasks import language
from jobs.training.tasks.language import Data, Model
from kernels.errors import RequestError
from networks.language import loss
from networks.language.task import LanguageTask
from networks.task import Task

SMALL: dict[str, Any] = {"generator": "stories", "count": 300, "context": 32}


@pytest.fixture(autouse=True)
def _own_cache(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HORSESHOE_DATA", str(tmp_path_factory.getbasetemp() / "generated"))


def make(model: dict[str, Any] | None = None, seed: int = 0, **data: Any) -> LanguageTask:
    chosen_data, chosen_model = Data(**SMALL | data), Model(**{"width": 16, "depth": 1} | (model or {}))
    language.check(chosen_data, chosen_model, None)
    return language.task(chosen_data, chosen_model, seed=seed)


def mean(task: LanguageTask, model: torch.nn.Module, samples: int = 128) -> dict[str, float]:
    batch = task.evaluation_batch(range(min(samples, task.num_evaluation_samples)))
    with torch.no_grad():
        return {name: value / task.weight(batch) for name, value in task.evaluate(model.eval(), batch).items()}


def train(task: LanguageTask, steps: int, batch: int = 32, rate: float = 2e-3) -> torch.nn.Module:
    torch.manual_seed(0)
    model = task.model().train()
    optimiser = torch.optim.AdamW(model.parameters(), rate, fused=True)
    order = np.random.default_rng(0).permutation(task.num_samples)
    for step in range(steps):
        taken = task.batch(order.take(range(step * batch, (step + 1) * batch), mode="wrap").tolist())
        optimiser.zero_grad()
        (task.loss(model, taken) / task.weight(taken)).backward()
        optimiser.step()
    return model


def test_it_keeps_the_trainer_s_protocol() -> None:
    task: Task = make()
    batch = task.batch([0, 5, 2])
    assert batch["tokens"].shape == (3, 32)
    assert batch["tokens"].dtype == torch.int64
    assert torch.equal(batch["tokens"][1], task.batch([5])["tokens"][0])
    assert task.weight(batch) == 3 * 31
    assert task.chance == pytest.approx(math.log(make().settings.vocabulary))
    assert task.num_samples > task.num_evaluation_samples > 10
    torch.manual_seed(1)
    model = task.model()
    total = task.loss(model, batch)
    parts = sum(task.loss(model, task.batch([sample])) for sample in (0, 5, 2))
    torch.testing.assert_close(total, parts, atol=1e-3, rtol=1e-6)
    assert set(task.evaluate(model, batch)) == {"loss", *task.measures}
    assert task.evaluate(model, batch)["loss"] == pytest.approx(total.item(), rel=1e-6)


def test_training_and_evaluation_never_share_a_story() -> None:
    task = make(packing="documents", context=400)
    words = [{task.tokeniser.decode(row) for row in rows} for rows in (task.training, task.evaluation)]
    assert len(words[0]) == 270
    assert len(words[1]) == 30
    assert not words[0] & words[1]


def test_padding_of_short_documents_does_not_count() -> None:
    task = make(packing="documents", context=400)
    batch = task.evaluation_batch(range(5))
    lengths = (batch["tokens"] != 0).sum(1)
    assert task.weight(batch) == float((lengths - 1).sum()) < 5 * 399


def test_a_mixer_learns_the_grammar() -> None:
    task = make({"width": 64, "depth": 2}, count=2000, context=64)
    learnt = mean(task, train(task, 250))
    assert learnt["loss"] < 1.0 < task.chance - 2
    assert learnt["accuracy"] > 0.6


def test_what_a_finished_run_leaves() -> None:
    prompts = ("once upon a time", "the little dog")
    task = make({"mixing": "attention", "heads": 2}, prompts=prompts, new_tokens=10, temperatures=(0.0, 1.0, 1.0))
    model = train(task, 3).eval()
    left = task.finish(model)
    assert {result.name: (result.shape, np.dtype(result.dtype)) for result in task.results} == {
        name: (values.shape, values.dtype) for name, values in left.items()
    }
    assert left["kept_bytes"] > 32 * 16 * 4
    np.testing.assert_allclose(left["mixing_weights"].sum(-1), 1, atol=1e-6)

    for number, prompt in enumerate(prompts):
        length = left["completion_length"][0, number]
        assert length == len(prompt) + 10
        text = bytes(left["completion_text"][0, number]).rstrip(b"\0").decode()
        assert text.startswith(prompt)
        assert left["completion_start"][0, number] == len(prompt.encode())
        tokens = left["completion_tokens"][0, number]
        assert text == task.tokeniser.decode(tokens[:length])
        assert not tokens[length:].any()
        with torch.no_grad():
            greedy = model(torch.from_numpy(tokens[None].astype(np.int64))).argmax(-1)[0]
        assert greedy[len(prompt) - 1 : length - 1].tolist() == tokens[len(prompt) : length].tolist()

    # The same seed draws the same, another one does not.
    assert (left["completion_tokens"][1] == left["completion_tokens"][2]).all()
    other = make({"mixing": "attention", "heads": 2}, seed=1, prompts=prompts, new_tokens=10, temperatures=(1.0,))
    assert (other.finish(model)["completion_tokens"][0] != left["completion_tokens"][1]).any()


def test_without_prompts_the_text_held_back_is_continued() -> None:
    task = make({"kernel": 2})
    left = task.finish(task.model().eval())
    assert left["completion_tokens"].shape == (1, 4, 32)
    assert (left["completion_tokens"][0, :, :16] == task.evaluation[:4, :16]).all()
    assert left["mixing_weights"].shape == (2, 32, 32)


@pytest.mark.parametrize("tokeniser", ["words", "byte-pairs"])
def test_other_tokens(tokeniser: str) -> None:
    task = make(tokeniser=tokeniser, vocabulary=300, prompts=("the little dog",), new_tokens=8)
    assert 30 < task.settings.vocabulary <= 300
    left = task.finish(task.model().eval())
    assert bytes(left["completion_text"][0, 0]).startswith(b"the little dog")
    assert left["completion_start"][0, 0] == len(b"the little dog")
    assert mean(task, task.model())["loss"] == pytest.approx(task.chance, rel=0.3)


def test_a_file_of_the_user_is_the_same_as_a_generated_one(tmp_path: Path) -> None:
    generated = Data(**SMALL)
    corpus = language.load(generated)
    folder = next(Path(language.sources.cache.data_folder()).glob("stories-300-0-*"))
    for name in ("train", "valid"):
        (tmp_path / f"mine-{name}.txt").write_bytes((folder / f"stories-{name}.txt").read_bytes())
    own = Data(**SMALL | {"path": str(tmp_path / "mine-train.txt"), "count": 17}, licence="mine")
    assert (language.load(own).train.tokens == corpus.train.tokens).all()
    described = language.manifest(own)
    assert described["licence"] == "mine"
    assert set(described["files"]) == {"mine-train.txt", "mine-valid.txt"}
    assert language.manifest(generated)["count"] == 300
    assert str(tmp_path) not in str(described)


def test_evaluation_is_cut_where_it_is_asked_for() -> None:
    assert make(evaluation_samples=7).num_evaluation_samples == 7


def test_auto_positions_go_with_the_mixing() -> None:
    data = Data(**SMALL)
    for mixing, expected in (("flat", "none"), ("multi-head", "none"), ("attention", "rope"), ("series", "rope")):
        model = Model(width=16, depth=1, mixing=mixing)  # type: ignore[arg-type]
        assert language.settings(data, model, 9).positions == expected


@pytest.mark.parametrize(
    ("data", "model", "message"),
    [
        ({"generator": None}, {}, "data.path: is missing; give a text"),
        ({"count": None}, {}, "data.count: is missing"),
        ({"count": 1}, {}, "data.count"),
        ({"temperatures": ()}, {}, "data.temperatures: is empty"),
        ({"new_tokens": 32}, {}, "data.new_tokens: at most data.context - 1 = 31"),
        ({}, {"positions": "rope"}, "model.positions: rope needs attention"),
        ({}, {"positions": "first-block", "mixing": "attention"}, "model.positions: first-block is for mixers alone"),
        ({}, {"score": "distance"}, "model.score: distance needs attention"),
        ({}, {"mixing": "attention", "heads": 3}, "model.heads: 3 does not divide"),
        (
            {},
            {"mixing": "multi-head", "positions": "every-block"},
            "model.heads: 4 does not divide the 16 features and",
        ),
        ({}, {"mixing": "attention", "heads": 16}, "model.positions: rope turns pairs"),
    ],
)
def test_what_is_refused(data: dict[str, Any], model: dict[str, Any], message: str) -> None:
    chosen = Model(**{"width": 16, "depth": 1} | model)
    with pytest.raises(RequestError) as error:
        language.check(Data(**SMALL | data), chosen, None)
    assert str(error.value).startswith(message)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(("prompt", "tokens"), [("", 0), ("x" * 30, 30)])
def test_a_prompt_has_to_fit(prompt: str, tokens: int) -> None:
    with pytest.raises(RequestError, match=rf"data.prompts\[1\]: has {tokens} tokens; 1 to 16 leave room"):
        make(prompts=("a", prompt))


def test_all_that_check_lets_through_can_be_built() -> None:
    data = Data(**SMALL)
    built = 0
    for mixing in ("flat", "expanded", "parallel", "multi-head", "attention", "series", "side-by-side"):
        for positions in ("auto", "none", "learned", "rope", "first-block", "every-block"):
            for heads in (1, 3, 4, 12):
                model = Model(width=12, depth=1, mixing=mixing, positions=positions, heads=heads)  # type: ignore[arg-type]
                try:
                    language.check(data, model, None)
                except RequestError:
                    continue
                language.settings(data, model, 9)
                built += 1
    assert built > 60


def test_chance_is_the_loss_of_a_model_that_knows_nothing() -> None:
    task = make()
    batch = task.batch(range(8))
    flat = torch.zeros(8, 32, task.settings.vocabulary)
    assert loss.cross_entropy(flat, batch["tokens"], 0).item() / task.weight(batch) == pytest.approx(task.chance)
