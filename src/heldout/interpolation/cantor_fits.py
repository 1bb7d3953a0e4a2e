"""Networks trained on Cantor data, and how well they do on each level along the way."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from heldout.ensemble import Snapshot, TrainingData, log_spaced_steps, train
from heldout.experiment import Progress
from heldout.interpolation.cantor_sets import logistic
from heldout.networks import MLP

SPREAD_SCALE = 6**0.5  # times PyTorch's default start: variance 2 / fan-in, which keeps deep ReLU signals at one size


@dataclass(frozen=True, kw_only=True)
class Schedule:
    """Updates, learning rate of Adam for each stage, and the mini-batch size."""

    steps: tuple[int, ...]
    learning_rates: tuple[float, ...]
    batch_size: int
    probes: int


@dataclass(frozen=True, kw_only=True)
class Course:
    """What came of a training.

    Attributes:
        steps: (step,) updates made at each look.
        accepted: (step, member, set) share of the judged points of the set and of each level's gaps with a positive output.
        outputs: (step, member, shown) outputs at the inputs to be drawn.
        loss: (member,) logistic loss over all training samples at the end, in nats.
    """

    steps: list[int]
    accepted: Float[np.ndarray, "step member set"]
    outputs: Float[np.ndarray, "step member shown"]
    loss: Float[np.ndarray, " member"]


def fit(
    members: Sequence[MLP],
    inputs: Float[Tensor, "stream n features"],
    labels: Float[Tensor, "stream n 1"],
    streams: Sequence[int],
    schedule: Schedule,
    *,
    seeds: Sequence[int],
    judged: Float[Tensor, "set points features"],
    shown: Float[Tensor, "shown features"],
    device: torch.device,
    progress: Progress,
) -> Course:
    """Train every member in place on its stream with Adam, one learning rate after the other.

    Args:
        streams: for each member the row of ``inputs`` and ``labels`` that it reads.
        seeds: names the rows, and so their mini-batch orders.
        judged: points of the set (first) and of the gaps of each level, at which outputs are held against zero.
        shown: inputs at which outputs are kept.
    """
    data = TrainingData(inputs=inputs, targets=labels[list(streams)], streams=list(streams), keys=list(seeds))
    everywhere = torch.cat([judged.flatten(0, 1), shown]).to(device)
    total = sum(schedule.steps)
    wanted = log_spaced_steps(total, schedule.probes)

    def look(snapshot: Snapshot) -> dict[str, Tensor]:
        outputs = snapshot.predict(everywhere)[..., 0]
        at_judged, at_shown = outputs[:, : -len(shown)], outputs[:, -len(shown) :]
        accepted = (at_judged > 0).float().reshape(len(outputs), *judged.shape[:2]).mean(-1)
        return {"accepted": accepted, "outputs": at_shown.clone()}

    found: dict[str, list[np.ndarray]] = {"accepted": [], "outputs": []}
    before = 0
    for stage, (steps, rate) in enumerate(zip(schedule.steps, schedule.learning_rates, strict=True)):
        last = stage == len(schedule.steps) - 1
        looks = [step - before for step in wanted if before <= step < before + steps or (last and step == total)]
        history = train(
            members, data, steps=steps, learning_rate=rate, batch_size=schedule.batch_size, seed=stage, loss=logistic,
            probe=look, probe_steps=looks, device=device, progress=partial(_advance, progress, before, steps, total),
        )  # fmt: skip
        for name, values in found.items():
            values.extend(history.values[name] if looks else [])
        for member, state in zip(members, history.states, strict=True):
            member.load_state_dict(state)
        before += steps
    return Course(
        steps=wanted,
        accepted=np.stack(found["accepted"]),
        outputs=np.stack(found["outputs"]),
        loss=training_loss(members, inputs, labels, streams),
    )


def _advance(progress: Progress, before: int, steps: int, total: int, done: int, of: int) -> None:
    # The engine counts the steps of all its chunks of members.
    progress(before + steps * done // of, total)


@torch.no_grad()
def training_loss(
    members: Sequence[MLP],
    inputs: Float[Tensor, "stream n features"],
    labels: Float[Tensor, "stream n 1"],
    streams: Sequence[int],
) -> Float[np.ndarray, " member"]:
    """Logistic loss of each member over its training samples, in nats."""
    losses = [logistic(m(inputs[s]), labels[s]).mean() for m, s in zip(members, streams, strict=True)]
    return torch.stack(losses).numpy()


def balanced(accepted: Float[np.ndarray, "*rest set"]) -> Float[np.ndarray, "*rest level"]:
    """Balanced accuracy of each level: the mean of the share of the set accepted and the share of that level's gaps refused."""
    result: np.ndarray = (accepted[..., :1] + 1 - accepted[..., 1:]) / 2
    return result
