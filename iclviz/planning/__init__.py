"""What a run costs before it is made: memory, disk and time, from a model's configuration alone.

1. `configurations` finds the model's configuration; no weights are read.
2. `dry_run` builds the model on torch's meta device, where tensors have shapes and no numbers, and runs it there: what
   its own code multiplies, moves and holds is counted, so no family of models has a formula of its own.
3. `reading` takes the run's own prompts and batch plan: which tokens are really read, and which are shared.
4. `memory` sums bytes; `roofline` (arXiv:2402.16363) makes seconds of operations and bytes on one of `devices`.
5. `fitting` says where the model fits, and `planned` puts it all together.
"""
