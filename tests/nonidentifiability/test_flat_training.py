"""Training at a flat loss: the trace against automatic differentiation, rescaling, and checks on records made by hand."""

import numpy as np
import pytest
import torch
import xarray as xr

from heldout import devices
from heldout.decoders import Transformers
from heldout.nonidentifiability import anbn, flat_training, flatness
from heldout.nonidentifiability import flat_training_checks as checks
from heldout.nonidentifiability.flat_training import CLAIMS, SMOKE, Config, run
from heldout.nonidentifiability.prompt_scores import Prompts, sequence_logs
from heldout.prefix_tree import prefix_tree


def small(longest: int = 3, count: int = 2) -> Transformers:
    return Transformers(
        [devices.generator("small", seed) for seed in range(count)], vocabulary=anbn.VOCABULARY, outputs=anbn.OUTPUTS,
        context=2 * longest + 1, width=4, layers=2, heads=2, hidden=6, dtype=torch.float64,
    )  # fmt: skip


@pytest.fixture(scope="module")
def smoke() -> xr.Dataset:
    return run(SMOKE, device="cpu")


def test_the_trace_is_that_of_the_gauss_newton_matrix() -> None:
    """Once more from the Jacobian of all logits and the covariance of the next token, sequence by sequence."""
    models = small(count=1)
    read, wanted = anbn.sequences(3)
    tree = prefix_tree(read, wanted, anbn.OUTPUTS)
    parameters = {name: value.detach() for name, value in models.named_parameters()}

    def logits(values: dict[str, torch.Tensor]) -> torch.Tensor:
        found: torch.Tensor = torch.func.functional_call(models, values, (read.expand(1, -1, -1),))
        return found[0]

    jacobian = torch.func.jacrev(logits)(parameters)
    odds = logits(parameters).softmax(-1)
    total = 0.0
    for row, place in np.ndindex(*wanted.shape):
        if wanted[row, place] == anbn.IGNORED:
            continue
        p = odds[row, place]
        covariance = p.diag() - p.outer(p)
        flat = torch.cat([part[row, place].flatten(1) for part in jacobian.values()], 1)
        total += float((flat.T @ covariance @ flat).trace()) / 3
    assert flatness.trace(models, tree)[0] == pytest.approx(total, rel=1e-9)


def test_values_can_be_rescaled_and_the_trace_follows_the_proposition() -> None:
    models, tree = small(), prefix_tree(*anbn.sequences(3), anbn.OUTPUTS)
    logs = sequence_logs(models, anbn.sequences(3))
    traces = {}
    for factor in (0.25, 0.5, 1.0, 2.0, 8.0):
        moved = flatness.values_rescaled(models, factor)
        assert torch.allclose(sequence_logs(moved, anbn.sequences(3)), logs, atol=1e-10)
        traces[factor] = flatness.trace(moved, tree)
    design = np.array([[1.0, factor**2, factor**-2] for factor in (0.5, 1.0, 2.0)])
    parts = np.linalg.solve(design, np.stack([traces[factor] for factor in (0.5, 1.0, 2.0)]))
    assert (parts > 0).all()
    for factor in (0.25, 8.0):
        assert np.allclose(np.array([1.0, factor**2, factor**-2]) @ parts, traces[factor], rtol=1e-7)


def test_hidden_units_cannot() -> None:
    models = small()
    moved = flatness.hidden_rescaled(models, 10.0)
    before, after = (sequence_logs(each, anbn.sequences(3)) for each in (models, moved))
    assert float((before - after).abs().min()) > 1e-6


@pytest.mark.parametrize("rescale", [flatness.values_rescaled, flatness.hidden_rescaled])
def test_a_factor_must_be_positive(rescale) -> None:  # type: ignore[no-untyped-def]
    with pytest.raises(ValueError, match=r"factor=0\.0"):
        rescale(small(), 0.0)


def test_judged_prompts_are_unbalanced_outside_and_untaught() -> None:
    prompts = Prompts.of_length(4, 0.5, 0)
    words = ["".join("ab"[token] for token in row) for row in prompts.rows]
    outside = [word for word in words if "ba" in word or word.count("b") > word.count("a")]
    assert int(prompts.taught.sum()) == round(0.5 * len(outside))
    expected = [
        word in outside and not known and word.count("a") != 2
        for word, known in zip(words, prompts.taught, strict=True)
    ]
    assert prompts.judged.tolist() == expected
    assert not Prompts.of_length(4, 0.0, 0).taught.any()


def test_scores_of_texts_written_by_hand() -> None:
    prompts = Prompts.of_length(2, 0.0, 0)  # aa ab ba bb: outside are ba and bb, of which bb is judged
    ends, balances = [anbn.END] * 3, [anbn.A, anbn.A, anbn.END]
    written = np.array([[ends, ends], [ends, balances]])
    scores = prompts.kept(written)
    assert scores["r1"].tolist() == [0.0, 1.0]
    assert scores["r1_outside"].tolist() == [0.5, 1.0]


