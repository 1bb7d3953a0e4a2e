"""Sequences as one tree of prefixes: hand-made, and the same loss and training as with padded rows."""

import math

import pytest
import torch

from heldout import devices
from heldout.decoders import Transformers
from heldout.nonidentifiability import anbn
from heldout.nonidentifiability.sequence_training import Schedule, token_loss, train, tree_loss
from heldout.prefix_tree import prefix_tree


def ensemble(count: int) -> Transformers:
    return Transformers(
        [devices.generator("tree", member) for member in range(count)], vocabulary=anbn.VOCABULARY, outputs=anbn.OUTPUTS,
        context=9, width=8, heads=2, hidden=12, dtype=torch.float64,
    )  # fmt: skip


def test_a_tree_of_two_sequences() -> None:
    tree = prefix_tree(*anbn.sequences(2), anbn.OUTPUTS)  # ab. and aabb.
    assert tree.tokens.tolist() == [anbn.START, anbn.A, anbn.B, anbn.A, anbn.B, anbn.B]
    assert tree.places.tolist() == [0, 1, 2, 2, 3, 4]
    assert tree.counts.tolist() == [[2, 0, 0], [1, 1, 0], [0, 0, 1], [0, 1, 0], [0, 1, 0], [0, 0, 1]]
    ways = [[0], [0, 1], [0, 1, 2], [0, 1, 3], [0, 1, 3, 4], [0, 1, 3, 4, 5]]
    assert tree.future.tolist() == [[0 if node in way else -math.inf for node in range(6)] for way in ways]
    assert len(prefix_tree(*anbn.sequences(10), anbn.OUTPUTS).tokens) == 66


def test_what_is_not_wanted_costs_nothing() -> None:
    read, wanted = anbn.taught(anbn.prompts(3)[3:6], "adversarial")
    models = ensemble(2)
    tree = prefix_tree(read, wanted, anbn.OUTPUTS).to(models.embed)
    assert int(tree.counts.sum()) == int((wanted != anbn.IGNORED).sum())
    torch.testing.assert_close(
        tree_loss(models.on_tree(tree), tree), token_loss(models(read.expand(2, -1, -1)), wanted.expand(2, -1, -1))
    )
    with pytest.raises(ValueError, match="target"):
        prefix_tree(read, torch.full_like(wanted, anbn.IGNORED), anbn.OUTPUTS)


def test_training_on_the_tree_equals_training_on_rows() -> None:
    read, wanted = anbn.sequences(4)
    by_rows, by_tree = ensemble(3), ensemble(3)
    schedule = Schedule(steps=10, learning_rate=1e-2, warm_up=3, weight_decay=0.1, clip=0.5)
    for _ in train(by_rows, (read.expand(3, -1, -1), wanted.expand(3, -1, -1)), schedule):
        pass
    for _ in train(by_tree, prefix_tree(read, wanted, anbn.OUTPUTS), schedule):
        pass
    for name, value in by_rows.named_parameters():
        torch.testing.assert_close(by_tree.get_parameter(name), value, rtol=1e-7, atol=1e-9)
    tree = prefix_tree(read, wanted, anbn.OUTPUTS).to(by_tree.embed)
    torch.testing.assert_close(by_tree.on_tree(tree, slice(1, None)), by_tree.on_tree(tree)[1:])
