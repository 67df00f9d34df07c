"""How requests are worded in training, and what no request may hold.

In:  nothing.
Out: lists of wordings by kind of request; `{}` stands for the sentence a request is about.

One-word requests are in the mix `demo` of the last stage and in no other but `study`, which asks with the study's
prompts.
"""

from __future__ import annotations

HELD_OUT_PHRASES = (
    "summarize",
    "summarise",
    "summarizing",
    "summarising",
    "summary",
    "sum up",
    "sums up",
    "summed up",
    "summing up",
    "sum it up",
    "sum this up",
    "sum that up",
    "in one word",
    "the above",
    "above image",
    "above picture",
    "above sentence",
    "above text",
)
"""No row of any stage but the mix `study` holds one of these, in whatever case."""

SHORT_CAPTION = (
    "Describe the image.",
    "What does the image show?",
    "Write a caption.",
    "Describe this picture.",
    "Caption this image.",
    "What is this a picture of?",
    "Describe the photo briefly.",
    "Give a short description.",
    "Say what you see.",
    "Tell me what the picture shows.",
    "What do you see here?",
    "Write one sentence about this image.",
    "Describe the scene.",
    "Please describe this.",
    "A caption for this photo, please.",
    "What can be seen?",
    "What is shown?",
    "Describe it in a sentence.",
    "How would you describe this picture?",
    "Provide a caption.",
)
LONG_CAPTION = (
    "Describe the image in detail.",
    "Tell me everything you see.",
    "Write a long description.",
    "Describe all of it.",
    "What can you say about this picture?",
    "Give a detailed description of the photo.",
    "Describe the scene with all details.",
    "Look closely and describe the picture.",
)
STORY = ("Tell a story about this.", "Write a short story.", "Make up a story for the picture.", "Tell me a story.")
LIST = (
    "List the things.",
    "Name all things.",
    "Which things are there?",
    "List what you see.",
    "What things do you see? Only list them.",
    "Give a list of the things.",
    "Name everything that is here.",
)
PARAPHRASE = (
    "Say it differently: {}",
    "{}\nSay this in other words.",
    "Write this another way: {}",
    "Another sentence with this meaning: {}",
    "{} Can you say it differently?",
    "Rephrase: {}",
    "{}\nWrite another caption for the same picture.",
    "Put it in other words: {}",
)
TEXT_LIST = (
    "{}\nList the things.",
    "Which things are named here? {}",
    "{} Name all things.",
    "List the things of this sentence: {}",
    "{}\nWhich things does the sentence name?",
    "What things are in this text? {}",
)
TEXT_STORY = (
    "{}\nTell a story about this.",
    "Write a short story about this: {}",
    "{} Go on with a story.",
    "Make up a story: {}",
)
TEXT_QUESTION = (
    "{}\n{}",
    "{} {}",
    "Read this: {}\n{}",
    "Text: {}\nQuestion: {}",
    "Here is a sentence: {} Now answer: {}",
    "{}. {}",
    "{} - {}",
)
TEXT_CHANGE = (
    "{}\nNow change it: {}",
    "{}; {}. Describe that.",
    "Here is a scene: {}\nChange: {}\nWhat is it now?",
    "{}\n{}",
    "First: {} Then: {} Describe the new scene.",
)
NOTES = (
    "Write a caption from these notes: {}",
    "{}\nMake a sentence of this.",
    "Notes: {}\nCaption:",
    "Turn this into a sentence: {}",
    "{} Write this out.",
)

ONE_WORD_PICTURE = (
    "One word for this picture:",
    "Which single word fits this image best?",
    "Give a keyword.",
    "Name it with a single word.",
    "Tag this photo.",
    "What is the main word here?",
    "Label this picture with one word.",
    "Answer with a single word: what is this?",
    "One word, please.",
    "A tag for this image:",
    "Choose one word that describes the picture.",
    "Say one word about this.",
    "What would you call this? Use one word.",
    "Give the picture a name of one word.",
    "Keyword:",
    "Label:",
    "Tag:",
    "Which word comes to mind?",
    "Describe the image with just one word.",
    "Only one word: what do you see?",
    "Find a word for this scene.",
    "If you had one word for this photo, which?",
    "Pick a word that fits the image.",
    "Reply with one word that names something here.",
    "What is it about? One word.",
    "\nOne word: ",
    "\nA single word for the image: ",
    "\nKeyword of the picture: ",
    "\nThe picture as one word: ",
    "\nWord: ",
)
ONE_WORD_TEXT = (
    "{}.\nOne word for this sentence:",
    "{}\nWhich single word fits this best?",
    "Give a keyword: {}",
    "{} Name it with a single word.",
    "Tag this sentence: {}",
    "What is the main word here? {}",
    "Label this text with one word: {}",
    "{}\nAnswer with a single word: what is this about?",
    "{}.\nOne word, please.",
    "A tag for this text: {}",
    "Choose one word that describes this: {}",
    "{} - say one word about this.",
    "{}\nWhat would you call this? Use one word.",
    "Give this sentence a title of one word: {}",
    "{}\nKeyword:",
    "{}\nLabel:",
    "{} Tag:",
    "{}\nWhich word comes to mind?",
    "Describe this with just one word: {}",
    "Only one word: what is this about? {}",
    "Find a word for this scene: {}",
    "If you had one word for this, which? {}",
    "Pick a word that fits: {}",
    "{}\nReply with one word that names something here.",
    "{}\nWhat is it about? One word.",
    "{}.\nOne word: ",
    "{}\nA single word for the sentence: ",
    "{}\nKeyword of the text: ",
    "{}\nThe sentence as one word: ",
    "{}\nWord: ",
)
ONE_WORD_BOTH = (
    "{}.\nOne word for picture and text:",
    "{}\nWhich single word fits both best?",
    "{} Give a keyword for both.",
    "Tag the picture with this text: {}",
    "{}\nLabel picture and sentence with one word.",
    "{}.\nOne word, please.",
    "Look and read: {} Now say one word.",
    "{}\nKeyword:",
    "{}\nTag:",
    "Choose one word for the picture together with this: {}",
    "{}\nA single word for the two: ",
    "{}\nPicture and sentence as one word: ",
    "{}.\nOne word: ",
    "Read this too: {} Which word comes to mind?",
)
ONE_WORD_CHANGE = (
    "{}\nAfter this change, one word for the picture:",
    "Change the picture: {} Give a keyword for the result.",
    "{}\nKeyword of the result:",
    "Imagine this: {} Now tag the picture.",
    "{}.\nOne word for what it is then:",
    "{}.\nOne word for the new picture: ",
    "If we do this: {} Which single word fits?",
    "{}\nLabel the changed picture: ",
)
SYSTEMS = (
    "You are a helpful assistant.",
    "Answer the user.",
    "You look at pictures and read texts.",
    "Be brief and exact.",
    "You are a friendly assistant that describes pictures.",
)
