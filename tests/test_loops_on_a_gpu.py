"""The training loops beside the engine: between two looks they ask a GPU for no value, and only fresh batches come from the CPU.

``meta`` tensors stand in for a GPU's, see ``core/gpu_steps.py``. Two loops must read a value at every update, since it decides
whether they go on: ``nonidentifiability.rank_one_edit`` and ``nonidentifiability.model_twin_runs``.
"""

import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from heldout import devices
from heldout.connecting_dots import pretraining, row_training, two_languages_training
from heldout.connecting_dots.dots_networks import Readers
from heldout.connecting_dots.observed_pairs import Split
from heldout.connecting_dots.row_optimizer import Adam
from heldout.decoders import Transformers
from heldout.networks import MLP
from heldout.nonidentifiability import anbn, in_context_training, sequence_training
from heldout.nonidentifiability.sequence_training import Auxiliary, Schedule
from heldout.prefix_tree import prefix_tree
from heldout.quanta import compositions, parity, parity_networks, small_decoders

sys.path.insert(0, str(Path(__file__).parent / "core"))
from gpu_steps import WaitError, updates_of

META = torch.device("meta")
Progress = Callable[..., None]


def decoders(count: int, vocabulary: int, outputs: int, context: int) -> Transformers:
    draws = [devices.generator("loops", i) for i in range(count)]
    sizes = {"width": 8, "layers": 2, "heads": 2, "hidden": 16}
    return Transformers(draws, vocabulary=vocabulary, outputs=outputs, context=context, **sizes).to(META)


def each(loop: Any, progress: Progress) -> None:
    for done in loop:
        progress(done)


def sequences(progress: Progress, *, tree: bool) -> None:
    read, wanted = anbn.sequences(4)
    models = decoders(4, anbn.VOCABULARY, anbn.OUTPUTS, 9)
    data = prefix_tree(read, wanted, anbn.OUTPUTS) if tree else (read.expand(4, -1, -1), wanted.expand(4, -1, -1))
    lesson = Auxiliary(first=2, weight=0.5, batch=lambda _: (read[:3].expand(2, -1, -1), wanted[:3].expand(2, -1, -1)))
    each(sequence_training.train(models, data, Schedule(steps=10, learning_rate=0.01), lesson), progress)


def documents(progress: Progress) -> None:
    models, rows = decoders(2, 4, 4, 6), torch.randint(0, 4, (2, 3, 6), generator=devices.generator("documents"))
    schedule = Schedule(steps=10, learning_rate=0.01)
    each(
        in_context_training.train(
            models, lambda _: (rows, rows), schedule, Auxiliary(first=0, weight=1.0, batch=lambda _: (rows, rows))
        ),
        progress,
    )


def parities(progress: Progress) -> None:
    frequency = parity.zipf(6, 0.5)
    tasks = [parity.random_tasks(seed, 6, 8, 2, frequency) for seed in range(2)]
    networks = parity_networks.Together(
        [[parity_networks.ParityMLP(6, 8, w, generator=devices.generator("parities", w)) for w in (3, 5)] for _ in range(2)], META
    )  # fmt: skip
    sources = [parity.online(own, 20, "loops", seed) for seed, own in enumerate(tasks)]
    parity_networks.train(networks, sources, steps=300, learning_rate=0.01, progress=progress)


def composites(progress: Progress) -> None:
    layout = compositions.Compositions(parts=3, subset=2, num_bits=12, right=(0, 1))
    nets = [[MLP(15, [6], 1, generator=devices.generator("composites", s)) for _ in range(2)] for s in range(2)]
    stack = compositions.Stack(nets, META, 0.01)
    streams = [devices.numpy_generator("composites", s) for s in range(2)]
    for step in range(5):
        stack.update(layout.draw(4, 5, streams).to(META))
        progress(step + 1)


