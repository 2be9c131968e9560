"""One run while its prompts are captured: parsing its responses, keeping its pieces, sealing its recording."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from iclviz.capture.backend import ReadyModel
from iclviz.capture.decoding import Captured
from iclviz.capture.numbers import no_numbers
from iclviz.capture.plan import PlanSettings
from iclviz.capture.recorders_of_ones_own import guarded
from iclviz.prompts import ResponseReader, TokenizedPrompt, Written, tokens_until
from iclviz.recorders import check_made, check_taken, recorders, texts_of
from iclviz.recording import Array, Recording
from iclviz.resolve import Built, Resolved
from iclviz.spans import ROLES, Span
from iclviz.tasks import ReadAnswers
from iclviz.unfinished import Unfinished


class RunningRun:
    """What one run has so far. A piece is what its prompts in one captured batch left; every prompt is in one piece."""

    def __init__(
        self,
        resolved: Resolved,
        built: Built,
        prompts: list[TokenizedPrompt],
        model: ReadyModel,
        unfinished: Unfinished,
        reader: ResponseReader,
    ) -> None:
        self.resolved, self.built, self.prompts, self.model = resolved, built, prompts, model
        self.unfinished, self.reader = unfinished, reader
        self.recorders = [
            recorder
            for recorder in recorders().values()
            if any(recorder.asked(resolved.spec, item) is not None for item in range(len(prompts)))
        ]
        self.schemas = {schema.name: schema for recorder in self.recorders for schema in recorder.arrays}
        self._passing = {name for name, schema in self.schemas.items() if not schema.is_kept}
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
        """A function that stores the run's share of a captured batch; it may run beside the next batch.

        places: item -> its place in the batch; share: of the batch's time that is this run's.
        """
        items, at = list(places), list(places.values())
        arrays, facts = self._arrays(captured, places)
        facts |= {
            "items": items,
            "response_ids": [captured.response_ids[place] for place in at],
            "seconds": {stage: seconds * share for stage, seconds in captured.seconds.items()},
        }
        self.done.update(items)
        return lambda: self.unfinished.save_piece(min(items), arrays, facts)

    def _arrays(self, captured: Captured, places: Mapping[int, int]) -> tuple[dict[str, Array], dict[str, Any]]:
        """The items' arrays by name, and what of them is no part of a recording and goes with the facts."""
        of_items: dict[str, list[Any]] = {}
        alone: dict[str, Array] = {}
        for item, place in places.items():
            rows = self._answer_rows(item, captured.response_ids[place])
            sizes: dict[str, int] = {}
            for recorder in self.recorders:
                if recorder.asked(self.resolved.spec, item) is None:
                    continue
                check_taken(recorder, captured.taken[place])
                made = guarded(recorder).arrays_of(captured.taken[place][recorder.name], rows)
                check_made(recorder, made, sizes)
                for schema in recorder.arrays:
                    if schema.by == "item":
                        alone[f"{schema.name}/{item}"] = made[schema.name]
                    else:
                        for name, values in _parts(schema.name, made[schema.name]):
                            of_items.setdefault(name, []).append(values)
        facts = {name: [row.tolist() for row in of_items.pop(name)] for name in self._passing & of_items.keys()}
        return {name: _stacked(values) for name, values in of_items.items()} | alone, facts

    def _answer_rows(self, item: int, response_ids: list[int]) -> int:
        """How many response tokens there are up to the end of the parsed answer."""
        response = self._response(item, response_ids)
        return tokens_until(response.pieces, self.resolved.task.parse(response.readable).end)

    def recording(self, settings: PlanSettings, seconds: Mapping[str, float]) -> Recording:
        """All pieces joined, in the order of the items."""
        arrays, response_ids, logprobs, stages = self._joined()
        kept = self._tables(arrays)
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
            marks=[list(prompt.marks) for prompt in self.prompts],
            query_start=np.array([prompt.query_start for prompt in self.prompts]),
            labels=data.labels,
            scores=self._scores(ReadAnswers(readable, parsed, logprobs)),
            groups=data.groups,
            covariates={
                **data.covariates,
                **resolved.task.shown_covariates(data, *condition),
                **_length_covariates(self.prompts, response_ids),
            },
            factors=data.factors,
            hypotheses=data.hypotheses,
            span_lengths=lengths,
            timing={**seconds, **stages, "tokens_per_second": self._tokens(response_ids) / sum(stages.values())},
            environment=self._environment(settings),
            recorded={name: values for name, values in kept.items() if self.schemas[name].by is None},
            **{name: values for name, values in kept.items() if self.schemas[name].by is not None},
        )

    def _tables(self, arrays: Mapping[str, Array]) -> dict[str, Any]:
        """Every recorder's arrays by name, tables as mappings."""
        found: dict[str, Any] = {}
        for recorder in self.recorders:
            for schema in recorder.arrays:
                if schema.by == "role":
                    found[schema.name] = schema.table(arrays[schema.name])
                elif schema.by is not None:
                    names = recorder.names(self.resolved.spec)
                    found[schema.name] = {name: arrays[f"{schema.name}/{name}"] for name in names}
                elif schema.is_kept:
                    found[schema.name] = (
                        texts_of(arrays[schema.name]) if schema.dtype == "text" else arrays[schema.name]
                    )
        return found

    def _scores(self, answers: ReadAnswers) -> dict[str, Array]:
        """What the task says of the answers: finite, or NaN where there is nothing to say, but for the main one."""
        resolved, data = self.resolved, self.built.data
        scores = resolved.task.score(data, answers, resolved.spec.demonstrations, resolved.spec.task_options)
        for name, values in scores.items():
            wrong = ~np.isfinite(values) if name == resolved.task.primary.score else np.isinf(values)
            if wrong.any():
                where = f"item {data.items[int(np.argmax(wrong))].id!r}, the score {name}"
                raise no_numbers(resolved.spec.model, self.model.dtype, where)
        return scores

    def _joined(self) -> tuple[dict[str, Array], list[list[int]], Array, dict[str, float]]:
        pieces = self.unfinished.pieces()
        items = [item for _, facts in pieces for item in facts["items"]]
        if sorted(items) != list(range(len(self.prompts))):
            raise RuntimeError("a finished piece was lost before the recording was sealed")
        order = np.argsort(items)
        arrays = {}
        for name in {name for part, _ in pieces for name in part}:
            parts = [part[name] for part, _ in pieces if name in part]
            arrays[name] = parts[0] if self._is_alone(name) else _joined(parts)[order]
        ids = [ids for _, facts in pieces for ids in facts["response_ids"]]
        values = [row for _, facts in pieces for row in facts["candidate_logprobs"]]
        stages = {stage: sum(facts["seconds"][stage] for _, facts in pieces) for stage in pieces[0][1]["seconds"]}
        most = max(1, *(len(row) for row in values))
        logprobs = np.array([row + [np.nan] * (most - len(row)) for row in values])
        return arrays, [ids[index] for index in order], logprobs[order], stages

    def _is_alone(self, name: str) -> bool:
        """Whether an array of a piece is of one item."""
        return self.schemas[name.partition("/")[0]].by == "item"

    def _tokens(self, response_ids: list[list[int]]) -> int:
        return sum(len(prompt) for prompt in self.prompts) + sum(len(ids) for ids in response_ids)

    def _environment(self, settings: PlanSettings) -> dict[str, Any]:
        return {
            **self.model.environment(),
            "plan": settings.to_dict(),
            "candidates_with_ends": sum(prompt.with_ends for prompt in self.prompts),
            "together": (self.unfinished.plan() or {}).get("together", [self.resolved.key]),
            "model": {"identity": self.resolved.located.commit, "hub_id": self.resolved.located.hub_id},
        }