def test_smoke_record(smoke: xr.Dataset) -> None:
    assert smoke.sizes["step"] == 2 * SMOKE.num_probes
    assert int(smoke.step[-1]) == SMOKE.learn_steps + SMOKE.more_steps
    assert SMOKE.learn_steps in smoke.step.values
    assert (smoke.data_kl > 0).all()
    assert np.allclose(smoke.pair_kl.values[:, range(3), range(3)], 0, atol=1e-12)
    assert np.allclose(smoke.same_text.values[:, range(3), range(3)], 1)
    last = smoke.isel(step=-1)
    assert np.allclose(smoke.twin_kl.sel(twin="as trained"), last.data_kl, atol=1e-5)
    assert np.allclose(smoke.twin_trace.sel(twin="as trained"), smoke.trace.isel(stage=-1), rtol=1e-3)


def test_without_decay_weights_keep_their_length(smoke: xr.Dataset) -> None:
    steady = run(Config(**{**vars(SMOKE), "decay": 0.0}), device="cpu")
    assert (smoke.length.isel(step=-1) < steady.length.isel(step=-1)).all()
    assert np.allclose(checks.at_start(smoke).data_kl, checks.at_start(steady).data_kl)


def planted(**changes: np.ndarray) -> xr.Dataset:
    """Ten seeds that lose a little while R1 rises, and that write alike after half of the prompts."""
    seeds = list(range(10))
    pair = np.full((2, 10, 10), 0.001) * (1 - np.eye(10))
    fields = {
        "data_kl": (("step", "seed"), np.array([[0.03], [0.01], [0.02]]) + np.zeros(10)),
        "r1": (("step", "seed"), np.array([[0.1], [0.2], [0.3]]) + np.zeros(10)),
        "pair_kl": (("stage", "seed", "other"), pair),
        "same_text": (("stage", "seed", "other"), np.where(np.eye(10), 1.0, 0.5) * np.ones((2, 1, 1))),
        "twin_kl": (("twin", "seed"), np.array([[0.01], [0.01], [0.2]]) + np.zeros(10)),
        "twin_r1": (("twin", "seed"), np.full((3, 10), 0.3)),
        "twin_trace": (("twin", "seed"), np.array([[1.0], [20.0], [50.0]]) + np.zeros(10)),
    }
    fields |= {name: (fields[name][0], values) for name, values in changes.items()}
    coords = {
        "seed": seeds, "other": seeds, "step": [5, 10, 20], "stage": ["before", "after"], "twin": list(flat_training.TWINS),
    }  # fmt: skip
    return xr.Dataset(fields, coords, {"learned": 10})


def test_checks_on_planted_records() -> None:
    record = planted()
    assert all(claim.check(record).holds for claim in CLAIMS)
    assert not checks.no_worse(record).holds
    assert checks.close_on_data(record).holds
    assert checks.sharper(record).holds
    assert not checks.rescaled(checks.hidden_units(record)).holds
    assert checks.sharper(checks.hidden_units(record)).holds


def test_each_check_can_fail() -> None:
    still = np.full((3, 10), 0.2)
    assert not checks.moves(planted(r1=still)).holds
    had_been_kept = np.array([[0.3], [0.2], [0.3]]) + np.zeros(10)
    assert not checks.moves(planted(r1=had_been_kept)).holds
    falls = np.array([[0.03], [0.02], [0.01]]) + np.zeros(10)
    assert checks.no_worse(planted(data_kl=falls)).holds
    assert not checks.seeds_differ(planted(same_text=np.ones((2, 10, 10)))).holds
    far = np.full((2, 10, 10), 0.1)
    assert not checks.seeds_differ(planted(pair_kl=far)).holds
    assert not checks.close_on_data(planted(pair_kl=far)).holds
    moved = np.array([[0.01], [0.02], [0.2]]) + np.zeros(10)
    assert not checks.rescaled(planted(twin_kl=moved)).holds
    blunt = np.array([[1.0], [5.0], [5.0]]) + np.zeros(10)
    assert not checks.rescaled(planted(twin_trace=blunt)).holds
    assert not checks.sharper(planted(twin_trace=blunt)).holds


def test_looks_of_one_divergence() -> None:
    """The last look of first learning with the final divergence or more, in each seed by itself; none in a seed without one."""
    kl = np.array([[0.03], [0.01], [0.02]]) + np.zeros(10)
    kl[1, 0], kl[2, 1] = 0.02, 0.05
    then = checks.as_divergent(planted(data_kl=kl))
    assert then.step_then.values[[0, 2]].tolist() == [10, 5]
    assert then.r1.values[[0, 2]].tolist() == [0.2, 0.1]
    assert np.isnan(then.r1.values[1])
    assert checks.regained(planted(data_kl=kl)).values[[0, 2]].tolist() == pytest.approx([0.1, 0.2])


def test_rank_correlation_is_spearmans() -> None:
    stats = pytest.importorskip("scipy.stats")
    draws = np.random.default_rng(1).integers(0, 6, size=(2, 30)).astype(float)
    value, low, high = checks.rank_correlation(xr.DataArray(draws[0]), xr.DataArray(draws[1]))
    assert value == pytest.approx(stats.spearmanr(*draws).statistic)
    assert low < value < high


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("num_seeds", 1),
        ("decay", -1.0),
        ("factor", 0.0),
        ("longest", 8),
        ("heads", 3),
        ("taught_share", 1.0),
        ("num_probes", 1),
    ],
)
def test_bad_configs_are_refused_by_name(field: str, value: float) -> None:
    with pytest.raises(ValueError, match=field):
        Config(**{field: value})
