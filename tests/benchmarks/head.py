r"""The head's time as a fraction of its floor, its memory and its error, beside other heads; JSON on standard output.

    python tests/benchmarks/head.py
    python tests/benchmarks/head.py --paper-size

The floor is what the matrix products alone take: 8 multiples (6 in one pass or with the logits kept) of tokens x
hidden x vocabulary multiplications and additions, at the rate that one large product reaches on this device.  All
heads run forward and backward in every round, in an order that rotates; times are medians over the rounds.  Memory is
the peak beside inputs, outputs and returned gradients; the error is the largest |exp(difference) - 1| of 256
log-probabilities against float64.  ``--paper-size`` needs a CUDA device: 32,768 tokens x 4,096 x 151,936 in bfloat16.
"""

import argparse
import gc
import json
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

# A thread that waits for work must not take the processor from the others on a small machine.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
os.environ.setdefault("GOMP_SPINCOUNT", "0")

import torch
from torch import Tensor

from klear_core.trainer.head import HeadBlocks, default_blocks, head_logprobs
from klear_core.trainer.head_memory import head_extra_bytes
from klear_core.trainer.head_one_pass import ONE_PASS_BLOCKS, head_loss_one_pass

# (hidden, weight, targets, gradient of the log-probabilities) -> log-probabilities, gradients of hidden and weight.
Head = Callable[[Tensor, Tensor, Tensor, Tensor], tuple[Tensor, Tensor, Tensor]]
TOKEN_BLOCKS = HeadBlocks(tokens=2048, vocab=8192, outer="tokens")
ERROR_ROWS = 256
MATRIX = "matrix product"
MATRIX_WORDS = 16_384


def fused(hidden_TH: Tensor, weight_VH: Tensor, targets_T: Tensor, grad_T: Tensor, *, blocks: HeadBlocks):
    """Ours, in two passes."""
    logprobs_T, _ = head_logprobs(hidden_TH, weight_VH, targets_T, temperature=1.0, with_entropy=False, blocks=blocks)
    return logprobs_T.detach(), *torch.autograd.grad(logprobs_T, (hidden_TH, weight_VH), grad_T)


def one_pass(hidden_TH: Tensor, weight_VH: Tensor, targets_T: Tensor, grad_T: Tensor):
    """Ours, in one pass: the loss whose gradient is ``grad_T``."""
    found = head_loss_one_pass(
        hidden_TH, weight_VH, targets_T, lambda logprobs_B: logprobs_B, [], grad_T, temperature=1.0, with_entropy=False
    )
    return found.logprobs_T, *torch.autograd.grad(found.loss, (hidden_TH, weight_VH))


def naive(hidden_TH: Tensor, weight_VH: Tensor, targets_T: Tensor, grad_T: Tensor):
    """All logits, rounded to the dtype of their inputs, and their log-softmax in float32."""
    logits_TV = (hidden_TH @ weight_VH.t()).to(torch.float32)
    logprobs_T = torch.log_softmax(logits_TV, 1).gather(1, targets_T[:, None]).squeeze(1)
    return logprobs_T.detach(), *torch.autograd.grad(logprobs_T, (hidden_TH, weight_VH), grad_T)


def torch_chunked(hidden_TH: Tensor, weight_VH: Tensor, targets_T: Tensor, grad_T: Tensor):
    """torch's linear_cross_entropy with the chunks that it chooses itself."""
    options = torch.nn.LinearCrossEntropyOptions()
    loss_T = torch.nn.functional.linear_cross_entropy(
        hidden_TH, weight_VH, targets_T, reduction="none", options=options
    )
    return -loss_T.detach(), *torch.autograd.grad(loss_T, (hidden_TH, weight_VH), -grad_T.to(loss_T.dtype))


def liger(hidden_TH: Tensor, weight_VH: Tensor, targets_T: Tensor, grad_T: Tensor):
    """Liger's fused scaled cross-entropy, which rounds logits to half precision (0.8.5)."""
    from liger_kernel.ops import LigerFusedLinearScaledCrossEntropyFunction

    loss_T = LigerFusedLinearScaledCrossEntropyFunction.apply(hidden_TH, weight_VH, targets_T, 1.0)
    return -loss_T.detach(), *torch.autograd.grad(loss_T, (hidden_TH, weight_VH), -grad_T)


