"""Is a point inside the convex hull of others, and if not, how far away is it?

For all queries x at once, Wolfe's algorithm for the point of a polytope nearest to the origin (Mathematical Programming 11,
1976): hold a few vertices, step to the nearest point z of their simplex, drop the vertices whose weight reaches zero, add the
vertex that lies farthest toward x. One matrix product a step serves every query that is not yet decided. Both answers are
proved: with g = z - x and min over vertices v of <g, v - x> = c > 0 the hull lies beyond a hyperplane and x is outside, no
nearer to it than c / |g|; and a convex combination at x, to rounding, shows it inside.

Lengths are in units of the input; float64 throughout.
"""

import math
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from scipy.optimize import linprog, nnls
from torch import Tensor

from heldout.devices import resolve_device
from heldout.experiment import require

TOLERANCE = 1e-8  # of the vertices' rms distance from their mean; nearer to the hull than this counts as inside
CHUNK_ELEMENTS = 2**24  # numbers held in the largest array of a chunk of queries
SPENT = 1e-13  # weights up to this count as zero


@dataclass(frozen=True, kw_only=True)
class Hull:
    """What is known of each query.

    Attributes:
        inside: whether the query lies in the hull, up to ``tolerance``.
        lower: a bound that the distance to the hull cannot fall below, proved by ``direction`` (0 where there is none).
        upper: distance to the point of the hull that was found.
        direction: unit vectors u with <u, v - query> >= lower for every vertex v; where the query is inside, anything.
        support, weights: the vertices, by row, whose convex combination that point is, padded with weight 0.
        steps: matrix products used for the query that took most.
        tolerance: below this distance a query counts as inside, in units of the input.
    """

    inside: Bool[Tensor, " q"]
    lower: Float[Tensor, " q"]
    upper: Float[Tensor, " q"]
    direction: Float[Tensor, "q d"]
    support: Int[Tensor, "q k"]
    weights: Float[Tensor, "q k"]
    steps: int
    tolerance: float


def membership(
    vertices: Float[Tensor, "n d"], queries: Float[Tensor, "q d"], *, device: str | torch.device = "cpu"
) -> Hull:
    """Decide for every query whether it lies in the convex hull of the vertices, and stop at the first proof.

    Raises:
        ValueError: fewer vertices than a full-dimensional hull needs (n < d + 1), duplicate vertices, numbers that are not
            finite, or arrays that do not fit together.
    """
    _check(vertices, queries)
    n, d = vertices.shape
    require(n >= d + 1, "vertices", f"{n} points in {d} dimensions", f"at least d + 1 = {d + 1} points")
    return _search(vertices, queries, None, resolve_device(device))


def distance(
    vertices: Float[Tensor, "n d"],
    queries: Float[Tensor, "q d"],
    *,
    relative_gap: float = 1e-6,
    device: str | torch.device = "cpu",
) -> Hull:
    """Bounds on the distance of every query from the hull, with upper - lower <= relative_gap * upper; 0 inside.

    Raises:
        ValueError: duplicate vertices, numbers that are not finite, arrays that do not fit, or a gap outside (0, 1).
    """
    _check(vertices, queries)
    require(0 < relative_gap < 1, "relative_gap", relative_gap, "between 0 and 1")
    return _search(vertices, queries, relative_gap, resolve_device(device))


def by_linear_program(vertices: Float[np.ndarray, "n d"], query: Float[np.ndarray, " d"]) -> bool:
    """What a reader would write: is there a convex combination at the query? One linear program (HiGHS), the reference."""
    conditions = np.vstack([vertices.T, np.ones(len(vertices))])
    for method in ("highs", "highs-ipm"):  # the simplex method gives up on a few points
        found = linprog(
            np.zeros(len(vertices)), A_eq=conditions, b_eq=np.append(query, 1.0), bounds=(0, None), method=method
        )
        if found.status in (0, 2):
            return bool(found.status == 0)
    raise RuntimeError(f"the linear program was not decided: {found.message}")


def _check(vertices: Tensor, queries: Tensor) -> None:
    require(vertices.ndim == 2 and min(vertices.shape) >= 1, "vertices", tuple(vertices.shape), "points x dimensions")
    fits = queries.ndim == 2 and len(queries) >= 1 and queries.shape[1] == vertices.shape[1]
    require(fits, "queries", tuple(queries.shape), f"one or more points x {vertices.shape[1]} dimensions")
    for name, points in (("vertices", vertices), ("queries", queries)):
        bad = int((~torch.isfinite(points).all(1)).sum())
        require(bad == 0, name, f"{bad} points that are not finite", "finite")
    repeated = len(vertices) - _count_distinct(vertices.detach().cpu().double().numpy())
    require(repeated == 0, "vertices", f"{repeated} duplicate points", "distinct")


