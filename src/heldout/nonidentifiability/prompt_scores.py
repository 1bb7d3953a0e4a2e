"""What an ensemble writes after all short prompts, and how it is scored where the data have no say."""

from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from heldout.decoders import Members, Transformers, write
from heldout.nonidentifiability import anbn
from heldout.nonidentifiability.lessons import taught_prompts
from heldout.nonidentifiability.sequence_training import Batch


@dataclass(frozen=True)
class Prompts:
    """All prompts of one length, and which of them are taught.

    Attributes:
        rows: (prompt, place) letters.
        taught: (prompt) whether a second loss teaches it to some model; the same for all seeds.
    """

    rows: Int[np.ndarray, "prompt place"]
    taught: Bool[np.ndarray, " prompt"]

    @classmethod
    def of_length(cls, length: int, taught_share: float, seed: int) -> "Prompts":
        """All 2^length prompts; a share of those outside the language is taught, drawn with the seed, or none."""
        rows = anbn.prompts(length)
        nobody = np.zeros(len(rows), dtype=bool)
        return cls(rows, taught_prompts(taught_share, [seed], rows)[0] if taught_share > 0 else nobody)

    @property
    def outside(self) -> Bool[np.ndarray, " prompt"]:
        """Prompts that begin no sequence of the language and that nobody teaches."""
        found: Bool[np.ndarray, " prompt"] = ~anbn.in_distribution(self.rows) & ~self.taught
        return found

    @property
    def judged(self) -> Bool[np.ndarray, " prompt"]:
        """Those of them with unlike numbers of a and b, after which to end at once does not keep R1."""
        found: Bool[np.ndarray, " prompt"] = self.outside & ~anbn.balanced(self.rows)
        return found

    @property
    def lacking(self) -> Bool[np.ndarray, " outside"]:
        """Which of the prompts outside are judged."""
        found: Bool[np.ndarray, " outside"] = self.judged[self.outside]
        return found

    def written(self, models: Members) -> Int[np.ndarray, "member outside place"]:
        """The likeliest tokens of every member after every prompt outside."""
        start = torch.from_numpy(np.pad(self.rows[self.outside], ((0, 0), (1, 0)), constant_values=anbn.START))
        return write(models, start, end=anbn.END)[0]

    def kept(self, written: Int[np.ndarray, "member outside place"]) -> dict[str, Float[np.ndarray, " member"]]:
        """The share of judged prompts, and of all outside, after which a member keeps R1."""
        found = anbn.equal_counts(self.rows[self.outside], written)
        return {"r1": found[:, self.lacking].mean(1), "r1_outside": found.mean(1)}


@torch.no_grad()
def sequence_logs(models: Transformers, data: Batch) -> Float[Tensor, "member sequence"]:
    """The log-probability in nats that every member gives to every sequence of the data, each given once."""
    read, wanted = (part.to(models.embed.device).expand(models.count, -1, -1) for part in data)
    return anbn.log_probabilities(models(read).double(), wanted).cpu()