def verl(hidden_TH: Tensor, weight_VH: Tensor, targets_T: Tensor, grad_T: Tensor):
    """verl's fused head, its default of 512 tokens a chunk."""
    from verl.utils.experimental.torch_functional import FusedLinearForPPO

    logprobs_T, _ = FusedLinearForPPO()(hidden_TH, weight_VH, targets_T)
    return logprobs_T.detach(), *torch.autograd.grad(logprobs_T, (hidden_TH, weight_VH), grad_T)


def heads(vocab_blocks: HeadBlocks) -> dict[str, tuple[Head, int, HeadBlocks | None]]:
    """Name -> head, multiples of tokens x hidden x vocabulary that it computes, our block settings."""
    return {
        "ours, vocabulary blocks": (partial(fused, blocks=vocab_blocks), 8, vocab_blocks),
        "ours, token blocks": (partial(fused, blocks=TOKEN_BLOCKS), 8, TOKEN_BLOCKS),
        "ours, one pass": (one_pass, 6, ONE_PASS_BLOCKS),
        "naive": (naive, 6, None),
        "torch linear_cross_entropy": (torch_chunked, 8, None),
        "liger": (liger, 8, None),
        "verl": (verl, 8, None),
    }


def wait(device: str) -> None:
    """Until the device has done what it was told to do."""
    if device == "cuda":
        torch.cuda.synchronize()


def seconds(run: Callable[[], object], device: str) -> float:
    """How long one call takes."""
    wait(device)
    started = time.perf_counter()
    run()
    wait(device)
    return time.perf_counter() - started


def peak_bytes(run: Callable[[], object], device: str) -> int:
    """The most that a call holds at a time beyond what is there before it; its result counts while it is held."""
    gc.collect()
    if device == "cuda":
        wait(device)
        torch.cuda.reset_peak_memory_stats()
        before = torch.cuda.memory_allocated()
        run()
        wait(device)
        return torch.cuda.max_memory_allocated() - before
    with torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CPU], profile_memory=True) as profile:
        run()
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "trace.json"
        profile.export_chrome_trace(str(file))
        events = json.loads(file.read_text(encoding="utf-8"))["traceEvents"]
    held = peak = 0
    for event in sorted((event for event in events if event["name"] == "[memory]"), key=lambda event: event["ts"]):
        held += event["args"]["Bytes"]
        peak = max(peak, held)
    return peak


def error(logprobs_T: Tensor, hidden_TH: Tensor, weight_VH: Tensor, targets_T: Tensor) -> float:
    """The largest |exp(difference) - 1| of some log-probabilities against float64."""
    rows = slice(0, ERROR_ROWS)
    logits_BV = hidden_TH.detach()[rows].double() @ weight_VH.detach().double().t()
    exact_B = logits_BV.log_softmax(1).gather(1, targets_T[rows, None]).squeeze(1)
    return (logprobs_T[rows].double() - exact_B).expm1().abs().max().item()


def why_skipped(refused: Exception, *, is_ours: bool) -> str:
    """Why a head did not run; raises where ours did not, but for a lack of memory."""
    if isinstance(refused, torch.cuda.OutOfMemoryError):
        return "out of memory"
    if is_ours:
        raise refused
    return f"{'not installed' if isinstance(refused, ImportError | AttributeError) else 'refused'}: {refused}"


