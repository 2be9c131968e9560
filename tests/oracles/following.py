"""The slow way to follow gradients: one graph over the whole model, eager attention, its weights as nodes."""

import torch


def weights_and_gradients(model, ids, loss):
    """L pairs of attention weights (H, T, T) and the gradient of the loss of the last logits with respect to them."""
    before = model.config._attn_implementation
    model.set_attn_implementation("eager")
    try:
        with torch.enable_grad():
            output = model(input_ids=torch.tensor([list(ids)]), use_cache=False, output_attentions=True)
            gradients = torch.autograd.grad(loss(output.logits[0, -1]), output.attentions)
    finally:
        model.set_attn_implementation(before)
    return [(one[0].detach(), gradient[0]) for one, gradient in zip(output.attentions, gradients, strict=True)]


def flow_slowly(pairs, answers, last):
    """(L, 3) means of |sum over heads of A dL/dA| over pairs wp, pq and ww, one pair at a time."""
    found = []
    for weights, gradient in pairs:
        saliency = (weights.double() * gradient.double()).sum(0).abs()
        kinds = {"wp": [], "pq": [], "ww": []}
        for i in range(last + 1):
            for j in range(i):
                kind = "wp" if i in answers else "pq" if i == last and j in answers else "ww"
                kinds[kind].append(float(saliency[i, j]))
        found.append([sum(values) / len(values) for values in kinds.values()])
    return found
