from collections import Counter
from dataclasses import replace
from functools import cache

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tokenizers import Regex, Tokenizer, models, normalizers, pre_tokenizers, processors, trainers

from iclviz.errors import ModelError
from iclviz.prompts import Prompt, ResponseReader, render, tokenize, tokens_until, turn_end_tokens
from iclviz.spans import ROLES, Segment, TextMark
from tests.conftest import byte_level_tokenizer, corpus

TEMPLATE = (
    "{% for m in messages %}<|{{ m['role'] }}|>\n{{ m['content'] }}</s>\n{% endfor %}"
    "{% if add_generation_prompt %}<|assistant|>\n{% endif %}"
)
EXAMPLE = Prompt(
    context=(Segment("instruction", "Answer.\n"), Segment("demonstration", "x = 1, y = 2\n")),
    query=(Segment("relevant", "Mary is reading."), Segment("question", "\nQ: What is Mary doing?\nA:")),
    candidates=(" reading", " cooking"),
)


def with_template(tokenizer, template=TEMPLATE):
    from transformers import PreTrainedTokenizerFast

    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer.backend_tokenizer, bos_token="<s>", eos_token="</s>", chat_template=template
    )


def with_bos(tokenizer):
    from transformers import PreTrainedTokenizerFast

    backend = byte_level_tokenizer(trim_offsets=True)
    backend.post_processor = processors.TemplateProcessing(single="<s> $A", special_tokens=[("<s>", 0)])
    return PreTrainedTokenizerFast(tokenizer_object=backend, bos_token="<s>", eos_token="</s>")


def check_spans(tokenized, segments):
    """Roles partition the tokens, and no role that has text is lost."""
    positions = [i for span in tokenized.spans for i in range(span.start, span.end)]
    assert positions == list(range(len(tokenized.ids)))
    assert all(span.role in ROLES for span in tokenized.spans)


def test_ids_are_those_of_the_whole_text(tokenizer):
    tokenized = tokenize(render(EXAMPLE, "plain"), tokenizer)
    assert tokenized.ids == tokenizer(EXAMPLE.text)["input_ids"]
    assert "".join(tokenized.pieces) == EXAMPLE.text


def test_query_starts_where_the_demonstrations_end(tokenizer):
    tokenized = tokenize(render(EXAMPLE, "plain"), tokenizer)
    assert "".join(tokenized.pieces[tokenized.query_start :]) == "".join(part.text for part in EXAMPLE.query)


def test_without_demonstrations_the_query_starts_at_the_first_token(tokenizer):
    assert tokenize(render(Prompt((), EXAMPLE.query), "plain"), tokenizer).query_start == 0


def test_a_begin_token_is_special_and_has_no_text(tokenizer):
    tokenized = tokenize(render(Prompt((), EXAMPLE.query), "plain"), with_bos(tokenizer))
    assert tokenized.spans[0].role == "special"
    assert tokenized.pieces[0] == ""
    assert tokenized.query_start == 1


def test_a_straddling_token_belongs_to_the_span_with_most_of_its_characters(tokenizer):
    prompt = Prompt(
        (Segment("demonstration", "x = 1, y ="),), (Segment("question", " 2 is readin"), Segment("relevant", "g."))
    )
    tokenized = tokenize(render(prompt, "plain"), tokenizer)
    held = Counter()
    start = 0
    for piece, role in zip(tokenized.pieces, tokenized.roles(), strict=True):
        shares = Counter()
        offset = 0
        for segment in prompt.segments:
            overlap = min(start + len(piece), offset + len(segment.text)) - max(start, offset)
            shares[segment.role] = max(overlap, 0)
            offset += len(segment.text)
        assert shares[role] == max(shares.values())
        held[role] += 1
        start += len(piece)
    assert held["demonstration"] > 0
    assert held["question"] > 0


def test_chat_puts_everything_into_one_user_message(tokenizer):
    rendered = render(EXAMPLE, "chat", with_template(tokenizer))
    assert rendered.text == f"<|user|>\n{EXAMPLE.text}</s>\n<|assistant|>\n"
    assert rendered.segments[0].role == rendered.segments[-1].role == "special"


def test_chat_candidates_follow_the_markup_without_a_blank(tokenizer):
    chat = with_template(tokenizer)
    tokenized = tokenize(render(EXAMPLE, "chat", chat), chat)
    assert chat.decode(tokenized.candidates[0]).endswith("<|assistant|>\nreading")


