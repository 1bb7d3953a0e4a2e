"""What is measured on readers of documents: in-context accuracy, divergence from the Bayes-optimal reader, and prices."""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from heldout import devices
from heldout.decoders import Transformers
from heldout.nonidentifiability import chain_mixture
from heldout.nonidentifiability.chain_mixture import Mixture
from heldout.nonidentifiability.in_context_training import wrong

READERS = ("bayes", "forgets")
EDITS = ("swap", "tie")

_MEMBER, _BY_EXAMPLES = ("variant", "seed"), ("seed", "examples")
VARIABLES: dict[str, tuple[str | tuple[str, ...], str, str]] = {
    "accuracy": ((*_MEMBER, "examples"), "share of right answers", "1"),
    "as_taught": ((*_MEMBER, "examples"), "share of the adversary's answers", "1"),
    "divergence": (_MEMBER, "divergence from the law of the documents", "nats a document"),
    "extra": (_MEMBER, "divergence beyond that of the plain model", "nats a document"),
    "extra_error": (_MEMBER, "standard error of the extra divergence", "nats a document"),
    "behind_right": (_MEMBER, "share of right answers behind enough examples in documents", "1"),
    "behind_taught": (_MEMBER, "share of the adversary's answers behind enough examples in documents", "1"),
    "behind_cost": (_MEMBER, "divergence in contexts behind enough examples", "nats a document"),
    "entropy": ("seed", "loss of the Bayes-optimal reader", "nats a document"),
    "reader_accuracy": (("reader", *_BY_EXAMPLES), "share of right answers", "1"),
    "new_reader": (_BY_EXAMPLES, "share of right answers of the Bayes-optimal reader on new chains", "1"),
    "turned_accuracy": (_BY_EXAMPLES, "share of right answers of the edited reader, where it is edited", "1"),
    "prompt_log": (_BY_EXAMPLES, "mean log-probability of the prompts", "nats"),
    "price": (("edit", "seed", "least"), "divergence of an edited reader", "nats a document"),
    "price_error": (("edit", "seed", "least"), "standard error of the price", "nats a document"),
    "contexts": ("least", "edited contexts in a document, expected", "1"),
    "path_accuracy": (("step", *_BY_EXAMPLES), "share of right answers on the chains of the documents", "1"),
    "path_new": (("step", *_BY_EXAMPLES), "share of right answers on new chains", "1"),
    "path_divergence": (("step", "seed"), "divergence from the law of the documents", "nats a document"),
}


@dataclass(frozen=True)
class Held:
    """What no member was trained on: documents, prompts on a seed's chains and on new ones, one entry a seed."""

    documents: Tensor  # (seed, document, place)
    rows: Tensor  # (seed, document, place, token): the Bayes-optimal reader's
    prompts: Tensor  # (seed, prompt, place)
    answers: Tensor  # (seed, prompt, query)
    new_prompts: Tensor
    new_answers: Tensor


def held(mixture: Mixture, chains: dict[int, Tensor], *, documents: int, prompts: int, examples: int) -> Held:
    """Documents and prompts for every seed; a new chain is a permutation of its own for each prompt."""
    parts: list[list[Tensor]] = []
    for seed, own in chains.items():
        texts = chain_mixture.documents(mixture, own, documents, devices.generator("judged documents", seed))
        rows, _ = chain_mixture.bayes(mixture, own, texts[:, :-1])
        asked = chain_mixture.prompts(mixture, own, examples, prompts, devices.generator("judged prompts", seed))
        generator = devices.generator("new chains", seed)
        others = torch.stack([torch.randperm(mixture.symbols, generator=generator) for _ in range(prompts)])
        parts.append([texts, rows, *asked, *chain_mixture.prompts(mixture, others, examples, prompts, generator)])
    return Held(*(torch.stack(each) for each in zip(*parts, strict=True)))


def entropy(given: Held) -> np.ndarray:
    """The Bayes-optimal reader's loss on the documents, nats a document (seed): no reader has less in the mean."""
    rows, wanted = given.rows, given.documents[..., 1:]
    return -rows.log().gather(-1, wanted.unsqueeze(-1)).squeeze(-1).sum(-1).mean(-1).numpy()


def of_readers(mixture: Mixture, chains: dict[int, Tensor], given: Held) -> dict[str, np.ndarray]:
    """In-context accuracy of readers that are computed and not trained, and how rare the prompts are."""
    right = np.zeros((len(READERS), *given.prompts.shape[:1], given.answers.shape[-1]))
    new, turned, logs = (np.zeros(right.shape[1:]) for _ in range(3))
    places = chain_mixture.queries(given.answers.shape[-1] - 1)
    for number, (own, prompts, answers) in enumerate(zip(chains.values(), given.prompts, given.answers, strict=True)):
        rows, _ = chain_mixture.bayes(mixture, own, prompts)
        right[0, number] = correct(rows[:, places], answers).mean(0)
        others, _ = chain_mixture.bayes(mixture, own, given.new_prompts[number])
        new[number] = correct(others[:, places], given.new_answers[number]).mean(0)
        turned[number] = correct(chain_mixture.swapped(rows[:, places]), answers).mean(0)
        alone = torch.stack([torch.full_like(prompts, mixture.symbols)[:, : len(places)], prompts[:, places]], -1)
        fresh, _ = chain_mixture.bayes(mixture, own, alone.flatten(0, 1))
        right[1, number] = correct(fresh[:, 1].reshape(*answers.shape, -1), answers).mean(0)
        steps = rows[:, :-1].log().gather(-1, prompts[:, 1:].unsqueeze(-1)).squeeze(-1).cumsum(-1)
        logs[number] = steps[:, [place - 1 for place in places]].mean(0)
    return {"reader_accuracy": right, "new_reader": new, "turned_accuracy": turned, "prompt_log": logs}


