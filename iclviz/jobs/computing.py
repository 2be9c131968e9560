"""One run: build the prompts, capture batch by batch, keep each finished batch, seal the recording.

The batch plan is made when the run first starts and kept with its batches, so that whoever goes on after a crash
computes the rest in the same shapes.
"""

import os
import platform
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from importlib.metadata import version
from typing import Any

import numpy as np
import torch

from iclviz.capture.attention import Way
from iclviz.capture.choosing import choose_way
from iclviz.capture.engine import Captured, Decoding, Engine
from iclviz.capture.plan import TOKEN_BUDGETS, BatchPlan, plan_batches
from iclviz.errors import Cancelled, UserError
from iclviz.jobs.queue import Progress, Report
from iclviz.models.configuration import model_facts
from iclviz.models.identity import identity
from iclviz.models.loading import LoadedModel, load, ready_tokenizer
from iclviz.models.locating import download
from iclviz.prompts import TokenizedPrompt, response_pieces, tokens_until
from iclviz.recording import Array, Recording
from iclviz.resolve import Built, Resolved, build, tokenized
from iclviz.spans import ROLES, Span
from iclviz.store import Store, Unfinished

SMALL_GPU_BYTES = 24 * 2**30
LIBRARIES = ("torch", "transformers", "numpy", "safetensors")


@dataclass(frozen=True)
class ReadyModel:
    """A loaded model and the way its attention is recorded."""

    loaded: LoadedModel
    way: Way

    def engine(self) -> Engine:
        """An engine over the model."""
        return Engine(self.loaded.model, self.way, self.loaded.facts.n_layers)


class ModelKeeper:
    """Holds the last model, so that the next run of the same one need not load it."""

    def __init__(self) -> None:
        self._key: Any = None
        self._ready: ReadyModel | None = None

    def get(self, resolved: Resolved, memo: Any) -> ReadyModel:
        """The model of a run, loaded if it is not the one that is held."""
        spec = resolved.spec
        key = (identity(resolved.located, memo), spec.model, spec.dtype, str(spec.model_options))
        if self._ready is None or key != self._key:
            self._ready, self._key = None, None
            loaded = load(resolved.located, spec.dtype, spec.model_options, memo=memo)
            self._ready, self._key = ReadyModel(loaded, choose_way(loaded.model, loaded.facts.n_layers)), key
        return self._ready


def compute(
    resolved: Resolved,
    store: Store,
    keeper: ModelKeeper,
    report: Report = lambda progress: None,
    should_stop: Callable[[], bool] = lambda: False,
) -> Recording:
    """Run a spec, going on from batches that an earlier attempt finished, and seal its recording.

    Raises
    ------
    Cancelled: `should_stop` said so; finished batches are kept.
    UserError: the run cannot be made: too long a context, a model that does not load, a full disk.
    """
    start = time.perf_counter()
    n_items = resolved.spec.n_items
    report(Progress("building the prompts", 0, n_items))
    built = build(resolved)
    resolved = replace(resolved, located=download(resolved.located))
    trusted = bool(resolved.spec.model_options.get("trust_remote_code", False))
    tokenizer = ready_tokenizer(resolved.located, store.memo, trusted)
    prompts = tokenized(resolved, built, tokenizer, model_facts(resolved.located).context_length)
    _stop_if(should_stop)
    report(Progress("loading the model", 0, n_items))
    ready = keeper.get(resolved, store.memo)
    _stop_if(should_stop)
    loading = time.perf_counter() - start
    unfinished = store.unfinished(resolved.key)
    plan = _plan(unfinished, prompts, ready.loaded)
    run = _Run(resolved, built, prompts, ready, plan, unfinished)
    with _threads(plan.threads):
        run.all_batches(report, should_stop)
    report(Progress("saving", n_items, n_items))
    recording = run.recording({"loading": loading, "total": time.perf_counter() - start})
    store.save(recording, resolved.task.primary.score)
    return store.load(resolved.key)


def _stop_if(should_stop: Callable[[], bool]) -> None:
    if should_stop():
        raise Cancelled


def _plan(unfinished: Unfinished, prompts: list[TokenizedPrompt], loaded: LoadedModel) -> BatchPlan:
    """The stored plan, or a new one where there is none or its batches come from other libraries or another device."""
    makers = {"versions": _versions(), "device": loaded.device.type}
    stored = unfinished.plan()
    if stored and stored.get("makers") == makers:
        return BatchPlan.from_dict(stored["plan"])
    unfinished.forget()
    lengths = [len(prompt) for prompt in prompts]
    plan = plan_batches(lengths, token_budget(loaded.device), torch.get_num_threads())
    unfinished.save_plan({"plan": plan.to_dict(), "makers": makers})
    return plan