def test_chat_without_a_template_says_so(tokenizer):
    with pytest.raises(ModelError, match="no chat template"):
        render(EXAMPLE, "chat", tokenizer)


def test_a_template_that_fails_is_one_sentence(tokenizer):
    for template in ("{{ raise_exception('no') }}", "{% for %}", "{{ nothing.here }}"):
        with pytest.raises(ModelError, match="chat template fails"):
            render(EXAMPLE, "chat", with_template(tokenizer, template))


def test_a_long_prompt_is_tokenised_in_no_time(tokenizer):
    many = tuple(Segment("demonstration", f"x = {i}, y = {i}\n") for i in range(20000))
    assert len(tokenize(render(Prompt(many, EXAMPLE.query), "plain"), tokenizer).spans) > 20000


def test_a_template_that_changes_the_message_is_refused(tokenizer):
    shouting = TEMPLATE.replace("m['content']", "m['content'] | upper")
    with pytest.raises(ModelError, match="changes the text"):
        render(EXAMPLE, "chat", with_template(tokenizer, shouting))


def test_candidates_are_tokenised_as_one_text_with_the_prompt(tokenizer):
    tokenized = tokenize(render(EXAMPLE, "plain"), tokenizer)
    assert tokenized.candidates == [tokenizer(EXAMPLE.text + text)["input_ids"] for text in EXAMPLE.candidates]


def test_candidates_of_which_one_begins_another_have_what_ends_an_answer(tokenizer):
    shown = f"Q: a b\nA: {EXAMPLE.candidates[0].strip()}\n\n"
    texts = (" reading", " reading books", " cooking")
    prompt = Prompt((Segment("demonstration", shown),), EXAMPLE.query, texts, "\n\n")
    tokenized = tokenize(render(prompt, "plain"), tokenizer)
    after_a_shown_answer = tokenizer(shown + EXAMPLE.query[0].text)["input_ids"]
    end = after_a_shown_answer[len(tokenizer(shown.rstrip())["input_ids"])]
    assert tokenized.with_ends
    assert [ids[-1] for ids in tokenized.candidates] == [end] * 3
    assert [ids[:-1] for ids in tokenized.candidates] == [tokenizer(prompt.text + text)["input_ids"] for text in texts]


def test_in_a_chat_such_candidates_have_what_the_template_puts_after_an_answer(tokenizer):
    chat = with_template(tokenizer)
    prompt = Prompt((), EXAMPLE.query, (" reading books", " reading"))
    tokenized = tokenize(render(prompt, "chat", chat), chat)
    assert [chat.decode(ids).rpartition("<|assistant|>\n")[2] for ids in tokenized.candidates] == [
        "reading books</s>", "reading</s>",
    ]  # fmt: skip


def test_other_candidates_are_scored_without_an_end(tokenizer):
    assert not tokenize(render(EXAMPLE, "plain"), tokenizer).with_ends


TEXTS = st.text(alphabet=st.characters(exclude_categories=("Cs",)), max_size=12) | st.sampled_from(
    ["", " ", "\n", "😀", "👩‍👩‍👧", "שלום", "مرحبا", "x = 3, y =", "é", "日本語"]
)


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(texts=st.lists(TEXTS, min_size=3, max_size=6))
def test_any_text_keeps_tokens_and_roles_consistent(tokenizer, texts):
    roles = ["instruction", "demonstration", "demonstration", "relevant", "irrelevant", "question"]
    segments = [Segment(role, text) for role, text in zip(roles, texts, strict=False)]
    prompt = Prompt(tuple(segments[:2]), (*segments[2:], Segment("question", "?")))
    tokenized = tokenize(render(prompt, "plain"), tokenizer)
    assert "".join(tokenized.pieces) == prompt.text
    check_spans(tokenized, prompt.segments)
    assert 0 <= tokenized.query_start < len(tokenized.ids)


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(prompt=st.text(min_size=1, max_size=8), response=st.text(min_size=1, max_size=12))
def test_response_pieces_join_to_the_response(tokenizer, prompt, response):
    prompt, response = prompt.encode("utf-8", "ignore").decode(), response.encode("utf-8", "ignore").decode()
    ids = tokenizer(response)["input_ids"]
    pieces = ResponseReader(tokenizer).read(tokenizer(prompt)["input_ids"], ids).pieces
    assert len(pieces) == len(ids)
    expected = tokenizer.decode(ids, clean_up_tokenization_spaces=False)
    assert "".join(pieces) == expected


