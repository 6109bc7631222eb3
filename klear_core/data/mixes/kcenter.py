"""K-Center greedy: the points that cover all others, each the farthest from those before it.

Farthest-first traversal (Gonzalez 1985, "Clustering to minimize the maximum intercluster distance"; the coreset of
Sener and Savarese 2018, arXiv 1708.00489): with C centres no point is farther from its centre than twice the best
possible.
It is exact here: the choice is that of a pass over all points a centre, ties by the lowest index.

Such a pass is bound by memory: it reads all points to use each number once.  Here points are looked at as late as
possible and for many centres at once, as in lazy greedy algorithms (Minoux 1978):

1.  Distances to the nearest centre only fall, so one that ignores recent centres is an upper bound.  Of the U points of
    the largest bounds (the pool) those that ignore centres are brought up to date, until none in the pool does.
2.  Within the pool the traversal goes on for as long as its farthest point is before the best bound outside.
3.  A point that never reaches the pool again is never looked at again.

Step 1 is a matrix product of points and centres in float32, whose error is bounded.  It only finds the pairs that may
be nearest; the distances of these are computed one by one in float64, the same number whichever points are beside it.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

_SMALLEST_POOL, _LARGEST_POOL = 64, 2048
_ROWS, _COLUMNS = 512, 1024  # of a block of the matrix product: its result stays in the cache
_PAIRS = 1 << 14  # exact distances at a time
_MANY = 16  # pairs a point beyond which float32 tells them apart too badly
_CHOSEN = -1.0  # the squared distance of a point that is a centre itself: below all others


@dataclass(frozen=True, slots=True, kw_only=True)
class Traversal:
    """Centres in the order in which they were chosen."""

    indices_C: Tensor  # int64
    distances_C: Tensor  # float64: of each centre to the nearest one before it, infinite for the first; never rising
    radius: float  # the largest distance of a point to its nearest centre


def kcenter_greedy(embeddings_MD: Tensor, count: int, *, first: int = 0) -> Tensor:
    """[count] indices of the centres of ``farthest_first``, in the order in which they were chosen."""
    return farthest_first(embeddings_MD, count, first=first).indices_C


def farthest_first(embeddings_MD: Tensor, count: int, *, first: int = 0) -> Traversal:
    """Choose ``first`` and then, ``count`` - 1 times, the point farthest from all that are chosen.

    c_{t+1} = argmax_i min_{s <= t} ||x_i - x_{c_s}||, Euclidean, ties by the lowest index; a point is chosen once, so
    duplicates come last.  ``embeddings_MD`` is a floating-point matrix of at most 32 bits a number, on a device with
    float64; the memory beside it is that of the chosen points and some 50 bytes a point.
    ValueError for another shape or type, numbers that are not finite or beyond 1e15, or count or first out of range.
    """
    _check(embeddings_MD, count, first)
    search = _Search(embeddings_MD.detach().float().contiguous(), min(count + 1, len(embeddings_MD)))
    search.choose(first, float("inf"))
    size = _SMALLEST_POOL
    while search.chosen < search.count:
        before = search.chosen
        search.go_on(size)
        gained = search.chosen - before
        if gained > size // 2:
            size = min(2 * size, _LARGEST_POOL)
        elif gained < size // 8:
            size = max(size // 2, _SMALLEST_POOL)
    distances_C = search.distances_C.sqrt()
    radius = float(distances_C[count]) if search.count > count else 0.0
    return Traversal(indices_C=search.indices_C[:count], distances_C=distances_C[:count], radius=radius)


def squared_distances(left_ED: Tensor, right_ED: Tensor) -> Tensor:
    """[E] float64: sum over d of (left - right)^2 for each pair of rows; the same whatever pairs are beside it."""
    return (left_ED.double() - right_ED.double()).square_().sum(1)


def _check(embeddings_MD: Tensor, count: int, first: int) -> None:
    if embeddings_MD.dim() != 2 or not embeddings_MD.is_floating_point() or embeddings_MD.dtype == torch.float64:
        told = f"{tuple(embeddings_MD.shape)} of {embeddings_MD.dtype}"
        raise ValueError(f"embeddings are {told}; allowed: [points, dimensions] of at most 32 bits a number")
    if not 1 <= count <= len(embeddings_MD):
        raise ValueError(f"count is {count}; allowed: 1 to {len(embeddings_MD)}, the number of points")
    if not 0 <= first < len(embeddings_MD):
        raise ValueError(f"first is {first}; allowed: 0 to {len(embeddings_MD) - 1}")
    if embeddings_MD.shape[1] and not all(abs(float(extreme)) <= 1e15 for extreme in embeddings_MD.aminmax()):
        raise ValueError("embeddings hold numbers that are not finite, or beyond 1e15, whose squares pass float32")


class _Search:
    """A traversal under way.

    ``nearest_M`` holds squared distances to the nearest of the first ``done_M`` centres, exact for these and so an
    upper bound for all; -1 at the centres.
    """

    def __init__(self, points_MD: Tensor, count: int) -> None:
        device = points_MD.device
        self.points_MD = points_MD
        self.count, self.chosen = count, 0
        self.indices_C = torch.empty(count, dtype=torch.int64, device=device)
        self.distances_C = torch.empty(count, dtype=torch.float64, device=device)  # squared
        self._centres_CD = points_MD.new_empty(count, points_MD.shape[1])
        self._norms_C = torch.empty(count, dtype=torch.float64, device=device)
        self.norms_M = torch.cat([block.double().square_().sum(1) for block in torch.split(points_MD, 1 << 13)])
        self.nearest_M = torch.full((len(points_MD),), float("inf"), dtype=torch.float64, device=device)
        self._done_M = torch.zeros(len(points_MD), dtype=torch.int64, device=device)
        self._slack = {dtype: self._error_bound(dtype) for dtype in (torch.float32, torch.float64)}

    def choose(self, index: int, squared_distance: float) -> None:
        """Make a point the next centre."""
        place = self.chosen
        self.indices_C[place] = index
        self.distances_C[place] = squared_distance
        self._centres_CD[place] = self.points_MD[index]
        self._norms_C[place] = self.norms_M[index]
        self.nearest_M[index] = _CHOSEN
        self.chosen += 1

    def go_on(self, size: int) -> None:
        """Choose centres, at least one, from a pool of about ``size`` points."""
        pool, rest = self._pool(size)
        reach = 2 * size
        while bool((self._done_M[pool] < self.chosen).any()):
            # Twice as many each time, so that a round costs a constant times what a pass over all points does.
            self._refresh(self._pool(reach)[0])
            pool, rest = self._pool(size)
            reach *= 2
        if float(self.nearest_M[pool].max()) == 0:
            self._take_copies()
        else:
            self._traverse(pool, *rest)

    def _pool(self, size: int) -> tuple[Tensor, tuple[float, int]]:
        """Indices, ascending, of the first ``size`` points by (largest bound, lowest index), and the next of these."""
        if size >= len(self.nearest_M):
            return torch.arange(len(self.nearest_M), device=self.nearest_M.device), (_CHOSEN, 0)
        limit = self.nearest_M.topk(size + 1, sorted=False).values.min()
        above = (self.nearest_M > limit).nonzero().squeeze(1)
        equal = (self.nearest_M == limit).nonzero().squeeze(1)
        room = size - len(above)
        pool = torch.cat([above, equal[:room]]).sort().values
        return pool, (float(limit), int(equal[room]))

    def _take_copies(self) -> None:
        """Every point left is a copy of a centre: take those of the lowest indices."""
        left = (self.nearest_M > _CHOSEN).nonzero().squeeze(1)[: self.count - self.chosen]
        for index in left.tolist():
            self.choose(index, 0.0)

    def _traverse(self, pool: Tensor, rest_bound: float, rest_index: int) -> None:
        """The traversal within the pool, up to date, for as long as no point outside can be the farthest."""
        points_UD, norms_U = self.points_MD[pool], self.norms_M[pool]
        nearest_U = self.nearest_M[pool]
        rough_UU = torch.addmm(norms_U.float(), points_UD, points_UD.T, alpha=-2).add_(norms_U.float()[:, None])
        slack = self._slack[torch.float32]
        limits_U = (nearest_U + slack).float()
        began = self.chosen
        while self.chosen < self.count:
            place = int(nearest_U.argmax())  # the first of equals
            farthest, index = float(nearest_U[place]), int(pool[place])
            if self.chosen > began and (farthest < rest_bound or (farthest == rest_bound and index > rest_index)):
                break
            if farthest <= 0:
                break
            self.choose(index, farthest)
            nearest_U[place], limits_U[place] = _CHOSEN, -float("inf")
            near = (rough_UU[place] < limits_U).nonzero().squeeze(1)
            if len(near):
                exact = squared_distances(points_UD[near], points_UD[place])
                nearest_U[near] = torch.minimum(nearest_U[near], exact)
                limits_U[near] = (nearest_U[near] + slack).float()
        self.nearest_M[pool] = nearest_U
        self._done_M[pool] = self.chosen

    def _refresh(self, rows: Tensor) -> None:
        """Bring points up to date with all centres."""
        done = self._done_M[rows]
        stale = done < self.chosen
        rows, done = rows[stale], done[stale]
        order = done.argsort(stable=True)  # points that ignore the same centres share a block
        for block in torch.split(order, _ROWS):
            low = int(done[block[0]])
            for start in range(low, self.chosen, _COLUMNS):
                self._compare(rows[block], start, min(start + _COLUMNS, self.chosen))
        self._done_M[rows] = self.chosen

    def _compare(self, rows: Tensor, low: int, high: int) -> None:
        """Compare points with the centres ``low`` to ``high``."""
        points_BD = self.points_MD[rows]
        near, columns = self._candidates(points_BD, rows, low, high, torch.float32)
        if len(near) > _MANY * len(rows):
            near, columns = self._candidates(points_BD, rows, low, high, torch.float64)
        for some, centres in zip(torch.split(near, _PAIRS), torch.split(columns, _PAIRS), strict=True):
            exact = squared_distances(points_BD[some], self._centres_CD[low + centres])
            self.nearest_M.scatter_reduce_(0, rows[some], exact, "amin")

    def _candidates(
        self, points_BD: Tensor, rows: Tensor, low: int, high: int, dtype: torch.dtype
    ) -> tuple[Tensor, Tensor]:
        """The pairs (point, centre) that may be nearer than what is known, by a product with a bounded error."""
        slack = self._slack[dtype]
        limits_B = (self.nearest_M[rows] - self.norms_M[rows] + slack).to(dtype)
        centres_CD = self._centres_CD[low:high].to(dtype)
        # ||x - c||^2 - ||x||^2
        rough_BC = torch.addmm(self._norms_C[low:high].to(dtype), points_BD.to(dtype), centres_CD.T, alpha=-2)
        best_B = rough_BC.amin(1)
        nearer = (best_B < limits_B).nonzero().squeeze(1)
        limits_B = torch.minimum(limits_B, best_B + 2 * slack)[nearer]
        some, columns = (rough_BC[nearer] <= limits_B[:, None]).nonzero(as_tuple=True)
        return nearer[some], columns

    def _error_bound(self, dtype: torch.dtype) -> float:
        """How far a squared distance by a product in ``dtype`` can be off, roundings of norms and limits included.

        |fl(x.c) - x.c| <= D u / (1 - D u) |x| |c| in any order of the sum (Higham 2002, Accuracy and Stability, 3.5).
        """
        unit = torch.finfo(dtype).eps / 2
        if dtype == torch.float32 and torch.get_float32_matmul_precision() != "highest":
            unit = 2.0**-8  # what a product in bfloat16 keeps
        width = self.points_MD.shape[1]
        largest = float(self.norms_M.max())
        # The last term: products that fall below the smallest normal number are flushed to 0.
        return 2.5 * (width + 32) * unit * largest + 4 * width * torch.finfo(dtype).tiny
