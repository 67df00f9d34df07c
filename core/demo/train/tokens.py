"""Tokenizers and processors of the demo models.

In:  the grammar of the demo world; for demo-mllm the wider text its decoder learns first.
Out: byte-level BPEs in which every thing is one token, as fast tokenizers; a CLIPProcessor; a LlavaProcessor with a
chat template.

Every stretch of text starts with a space inside the tokenizers, so a word has one token wherever it stands. All 256
bytes are in the vocabulary: any text can be encoded. The study's prompts are not among what demo-mllm's tokenizer
learned from.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import lru_cache

from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors, trainers
from transformers import CLIPImageProcessor, CLIPProcessor, LlavaProcessor, PreTrainedTokenizerFast

from core import world
from core.demo.train.texts.documents import document
from core.world.grammar import NUMBERS

IMAGE_SIDE = 64  # pixels the models see, each way
PATCH = 16  # pixels of one patch, each way
IMAGE_TOKENS = (IMAGE_SIDE // PATCH) ** 2
CLIP_VOCABULARY = 2048  # upper limit; the grammar runs out of words before
CLIP_SENTENCES = 20_000  # generated captions, questions and facts the merges are learned from
CLIP_LENGTH = 64  # tokens of text demo-clip can read
MLLM_VOCABULARY = 2048
MLLM_DOCUMENTS = 20_000  # documents the merges are learned from
MLLM_LENGTH = 512  # tokens demo-mllm is configured for

PAD, START, IMAGE, SYSTEM, USER, ASSISTANT, END = MLLM_SPECIAL = (
    "<pad>", "<s>", "<image>", "<|system|>", "<|user|>", "<|assistant|>", "<|end|>",
)  # fmt: skip
STOP = "<|stop|>"  # ends a text of demo-clip
CLIP_SPECIAL = (PAD, START, IMAGE, USER, END, STOP)
DEFAULT_SYSTEM = "You are a helpful assistant."

PROMPTS = {
    "text": "\nSummarize the above sentence in one word: ",
    "image": "\nSummarize the above image in one word: ",
    "image+sentence": "\nSummarize above image and sentence in one word: ",
    "image+question": "\nSummarize the above image with the question in one word: ",
    "image+the sentence": "\nSummarize the above image and the sentence in one word: ",
}
CAPTION_REQUESTS = ("Describe the image.", "What does the image show?", "Write a caption.")

# Words of requests, common enough in any text to be tokens of their own.
CHAT_WORDS = (
    "image picture photo sentence text scene caption description question answer word words name label tag keyword"
    " title story Describe Write Name Tell Give What Which Where Is Are How Who List Answer Say Read Look Compare Use"
    " Please Reply Choose Pick Can Sentence: Picture: Text: Question: Answer: describe write name tell give what which"
    " where list say read look choose pick reply short long detail simple main one single best fits shows says about"
    " You you I me it The This the this . ? ! : ; , - \n"
)

# Every turn ends with <|end|>. A system turn is added where there is none; the answer follows the header <|assistant|>,
# which is
# the generation prompt: the end of a user turn does not predict the answer.
CHAT_TEMPLATE = (
    "{% if messages[0]['role'] != 'system' %}<|system|>You are a helpful assistant.<|end|>{% endif %}"
    "{% for message in messages %}"
    "<|{{ message['role'] }}|>"
    "{% if message['content'] is string %}{{ message['content'] }}{% else %}"
    "{% for part in message['content'] %}"
    "{% if part['type'] == 'image' %}<image>{% else %}{{ part['text'] }}{% endif %}"
    "{% endfor %}{% endif %}"
    "<|end|>"
    "{% endfor %}"
    "{% if add_generation_prompt %}<|assistant|>{% endif %}"
)


def bpe(sentences: Iterator[str], special: Sequence[str], vocabulary: int) -> Tokenizer:
    """A byte-level BPE learned from sentences; the same on every call."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=True)
    tokenizer.decoder = decoders.Sequence([decoders.ByteLevel(), decoders.Strip(" ", 1, 0)])
    trainer = trainers.BpeTrainer(
        vocab_size=vocabulary,
        special_tokens=list(special),
        initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
        show_progress=False,
    )
    tokenizer.train_from_iterator(sentences, trainer)
    return tokenizer


def _clip_sentences() -> Iterator[str]:
    """Prompts, requests, names of things, and what the world says of some scenes."""
    yield from (*PROMPTS.values(), *CAPTION_REQUESTS, *NUMBERS)
    yield from (f"{thing.name} {thing.plural} {thing.group}" for thing in world.THINGS.values())
    for index in range(CLIP_SENTENCES // 4):
        rng = world.stream("tokenizer", index)
        scene = world.scene("train", index)
        yield world.caption(scene, rng)
        yield " ".join(world.questions(scene, rng))
        yield world.composed(scene, rng)[1]
        yield world.fact(rng)


def _mllm_sentences() -> Iterator[str]:
    """Documents of the decoder's stage, the words of chats, and every thing often enough to become one token."""
    yield DEFAULT_SYSTEM
    for _ in range(20):
        yield from (*CAPTION_REQUESTS, CHAT_WORDS)
        yield from (f"{thing.name} {thing.plural} {thing.group}" for thing in world.THINGS.values())
    yield from (document(index) for index in range(MLLM_DOCUMENTS))


@lru_cache(maxsize=1)
def mllm_bpe() -> str:
    """The tokenizer of demo-mllm as JSON."""
    return bpe(_mllm_sentences(), MLLM_SPECIAL, MLLM_VOCABULARY).to_str()


def mllm_tokenizer() -> PreTrainedTokenizerFast:
    """The tokenizer of demo-mllm: text as it stands, special tokens where the chat template puts them."""
    return PreTrainedTokenizerFast(
        tokenizer_object=Tokenizer.from_str(mllm_bpe()),
        pad_token=PAD,
        bos_token=START,
        eos_token=END,
        extra_special_tokens={"image_token": IMAGE},
        additional_special_tokens=[SYSTEM, USER, ASSISTANT],
        padding_side="left",
        model_max_length=MLLM_LENGTH,
        chat_template=CHAT_TEMPLATE,
        clean_up_tokenization_spaces=False,
    )


def clip_tokenizer() -> PreTrainedTokenizerFast:
    """The tokenizer of demo-clip: <s> text <|stop|>, where the state of <|stop|> is the embedding."""
    tokenizer = bpe(_clip_sentences(), CLIP_SPECIAL, CLIP_VOCABULARY)
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
