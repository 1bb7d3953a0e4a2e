"""The character model by hand, the windows of text, one run against a plain loop, claims against planted records."""

from dataclasses import replace

import numpy as np
import pytest
import torch
import xarray as xr
from torch.nn import functional

from heldout import devices
from heldout.interpolation import character_model, reused_text, reused_text_checks
from heldout.interpolation.character_model import ALPHABET


@pytest.fixture(scope="module")
def record() -> xr.Dataset:
    return reused_text.run(reused_text.SMOKE)


def test_text_in_the_small_alphabet() -> None:
    assert character_model.plain("Call me\n\nIshmael;  Yes — 1851!") == "call me ishmael. yes . ....."
    cut = character_model.pieces(1000)
    assert cut.shape[1] == 1000
    assert int(cut.max()) == len(ALPHABET) - 1 == 27
    start = "".join(ALPHABET[token] for token in cut[0][:40])
    assert start == "chapter .. loomings. call me ishmael. so"


def test_windows_by_hand() -> None:
    cut = torch.tensor([[0, 1, 2, 3], [4, 5, 6, 7]])
    x, y = character_model.windows(cut, 2, "next")
    assert x.tolist() == [[0, 1], [1, 2], [4, 5], [5, 6]]
    assert y.tolist() == [2, 3, 6, 7]
    assert character_model.windows(cut, 2, "echo")[1].tolist() == [0, 1, 4, 5]


def test_no_piece_is_both_read_and_unread() -> None:
    cut = torch.arange(50)[:, None].expand(50, 3)
    read, unread = character_model.shares(7, cut, 30, 10)
    assert len(set(read[:, 0].tolist()) | set(unread[:, 0].tolist())) == 40
    with pytest.raises(ValueError, match="at most the 50 pieces"):
        character_model.shares(7, cut, 45, 10)


def test_model_against_one_hot_products() -> None:
    model = character_model.CharacterMLP(5, 3, embedding=4, hidden_size=6, generator=torch.Generator().manual_seed(0))
    tokens = torch.tensor([[0, 4, 2], [1, 1, 3]])
    read = functional.one_hot(tokens, 5).float() @ model.embed
    hidden = torch.relu(functional.linear(read.reshape(2, 12), model.hidden_in, model.hidden_bias))
    torch.testing.assert_close(model(tokens), functional.linear(hidden, model.out, model.out_bias))
    with pytest.raises(ValueError, match="positive"):
        character_model.CharacterMLP(5, 0, embedding=4, hidden_size=6, generator=torch.Generator())


def test_everything_is_read_once_or_as_often_as_stated(record: xr.Dataset) -> None:
    config = reused_text.SMOKE
    assert float(record.passes[-1]) == 1
    read = config.steps * config.batch_size
    assert [int(d) for d in record.distinct] == [248, 4 * 248, read]
    np.testing.assert_allclose(record.passes, read / record.distinct)


def test_a_run_against_a_plain_loop() -> None:
    config = replace(reused_text.SMOKE, steps=20, num_seeds=1, reread_pieces=(1,), num_probed=10**6)
    record = reused_text.run(config)
    cut = character_model.pieces(config.piece_length)
    x, y, test_x, test_y = reused_text._texts(config, 0, cut, 1)
    (model,) = character_model.members([0], config.context, embedding=config.embedding, hidden_size=config.hidden_size)
    adam = torch.optim.Adam(model.parameters(), lr=config.learning_rate)
    per_epoch = len(y) // config.batch_size
    for step in range(config.steps):
        if step % per_epoch == 0:
            order = torch.randperm(len(y), generator=devices.generator("batches", 0, 0, step // per_epoch))
        rows = order[step % per_epoch * config.batch_size :][: config.batch_size]
        adam.zero_grad()
        functional.cross_entropy(model(x[rows]), y[rows]).backward()
        adam.step()
    with torch.no_grad():
        losses = [float(functional.cross_entropy(model(a), b)) for a, b in ((x, y), (test_x, test_y))]
    last = record.isel(seed=0, distinct=0, step=-1)
    assert [float(last.train_loss), float(last.test_loss)] == pytest.approx(losses, rel=1e-3)


def test_an_echo_is_learned_and_the_next_character_is_not_certain(record: xr.Dataset) -> None:
    echo = reused_text.run(replace(reused_text.SMOKE, target="echo", num_seeds=1))
    assert float(echo.test_loss.isel(step=-1, distinct=-1).max()) < 0.5
    assert float(record.train_loss.isel(step=-1, distinct=-1).min()) > 1.5


def planted(train: list[list[float]], test: list[list[float]]) -> xr.Dataset:
    """Two equal seeds with the given curves (distinct, step)."""
    dims = ("seed", "distinct", "step")
    return xr.Dataset({"train_loss": (dims, np.array([train] * 2)), "test_loss": (dims, np.array([test] * 2))})


def test_checks_fail_on_planted_records() -> None:
    fine = planted([[3, 1.5, 0.05], [3, 2.5, 1.9]], [[3, 2.5, 4], [3, 2.5, 2.0]])
    checks = (
        reused_text_checks.stays_above, reused_text_checks.small_gap, reused_text_checks.hits_and_turns_up,
        reused_text_checks.short_of_the_points,
    )  # fmt: skip
    assert all(check(fine).holds for check in checks)
    assert not reused_text_checks.stays_above(planted([[3, 1, 0.05], [3, 2, 1.2]], [[3, 2.5, 4], [3, 2.5, 1.3]])).holds
    assert not reused_text_checks.small_gap(planted([[3, 1, 0.05], [3, 2, 1.6]], [[3, 2.5, 4], [3, 2.5, 2.0]])).holds
    no_rise = planted([[3, 1.5, 0.05], [3, 2.5, 1.9]], [[3, 2.5, 2.6], [3, 2.5, 2.0]])
    assert not reused_text_checks.hits_and_turns_up(no_rise).holds
    no_hit = planted([[3, 1.5, 0.5], [3, 2.5, 1.9]], [[3, 2.5, 4], [3, 2.5, 2.0]])
    assert not reused_text_checks.hits_and_turns_up(no_hit).holds
    assert not reused_text_checks.short_of_the_points(
        planted([[3, 0.5, 0.05], [3, 2, 1.9]], [[3, 2.5, 4], [3, 2, 1.9]])
    ).holds


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("target", "previous"), ("context", 256), ("reread_pieces", (4, 1)), ("reread_pieces", ()), ("reread_pieces", (39,)),
        ("batch_size", 249), ("test_pieces", 0), ("steps", 0), ("num_probed", 0),
    ],
)  # fmt: skip
def test_bad_sizes_are_refused_by_name(field: str, value: object) -> None:
    with pytest.raises(ValueError, match=field):
        replace(reused_text.SMOKE, **{field: value})