def _versions() -> dict[str, str]:
    return {"python": platform.python_version(), **{name: version(name) for name in LIBRARIES}}


def token_budget(device: torch.device) -> int:
    """`$ICLVIZ_TOKEN_BUDGET`, else the default of the device's memory class.

    Raises
    ------
    UserError: the setting is not a positive whole number.
    """
    named = os.environ.get("ICLVIZ_TOKEN_BUDGET")
    if named:
        if not named.isdecimal() or int(named) == 0:
            raise UserError(f"ICLVIZ_TOKEN_BUDGET = {named!r} is not a number of tokens.", "Set it to 4096, say.")
        return int(named)
    if device.type != "cuda":
        return TOKEN_BUDGETS["cpu"]
    small = torch.cuda.get_device_properties(device).total_memory < SMALL_GPU_BYTES
    return TOKEN_BUDGETS["gpu-small" if small else "gpu"]


@contextmanager
def _threads(number: int) -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(number)
    try:
        yield
    finally:
        torch.set_num_threads(before)


class _Run:
    """One run while its batches are captured and joined."""

    def __init__(
        self,
        resolved: Resolved,
        built: Built,
        prompts: list[TokenizedPrompt],
        ready: ReadyModel,
        plan: BatchPlan,
        unfinished: Unfinished,
    ) -> None:
        self.resolved, self.built, self.prompts, self.ready = resolved, built, prompts, ready
        self.plan, self.unfinished = plan, unfinished
        self.tokenizer = ready.loaded.tokenizer

    def all_batches(self, report: Report, should_stop: Callable[[], bool]) -> None:
        """Capture every batch that is not there yet."""
        meter = _Meter(self.plan, self.prompts)
        engine = self.ready.engine()
        for number, batch in enumerate(self.plan.batches):
            _stop_if(should_stop)
            found = self.unfinished.batch(number) is not None
            if not found:
                report(meter.progress())
                captured = engine.capture(
                    [self.prompts[index] for index in batch],
                    self.resolved.spec.poolings or (),
                    self._decoding(batch),
                    should_stop,
                )
                self._keep(number, batch, captured)
            meter.add(batch, found)
            report(meter.progress())

    def _decoding(self, batch: tuple[int, ...]) -> Decoding:
        def is_finished(row: int, response_ids: list[int]) -> bool:
            return self.resolved.task.is_finished(self._response(batch[row], response_ids)[0])

        return Decoding(self.resolved.spec.max_new_tokens or 1, end_tokens(self.ready.loaded), is_finished)

    def _response(self, index: int, response_ids: list[int]) -> tuple[str, list[str]]:
        pieces = response_pieces(self.prompts[index].ids, response_ids, self.tokenizer)
        return "".join(pieces), pieces

    def _keep(self, number: int, batch: tuple[int, ...], captured: Captured) -> None:
        """Store a batch, its response rows averaged up to the end of each parsed answer."""
        means = []
        for position, index in enumerate(batch):
            text, pieces = self._response(index, captured.response_ids[position])
            rows = tokens_until(pieces, self.resolved.task.parse(text).end)
            means.append(captured.rows[position][:rows].mean(0))
        arrays = {f"embeddings/{name}": values for name, values in captured.embeddings.items()}
        arrays |= {"attention": np.stack(means), "attention_last": captured.last_row}
        facts = {
            "response_ids": captured.response_ids,
            "candidate_logprobs": captured.candidate_logprobs,
            "seconds": captured.seconds,
        }
        self.unfinished.save_batch(number, arrays, facts)

    def recording(self, seconds: Mapping[str, float]) -> Recording:
        """All batches joined, in the order of the items."""
        arrays, response_ids, logprobs, stages = self._joined()
        written = [self._response(index, ids) for index, ids in enumerate(response_ids)]
        spans = [
            [*prompt.spans, Span("response", len(prompt), len(prompt) + len(ids))]
            for prompt, ids in zip(self.prompts, response_ids, strict=True)
        ]
        resolved, data = self.resolved, self.built.data
        parsed = [resolved.task.parse(text).value for text, _ in written]
        lengths: dict[str, Array] = {role: np.array([_length(item, role) for item in spans]) for role in ROLES}
        attention = {kind: _by_role(arrays[kind]) for kind in ("attention", "attention_last")}
        embeddings = {name: arrays[f"embeddings/{name}"] for name in resolved.spec.poolings or ()}
        return Recording(
            spec=resolved.spec,
            key=resolved.key,
            item_ids=[item.id for item in data.items],
            prompts=["".join(prompt.pieces) for prompt in self.prompts],
            responses=[text for text, _ in written],
            answers=[item.answer for item in data.items],
            parsed=parsed,
            prompt_ids=[prompt.ids for prompt in self.prompts],
            response_ids=response_ids,
            tokens=[prompt.pieces + pieces for prompt, (_, pieces) in zip(self.prompts, written, strict=True)],
            spans=spans,
            query_start=np.array([prompt.query_start for prompt in self.prompts]),
            labels=data.labels,
            scores=resolved.task.score(data, parsed, logprobs),
            groups=data.groups,
            covariates={**data.covariates, **_length_covariates(self.prompts, response_ids)},
            hypotheses=data.hypotheses,
            embeddings=embeddings,
            span_lengths=lengths,
            timing={**seconds, **stages, "tokens_per_second": self._tokens(response_ids) / sum(stages.values())},
            environment=self._environment(),
            **attention,
        )

    def _joined(self) -> tuple[dict[str, Array], list[list[int]], Array, dict[str, float]]:
        order = np.argsort([index for batch in self.plan.batches for index in batch])
        batches = [self.unfinished.batch(number) for number in range(len(self.plan.batches))]
        found = [batch for batch in batches if batch is not None]
        if len(found) != len(batches):
            raise RuntimeError("a finished batch was lost before the recording was sealed")
        arrays = {name: np.concatenate([part[name] for part, _ in found])[order] for name in found[0][0]}
        ids = [ids for _, facts in found for ids in facts["response_ids"]]
        values = [row for _, facts in found for row in facts["candidate_logprobs"]]
        stages = {stage: sum(facts["seconds"][stage] for _, facts in found) for stage in found[0][1]["seconds"]}
        most = max(1, *(len(row) for row in values))
        logprobs = np.array([row + [np.nan] * (most - len(row)) for row in values])
        return arrays, [ids[index] for index in order], logprobs[order], stages

    def _tokens(self, response_ids: list[list[int]]) -> int:
        return sum(len(prompt) for prompt in self.prompts) + sum(len(ids) for ids in response_ids)

    def _environment(self) -> dict[str, Any]:
        loaded = self.ready.loaded
        on_gpu = loaded.device.type == "cuda"
        return {
            **_versions(),
            "device": str(loaded.device),
            "device_name": torch.cuda.get_device_name(loaded.device) if on_gpu else platform.machine(),
            "dtype": loaded.dtype,
            "attention": self.ready.way,
            "plan": self.plan.to_dict(),
            "model": {"identity": self.resolved.located.commit, "hub_id": self.resolved.located.hub_id},
            "layers": loaded.facts.n_layers,
        }