def test_an_end_token_has_no_text(tokenizer):
    ids = tokenizer(" reading")["input_ids"] + [tokenizer.eos_token_id]
    response = ResponseReader(tokenizer, [tokenizer.eos_token_id]).read([5, 6], ids)
    assert response.pieces[-1] == ""
    assert response.text == response.readable == " reading"


def unnamed_special(one):
    """A special token of the vocabulary that the tokenizer names for nothing."""
    one.backend_tokenizer.add_special_tokens(["<|x|>"])
    return one


@pytest.mark.parametrize(
    "made", [lambda: with_specials("<|x|>"), lambda: unnamed_special(with_specials())], ids=["named", "unnamed"]
)
def test_other_special_tokens_are_shown_and_part_words(made):
    one = made()
    (mark,) = one("<|x|>")["input_ids"]
    ids = [*one("Paris")["input_ids"], mark, *one("London é")["input_ids"][:-1], mark]
    response = ResponseReader(one, [one.convert_tokens_to_ids("</s>")]).read(one("A:")["input_ids"], ids)
    assert response.text == "Paris<|x|>London \ufffd<|x|>"
    assert response.readable == "Paris     London \ufffd     "
    assert len(response.pieces) == len(ids)


def test_the_token_that_a_template_puts_after_an_answer_ends_a_turn(tokenizer):
    chat = with_template(tokenizer)
    assert turn_end_tokens(chat) == {chat.eos_token_id}
    assert turn_end_tokens(with_template(tokenizer, TEMPLATE.replace("</s>", ""))) == frozenset()
    assert turn_end_tokens(tokenizer) == frozenset()


@pytest.mark.parametrize(("end", "tokens"), [(0, 1), (1, 1), (2, 1), (3, 2), (5, 3), (9, 3)])
def test_tokens_until_counts_the_tokens_that_hold_the_answer(end, tokens):
    assert tokens_until(["ab", "c", "de"], end) == tokens


THINKING = TEMPLATE.replace("<|assistant|>\n", "<|assistant|>\n<think>\n\n</think>\n\nuser content messages\n")


@pytest.mark.parametrize("query", ["think", "<think>", "user", "\n", "</s>", "content", "a", "t"])
def test_the_message_is_found_though_its_text_stands_in_the_markup_too(tokenizer, query):
    prompt = Prompt((), (Segment("question", query),))
    rendered = render(prompt, "chat", with_template(tokenizer, THINKING))
    assert [(one.role, one.text) for one in rendered.segments] == [
        ("special", "<|user|>\n"),
        ("question", query),
        ("special", "</s>\n<|assistant|>\n<think>\n\n</think>\n\nuser content messages\n"),
    ]


@pytest.mark.parametrize(
    "change", ["m['content'] | trim", "m['content'] ~ m['content']", "m['content'] | replace('a', 'b')"]
)
def test_a_template_that_changes_or_repeats_the_message_is_refused(tokenizer, change):
    template = with_template(tokenizer, TEMPLATE.replace("m['content']", change))
    with pytest.raises(ModelError, match="changes the text of a message, or shows it twice"):
        render(Prompt((), (Segment("question", " a "),)), "chat", template)


def opened(tokenizer, template, **told):
    return render(EXAMPLE, "chat", with_template(tokenizer, template + TEMPLATE), template=told).segments[0].text


def test_what_a_template_reads_besides_the_message_is_fixed(tokenizer):
    assert opened(tokenizer, "{{ strftime_now('%d %b %Y') }}|").startswith("01 Jan 2025|")
    assert opened(tokenizer, "{{ strftime_now('%d %b %Y') }}|", date="2026-03-31").startswith("31 Mar 2026|")
    assert opened(tokenizer, "{{ enable_thinking }}|").startswith("False|")
    assert opened(tokenizer, "{{ enable_thinking }}|", enable_thinking=True).startswith("True|")
    assert opened(tokenizer, "{{ documents[0].text }}|", documents=[{"text": "x"}]).startswith("x|")
    for drawn in ("{{ range(10000) | random }}|", "{{ lipsum(1, False) }}|"):
        assert opened(tokenizer, drawn) == opened(tokenizer, drawn)


