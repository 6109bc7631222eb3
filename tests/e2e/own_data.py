"""A user's own model and data, tiny: a Qwen3 model of random weights with a chat template, and files of problems."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

CONTEXT = 192
_CHAT = (
    "{% for message in messages %}<|im_start|>{{ message['role'] }}\n{{ message['content'] }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)


def write_model(folder: Path) -> Path:
    """A checkpoint folder with a tokenizer of bytes."""
    from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    from klear_core.model_config import ModelConfig
    from klear_core.trainer.model_folder import save_model
    from klear_core.trainer.policy import build_model

    letters = sorted(pre_tokenizers.ByteLevel.alphabet())
    inner = Tokenizer(models.BPE(vocab={letter: index for index, letter in enumerate(letters)}, merges=[]))
    inner.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    inner.decoder = decoders.ByteLevel()
    inner.add_tokens([AddedToken(tag, normalized=False, special=False) for tag in ("<think>", "</think>")])
    inner.add_special_tokens(["<|endoftext|>", "<|im_start|>", "<|im_end|>"])
    # As of many published tokenizers: the context is known to the model only.
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=inner, eos_token="<|im_end|>", pad_token="<|endoftext|>")
    tokenizer.chat_template = _CHAT
    sizes = {"hidden_size": 32, "intermediate_size": 64, "num_layers": 2}
    heads = {"num_heads": 4, "num_kv_heads": 2, "head_dim": 8}
    shape = ModelConfig(name="tiny", **sizes, **heads, precision="float32", device="cpu", gradient_checkpointing=False)
    tokenizer.model_max_length = CONTEXT
    model = build_model(shape, tokenizer, seed=0)
    tokenizer.model_max_length = 10**30
    save_model(folder, model, tokenizer)
    return folder


def sums(first: int, count: int) -> list[tuple[str, str]]:
    """Prompts that are all different, and their answers."""
    return [(f"What is {k} + {k % 7}?", str(k + k % 7)) for k in range(first, first + count)]


def write_lines(path: Path, rows: Sequence[dict[str, Any]]) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


def own_rows(pairs: Sequence[tuple[str, str]]) -> list[dict[str, Any]]:
    """Problems in this project's own form."""
    return [{"prompt": prompt, "answer": answer} for prompt, answer in pairs]


def aime_rows(pairs: Sequence[tuple[str, str]]) -> list[dict[str, Any]]:
    """Questions in the form of AIME files."""
    return [
        {
            "messages": [{"role": "user", "content": prompt}],
            "meta": {"unique_id": f"2025-I-{k}", "problem": prompt, "solution": answer, "Part": "I"},
        }
        for k, (prompt, answer) in enumerate(pairs, start=1)
    ]


def code_rows(first: int, count: int) -> list[dict[str, Any]]:
    """Problems that tests decide, in the same form as ``own_rows``."""
    tests = {"kind": "stdin", "entry": "", "inputs": ["1\n", "2\n"], "outputs": ["2", "3"]}
    return [{"prompt": f"Add one, version {k}.", "answer": "", "tests": tests} for k in range(first, first + count)]


def write_openr1(path: Path, pairs: Sequence[tuple[str, str]]) -> Path:
    """Demonstrations in the form of OpenR1-Math, a right one and a wrong one a problem."""
    rows = []
    for prompt, answer in pairs:
        generations = [f"<think>easy</think>\\boxed{{{value}}}" for value in (answer, "0")]
        rows.append(
            {
                "problem": prompt,
                "solution": "s",
                "answer": answer,
                "source": "olympiads",
                "uuid": prompt,
                "generations": generations,
                "correctness_math_verify": [True, False],
                "messages": [{"role": "user", "content": prompt}, {"role": "assistant", "content": generations[0]}],
            }
        )
    pq.write_table(pa.Table.from_pylist(rows), path)
    return path


def write_data(folder: Path) -> dict[str, Path]:
    """Training problems, questions and demonstrations that share no prompt, each in another format."""
    folder.mkdir(parents=True, exist_ok=True)
    return {
        "train": write_lines(folder / "train.jsonl", own_rows(sums(10, 8))),
        "validation": write_lines(folder / "aime24.jsonl", aime_rows(sums(30, 4))),
        "test": write_lines(folder / "aime25.jsonl", aime_rows(sums(40, 6))),
        "demonstrations": write_openr1(folder / "openr1.parquet", sums(50, 12)),
    }


def arguments(data: dict[str, Path], model: Path | None) -> list[str]:
    """What every command on these files says."""
    return [
        "task=rows",
        "scale=smoke",
        *(f"task.params.{split}={data[split]}" for split in ("train", "validation", "test")),
        *("task.train_problems=8", "eval.validation_questions=4", "eval.test_questions=6"),
        *("rl.problems_per_step=4", "rl.max_response_tokens=24", "wandb.mode=disabled"),
        *([] if model is None else [f"sft.checkpoint={model}"]),
    ]
