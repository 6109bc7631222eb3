"""What a CUDA graph needs of a step, on a CPU: a tape that runs the same operations on the same memory again."""

import torch
from torch.utils._python_dispatch import TorchDispatchMode

from klear_core.rollout.cuda_graphs import GraphedStep
from tests.klear_core.rollout.small_qwen3 import V, begin, build, own_logits


class Tape(TorchDispatchMode):
    """Records every operation with the tensors that it read; sizes and numbers of Python are frozen as they were."""

    def __init__(self):
        super().__init__()
        self.calls = []

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        output = func(*args, **(kwargs or {}))
        self.calls.append((func, args, kwargs or {}, output))
        return output

    def replay(self):
        for func, args, kwargs, output in self.calls:
            again = func(*args, **kwargs)
            for old, new in zip(flat(output), flat(again), strict=True):
                if old.data_ptr() != new.data_ptr():
                    old.copy_(new)


def flat(output):
    found = output if isinstance(output, tuple | list) else [output]
    return [value for value in found if isinstance(value, torch.Tensor)]


class Captures:
    """Stands in for ``capture`` and counts; a step runs once before it is recorded, as there."""

    def __init__(self):
        self.count = 0

    def __call__(self, step):
        self.count += 1
        step()
        tape = Tape()
        with tape:
            output = step()
        output.zero_()  # a capture computes nothing

        def replay():
            tape.replay()
            return output

        return replay


def test_a_step_is_captured_once_a_shape_and_replayed_on_new_values():
    captures = Captures()
    run, value = GraphedStep(captures), torch.zeros(3)
    seen = []
    for number, shape in enumerate([(3, 1), (3, 1), (3, 2), (3, 2), (3, 1)]):
        value.fill_(float(number))
        seen.append(run(shape, lambda: value * 2 + 1)[0].item())
    assert seen == [1.0, 3.0, 5.0, 7.0, 9.0]
    assert captures.count == 3


@torch.inference_mode()
def test_replayed_decoding_gives_the_models_logits_through_lengths_and_compaction():
    model = build()
    rows = [torch.randint(V, (length,)).tolist() for length in (3, 6, 4, 6)]
    decoder = begin(model, rows, max_tokens=40, graphs=True)
    captures = Captures()
    decoder._run, decoder._bucket = GraphedStep(captures), 16
    for step in range(40):
        if step == 20:
            order = torch.tensor([3, 1])
            decoder.keep(order)
            rows = [rows[index] for index in order]
        tokens = torch.randint(V, (len(rows),))
        rows = [[*row, token] for row, token in zip(rows, tokens.tolist(), strict=True)]
        decoder.decode(tokens)
        torch.testing.assert_close(decoder.logits_NV, own_logits(model, rows), atol=1e-5, rtol=1e-5)
    assert captures.count == 4  # lengths up to 16, 32 and 48, and one for the smaller batch