def measure(arguments: argparse.Namespace, device: str) -> dict[str, Any]:
    """All heads on one set of random inputs, as a record for JSON."""
    generator = torch.Generator().manual_seed(0)
    dtype = getattr(torch, arguments.dtype)
    T, H, V = arguments.tokens, arguments.hidden, arguments.vocab
    hidden_TH = torch.randn(T, H, generator=generator).to(device, dtype).requires_grad_()
    # Logits of standard deviation 4, about as peaked as those of a language model.
    weight_VH = (torch.randn(V, H, generator=generator) * 4 / H**0.5).to(device, dtype).requires_grad_()
    targets_T = torch.randint(0, V, (T,), generator=generator).to(device)
    grad_T = torch.randn(T, generator=generator).to(device)
    inputs = (hidden_TH, weight_VH, targets_T, grad_T)
    default = default_blocks(device, vocab=V)
    chosen = HeadBlocks(
        tokens=arguments.token_block or default.tokens, vocab=arguments.vocab_block or default.vocab, outer="vocab"
    )
    contenders = heads(chosen)
    found: dict[str, dict[str, Any]] = {}
    for name, (head, multiples, blocks) in contenders.items():
        found[name] = record = {"multiples": multiples}
        try:
            logprobs_T, *gradients = head(*inputs)
        except (ImportError, AttributeError, TypeError, RuntimeError) as refused:
            record["skipped"] = why_skipped(refused, is_ours=blocks is not None)
            continue
        record["error"] = error(logprobs_T, hidden_TH, weight_VH, targets_T)
        returned = sum(tensor.nbytes for tensor in (logprobs_T, *gradients))
        del logprobs_T, gradients
        record["extra_bytes"] = peak_bytes(partial(head, *inputs), device) - returned
        if blocks is not None:
            bound = head_extra_bytes(
                tokens=T,
                hidden=H,
                vocab=V,
                dtype=dtype,
                blocks=blocks,
                with_entropy=False,
                device_type=device,
                one_pass=head is one_pass,
            )
            record["bound_bytes"] = {"workspace": bound.workspace, "weight_sum": bound.weight_sum}
    runs = {name: partial(contenders[name][0], *inputs) for name, record in found.items() if "skipped" not in record}
    # The products alone, of all tokens with a part of the vocabulary: timed in the same rounds.
    part_XH = weight_VH.detach()[:MATRIX_WORDS]
    times = alternate({**runs, MATRIX: partial(torch.mm, hidden_TH.detach(), part_XH.t())}, arguments.rounds, device)
    unit_s = statistics.median(times[MATRIX]) / 2 * V / len(part_XH)
    for name in runs:
        floor_s, median_s = found[name]["multiples"] * unit_s, statistics.median(times[name])
        found[name] |= {
            "seconds": times[name],
            "median_s": median_s,
            "floor_s": floor_s,
            "of_floor": floor_s / median_s,
        }
    size = {"tokens": T, "hidden": H, "vocab": V, "dtype": arguments.dtype, "rounds": arguments.rounds}
    return {"size": size, "matrix_flops_per_s": T * H * V / unit_s, "heads": found}


def alternate(runs: dict[str, Callable[[], object]], rounds: int, device: str) -> dict[str, list[float]]:
    """Seconds of each run in every round; the order rotates from one round to the next."""
    names = list(runs)
    for name in names:
        runs[name]()
    times: dict[str, list[float]] = {name: [] for name in names}
    for number in range(rounds):
        for place in range(len(names)):
            name = names[(place + number) % len(names)]
            times[name].append(seconds(runs[name], device))
    return times


def parse() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tokens", type=int, default=1024)
    parser.add_argument("--hidden", type=int, default=256)
    parser.add_argument("--vocab", type=int, default=16384)
    parser.add_argument("--dtype", choices=("float32", "bfloat16"), default="float32")
    parser.add_argument("--token-block", type=int, help="of our vocabulary blocks; by default the device's")
    parser.add_argument("--vocab-block", type=int, help="of our vocabulary blocks; by default the device's")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--paper-size", action="store_true", help="32,768 x 4,096 x 151,936 in bfloat16")
    arguments = parser.parse_args()
    if arguments.rounds < 5:
        parser.error(f"--rounds is {arguments.rounds}; allowed: at least 5")
    if arguments.paper_size:
        if not torch.cuda.is_available():
            parser.error("--paper-size needs a CUDA device, and there is none")
        arguments.tokens, arguments.hidden, arguments.vocab = 32_768, 4_096, 151_936
        arguments.dtype = "bfloat16"
    return arguments


def main() -> None:
    """Measure, print everything, tell the shares of the floor and how much faster than whole logits it is."""
    from measured import Metric, machine, ratio, tell

    found = measure(parse(), "cuda" if torch.cuda.is_available() else "cpu")
    found |= {"machine": machine(), "threads": torch.get_num_threads()}
    json.dump(found, sys.stdout, indent=2)
    print()
    timed = {name: record for name, record in found["heads"].items() if "seconds" in record}
    metrics = [
        Metric(name=f"{name}, share of its floor", value=record["of_floor"], unit="x", better="higher")
        for name, record in timed.items()
    ]
    metrics += [
        Metric(name=f"{name}, peak memory", value=record["extra_bytes"] / 2**20, unit="MiB", better="lower")
        for name, record in timed.items()
    ]
    ours, *others = timed
    for name in others:
        pairs = zip(timed[name]["seconds"], timed[ours]["seconds"], strict=True)
        metrics.append(ratio(f"{name} / {ours}", [theirs / mine for theirs, mine in pairs]))
    tell(metrics, **found["size"])


if __name__ == "__main__":
    main()