def characters(progress: Progress) -> None:
    models = small_decoders.Decoders([0, 1], 9, width=8, layers=1, heads=2).to(META)
    text = torch.randint(0, 9, (2, 3, 7), generator=devices.generator("characters")).to(META)
    small_decoders.train(
        models, lambda _: text, steps=5, learning_rate=0.01, probe=lambda _: np.zeros(0), probe_steps=(), progress=progress
    )  # fmt: skip


LANGUAGE = pretraining.Recipe(
    modulus=5, synonyms=3, undefined=1, unseen=1, width=8, layers=2, heads=2, hidden=16, steps=10, batch=24
)


def names(progress: Progress) -> None:
    pretraining.pretrain(LANGUAGE, [0, 1], device=META, progress=progress)


def two_languages(progress: Progress) -> None:
    recipe = two_languages_training.Recipe(steps=10, stories=4, sums=4, width=8, heads=2, hidden=16)
    two_languages_training.pretrain(recipe, [0, 1], device=META, progress=progress)


def new_names(progress: Progress) -> None:
    """Rows, vectors and all weights; what has no rate is left out before the first update, which asks for values once."""
    languages = [LANGUAGE.language(seed) for seed in range(2)]
    sizes = {"width": LANGUAGE.width, "layers": LANGUAGE.layers, "heads": LANGUAGE.heads, "hidden": LANGUAGE.hidden}
    models = Readers.drawn(languages[0], [0, 1], **sizes).to(META)
    pretrained = pretraining.Pretrained(models=models, languages=languages, loss=torch.zeros(2))
    splits = [Split.drawn(language, devices.generator("splits", i), 3) for i, language in enumerate(languages)]
    modes = [row_training.Mode(row=0.1), row_training.Mode(vector=0.1, depth=1), row_training.Mode(row=0.1, rest=0.01)]
    tuning = row_training.Tuning(steps=10, replay=24)
    row_training.tune(pretrained, [0, 1], splits, modes, tuning, progress=progress)


LOOPS: dict[str, Callable[[Progress], None]] = {
    "sequences": partial(sequences, tree=False), "sequences as a tree": partial(sequences, tree=True), "documents": documents,
    "parities": parities, "composites": composites, "characters": characters, "names": names, "two languages": two_languages,
    "new names": new_names,
}  # fmt: skip


@pytest.fixture(autouse=True)
def any_device_is_fused(monkeypatch: pytest.MonkeyPatch) -> None:
    """PyTorch's fused AdamW is refused for tensors without values; the plain one stands in, with its step on the CPU."""
    plain = torch.optim.AdamW
    monkeypatch.setattr(torch.optim, "AdamW", lambda *given, **named: plain(*given, **named | {"fused": False}))


@pytest.fixture(autouse=True)
def every_part_is_trained(monkeypatch: pytest.MonkeyPatch) -> None:
    """Which parts of a decoder have a rate is asked before the first update; on tensors without values all have one."""

    def optimizer(tuned: row_training.Tuned, _: object) -> Adam:
        return Adam([(part, torch.ones_like(part)) for part in (*tuned.models.parameters(), tuned.vectors)])

    monkeypatch.setattr(row_training, "_optimizer", optimizer)


@pytest.mark.parametrize("name", LOOPS)
def test_a_loop_waits_for_no_value(name: str) -> None:
    second, third = updates_of(LOOPS[name], "meta")
    assert len(second) > 20
    assert len(second) == len(third)


def test_a_loop_that_waits_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    wanted = in_context_training.token_loss

    def stopping(logits: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
        loss = wanted(logits, targets)
        return loss if bool(torch.isfinite(loss).all()) else loss.nan_to_num()

    monkeypatch.setattr(in_context_training, "token_loss", stopping)
    with pytest.raises((WaitError, RuntimeError), match=r"item|_local_scalar_dense"):
        updates_of(documents, "meta")


def test_a_loop_that_copies_back_is_caught() -> None:
    def loop(progress: Progress) -> None:
        value = torch.ones(3, device=META)
        for step in range(5):
            value = value * 1.0
            value.to("cpu")
            progress(step + 1)

    with pytest.raises((WaitError, RuntimeError, NotImplementedError), match="meta"):
        updates_of(loop, "meta")
