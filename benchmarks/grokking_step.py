"""A full-batch step on modular addition: ours against the plain loop of the same network, held-out pairs looked at equally often.

The plain code is the textbook: a transformer that computes all three positions through attention, the ReLU layer and the
unembedding, as in the code of Nanda et al. 2023 (arXiv 2301.05217), and a cross-entropy through a float64 log-softmax. Ours is
``PairTransformer`` with the stable float32 cross-entropy and one fused AdamW update, through the engine. Same weights and split.
"""

import copy
import math
from collections.abc import Iterator
from functools import partial

import torch
from torch import Tensor
from torch.nn import functional

from benchmarks.harness import Row, compare, products_of
from heldout.devices import generator
from heldout.ensemble import Snapshot, train
from heldout.grokking.modular import Split, split, training_data
from heldout.grokking.pair_networks import PairTransformer
from heldout.grokking.training import ADAMW
from heldout.losses import stable_cross_entropy

RATE, DECAY, BETAS = 1e-3, 1.0, (0.9, 0.98)
CHAPTER, TARGET = "grokking", 5.0
TOLERANCE = 1e-5  # largest relative difference of any training or held-out loss
SIZES = {"P = 113, d = 128": (113, 128, 512, 0.3), "P = 59, d = 48": (59, 48, 192, 0.4)}
STEPS = {
    "P = 113, d = 128": 10,
    "P = 59, d = 48": 50,
}  # before these, ours tries the members; a run takes thousands of steps
FEW_LOOKS = 10  # steps from one look to the next


def plain_logits(net: PairTransformer, tokens: Tensor) -> Tensor:
    """Logits (batch, positions, P) from tokens (batch, positions): causal attention and the ReLU layer at every position."""
    positions = tokens.shape[1]
    stream = net.embed[tokens] + net.position
    query, key, value = (torch.einsum("hdm,bpm->bhpd", weight, stream) for weight in net.query_key_value)
    scores = torch.einsum("bhqd,bhkd->bhqk", query, key) / math.sqrt(query.shape[-1])
    mask = torch.ones(positions, positions, dtype=torch.bool).tril()
    attention = scores.masked_fill(~mask, -1e10).softmax(-1)
    read = torch.einsum("bhqk,bhkd->bhqd", attention, value)
    stream = stream + torch.einsum("hmd,bhpd->bpm", net.attention_out, read)
    stream = stream + functional.relu(stream @ net.hidden_in.T) @ net.hidden_out.T
    return stream @ net.unembed.T


def float64_cross_entropy(logits: Tensor, targets: Tensor) -> Tensor:
    """The mean loss through a log-softmax in float64."""
    return functional.nll_loss(functional.log_softmax(logits.double(), -1), targets)


def problem(modulus: int, model_size: int, hidden_size: int, fraction: float) -> tuple[PairTransformer, Split]:
    """One network and one split."""
    start = generator("benchmark", modulus)
    net = PairTransformer(modulus, generator=start, model_size=model_size, hidden_size=hidden_size)
    return net, split(modulus, fraction, 0)


def ours(net: PairTransformer, data: Split, steps: int, every: int) -> list[tuple[float, float]]:
    """Training and held-out loss before each step that is looked at; the training loss is the one of the step, as in plain."""
    losses: list[Tensor] = []

    def noted(logits: Tensor, targets: Tensor) -> Tensor:
        each = stable_cross_entropy(logits, targets)
        losses.append(each.detach().mean())
        return each

    def held_out(snapshot: Snapshot) -> dict[str, Tensor]:
        logits = snapshot.predict(data.test_pairs)
        return {"test_loss": stable_cross_entropy(logits, data.test_targets.unsqueeze(0)).mean(1)}

    looks = list(range(0, steps, every))
    history = train(
        [net], training_data([data]), steps=steps, learning_rate=RATE, weight_decay=DECAY, optimizer=ADAMW, loss=noted,
        probe=held_out, probe_steps=looks, device="cpu",
    )  # fmt: skip
    made = losses[-steps:]  # the engine may try the loss out before it starts
    return [
        (float(made[step]), float(held)) for step, held in zip(looks, history.values["test_loss"][:, 0], strict=True)
    ]


def plain(net: PairTransformer, data: Split, steps: int, every: int) -> list[tuple[float, float]]:
    """What a reader would write; the training loss is the one that is differentiated, the held-out loss costs another pass."""
    model = copy.deepcopy(net)
    optimizer = torch.optim.AdamW(model.parameters(), lr=RATE, weight_decay=DECAY, betas=BETAS)
    equals = torch.full((1, 1), net.modulus)
    trained, test = (
        torch.cat([pairs, equals.expand(len(pairs), 1)], 1) for pairs in (data.train_pairs, data.test_pairs)
    )
    found = []
    for step in range(steps):
        loss = float64_cross_entropy(plain_logits(model, trained)[:, -1], data.train_targets)
        if step % every == 0:
            with torch.no_grad():
                held = float64_cross_entropy(plain_logits(model, test)[:, -1], data.test_targets)
            found.append((float(loss.detach()), float(held)))
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]  # torch leaves it untyped
        optimizer.step()
    return found


def largest_difference(net: PairTransformer, data: Split, steps: int) -> float:
    """Largest relative difference of any loss, looked at before every step."""
    pairs = zip(ours(net, data, steps, 1), plain(net, data, steps, 1), strict=True)
    return max(abs(a - b) / abs(b) for mine, theirs in pairs for a, b in zip(mine, theirs, strict=True))


def grokking_step() -> Iterator[Row]:
    """One thread; held-out pairs looked at every step, as in the paper's code, and every tenth."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        for name, size in SIZES.items():
            net, data = problem(*size)
            apart = largest_difference(net, data, 30)
            assert apart < TOLERANCE, f"{name}: losses differ by {apart:.1e} relative"
            for every in (1, FEW_LOOKS):
                mine = partial(ours, net, data, STEPS[name], every)
                yield compare(
                    f"grokking step, {name}, {STEPS[name]} steps, a look every {every}",
                    mine,
                    partial(plain, net, data, STEPS[name], every),
                    alone=products_of(mine),
                    chapter=CHAPTER,
                    target=TARGET,
                    rounds=3,
                    note=f"losses equal to {apart:.0e} relative over 30 steps",
                )
    finally:
        torch.set_num_threads(before)