def test_a_template_may_fail_in_any_way_and_is_one_sentence(tokenizer):
    for template in ("{{ 1 / 0 }}", "{{ messages[7].content }}", "{{ {}['a'].b }}",
                     "{{ range(10 ** 9) | list }}", "{{ 'a' + 1 }}", "{{ strftime_now() }}"):  # fmt: skip
        with pytest.raises(ModelError, match=r"chat template fails \(.+\)"):
            render(EXAMPLE, "chat", with_template(tokenizer, template))


def with_specials(*named, **options):
    """A tokenizer without a start token of its own whose vocabulary has these special tokens."""
    from transformers import PreTrainedTokenizerFast

    tokenizer = PreTrainedTokenizerFast(tokenizer_object=byte_level_tokenizer(), **options)
    tokenizer.add_special_tokens({"additional_special_tokens": list(named)})
    return tokenizer


def test_a_start_token_that_the_tokenizer_adds_is_enough(tokenizer):
    rendered = render(EXAMPLE, "plain", with_bos(tokenizer))
    assert rendered.text == EXAMPLE.text
    assert tokenize(rendered, with_bos(tokenizer)).spans[0].role == "special"


@pytest.mark.parametrize(
    ("made", "start"),
    [
        (lambda: with_specials(bos_token="<s>"), "<s>"),
        (lambda: with_specials("<|endoftext|>"), "<|endoftext|>"),
        (lambda: with_specials(), "\n"),
        (lambda: with_specials("<|endoftext|>", bos_token="<|user|>", chat_template=TEMPLATE), "<|endoftext|>"),
    ],
    ids=["its own", "one between documents", "none", "its own begins turns"],
)
def test_a_plain_prompt_begins_with_a_token_of_no_content(made, start):
    one = made()
    tokenized = tokenize(render(EXAMPLE, "plain", one), one)
    assert "".join(tokenized.pieces) == start + EXAMPLE.text
    assert [span.role for span in tokenized.spans[:2]] == ["special", "instruction"]
    assert (tokenized.spans[0].start, tokenized.spans[0].end) == (0, 1)
    check_spans(tokenized, EXAMPLE.segments)


def test_a_first_token_that_holds_content_too_is_kept_apart():
    one = with_specials()
    rendered = render(Prompt((), (Segment("relevant", "\nMary is reading."), *EXAMPLE.query[1:])), "plain", one)
    assert tokenize(rendered, one).spans[0].role == "special"


def test_prompts_as_they_are_begin_with_their_own_text():
    one = with_specials("<|endoftext|>")
    tokenized = tokenize(render(EXAMPLE, "plain", one, "as is"), one)
    assert "".join(tokenized.pieces) == EXAMPLE.text
    assert tokenized.spans[0].role == "instruction"


def test_what_stands_before_is_the_same_for_all_conditions():
    one = with_specials("<|endoftext|>")
    without = Prompt((), EXAMPLE.query)
    first = [tokenize(render(prompt, "plain", one), one).ids[0] for prompt in (EXAMPLE, without)]
    assert first[0] == first[1]


@cache
def of_kind(kind):
    return KINDS_OF_TOKENIZERS[kind]()


def trained(model, trainer, pre, normalizer=None):
    from transformers import PreTrainedTokenizerFast

    one = Tokenizer(model)
    one.pre_tokenizer, one.normalizer = pre, normalizer
    texts = ["A dog is on a mat. é 5 中 x B! Answer: a cat, the end.", *corpus()[:8]] * 3
    one.train_from_iterator(texts, trainer)
    return PreTrainedTokenizerFast(tokenizer_object=one, unk_token="<unk>", bos_token="<s>")


SPECIALS = ["<unk>", "<s>"]
ONE_BLANK = normalizers.Sequence([normalizers.NFKC(), normalizers.Replace(Regex(r"\s+"), " ")])
UNIGRAM = {"vocab_size": 200, "special_tokens": SPECIALS, "unk_token": "<unk>"}
KINDS_OF_TOKENIZERS = {
    "byte level": lambda: with_specials(bos_token="<s>"),
    "metaspace": lambda: trained(
        models.BPE(unk_token="<unk>"), trainers.BpeTrainer(special_tokens=SPECIALS), pre_tokenizers.Metaspace()
    ),
    "metaspace of one blank": lambda: trained(
        models.BPE(unk_token="<unk>"),
        trainers.BpeTrainer(special_tokens=SPECIALS),
        pre_tokenizers.Metaspace(),
        ONE_BLANK,
    ),
    "unigram of one blank": lambda: trained(
        models.Unigram(), trainers.UnigramTrainer(**UNIGRAM), pre_tokenizers.Metaspace(), ONE_BLANK
    ),
    "no blanks": lambda: trained(
        models.WordPiece(unk_token="<unk>"),
        trainers.WordPieceTrainer(special_tokens=SPECIALS),
        pre_tokenizers.BertPreTokenizer(),
        normalizers.BertNormalizer(),
    ),
    "split at blanks": lambda: trained(
        models.WordLevel(unk_token="<unk>"),
        trainers.WordLevelTrainer(special_tokens=SPECIALS),
        pre_tokenizers.WhitespaceSplit(),
    ),
    "a blank before": lambda: trained(
        models.BPE(unk_token="<unk>"),
        trainers.BpeTrainer(special_tokens=SPECIALS),
        pre_tokenizers.ByteLevel(add_prefix_space=True),
    ),
}


