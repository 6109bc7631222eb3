"""A step of fixed shapes as a CUDA graph: one launch in place of the hundreds of kernels of a small model's step."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

Step = Callable[[], Tensor]


def capture(step: Step) -> Step:
    """Record the kernels of ``step`` on the current device; what is returned runs them again on the same memory.

    ``step`` is also run once in the ordinary way, as libraries may not initialise themselves inside a capture, so
    running it twice must change nothing.
    """
    stream = torch.cuda.Stream()  # type: ignore[no-untyped-call]
    stream.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(stream):
        step()
    torch.cuda.current_stream().wait_stream(stream)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        output = step()

    def replay() -> Tensor:
        graph.replay()
        return output

    return replay


class GraphedStep:
    """Replays a step, captured anew when its shape is another one; a replay overwrites the output of the one before."""

    def __init__(self, capture: Callable[[Step], Step] = capture) -> None:
        self._capture = capture
        self._shape: Any = None
        self._replay: Step | None = None

    def __call__(self, shape: object, step: Step) -> Tensor:
        """What ``step`` returns. It may read new values from the same tensors, but no other tensors, while ``shape``
        stays the same.
        """
        if self._replay is None or shape != self._shape:
            self._replay = None  # its memory is free for the next one
            self._shape, self._replay = shape, self._capture(step)
        return self._replay()
