"""One run while its prompts are captured: parsing its responses, keeping its pieces, sealing its recording."""

import platform
from collections.abc import Callable, Mapping
from importlib.metadata import version
from typing import Any

import numpy as np
import torch

from iclviz.capture.engine import Captured
from iclviz.capture.numbers import no_numbers
from iclviz.capture.plan import PlanSettings
from iclviz.models.loading import LoadedModel
from iclviz.models.reach import reach_of
from iclviz.prompts import ResponseReader, TokenizedPrompt, Written, tokens_until
from iclviz.recorded import TOKEN_TABLES
from iclviz.recording import Array, Recording
from iclviz.resolve import Built, Resolved
from iclviz.spans import ROLES, Span
from iclviz.tasks import Answers
from iclviz.unfinished import Unfinished

LIBRARIES = ("torch", "transformers", "numpy", "safetensors")


class RunningRun:
    """What one run has so far. A piece is what its prompts in one captured batch left; every prompt is in one piece."""

    def __init__(
        self,
        resolved: Resolved,
        built: Built,
        prompts: list[TokenizedPrompt],
        loaded: LoadedModel,
        unfinished: Unfinished,
        reader: ResponseReader,
    ) -> None:
        self.resolved, self.built, self.prompts, self.loaded = resolved, built, prompts, loaded
        self.unfinished, self.reader = unfinished, reader
        self.done = {item for _, facts in unfinished.pieces() for item in facts["items"]}

    @property
    def is_complete(self) -> bool:
        """Whether every prompt has its results."""
        return len(self.done) == len(self.prompts)

    def is_finished(self, index: int, response_ids: list[int]) -> bool:
        """Whether the task needs no more of a response."""
        return self.resolved.task.is_finished(self._response(index, response_ids).readable)

    def _response(self, index: int, response_ids: list[int]) -> Written:
        return self.reader.read(self.prompts[index].ids, response_ids)

    def keeping(self, captured: Captured, places: Mapping[int, int], share: float) -> Callable[[], None]:
        """A function that stores the run's share of a captured batch, its response rows averaged up to the end of each
        parsed answer, by role and of chosen items by token; it may run beside the next batch.

        places: item -> its place in the batch; share: of the batch's time that is this run's.
        """
        items, at = list(places), list(places.values())
        rows = {item: self._answer_rows(item, captured.response_ids[place]) for item, place in places.items()}
        means = [captured.rows[place][: rows[item]].mean(0) for item, place in places.items()]
        arrays = {f"embeddings/{name}": captured.embeddings[name][at] for name in self.resolved.spec.poolings or ()}
        arrays |= {"attention": np.stack(means), "attention_last": captured.last_row[at]}
        for item in rows.keys() & set(self.resolved.spec.attention_items):
            arrays |= _by_token(item, captured.token_rows[captured.prompts[places[item]]], rows[item])
        facts = {
            "items": items,
            "response_ids": [captured.response_ids[place] for place in at],
            "candidate_logprobs": [captured.candidate_logprobs[place] for place in at],
            "seconds": {stage: seconds * share for stage, seconds in captured.seconds.items()},
        }
        self.done.update(items)
        return lambda: self.unfinished.save_piece(min(items), arrays, facts)

    def _answer_rows(self, item: int, response_ids: list[int]) -> int:
        """How many response tokens there are up to the end of the parsed answer."""
        response = self._response(item, response_ids)
        return tokens_until(response.pieces, self.resolved.task.parse(response.readable).end)

    def recording(
        self, way: str, difference: float | None, settings: PlanSettings, seconds: Mapping[str, float]
    ) -> Recording:
        """All pieces joined, in the order of the items; difference: of the way from full matrices when it was tried."""
        arrays, response_ids, logprobs, stages = self._joined()
        written = [self._response(index, ids) for index, ids in enumerate(response_ids)]
        spans = [
            [*prompt.spans, Span("response", len(prompt), len(prompt) + len(ids))]
            for prompt, ids in zip(self.prompts, response_ids, strict=True)
        ]
        resolved, data = self.resolved, self.built.data
        readable = [response.readable for response in written]
        parsed = [resolved.task.parse(text).value for text in readable]
        condition = (resolved.spec.demonstrations, resolved.spec.task_options)
        lengths: dict[str, Array] = {role: np.array([_length(item, role) for item in spans]) for role in ROLES}
        embeddings = {name: arrays[f"embeddings/{name}"] for name in resolved.spec.poolings or ()}
        chosen = resolved.spec.attention_items
        tokens = {table: {item: arrays[f"{table}/{item}"] for item in chosen} for table in TOKEN_TABLES}
        return Recording(
            spec=resolved.spec,
            key=resolved.key,
            origin=resolved.origin,
            item_ids=[item.id for item in data.items],
            prompts=["".join(prompt.pieces) for prompt in self.prompts],
            responses=[response.text for response in written],
            answers=[item.answer for item in data.items],
            parsed=parsed,
            prompt_ids=[prompt.ids for prompt in self.prompts],
            response_ids=response_ids,
            tokens=[prompt.pieces + response.pieces for prompt, response in zip(self.prompts, written, strict=True)],
            spans=spans,
            query_start=np.array([prompt.query_start for prompt in self.prompts]),
            labels=data.labels,
            scores=self._scores(Answers(readable, parsed, logprobs)),
            groups=data.groups,
            covariates={
                **data.covariates,
                **resolved.task.shown_covariates(data, *condition),
                **_length_covariates(self.prompts, response_ids),
            },
            factors=data.factors,
            hypotheses=data.hypotheses,
            embeddings=embeddings,
            attention=_by_role(arrays["attention"]),
            attention_last=_by_role(arrays["attention_last"]),
            span_lengths=lengths,
            token_attention=tokens["token_attention"],
            token_attention_last=tokens["token_attention_last"],
            timing={**seconds, **stages, "tokens_per_second": self._tokens(response_ids) / sum(stages.values())},
            environment=self._environment(way, difference, settings),
        )

    def _scores(self, answers: Answers) -> dict[str, Array]:
        """What the task says of the answers: finite, or NaN where there is nothing to say, but for the main one."""
        resolved, data = self.resolved, self.built.data
        scores = resolved.task.score(data, answers, resolved.spec.demonstrations, resolved.spec.task_options)
        for name, values in scores.items():
            wrong = ~np.isfinite(values) if name == resolved.task.primary.score else np.isinf(values)
            if wrong.any():
                where = f"item {data.items[int(np.argmax(wrong))].id!r}, the score {name}"
                raise no_numbers(resolved.spec.model, self.loaded.dtype, where)
        return scores

    def _joined(self) -> tuple[dict[str, Array], list[list[int]], Array, dict[str, float]]:
        pieces = self.unfinished.pieces()
        items = [item for _, facts in pieces for item in facts["items"]]
        if sorted(items) != list(range(len(self.prompts))):
            raise RuntimeError("a finished piece was lost before the recording was sealed")
        order = np.argsort(items)
        of_all = [name for name in pieces[0][0] if not name.startswith(TOKEN_TABLES)]
        arrays = {name: np.concatenate([part[name] for part, _ in pieces])[order] for name in of_all}
        arrays |= {name: one for part, _ in pieces for name, one in part.items() if name.startswith(TOKEN_TABLES)}
        ids = [ids for _, facts in pieces for ids in facts["response_ids"]]
        values = [row for _, facts in pieces for row in facts["candidate_logprobs"]]
        stages = {stage: sum(facts["seconds"][stage] for _, facts in pieces) for stage in pieces[0][1]["seconds"]}
        most = max(1, *(len(row) for row in values))
        logprobs = np.array([row + [np.nan] * (most - len(row)) for row in values])
        return arrays, [ids[index] for index in order], logprobs[order], stages

    def _tokens(self, response_ids: list[list[int]]) -> int:
        return sum(len(prompt) for prompt in self.prompts) + sum(len(ids) for ids in response_ids)

    def _environment(self, way: str, difference: float | None, settings: PlanSettings) -> dict[str, Any]:
        loaded = self.loaded
        on_gpu = loaded.device.type == "cuda"
        return {
            **versions(),
            "device": str(loaded.device),
            "device_name": torch.cuda.get_device_name(loaded.device) if on_gpu else platform.machine(),
            "dtype": loaded.dtype,
            "attention": way,
            "attention_difference": difference,
            "plan": settings.to_dict(),
            "candidates_with_ends": sum(prompt.with_ends for prompt in self.prompts),
            "together": (self.unfinished.plan() or {}).get("together", [self.resolved.key]),
            "model": {"identity": self.resolved.located.commit, "hub_id": self.resolved.located.hub_id},
            "layers": loaded.facts.n_layers,
            "reach": reach_of(loaded.model.config, loaded.facts.n_layers),
        }


