"""What a CUDA graph needs of a step, on a CPU: a tape that runs the same operations on the same memory again."""

import torch
from torch.utils._python_dispatch import TorchDispatchMode

from klear_core.records import RandomKey, SamplingParams
from klear_core.rollout.cuda_graphs import GraphedStep
from klear_core.rollout.native import NativeEngine
from klear_core.rollout.qwen3_decoder import Qwen3Decoder
from klear_core.rollout.qwen3_weights import Qwen3Weights
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
            decoder.select(order)
            rows = [rows[index] for index in order]
        tokens = torch.randint(V, (len(rows),))
        rows = [[*row, token] for row, token in zip(rows, tokens.tolist(), strict=True)]
        decoder.decode(tokens)
        torch.testing.assert_close(decoder.logits_MV, own_logits(model, rows), atol=1e-5, rtol=1e-5)
    assert captures.count == 4  # lengths up to 16, 32 and 48, and one for the smaller batch


def test_the_engine_gives_replayed_steps_a_row_for_every_completion_from_the_start(model, tokenizer, prompts):
    captures, rows = Captures(), []

    class Replaying(NativeEngine):
        def _decoder(self):
            def begin(asked, **sizes):
                decoder = Qwen3Decoder(Qwen3Weights.read(self._model), asked, **sizes, graphs=True)
                graphed = GraphedStep(captures)

                def run(shape, step):
                    rows.append(shape[0])
                    return graphed(shape, step)

                decoder._run, decoder._bucket = run, 16
                return decoder

            return begin

    key = RandomKey(seed=0, stream="test", step=1)
    sampling = SamplingParams(temperature=0.3, top_p=1.0, max_tokens=24, num_samples=8)
    replayed = Replaying(model, tokenizer).generate(prompts, sampling, key)
    shared = NativeEngine(model, tokenizer).generate(prompts, sampling, key)
    assert [[c.token_ids for c in group] for group in replayed] == [[c.token_ids for c in group] for group in shared]
    assert rows[0] == len(prompts) * sampling.num_samples and rows == sorted(rows, reverse=True)
    assert captures.count < 8 < len(rows)  # a capture for a change of shape, not for a step