@pytest.mark.parametrize("kind", KINDS_OF_TOKENIZERS)
@pytest.mark.parametrize("before", ["\n", "\n\n", " ", "  \n \n  "])
@pytest.mark.parametrize("query", ["A dog:", "5 x:", "é a:", "B! a:", "中 x:", " A dog:"])
@pytest.mark.parametrize("first_token", ["start", "as is"])
def test_a_query_begins_with_its_first_word_whatever_becomes_of_the_blanks_before_it(kind, before, query, first_token):
    one = of_kind(kind)
    prompt = Prompt(
        (Segment("demonstration", f"a cat, the end.{before}"),),
        (Segment("relevant", query), Segment("question", " the end")),
    )
    rendered = render(prompt, "plain", one, first_token)
    tokenized = tokenize(rendered, one)
    offsets = one(rendered.text, return_offsets_mapping=True)["offset_mapping"]
    place = rendered.text.index(query) + len(query) - len(query.lstrip())
    (first,) = [token for token, (start, end) in enumerate(offsets) if start <= place < end][:1]
    assert tokenized.roles()[first] == "relevant"
    between = [rendered.text[start:end].strip() for start, end in offsets[tokenized.query_start : first]]
    assert tokenized.query_start <= first
    assert not any(between)


def test_a_mark_has_the_tokens_that_lie_mostly_in_it(tokenizer):
    text = "x = 12, y = 30\n"
    inside = (TextMark("demonstration:0", 0, len(text)), TextMark("answer:0", 12, 14), TextMark("odd", 3, 5))
    shown = Prompt((Segment("relevant", text, inside),), (Segment("question", "x = 3, y ="),))
    for style_tokenizer in (None, tokenizer):
        tokenized = tokenize(render(shown, "plain", style_tokenizer), tokenizer)
        found = {mark.name: "".join(tokenized.pieces[mark.start : mark.end]) for mark in tokenized.marks}
        assert found["demonstration:0"] == text
        assert found["answer:0"].strip() == "30"


@pytest.mark.parametrize(("end", "is_there"), [(3, False), (4, True)])
def test_a_token_is_in_a_mark_that_holds_more_than_half_of_it(tokenizer, end, is_there):
    assert len(tokenizer(" What")["input_ids"]) == 1
    part = TextMark("answer:0", 1, end)
    shown = Prompt((Segment("demonstration", " What.", (part,)),), (Segment("question", " Q:"),))
    assert bool(tokenize(render(shown, "plain"), tokenizer).marks) is is_there


def test_marks_change_no_token_and_no_span(tokenizer):
    context = (Segment("demonstration", "Mary is reading.\n\n"),)
    plain = Prompt(context, (Segment("question", "Q: What?"),))
    marked = Prompt((replace(context[0], marks=(TextMark("answer:0", 8, 15),)),), plain.query)
    one, other = (tokenize(render(prompt, "plain", tokenizer), tokenizer) for prompt in (plain, marked))
    assert replace(other, marks=[]) == one
    assert [mark.name for mark in other.marks] == ["answer:0"]


def test_the_first_token_is_in_no_mark_where_it_is_kept_apart(tokenizer):
    text = "Mary is reading."
    shown = Prompt(
        (Segment("demonstration", text, (TextMark("demonstration:0", 0, len(text)),)),), (Segment("question", "?"),)
    )
    tokenized = tokenize(render(shown, "plain", tokenizer), tokenizer)
    assert tokenized.spans[0].role == "special"
    assert tokenized.marks[0].start == 1
