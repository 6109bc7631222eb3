r"""K-Center greedy against a pass over all points a centre: seconds, memory, and whether they choose the same.

    OMP_NUM_THREADS=2 python tests/benchmarks/kcenter.py
    python tests/benchmarks/kcenter.py --small

Choosing 31,600 of 100,000 points of 384 dimensions by passes takes about ten minutes, and every pass costs the same, so
passes are timed in samples before and after each of our whole traversals.  A pass is the fastest that torch has: one
matrix-vector product in float32, minimum and argmax in place.  At three places of a traversal the next choices are
compared with those of passes in float64.
"""

import argparse
import itertools
import math
import os
import random
import resource
import statistics
import time
from collections.abc import Callable

# A thread that waits for work must not take the processor from the others on a small machine.
os.environ.update(OMP_WAIT_POLICY="PASSIVE", GOMP_SPINCOUNT="0")

import torch
from torch import Tensor

from klear_core.data.mixes.embed import ngram_embeddings
from klear_core.data.mixes.kcenter import farthest_first, squared_distances

H100_BYTES_PER_S = 3.35e12  # HBM3 of the SXM card, by its data sheet
H100_FLOPS = 67e12  # float32 without tensor cores, of the same card
WAIT_S = 25e-6  # assumed, for a few small kernels and a number read back


