"""How a language model meets whole passages, token by token, and the losses of every kind of text."""

import numpy as np
import torch
from tokenizers import Tokenizer
from torch import Tensor

from heldout.experiment import variable
from heldout.language_model import LanguageModel, Scores, score

Labeled = tuple[str | tuple[str, ...], np.ndarray, dict[str, str]]

CHOICES = 3  # of the model, kept for each token of a passage


def by_kind(losses: list[Tensor], excerpts: int, max_loss: float) -> dict[str, Labeled]:
    """Mean loss, and share of easy tokens, of all excerpts of every kind of text."""
    groups = [torch.cat(losses[i : i + excerpts]) for i in range(0, len(losses), excerpts)]
    easy = [float((each < max_loss).float().mean()) for each in groups]
    return {
        "mean_loss": variable("text", [float(each.mean()) for each in groups], "mean loss of a token", "nats"),
        "easy": variable("text", easy, "share of tokens below max_loss"),
    }


def passages(model: LanguageModel, tokenizer: Tokenizer, encodings: list[Tensor], most: int) -> dict[str, Labeled]:
    """The beginning of one excerpt of every kind, token by token, read twice."""
    count = min(most, *(len(each) - 1 for each in encodings))
    scores = [twice(model, each, count, CHOICES) for each in encodings]
    tokens = [[tokenizer.decode([i]) for i in each[1 : count + 1].tolist()] for each in encodings]
    best = [[[[tokenizer.decode([i]) for i in row] for row in rows] for rows in each.best.tolist()] for each in scores]
    dims = ("text", "reading", "place")
    return {
        "passage_token": variable(("text", "place"), tokens, "token", "text"),
        "passage_loss": variable(
            dims, torch.stack([s.loss for s in scores]).cpu().numpy(), "loss of the token", "nats"
        ),
        "passage_rank": variable(dims, torch.stack([s.rank for s in scores]).cpu().numpy(), "rank of the token"),
        "passage_best": variable((*dims, "choice"), best, "first choices", "text"),
        "passage_probability": variable(
            (*dims, "choice"), torch.stack([s.best_probability for s in scores]).cpu().numpy(), "their probability"
        ),
    }


@torch.no_grad()
def twice(model: LanguageModel, tokens: Tensor, count: int, choices: int) -> Scores:
    """How the model meets a text's first ``count`` tokens, and then the same tokens once more; rows are the two readings."""
    text = tokens[1 : count + 1]
    scores = score(model, torch.cat([tokens[:1], text, text])[None], top=choices)
    return Scores(*(each[0].reshape(2, count, *each[0].shape[1:]) for each in scores))
