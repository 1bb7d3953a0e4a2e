"""The mixture of chains: its reader and its prices against an enumeration of all documents."""

import itertools

import numpy as np
import pytest
import torch

from heldout import devices
from heldout.nonidentifiability import chain_mixture
from heldout.nonidentifiability.chain_mixture import Mixture

LENGTH, LONGER = 6, 8
SHARES = (0.0, 0.4, 1.0)


def small(pair_share: float, length: int = LENGTH) -> Mixture:
    return Mixture(symbols=3, chains=2, follow=0.8, end=0.3, pair_share=pair_share, length=length)


def every_document(length: int = LENGTH) -> torch.Tensor:
    return torch.tensor([(3, *tokens) for tokens in itertools.product(range(4), repeat=length)])


def probability(mixture: Mixture, chains: torch.Tensor, document: list[int]) -> float:
    """The law written out for one document: chain by chain, segment by segment."""
    law = mixture.lengths()
    segments, text = [], document[1:]
    while text:
        stop = text.index(3) if 3 in text else len(text)
        segments.append((text[:stop], stop < len(text)))
        text = text[stop + 1 :]
    total = 0.0
    for chain in chains.tolist():
        mine = 1.0
        for symbols, closed in segments:
            count = len(symbols)
            mine *= law[count] if closed else 1 - law[:count].sum()
            for number, symbol in enumerate(symbols):
                follows = number > 0 and chain[symbols[number - 1]] == symbol
                mine *= 1 / 3 if number == 0 else 0.8 * follows + 0.2 / 3
        total += mine / len(chains)
    return total


@pytest.mark.parametrize("share", SHARES)
def test_the_reader_is_bayes_optimal(share: float) -> None:
    mixture = small(share)
    chains = mixture.permutations(0)
    documents = every_document()
    rows, posterior = chain_mixture.bayes(mixture, chains, documents)
    found = chain_mixture.log_probabilities(rows, documents).exp()
    wanted = torch.tensor([probability(mixture, chains, document) for document in documents.tolist()]).double()
    torch.testing.assert_close(found, wanted, rtol=0, atol=1e-12)
    assert float(found.sum()) == pytest.approx(1, abs=1e-12)
    torch.testing.assert_close(posterior.sum(-1), torch.ones(posterior.shape[:-1]).double())
    torch.testing.assert_close(rows.sum(-1), torch.ones(rows.shape[:-1]).double())


@pytest.mark.parametrize("share", SHARES)
def test_an_edit_costs_what_enumeration_says(share: float) -> None:
    mixture = small(share, LONGER)
    chains = mixture.permutations(0)
    documents = every_document(LONGER)
    rows, _ = chain_mixture.bayes(mixture, chains, documents)
    own, turned = chain_mixture.log_probabilities(rows, documents), chain_mixture.swapped(rows)
    weight, behind = own.exp(), chain_mixture.behind_examples(mixture, documents)
    for least in (1, 2):
        hit = behind >= least
        there = (weight.unsqueeze(1) * hit).sum(0).numpy()
        np.testing.assert_allclose(chain_mixture.edited(mixture, least), there[:-1], atol=1e-12)
        cost, error = chain_mixture.price(mixture, chains, least, 4000, devices.generator("price test"))
        for number, other in enumerate((turned, (rows + turned) / 2)):
            edited = chain_mixture.log_probabilities(torch.where(hit.unsqueeze(-1), other, rows), documents)
            exact = float((weight * (own - edited))[weight > 0].sum())
            assert cost[number] == pytest.approx(exact, abs=5 * error[number])
            assert error[number] < 0.05 * exact


def test_documents_and_prompts_are_drawn_from_the_law() -> None:
    mixture = small(0.4)
    chains, generator = mixture.permutations(1), devices.generator("draws")
    drawn = chain_mixture.documents(mixture, chains, 20_000, generator)
    assert drawn.shape == (20_000, LENGTH + 1)
    begins = (drawn[:, :-1] == 3).double().mean(0).numpy()
    np.testing.assert_allclose(begins, mixture.begins(), atol=0.015)
    rows, _ = chain_mixture.bayes(mixture, chains, drawn)
    for place in (1, 4):
        said = rows[:, place].mean(0).numpy()
        written = np.bincount(drawn[:, place + 1], minlength=4) / len(drawn)
        np.testing.assert_allclose(written, said, atol=0.015)
    prompts, answers = chain_mixture.prompts(mixture, chains, 2, 50, generator)
    assert prompts.shape == (50, 8)
    assert (prompts[:, ::3] == 3).all()
    assert (prompts[:, [2, 5]] == answers[:, :2]).all()
    pairs = {tuple(enumerate(chain)) for chain in chains.tolist()}
    for read, right in zip(prompts[:, [1, 4, 7]].tolist(), answers.tolist(), strict=True):
        assert any(set(zip(read, right, strict=True)) <= set(chain) for chain in pairs)


def test_the_reader_learns_from_examples() -> None:
    mixture = Mixture(symbols=6, chains=3, follow=0.9, end=0.1, pair_share=0.0, length=50)
    chains = mixture.permutations(5)
    prompts, answers = chain_mixture.prompts(mixture, chains, 16, 500, devices.generator("reader"))
    rows, _ = chain_mixture.bayes(mixture, chains, prompts)
    right = (rows[:, chain_mixture.queries(16), :-1].argmax(-1) == answers).double().mean(0)
    assert right[0] < 0.8
    assert right[16] > 0.99
    assert (right.diff() > -0.06).all()


def test_a_swap_exchanges_two_symbols_and_leaves_the_rest() -> None:
    rows = torch.tensor([[0.5, 0.2, 0.1, 0.2], [0.1, 0.2, 0.4, 0.3]]).double()
    turned = chain_mixture.swapped(rows)
    torch.testing.assert_close(turned, torch.tensor([[0.2, 0.5, 0.1, 0.2], [0.4, 0.2, 0.1, 0.3]]).double())
    torch.testing.assert_close(chain_mixture.divergence(rows, rows), torch.zeros(2).double())
    assert float(chain_mixture.divergence(rows, turned)[0]) == pytest.approx(0.3 * np.log(2.5))


@pytest.mark.parametrize(
    ("field", "value"),
    [("symbols", 2), ("chains", 0), ("follow", 1.0), ("end", 0.0), ("pair_share", 1.5), ("length", 1)],
)
def test_bad_laws_are_refused_by_name(field: str, value: float) -> None:
    good = {"symbols": 3, "chains": 2, "follow": 0.8, "end": 0.3, "pair_share": 0.0, "length": 7}
    with pytest.raises(ValueError, match=f"^{field}="):
        Mixture(**(good | {field: value}))  # type: ignore[arg-type]
