"""The networks of the closing panel compared: one seed at a time, on the data, after untaught prompts, and at other lengths."""

from collections.abc import Mapping

import numpy as np
import torch
from jaxtyping import Int

from heldout import devices, distances
from heldout.nonidentifiability import anbn
from heldout.nonidentifiability import panel_sequences as panels
from heldout.nonidentifiability.closing_panel_checks import (
    ADVERSARY,
    DEEP,
    ORACLE,
    OTHER_DEEP,
    OTHER_ORACLE,
    OTHER_PLAIN,
    PAIRS,
    PLAIN,
    RULER,
)
from heldout.nonidentifiability.panel_lessons import Member
from heldout.nonidentifiability.panel_sequences import Answers

ASKED = 120  # prompts of another length, at most
Found = Mapping[Member | str, Answers]


def models(most: int) -> dict[str, Member | str]:
    """The panel's networks by name, when ``most`` prompts are taught."""
    return {
        PLAIN: Member(0, 0), OTHER_PLAIN: Member(1, 0), ORACLE: Member(0, most), OTHER_ORACLE: Member(1, most),
        ADVERSARY: Member(0, most, "adversarial"), DEEP: DEEP, OTHER_DEEP: OTHER_DEEP,
    }  # fmt: skip


def other_lengths(length: int) -> dict[int, Int[np.ndarray, "prompt place"]]:
    """Prompts outside the language with one letter less and one more: all there are, or as many drawn at random."""
    found = {}
    for letters in (length - 1, length + 1):
        rows = anbn.prompts(letters)
        outside = rows[~anbn.in_distribution(rows)]
        order = torch.randperm(len(outside), generator=devices.generator("panel lengths", letters)).numpy()
        found[letters] = outside[np.sort(order[:ASKED])]
    return found


def compared(
    found: Found,
    doses: tuple[int, ...],
    rows: Int[np.ndarray, "prompt place"],
    order: Int[np.ndarray, " place"],
    given: Int[np.ndarray, " prompt"],
) -> dict[str, np.ndarray]:
    """All that the record holds of one seed.

    Args:
        found: what each network says.
        order: the prompts outside the language, those taught first.
        given: for each prompt, the one whose answer is taught after it.
    """
    most, places = doses[-1], models(doses[-1])
    untaught = order[most:]
    own = {name: answers.on(untaught) for name, answers in found.items()}
    predictions = {name: own[place] for name, place in places.items()}
    losses = {name: found[place].matched for name, place in places.items()}
    panel = distances.measure(PAIRS, predictions, losses, panels.distance)
    yardstick = distances.measure([RULER], predictions, losses, panels.distance)["distance"][0]
    lacking = untaught[panels.surplus_of(rows[untaught]) != 0]
    return {
        **panel,
        "yardstick": yardstick,
        **_by_dose(found, doses, rows, order, given),
        "across": _mean(predictions, [(one, other) for one in (PLAIN, OTHER_PLAIN) for other in (DEEP, OTHER_DEEP)]),
        "within": _mean(predictions, [(PLAIN, OTHER_PLAIN), (DEEP, OTHER_DEEP)]),
        "rest_elsewhere": np.array([float(one["elsewhere"][:, -1].mean()) for one in predictions.values()]),
        "rest_data": np.array([float(one["test"][:, -1].mean()) for one in predictions.values()]),
        "right_lacking": np.array(
            [panels.share_right(found[place].completions[lacking], rows[lacking]) for place in places.values()]
        ),
        "balanced": np.array(1 - len(lacking) / len(untaught)),
        **_by_length(found, most, untaught, rows.shape[1]),
        "divergence": np.array([found[place].divergence for place in places.values()]),
        "factor": np.array([found[place].factor for place in places.values()]),
    }


def _mean(predictions: Mapping[str, Mapping[str, torch.Tensor]], pairs: list[tuple[str, str]]) -> np.ndarray:
    apart = [panels.distance(predictions[one]["elsewhere"], predictions[other]["elsewhere"]) for one, other in pairs]
    return np.array(np.mean(apart))


def _by_dose(
    found: Found, doses: tuple[int, ...], rows: np.ndarray, order: np.ndarray, given: np.ndarray
) -> dict[str, np.ndarray]:
    """Two starts that are taught the same prompts, for every number of them."""
    untaught, surplus = order[doses[-1] :], panels.surplus_of(rows)
    table: dict[str, list[np.ndarray | float]] = {}
    for dose in doses:
        one, other = (found[Member(start, dose)] for start in (0, 1))
        first, second = one.on(untaught), other.on(untaught)
        taught = order[:dose]
        line: dict[str, np.ndarray | float] = {
            "start_distance": panels.distance(first["elsewhere"], second["elsewhere"]),
            "start_farthest": panels.farthest(first["elsewhere"], second["elsewhere"]),
            "start_test": panels.farthest(first["test"], second["test"]),
            "right": float(
                np.mean([panels.share_right(each["elsewhere"], rows[untaught]) for each in (first, second)])
            ),
            "learned": float(
                np.mean(
                    [panels.share_as_taught(each.completions[taught], surplus[given[taught]]) for each in (one, other)]
                )
            ),
            "profile": panels.profiles(first["elsewhere"], second["elsewhere"], rows[untaught]),
        }
        for name, value in line.items():
            table.setdefault(name, []).append(value)
    return {name: np.array(values) for name, values in table.items()}


def _by_length(found: Found, most: int, untaught: np.ndarray, length: int) -> dict[str, np.ndarray]:
    """Distances of two starts, taught and not, after prompts of one letter less, of as many as were taught, and of one more."""
    table = []
    for dose in (most, 0):
        pair = [found[Member(start, dose)] for start in (0, 1)]
        shorter, longer = (
            panels.distance(*(one.others[letters] for one in pair)) for letters in (length - 1, length + 1)
        )
        table.append([shorter, panels.distance(*(one.completions[untaught] for one in pair)), longer])
    return {"taught_by_length": np.array(table[0]), "plain_by_length": np.array(table[1])}
