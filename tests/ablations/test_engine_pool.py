"""Engines side by side answer what one answers; one that is lost, refuses or is out of memory is told in one line."""

import time
from functools import partial
from multiprocessing import active_children

import pytest

from ablations.engine_pool import EnginePool, OneEngine
from klear_core.errors import EngineError
from klear_core.eval.benchmark import Request
from klear_core.records import Prompt, RandomKey, SamplingParams
from tests.ablations import fake_engines


def request(*names, step=0):
    return Request(
        prompts=tuple(Prompt(problem_id=name, token_ids=(1,)) for name in names),
        sampling=SamplingParams(temperature=1.0, top_p=1.0, max_tokens=4, num_samples=2),
        key=RandomKey(seed=0, stream="x", step=step),
    )


def pool(folder, *gpus):
    return EnginePool(partial(fake_engines.Fake, str(folder)), [{"CUDA_VISIBLE_DEVICES": gpu} for gpu in gpus])


def test_processes_answer_what_one_engine_answers_and_each_sees_its_own_gpu(tmp_path):
    asked = [request("a", "b", step=step) for step in range(5)] + [request("interrupted")]
    with OneEngine(partial(fake_engines.Fake, str(tmp_path))) as one:
        expected = dict(one.answers([request("a", "b", step=step) for step in range(5)]))
    with pool(tmp_path, "5", "7") as engines:
        met = [answers[0][0].text for _, answers in engines.answers([request("met"), request("met")])]
        assert sorted(met) == ["GPU 5, torch False", "GPU 7, torch False"]
        assert engines.tokens_per_s(request("a")) > 0
        found = dict(engines.answers(asked))
    # Ctrl-C reaches every process of a terminal: it is for the one that asks.
    assert found.pop(5)[0][1].text == "interrupted 1 0"
    assert found == expected
    assert found[3][1][0].text == "b 0 3"
    assert len(list(tmp_path.glob("closed-*"))) == 3


def test_a_process_that_is_lost_is_one_line_and_what_came_before_stays(tmp_path):
    came = []
    with pytest.raises(EngineError) as caught, pool(tmp_path, "", "") as engines:
        for place, _ in engines.answers([request("a"), request("b"), request("killed"), *[request("c")] * 50]):
            came.append(place)
    assert str(caught.value).startswith(
        "one of 2 engine processes was lost: killed by SIGKILL; answers that are stored"
    )
    assert "\n" not in str(caught.value)
    assert {0, 1} <= {*came} and 2 not in came


def test_an_exception_ends_the_processes_at_once(tmp_path):
    before, started = active_children(), time.monotonic()
    with pytest.raises(KeyboardInterrupt), pool(tmp_path, "", "") as engines:
        for _ in engines.answers([request("a"), request("asleep"), request("asleep")]):
            raise KeyboardInterrupt
    assert active_children() == before
    assert time.monotonic() - started < 300  # and not the ten minutes that they sleep


def test_what_an_engine_in_another_process_refuses_is_said_as_it_said_it(tmp_path):
    with (
        pytest.raises(EngineError, match=r"^engine is vllm, which is not installed here$"),
        EnginePool(fake_engines.missing, [{}, {}]) as engines,
    ):
        engines.tokens_per_s(request("a"))


def test_want_of_memory_is_one_line_with_what_helps_and_a_bug_stays_a_bug(tmp_path):
    with OneEngine(partial(fake_engines.Fake, str(tmp_path))) as engine:
        with pytest.raises(
            EngineError, match=r"no memory left \(RuntimeError: CUDA out of memory.*smaller batch"
        ) as told:
            engine.answer(request("memory"))
        assert "\n" not in str(told.value)
        with pytest.raises(RuntimeError, match=r"^shapes do not match$"):
            engine.answer(request("bug"))
        with pytest.raises(EngineError, match=r"^prompt p has 9 tokens"):
            engine.answer(request("refused"))


def test_an_engine_is_opened_when_it_is_first_asked():
    with OneEngine(fake_engines.missing) as engine, pytest.raises(EngineError, match="not installed"):
        assert list(engine.answers([])) == []
        next(engine.answers([request("a")]))
