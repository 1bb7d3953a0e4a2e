"""Areas under the curve of every score, for networks on the way and at the end."""

import copy

import numpy as np
import torch
from torch import Tensor

from heldout.ensemble import Snapshot
from heldout.grokking.anomaly_scores import SCORES, auc, circuit_score, hits, restricted, scores, strongest
from heldout.grokking.pair_networks import PairMLP
from heldout.grokking.planted import Planted

ANOMALIES = ("trigger", "memorized")
FALSE_ALARMS = tuple(float(rate) for rate in np.linspace(0, 1, 41))


def _told(
    task: Planted, network: PairMLP, state: dict[str, Tensor], num_frequencies: int
) -> list[tuple[Tensor, dict[str, Tensor]]]:
    """For each kind of anomaly, which pairs are one, and the scores of all pairs it is told from."""
    told = []
    for pairs, anomalous in (
        (task.split.test_pairs, task.triggered_test),
        (task.split.train_pairs[~task.triggered_train], task.wrong_train[~task.triggered_train]),
    ):
        found = scores(network, state, pairs, task.split.train_pairs, num_frequencies)
        told.append((anomalous, found))
    return told


class Look:
    """The areas and accuracies of every member at a probe."""

    def __init__(self, tasks: list[Planted], network: PairMLP, num_frequencies: int) -> None:
        self.tasks, self.scratch, self.kept = tasks, copy.deepcopy(network), num_frequencies

    def __call__(self, snapshot: Snapshot, _: Tensor, test_logits: Tensor) -> dict[str, Tensor]:
        """Arrays auc (members, anomaly, score) and test_, trigger_ and circuit_accuracy (members,)."""
        rows: dict[str, list[list[float] | list[list[float]]]] = {}
        states = dict(snapshot.named_states())
        for place, member in enumerate(snapshot.members.tolist()):
            task, state = self.tasks[member], states[member]
            told = _told(task, self.scratch, state, self.kept)
            rows.setdefault("auc", []).append([[auc(which, found[score]) for score in SCORES] for which, found in told])
            right = test_logits[place].argmax(-1).cpu() == task.split.test_targets
            self.scratch.load_state_dict(restricted(state, strongest(state, self.kept)))
            with torch.no_grad():
                cut = self.scratch(task.split.test_pairs).argmax(-1) == task.split.test_targets
            for name, values, which in (
                ("test_accuracy", right, ~task.triggered_test),
                ("trigger_accuracy", right, task.triggered_test),
                ("circuit_accuracy", cut, ~task.triggered_test),
            ):
                rows.setdefault(name, []).append(values[which].double().mean().item())
        return {name: torch.tensor(values, dtype=torch.float64) for name, values in rows.items()}


def at_the_end(
    task: Planted, network: PairMLP, state: dict[str, Tensor], num_frequencies: int
) -> tuple[np.ndarray, np.ndarray]:
    """Hits by anomaly, score and false alarms, and the circuit's area on triggers by the number of frequencies kept."""
    told = _told(task, network, state, num_frequencies)
    found = [[hits(which, values[score], np.array(FALSE_ALARMS)) for score in SCORES] for which, values in told]
    pairs, which = task.split.test_pairs, task.triggered_test
    counts = range(1, (len(state["left"]) - 1) // 2 + 1)
    areas = [auc(which, circuit_score(network, state, pairs, count)) for count in counts]
    return np.array(found), np.array(areas)