def clusters(points: int, dimensions: int, *, spread: float) -> Tensor:
    """Points of length 1 around one centre a hundred points, at ``spread`` times the distance from the origin."""
    centres = torch.nn.functional.normalize(torch.randn(points // 100, dimensions), dim=1)
    members = torch.randint(0, len(centres), (points,))
    noise = torch.nn.functional.normalize(torch.randn(points, dimensions), dim=1)
    return torch.nn.functional.normalize(centres[members] + spread * noise, dim=1)


def prompts(points: int, dimensions: int) -> Tensor:
    """Hashed n-grams of made-up prompts of about 60 words; prints how long that takes."""
    draw = random.Random(0)
    words = [f"{draw.choice('bcdfglmnprst')}{draw.choice('aeiou')}{k:x}" for k in range(20_000)]
    weights = list(itertools.accumulate(1 / (k + 1) for k in range(len(words))))
    texts = [" ".join(draw.choices(words, cum_weights=weights, k=draw.randint(40, 80))) for _ in range(points)]
    started = time.perf_counter()
    embeddings_MD = ngram_embeddings(texts, dimensions=dimensions)
    print(f"  {points:,} prompts embedded in {time.perf_counter() - started:.1f} s")
    return embeddings_MD


KINDS: dict[str, Callable[[int, int], Tensor]] = {
    "clustered": lambda points, dimensions: clusters(points, dimensions, spread=0.5),
    "uniform": torch.rand,
}
MORE_KINDS: dict[str, Callable[[int, int], Tensor]] = {
    "prompts": prompts,
    "tight clusters": lambda points, dimensions: clusters(points, dimensions, spread=0.001),
    "20 copies each": lambda points, dimensions: torch.rand(points // 20, dimensions).repeat(20, 1),
    "corners of a cube": lambda points, dimensions: torch.randint(0, 2, (points, dimensions)).float(),
    "plane": lambda points, dimensions: torch.rand(points, 2),
}


def seconds_of_passes(points_MD: Tensor, passes: int) -> list[float]:
    """Seconds of each of some passes, the first of which is not counted."""
    norms_M = points_MD.square().sum(1)
    nearest_M = torch.full((len(points_MD),), math.inf)
    found, index = [], 0
    for _ in range(passes + 1):
        started = time.perf_counter()
        distances_M = torch.addmv(norms_M, points_MD, points_MD[index], alpha=-2).add_(norms_M[index])
        torch.minimum(nearest_M, distances_M, out=nearest_M)
        nearest_M[index] = -1
        index = int(nearest_M.argmax())
        found.append(time.perf_counter() - started)
    return found[1:]


def goes_on_as_passes_do(points_MD: Tensor, chosen_C: Tensor, after: int, steps: int) -> bool:
    """Whether the choices after the first ``after`` are those of passes in float64 over all points."""
    centres_CD = points_MD[chosen_C[:after]].double()
    norms_C = centres_CD.square().sum(1)
    nearest_M = torch.empty(len(points_MD), dtype=torch.float64)
    for block, few_BD in zip(torch.arange(len(points_MD)).split(1024), points_MD.split(1024), strict=True):
        points_BD = few_BD.double()
        products_BC = torch.addmm(norms_C, points_BD, centres_CD.T, alpha=-2)
        nearest_M[block] = products_BC.amin(1) + points_BD.square().sum(1)
    nearest_M[chosen_C[:after]] = -1
    for index in chosen_C[after : after + steps].tolist():
        if int(nearest_M.argmax()) != index:
            return False
        centre_1D = points_MD[index][None]
        exact = torch.cat([squared_distances(block, centre_1D) for block in points_MD.split(4096)])
        nearest_M = torch.minimum(nearest_M, exact)
        nearest_M[index] = -1
    return True


def measure(name: str, points_MD: Tensor, count: int, options: argparse.Namespace) -> None:
    """Alternate samples of passes with whole traversals and print a line."""
    passes = seconds_of_passes(points_MD, options.passes)
    ours, ratios = [], []
    for _ in range(options.rounds):
        started = time.perf_counter()
        found = farthest_first(points_MD, count)
        ours.append(time.perf_counter() - started)
        after = seconds_of_passes(points_MD, options.passes)
        ratios.append(statistics.median([*passes[-options.passes :], *after]) * count / ours[-1])
        passes += after
    places = [1, count // 100, count // 10]
    same = [goes_on_as_passes_do(points_MD, found.indices_C, after, options.checked) for after in places]
    a_pass = statistics.median(passes)
    mine, ratio = statistics.median(ours), statistics.median(ratios)
    print(
        f"  {name:18} {a_pass * 1e3:6.2f} ms a pass, {a_pass * count:6.1f} s in all; ours {mine:6.2f} s;"
        f" ratio {ratio:5.1f} ({min(ratios):.1f} to {max(ratios):.1f}); the same: {same}",
        flush=True,
    )


def project(points: int, dimensions: int, share: float) -> None:
    """Print what a million points would take on a GPU, by arithmetic alone."""
    count = int(points * share)
    size = points * dimensions * 4
    by_passes = size / H100_BYTES_PER_S * count
    by_products = 2 * points * count * dimensions / H100_FLOPS
    print(f"projection, not measured: {count:,} of {points:,} points of {dimensions} dimensions on an H100")
    print(f"  a pass reads {size / 1e9:.2f} GB, {size / H100_BYTES_PER_S * 1e3:.2f} ms at 3.35 TB/s: {by_passes:.0f} s")
    print(f"  all pairs as matrix products at 67 TFLOP/s of float32: {by_products:.0f} s, were none of them left out;")
    print(f"  a choice waits for the GPU some four times, {count * 4 * WAIT_S:.0f} s at {WAIT_S * 1e6:.0f} us each")


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--small", action="store_true", help="20,000 points, in seconds")
    parser.add_argument("--more", action="store_true", help="further kinds of points, hard ones among them")
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--passes", type=int, default=150, help="in each sample")
    parser.add_argument("--checked", type=int, default=30, help="choices that are compared at each place")
    options = parser.parse_args()
    points, dimensions, share = (20_000 if options.small else 100_000), 384, 0.316
    count = int(points * share)
    print(f"{count:,} of {points:,} points, {dimensions} dimensions, {torch.get_num_threads()} threads")
    print(f"  load of the machine before: {os.getloadavg()[0]:.1f}")
    for name, make in (KINDS | MORE_KINDS if options.more else KINDS).items():
        torch.manual_seed(0)
        measure(name, make(points, dimensions), count, options)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    print(f"  peak memory of the process {peak:.2f} GiB; load after: {os.getloadavg()[0]:.1f}")
    project(1_000_000, dimensions, share)


if __name__ == "__main__":
    main()