def _count_distinct(points: Float[np.ndarray, "n d"]) -> int:
    if len(np.unique(points[:, 0])) == len(points):  # cheap, and the rule for data that are not rounded
        return len(points)
    rows = np.ascontiguousarray(points + 0.0)  # -0.0 and 0.0 are one number
    return len(np.unique(rows.view(np.dtype((np.void, rows.dtype.itemsize * rows.shape[1]))).ravel()))


def _search(vertices: Tensor, queries: Tensor, gap: float | None, device: torch.device) -> Hull:
    """Center and scale, and search chunk by chunk."""
    points = vertices.detach().to(device, torch.float64)
    center = points.mean(0)
    points = points - center
    radius = float(points.square().sum(1).mean().sqrt()) or 1.0
    points, asked = points / radius, (queries.detach().to(device, torch.float64) - center) / radius
    n, d = points.shape
    rows = max(1, min(len(asked), CHUNK_ELEMENTS // max(n, 16 * d)))
    parts = [_Chunk(points, chunk, gap).run() for chunk in torch.split(asked, rows)]
    width = max(part.support.shape[1] for part in parts)
    weights = [torch.nn.functional.pad(part.weights, (0, width - part.weights.shape[1])) for part in parts]
    support = [torch.nn.functional.pad(part.support, (0, width - part.support.shape[1])) for part in parts]
    return Hull(
        inside=torch.cat([part.upper <= TOLERANCE for part in parts]).cpu(),
        lower=torch.cat([part.lower for part in parts]).cpu() * radius,
        upper=torch.cat([part.upper for part in parts]).cpu() * radius,
        direction=torch.cat([part.direction for part in parts]).cpu(),
        support=torch.cat(support).cpu(),
        weights=torch.cat(weights).cpu(),
        steps=max(part.steps for part in parts),
        tolerance=TOLERANCE * radius,
    )


class _Chunk:
    """The search for some queries: results for all of them, and the working arrays of those that are still undecided.

    Working arrays have a row an undecided query and a column a slot: ``used`` marks the slots that hold a vertex, ``held``
    its row in ``points``, ``share`` its weight, ``offset`` the vector from the query to it, ``gram`` their inner products
    plus one. An unused slot has weight 0 and a row and column of the identity.
    """

    def __init__(self, points: Tensor, queries: Tensor, gap: float | None) -> None:
        self.points, self.gap, self.steps = points, gap, 0
        (q, d), self.queries = queries.shape, queries
        self.lower, self.upper = queries.new_zeros(q), queries.new_full((q,), math.inf)
        self.direction = torch.zeros_like(queries)
        self.support, self.weights = torch.zeros(q, 0, dtype=torch.long).to(queries.device), queries.new_zeros(q, 0)
        self.ask = torch.arange(q, device=queries.device)
        self.used = torch.zeros(q, 0, dtype=torch.bool, device=queries.device)
        self.held, self.share, self.offset = self.used.long(), queries.new_zeros(q, 0), queries.new_zeros(q, 0, d)
        self.gram = queries.new_zeros(q, 0, 0)
        self.toward = -queries  # the mean of the vertices is in the hull, and it is the origin

    def run(self) -> "_Chunk":
        """Iterate until every query is decided; those that rounding stops go to non-negative least squares."""
        stuck: list[Tensor] = []
        while len(self.ask):
            self.steps += 1
            norm = self.toward.norm(dim=1)
            lowest, nearest = (self.toward @ self.points.T).min(1)
            bound = (lowest - (self.toward * self.queries[self.ask]).sum(1)) / norm.clamp(min=1e-300)
            self._note(norm, bound)
            decided = self._decided()
            again = ((self.held == nearest[:, None]) & self.used).any(1) & ~decided
            stuck.append(self.ask[again])
            self._keep(~(decided | again))
            if len(self.ask):
                stuck.append(self._advance(nearest[~(decided | again)]))
        for query in torch.cat(stuck).tolist() if stuck else []:
            self._exactly(query)
        return self

    def _note(self, norm: Tensor, bound: Tensor) -> None:
        """Keep each query's best bounds so far."""
        better = bound > self.lower[self.ask]
        self.lower[self.ask[better]] = bound[better]
        self.direction[self.ask[better]] = (self.toward / norm.clamp(min=1e-300)[:, None])[better]
        if self.used.shape[1]:  # the mean, where every search starts, holds no slots
            slots = self.used.shape[1]
            if slots > self.support.shape[1]:
                more = (0, slots - self.support.shape[1])
                self.support = torch.nn.functional.pad(self.support, more)
                self.weights = torch.nn.functional.pad(self.weights, more)
            self.upper[self.ask] = norm
            self.support[self.ask, :slots], self.weights[self.ask, :slots] = self.held, self.share

    def _decided(self) -> Tensor:
        lower, upper = self.lower[self.ask], self.upper[self.ask]
        if self.gap is None:
            return (upper <= TOLERANCE) | (lower > TOLERANCE)
        return (upper <= TOLERANCE) | ((1 - self.gap) * upper <= lower)

    def _keep(self, rows: Tensor) -> None:
        if not bool(rows.all()):
            for name in ("ask", "used", "held", "share", "offset", "gram", "toward"):
                setattr(self, name, getattr(self, name)[rows])

    def _advance(self, nearest: Tensor) -> Tensor:
        """Add a vertex to every undecided query and step to the nearest point of its simplex; returns who got stuck."""
        if bool(self.used.all(1).any()):
            self._grow()
        row, slot = torch.arange(len(self.ask), device=nearest.device), self.used.long().argmin(1)
        offset = self.points[nearest] - self.queries[self.ask]
        self.used[row, slot], self.held[row, slot], self.offset[row, slot] = True, nearest, offset
        products = (self.offset @ offset[:, :, None]).squeeze(2) + 1
        products = torch.where(self.used, products, 0.0)
        self.gram[row, slot], self.gram[row, :, slot] = products, products
        self.share[row, slot] = (self.share.sum(1) == 0).double()
        failed = self._descend()
        self.toward = (self.share[:, None] @ self.offset).squeeze(1)
        stuck = self.ask[failed]
        self._keep(~failed)
        return stuck

    def _grow(self) -> None:
        """Twice the slots, four at least."""
        more = max(4, self.used.shape[1])
        pad = torch.nn.functional.pad
        self.used, self.held, self.share = (
            pad(self.used, (0, more)),
            pad(self.held, (0, more)),
            pad(self.share, (0, more)),
        )
        self.offset = pad(self.offset, (0, 0, 0, more))
        self.gram = pad(self.gram, (0, more, 0, more))
        fresh = torch.arange(self.used.shape[1] - more, self.used.shape[1], device=self.used.device)
        self.gram[:, fresh, fresh] = 1.0

    def _descend(self) -> Tensor:
        """Wolfe's inner loop: move to the nearest point of the affine hull, or as far as the simplex goes, and drop."""
        failed = torch.zeros(len(self.ask), dtype=torch.bool, device=self.share.device)
        rows = torch.arange(len(self.ask), device=self.share.device)
        for _ in range(2 * self.used.shape[1] + 2):
            used, share = self.used[rows], self.share[rows]
            target, fine = _affine(self.gram[rows], used)
            failed[rows[~fine]] = True
            low = used & (target <= SPENT)
            ratio = torch.where(low, share / (share - target).clamp(min=1e-300), math.inf)
            step = ratio.min(1).values.clamp(max=1.0)
            blocked = low.any(1) & fine
            moved = torch.where(blocked[:, None], share + step[:, None] * (target - share), target)
            spent = blocked[:, None] & used & ((moved <= SPENT) | (ratio == ratio.min(1).values[:, None]))
            moved = torch.where(spent | ~used, 0.0, moved)
            self.share[rows[fine]] = (moved / moved.sum(1, keepdim=True))[fine]
            self._drop(rows, spent)
            rows = rows[blocked]
            if not len(rows):
                return failed
        failed[rows] = True
        return failed

    def _drop(self, rows: Tensor, spent: Tensor) -> None:
        which, slot = spent.nonzero(as_tuple=True)
        row = rows[which]
        self.used[row, slot] = False
        self.offset[row, slot] = 0.0
        self.gram[row, slot], self.gram[row, :, slot] = 0.0, 0.0
        self.gram[row, slot, slot] = 1.0

    def _exactly(self, query: int) -> None:
        """One query by non-negative least squares over all vertices, where the iteration could not go on."""
        x = self.queries[query]
        system = torch.cat([self.points - x, torch.ones_like(self.points[:, :1])], dim=1).T.cpu().numpy()
        target = np.zeros(len(system))
        target[-1] = 1.0
        share, _ = nnls(system, target)
        share = torch.from_numpy(share / share.sum()).to(x)
        toward = share @ self.points - x
        norm = toward.norm()
        bound = ((toward @ self.points.T).min() - toward @ x) / norm.clamp(min=1e-300)
        self.ask, self.toward = torch.tensor([query], device=x.device), toward[None]
        if norm < self.upper[query]:
            kept = share.nonzero()[:, 0]
            self.used, self.held, self.share = (share[kept] > 0)[None], kept[None], share[kept][None]
            self._note(norm[None], bound[None])


def _affine(gram: Tensor, used: Tensor) -> tuple[Tensor, Tensor]:
    """Weights, of sum 1, of the point nearest to the query in the affine hull of the used slots; and who was solvable."""
    wanted = used.double()
    factor, info = torch.linalg.cholesky_ex(gram)
    solution = torch.cholesky_solve(wanted[:, :, None], factor)
    residual = wanted[:, :, None] - gram @ solution
    solution = (solution + torch.cholesky_solve(residual, factor)).squeeze(2) * wanted
    total = solution.sum(1, keepdim=True)
    fine = (info == 0) & torch.isfinite(solution).all(1) & (total.squeeze(1) > 0)
    return torch.where(fine[:, None], solution / total, 0.0), fine