def versions() -> dict[str, str]:
    """Python and the libraries that numbers depend on."""
    return {"python": platform.python_version(), **{name: version(name) for name in LIBRARIES}}


def _by_role(mass: Array) -> dict[str, Array]:
    """(n, L, H, S) as role -> (n, L, H)."""
    return {role: np.ascontiguousarray(mass[..., index]) for index, role in enumerate(ROLES)}


def _by_token(item: int, rows: Array, n_rows: int) -> dict[str, Array]:
    """The item's (L, H, T) of each table, from the rows (1 + tokens of the response, L, H, T) of which the first is the
    last prompt token's, averaged over the first `n_rows` of the response.
    """
    masses = (rows[1 : n_rows + 1].mean(0), rows[0])
    return {f"{table}/{item}": mass.astype(np.float16) for table, mass in zip(TOKEN_TABLES, masses, strict=True)}


def _length(spans: list[Span], role: str) -> int:
    return sum(len(span) for span in spans if span.role == role)


def _length_covariates(prompts: list[TokenizedPrompt], response_ids: list[list[int]]) -> dict[str, Array]:
    return {
        "prompt_tokens": np.array([len(prompt) for prompt in prompts], dtype=float),
        "query_tokens": np.array([len(prompt) - prompt.query_start for prompt in prompts], dtype=float),
        "response_tokens": np.array([len(ids) for ids in response_ids], dtype=float),
    }
