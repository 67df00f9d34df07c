"""Tokenizers and processors of the two demo models.

In:  the grammar of the demo world (and the study's prompts).
Out: a byte-level BPE in which every thing is one token, as a fast tokenizer; a CLIPProcessor; a LlavaProcessor with a
chat template.

Every stretch of text starts with a space inside the tokenizer, so a word has one token wherever it stands. All 256
bytes are in the vocabulary: any text can be encoded.
"""

from __future__ import annotations

from collections.abc import Iterator

from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors, trainers
from transformers import CLIPImageProcessor, CLIPProcessor, LlavaProcessor, PreTrainedTokenizerFast

from core import world
from core.world.grammar import NUMBERS

IMAGE_SIDE = 64  # pixels the models see, each way
PATCH = 16  # pixels of one patch, each way
PAD, START, IMAGE, USER, END, STOP = SPECIAL = ("<pad>", "<s>", "<image>", "<|user|>", "<|end|>", "<|stop|>")
VOCABULARY = 2048  # upper limit; the grammar runs out of words before
SENTENCES = 20_000  # generated captions, questions and facts the merges are learned from
CLIP_LENGTH = 64  # tokens of text demo-clip can read
MLLM_LENGTH = 512  # tokens demo-mllm is configured for

PROMPTS = {
    "text": "\nSummarize the above sentence in one word: ",
    "image": "\nSummarize the above image in one word: ",
    "image+sentence": "\nSummarize above image and sentence in one word: ",
    "image+question": "\nSummarize the above image with the question in one word: ",
    "image+the sentence": "\nSummarize the above image and the sentence in one word: ",
}
CAPTION_REQUESTS = ("Describe the image.", "What does the image show?", "Write a caption.")

# A user turn ends with <|end|>, an answer with <|stop|>; there is no system turn and nothing to add before an answer.
CHAT_TEMPLATE = (
    "{% for message in messages %}"
    "{% if message['role'] == 'user' %}<|user|>{% endif %}"
    "{% if message['content'] is string %}{{ message['content'] }}{% else %}"
    "{% for part in message['content'] %}"
    "{% if part['type'] == 'image' %}<image>{% else %}{{ part['text'] }}{% endif %}"
    "{% endfor %}{% endif %}"
    "{% if message['role'] == 'user' %}<|end|>{% else %}<|stop|>{% endif %}"
    "{% endfor %}"
)


def bpe() -> Tokenizer:
    """The byte-level BPE, trained on sentences of the demo world; the same on every call."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=True)
    tokenizer.decoder = decoders.Sequence([decoders.ByteLevel(), decoders.Strip(" ", 1, 0)])
    trainer = trainers.BpeTrainer(
        vocab_size=VOCABULARY,
        special_tokens=list(SPECIAL),
        initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
        show_progress=False,
    )
    tokenizer.train_from_iterator(_sentences(), trainer)
    return tokenizer


def _sentences() -> Iterator[str]:
    yield from (*PROMPTS.values(), *CAPTION_REQUESTS, *NUMBERS)
    yield from (f"{thing.name} {thing.plural} {thing.group}" for thing in world.THINGS.values())
    for index in range(SENTENCES // 4):
        rng = world.stream("tokenizer", index)
        shown = world.scene("train", index)
        yield world.caption(shown, rng)
        yield " ".join(world.questions(shown, rng))
        yield world.composed(shown, rng)[1]
        yield world.fact(rng)


def mllm_tokenizer() -> PreTrainedTokenizerFast:
    """The tokenizer of demo-mllm: text as it stands, special tokens where the chat template puts them."""
    return PreTrainedTokenizerFast(
        tokenizer_object=bpe(),
        pad_token=PAD,
        bos_token=START,
        eos_token=STOP,
        extra_special_tokens={"image_token": IMAGE},
        additional_special_tokens=[USER, END],
        padding_side="left",
        model_max_length=MLLM_LENGTH,
        chat_template=CHAT_TEMPLATE,
        clean_up_tokenization_spaces=False,
    )


def clip_tokenizer() -> PreTrainedTokenizerFast:
    """The same vocabulary for demo-clip: <s> text <|stop|>, where the state of <|stop|> is the embedding."""
    tokenizer = bpe()
    ids = [(token, tokenizer.token_to_id(token)) for token in (START, STOP)]
    tokenizer.post_processor = processors.TemplateProcessing(single=f"{START} $A {STOP}", special_tokens=ids)
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        pad_token=PAD,
        bos_token=START,
        eos_token=STOP,
        padding_side="right",
        model_max_length=CLIP_LENGTH,
        clean_up_tokenization_spaces=False,
    )


def image_processor() -> CLIPImageProcessor:
    """128 x 128 pictures become 64 x 64, bilinear with antialiasing, scaled to -1 .. 1; others are cropped to a
    square."""
    return CLIPImageProcessor(
        size={"shortest_edge": IMAGE_SIDE},
        crop_size={"height": IMAGE_SIDE, "width": IMAGE_SIDE},
        resample=2,
        image_mean=[0.5, 0.5, 0.5],
        image_std=[0.5, 0.5, 0.5],
    )


def clip_processor() -> CLIPProcessor:
    return CLIPProcessor(image_processor=image_processor(), tokenizer=clip_tokenizer())


def mllm_processor() -> LlavaProcessor:
    return LlavaProcessor(
        image_processor=image_processor(),
        tokenizer=mllm_tokenizer(),
        patch_size=PATCH,
        vision_feature_select_strategy="default",
        num_additional_image_tokens=1,
        chat_template=CHAT_TEMPLATE,
    )
