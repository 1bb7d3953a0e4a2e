"""What is measured on trained models of a^n b^n: exact divergences on the data and elsewhere, and what they write."""

import numpy as np
import torch
from torch import Tensor

from heldout import devices
from heldout.decoders import Transformers, write
from heldout.nonidentifiability import anbn
from heldout.nonidentifiability.lessons import KINDS
from heldout.nonidentifiability.sequence_training import Batch


@torch.no_grad()
def on_data(models: Transformers, data: Batch, variants: int) -> dict[str, np.ndarray]:
    """Exact divergences and the cross-entropy; the other of a pair is of the same seed."""
    device = models.embed.device
    logs = anbn.log_probabilities(models(data[0].to(device)).double(), data[1].to(device)).cpu()
    tokens = int((data[1][0] != anbn.IGNORED).sum())
    return {
        "data_kl": anbn.divergence_from_data(logs).numpy(), "cross_entropy": (-logs.sum(-1) / tokens).numpy(),
        "pair_kl": _between_variants(logs, variants),
    }  # fmt: skip


def _between_variants(logs: Tensor, variants: int, share: Tensor | float = 1.0) -> np.ndarray:
    """Divergence of each member from the member of each variant with its seed (variant and seed, other).

    Args:
        logs: (member, ..., outcome).
        share: what to weight the axes between by, (seed, ...).
    """
    mine = logs.reshape(variants, -1, *logs.shape[1:])
    table = anbn.divergence_on_data(mine.unsqueeze(1), mine.unsqueeze(0)) * share
    summed = table.flatten(3).sum(-1) if table.ndim > 3 else table
    return summed.transpose(1, 2).flatten(0, 1).numpy()


@torch.no_grad()
def elsewhere(models: Transformers, rows: np.ndarray, taught: np.ndarray, variants: int) -> dict[str, np.ndarray]:
    """The same measures where the data have no say: over the two teachers' completions and "anything else", a prompt."""
    outside = ~anbn.in_distribution(rows) & ~taught  # (seed, prompt)
    logs = []
    for kind in KINDS:
        read, wanted = (part.to(models.embed.device) for part in anbn.taught(rows, kind))
        shape = (models.count, -1, -1)
        logs.append(anbn.log_probabilities(models(read.expand(shape)).double(), wanted.expand(shape)).cpu())
    both = torch.stack(logs, -1)  # (member, prompt, completion)
    share = torch.from_numpy(outside / outside.sum(1, keepdims=True))
    loss = (-both[..., 0].reshape(variants, *share.shape) * share).sum(-1)
    return {"elsewhere_kl": _between_variants(both, variants, share), "elsewhere_loss": loss.flatten().numpy()}


def written(models: Transformers, rows: np.ndarray, samples: int, seed: int) -> dict[str, np.ndarray]:
    """What every member writes after every prompt: the likeliest tokens, and ``samples`` draws."""
    start = torch.from_numpy(np.pad(rows, ((0, 0), (1, 0)), constant_values=anbn.START))
    greedy, chance = write(models, start, end=anbn.END)
    drawn, _ = write(models, start, end=anbn.END, generator=devices.generator("samples", seed), repeats=samples)
    shape = (models.count, len(rows), samples, -1)
    return {
        "greedy": greedy.astype(np.int8), "greedy_chance": chance.astype(np.float32),
        "sampled": drawn.astype(np.int8).reshape(shape),
    }  # fmt: skip


def keeping_counts(models: Transformers, rows: np.ndarray, *, draws: int = 0, seed: int = 0) -> np.ndarray:
    """The share of completions of some prompts that keep R1 (member): the likeliest, or some draws for each prompt."""
    start = torch.from_numpy(np.pad(rows, ((0, 0), (1, 0)), constant_values=anbn.START))
    generator = devices.generator("draws", seed) if draws else None
    tokens, _ = write(models, start, end=anbn.END, generator=generator, repeats=max(draws, 1))
    share: np.ndarray = anbn.equal_counts(np.repeat(rows, max(draws, 1), 0), tokens).mean(-1)
    return share


def lacking(length: int) -> np.ndarray:
    """All prompts of some length that begin no sequence of the language and have letters lacking until R1 is kept."""
    rows = anbn.prompts(length)
    chosen: np.ndarray = rows[~anbn.in_distribution(rows) & ~anbn.balanced(rows)]
    return chosen