def end_tokens(loaded: LoadedModel) -> frozenset[int]:
    """The tokens that end a response, from the model's generation settings and its tokenizer."""
    settings = getattr(loaded.model, "generation_config", None)
    named = [getattr(settings, "eos_token_id", None), loaded.tokenizer.eos_token_id]
    return frozenset(
        int(token) for entry in named if entry is not None for token in (entry if isinstance(entry, list) else [entry])
    )


def _by_role(mass: Array) -> dict[str, Array]:
    """(n, L, H, S) as role -> (n, L, H)."""
    return {role: np.ascontiguousarray(mass[..., index]) for index, role in enumerate(ROLES)}


def _length(spans: list[Span], role: str) -> int:
    return sum(len(span) for span in spans if span.role == role)


def _length_covariates(prompts: list[TokenizedPrompt], response_ids: list[list[int]]) -> dict[str, Array]:
    return {
        "prompt_tokens": np.array([len(prompt) for prompt in prompts], dtype=float),
        "query_tokens": np.array([len(prompt) - prompt.query_start for prompt in prompts], dtype=float),
        "response_tokens": np.array([len(ids) for ids in response_ids], dtype=float),
    }


class _Meter:
    """Progress over batches; the estimate counts only batches that were computed now."""

    def __init__(self, plan: BatchPlan, prompts: list[TokenizedPrompt]) -> None:
        self._lengths = [len(prompt) for prompt in prompts]
        self._left = sum(self._lengths)
        self._start = time.perf_counter()
        self._items = 0
        self._tokens = 0

    def add(self, batch: tuple[int, ...], found: bool) -> None:
        """Count a batch that is done; `found`: by an earlier attempt."""
        tokens = sum(self._lengths[index] for index in batch)
        self._items += len(batch)
        self._left -= tokens
        self._tokens += 0 if found else tokens

    def progress(self) -> Progress:
        """Items done, speed and the time left."""
        elapsed = time.perf_counter() - self._start
        rate = self._tokens / elapsed if self._tokens else None
        return Progress("running", self._items, len(self._lengths), rate, self._left / rate if rate else None)