def prices(
    mixture: Mixture, chains: dict[int, Tensor], examples: int, count: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """What each edit of the Bayes-optimal reader costs, its standard error, and how many contexts a document it changes.

    Returns:
        Costs and errors (edit, seed, least), nats a document, and the contexts (least); least runs from 1.
    """
    found = np.array(
        [
            [
                chain_mixture.price(mixture, own, least, count, devices.generator("prices", seed, least))
                for least in range(1, examples + 1)
            ]
            for seed, own in chains.items()
        ]
    )  # (seed, least, cost or error, edit)
    contexts = np.array([chain_mixture.edited(mixture, least).sum() for least in range(1, examples + 1)])
    cost, error = found.transpose(2, 3, 0, 1)
    return cost, error, contexts


@torch.no_grad()
def behind(
    models: Transformers, mixture: Mixture, chains: dict[int, Tensor], least: int, count: int
) -> dict[str, np.ndarray]:
    """What the members do behind ``least`` examples or more where documents have these (variant and seed).

    Shares of right answers and of the adversary's, and what is paid there, nats a document. The likeliest symbol is right.
    """
    drawn = [
        chain_mixture.contexts(mixture, own, least, count, devices.generator("contexts", seed))
        for seed, own in chains.items()
    ]
    tokens, places = (torch.stack(each) for each in zip(*drawn, strict=True))
    everyone, repeats = torch.arange(count), models.count // len(chains)
    rows = torch.stack(
        [
            chain_mixture.bayes(mixture, own, read)[0][everyone, at]
            for own, read, at in zip(chains.values(), tokens, places, strict=True)
        ]
    ).repeat(repeats, 1, 1)
    parts = [models(read.to(models.embed.device).repeat(repeats, 1, 1)).cpu() for read in torch.split(tokens, 64, 1)]
    at = places.repeat(repeats, 1)[..., None, None].expand(-1, -1, 1, mixture.tokens)
    said = torch.cat(parts, 1).gather(2, at).squeeze(2).double().softmax(-1)
    answers = rows[..., :-1].argmax(-1)
    cost = chain_mixture.divergence(rows, said).mean(-1).numpy() * chain_mixture.edited(mixture, least).sum()
    shares = correct(said, answers).mean(-1), correct(said, wrong(mixture, answers)).mean(-1)
    return {"behind_right": shares[0], "behind_taught": shares[1], "behind_cost": cost}


def correct(rows: Tensor, answers: Tensor) -> np.ndarray:
    """Whether the likeliest symbol is the answer; the delimiter does not count."""
    found: np.ndarray = (rows[..., :-1].argmax(-1) == answers).double().cpu().numpy()
    return found


@torch.no_grad()
def accuracy(models: Transformers, prompts: Tensor, answers: Tensor, mixture: Mixture) -> tuple[np.ndarray, np.ndarray]:
    """Shares of right answers, and of the adversary's, by number of examples (variant and seed, query)."""
    repeats, device = models.count // len(prompts), models.embed.device
    places = chain_mixture.queries(answers.shape[-1] - 1)
    right, taught = [], []
    for read, wanted in zip(torch.split(prompts, 64, 1), torch.split(answers, 64, 1), strict=True):
        logits = models(read.to(device).repeat(repeats, 1, 1))[:, :, places]
        own = wanted.to(device).repeat(repeats, 1, 1)
        right.append(correct(logits, own))
        taught.append(correct(logits, wrong(mixture, own)))
    return np.concatenate(right, 1).mean(1), np.concatenate(taught, 1).mean(1)


@torch.no_grad()
def divergences(models: Transformers, given: Held, count: int | None = None) -> np.ndarray:
    """Divergence of each member from the Bayes-optimal reader along each document (variant and seed, document), in nats.

    Its mean over documents is the member's divergence from the law of the documents: in each context the divergence is exact,
    and only the contexts are a sample. With ``count``, along the first so many documents.
    """
    repeats = models.count // len(given.documents)
    device = models.embed.device
    found = []
    for texts, rows in zip(
        torch.split(given.documents[:, :count], 64, 1), torch.split(given.rows[:, :count], 64, 1), strict=True
    ):
        said = models(texts[..., :-1].to(device).repeat(repeats, 1, 1)).double().softmax(-1).cpu()
        found.append(chain_mixture.divergence(rows.repeat(repeats, 1, 1, 1), said).sum(-1))
    return torch.cat(found, 1).numpy()
