import pytest
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

from klear_core.errors import DataError
from klear_core.trainer import policy
from klear_core.trainer.collate import pad
from klear_core.trainer.model_folder import load_model, save_model, weights_hash
from klear_core.trainer.policy import build_model, score


def test_the_default_model_has_about_a_hundred_thousand_parameters(make_config, tokenizer):
    model = build_model(make_config().model, tokenizer, seed=0)
    assert 90_000 < sum(parameter.numel() for parameter in model.parameters()) < 130_000


def test_initialisation_follows_the_seed_and_leaves_the_global_generator_alone(make_config, tokenizer):
    shape = make_config().model
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    first, second, other = (build_model(shape, tokenizer, seed=seed).state_dict() for seed in (1, 1, 2))
    assert torch.equal(torch.rand(3), expected)
    assert all(torch.equal(first[name], second[name]) for name in first)
    assert any(not torch.equal(first[name], other[name]) for name in first)


def test_scores_do_not_depend_on_padding(model, tokenizer):
    prompts = [[7, 17, 8, 20], [7, 17, 8, 18, 9, 20]]
    responses = [[3, 9, 4, 1], [3, 9, 17, 9, 20, 9, 4, 1]]
    padded = pad(prompts, responses, pad_id=tokenizer.pad_token_id)
    together = score(
        model, padded.token_ids_NL, padded.attention_mask_NL, num_response=8, temperature=0.7, entropy=True
    )
    for n, (prompt, response) in enumerate(zip(prompts, responses, strict=True)):
        with torch.no_grad():
            logits = model(input_ids=torch.tensor([prompt + response])).logits[0, len(prompt) - 1 : -1] / 0.7
        logprobs = logits.log_softmax(-1)
        chosen = logprobs.gather(-1, torch.tensor(response)[:, None]).squeeze(-1)
        torch.testing.assert_close(together.logprobs_NT[n, : len(response)], chosen, atol=1e-5, rtol=0)
        entropy = -(logprobs.exp() * logprobs).sum(-1)
        torch.testing.assert_close(together.entropy_NT[n, : len(response)], entropy, atol=1e-5, rtol=0)


def test_a_checkpoint_round_trips_and_loads_with_nothing_of_ours(model, tokenizer, tmp_path):
    save_model(tmp_path / "a", model, tokenizer)
    assert list((tmp_path / "a").glob("*.safetensors"))
    assert not list((tmp_path / "a").glob("*.bin"))
    ours, _ = load_model(tmp_path / "a")
    theirs = AutoModelForCausalLM.from_pretrained(tmp_path / "a")
    names = AutoTokenizer.from_pretrained(tmp_path / "a")
    ids = torch.tensor([names("3+4*2=")["input_ids"]])
    assert torch.equal(ours(input_ids=ids).logits, theirs(input_ids=ids).logits)
    assert torch.equal(ours(input_ids=ids).logits, model(input_ids=ids).logits)
    save_model(tmp_path / "b", ours, tokenizer)
    assert weights_hash(tmp_path / "a") == weights_hash(tmp_path / "b")


def test_a_missing_or_empty_checkpoint_folder_is_refused(tmp_path):
    with pytest.raises(DataError, match="does not exist"):
        load_model(tmp_path / "nowhere")
    with pytest.raises(DataError, match=r"holds no config\.json"):
        load_model(tmp_path)


@pytest.mark.parametrize("num_prompt", [1, 4])
def test_scores_from_hidden_states_are_those_of_whole_logits_with_their_gradients(
    model, tokenizer, monkeypatch, num_prompt
):
    ids_NL = torch.randint(0, len(tokenizer), (3, num_prompt + 6), generator=torch.Generator().manual_seed(0))
    attention_NL = torch.ones_like(ids_NL, dtype=torch.bool)
    attention_NL[1, : num_prompt - 1] = False
    model.double()
    found = {}
    for fused_from in (policy.FUSED_FROM, 1):
        monkeypatch.setattr(policy, "FUSED_FROM", fused_from)
        model.zero_grad()
        scores = score(model, ids_NL, attention_NL, num_response=6, temperature=0.7, entropy=True)
        torch.autograd.backward(scores.logprobs_NT[:, :4].sum())
        gradients = {name: weight.grad.clone() for name, weight in model.named_parameters()}
        found[fused_from] = scores, gradients
    (whole, expected), (fused, gradients) = found.values()
    assert fused.logprobs_NT.grad_fn.name() != whole.logprobs_NT.grad_fn.name()
    torch.testing.assert_close(fused.logprobs_NT, whole.logprobs_NT, atol=1e-12, rtol=0)
    torch.testing.assert_close(fused.entropy_NT, whole.entropy_NT, atol=1e-12, rtol=0)
    for name, expected_gradient in expected.items():
        torch.testing.assert_close(gradients[name], expected_gradient, atol=1e-10, rtol=1e-10)


def test_a_head_that_does_more_than_a_product_is_not_passed_by(model, monkeypatch):
    monkeypatch.setattr(policy, "FUSED_FROM", 1)
    assert policy._is_fused(model)
    model.lm_head.bias = torch.nn.Parameter(torch.zeros(model.lm_head.out_features))
    assert not policy._is_fused(model)