def _parts(name: str, values: Any) -> list[tuple[str, Array]]:
    """An array, or the arrays of a table, by the names that pieces give them."""
    if isinstance(values, Mapping):
        return [(f"{name}/{one}", of_one) for one, of_one in values.items()]
    return [(name, values)]


def _stacked(values: Sequence[Array]) -> Array:
    """Arrays of items as one with an axis of items; smaller ones are filled up behind with NaN, or 0."""
    return _joined([one[None] for one in values])


def _joined(parts: Sequence[Array]) -> Array:
    """Arrays (items, ...) one after another, filled up likewise where they are of different sizes."""
    sizes = np.max([part.shape[1:] for part in parts], axis=0, initial=0)
    filling = np.nan if parts[0].dtype.kind == "f" else 0
    if any(part.shape[1:] != tuple(sizes) for part in parts):
        widths = [
            [(0, 0), *((0, most - size) for most, size in zip(sizes, part.shape[1:], strict=True))] for part in parts
        ]
        parts = [np.pad(part, width, constant_values=filling) for part, width in zip(parts, widths, strict=True)]
    return np.concatenate(parts)


def _length(spans: list[Span], role: str) -> int:
    return sum(len(span) for span in spans if span.role == role)


def _length_covariates(prompts: list[TokenizedPrompt], response_ids: list[list[int]]) -> dict[str, Array]:
    return {
        "prompt_tokens": np.array([len(prompt) for prompt in prompts], dtype=float),
        "query_tokens": np.array([len(prompt) - prompt.query_start for prompt in prompts], dtype=float),
        "response_tokens": np.array([len(ids) for ids in response_ids], dtype=float),
    }
