"""Rows of the retrievers people use: tuned from multimodal LLMs, and dual encoders.

Commits are those whose files were seen listed on the hub, or that mteb's registry of models names (github.com/
embeddings-benchmark/mteb, mteb/models/model_implementations). What was not seen says so.
"""

from __future__ import annotations

from core.models.known import TUNED, TWO_TOWERS, KnownModel

RETRIEVER_ROWS = (
    KnownModel(
        name="gme-qwen2-vl-2b",
        hub_id="Alibaba-NLP/gme-Qwen2-VL-2B-Instruct",
        kind="chat",
        family="tuned",
        hidden_size=1536,
        dtype="float32",
        parameters=2.21,
        prompts="gme",
        revision="cfeb66885b598de483cc04eb08c7d9da534d7afe",
        special=f"{TUNED}: state of <|endoftext|>; 256 to 1280 image tokens; pinned to a commit of the plain Qwen2-VL "
        f"class, "
        "later ones bring code of their own; its cut at 1800 tokens is not applied",
    ),
    KnownModel(
        name="gme-qwen2-vl-7b",
        hub_id="Alibaba-NLP/gme-Qwen2-VL-7B-Instruct",
        kind="chat",
        family="tuned",
        hidden_size=3584,
        dtype="float32",
        parameters=8.29,
        prompts="gme",
        revision="477027a6480f8630363be77751f169cc3434b673",
        special=f"{TUNED} (Table 4): as gme-qwen2-vl-2b",
    ),
    KnownModel(
        name="vlm2vec-qwen2-vl-7b",
        hub_id="TIGER-Lab/VLM2Vec-Qwen2VL-7B",
        kind="chat",
        family="tuned",
        hidden_size=3584,
        dtype="bfloat16",
        parameters=8.29,
        prompts="vlm2vec",
        special=f"{TUNED} (Table 4): last token of a turn without template; the hub held only "
        f".bin files when last seen, "
        f""
        f""
        'which are refused: save them once as safetensors, name that folder, preset = "vlm2vec"; its own evaluation '
        "fixes the image resolution, here the processor decides",
    ),
    KnownModel(
        name="e5-v",
        hub_id="royokong/e5-v",
        kind="chat",
        family="tuned",
        hidden_size=4096,
        dtype="float16",
        parameters=8.36,
        prompts="e5-v",
        revision="f9a1119d21a0b3b68c86f01a641a541989caa7a4",
        special=f"{TUNED}: LLaVA-NeXT on Llama 3, last token of its written Llama 3 turn (the repository has no chat "
        f"template); the "
        "prompt of image+text outside task 7 is not documented and ours",
    ),
    KnownModel(
        name="lamra-ret",
        hub_id="code-kunkun/LamRA-Ret",
        kind="chat",
        family="tuned",
        hidden_size=3584,
        dtype="bfloat16",
        parameters=8.29,
        prompts="lamra",
        revision="f86e40fba363563866ba8feec831773ec6af84f9",
        special=f"{TUNED}: Qwen2-VL, the state before <emb>, which is the last of an opened answer; M-BEIR's query "
        f"instructions are "
        "not put in",
    ),
    KnownModel(
        name="vlm2vec-v2",
        hub_id="VLM2Vec/VLM2Vec-V2.0",
        kind="chat",
        family="tuned",
        hidden_size=1536,
        dtype="bfloat16",
        parameters=2.21,
        prompts="vlm2vec",
        revision="e39ff079b8275ef876d3656da8c0bddbff3c4dde",
        special=f"{TUNED}: an adapter over Qwen2-VL-2B-Instruct (as mteb loads it), which is refused: merge it once, "
        'name that folder, preset = "vlm2vec"; last token of a turn without template; the wording of its image '
        "tasks was not seen, that of the first VLM2Vec stands in; its files were not seen",
    ),
    KnownModel(
        name="qwen3-vl-embedding-2b",
        hub_id="Qwen/Qwen3-VL-Embedding-2B",
        kind="chat",
        family="tuned",
        hidden_size=2048,
        dtype="bfloat16",
        parameters=2.13,
        prompts="qwen3-vl-embedding",
        revision="9f2f7e710d6d81056aa5c0a4f04764fec6bb7bda",
        special=f"{TUNED}: the instruction is the system turn, the last token of an opened answer is read; 4,096 to "
        "1,843,200 pixels; its cut at 8,192 tokens is not applied; files and chat template of that commit were not "
        "seen",
    ),
    KnownModel(
        name="qwen3-vl-embedding-8b",
        hub_id="Qwen/Qwen3-VL-Embedding-8B",
        kind="chat",
        family="tuned",
        hidden_size=4096,
        dtype="bfloat16",
        parameters=8.14,
        prompts="qwen3-vl-embedding",
        revision="2c4565515e0f265c6511776e7193b22c0968ddc7",
        special=f"{TUNED}: as qwen3-vl-embedding-2b",
    ),
    KnownModel(
        name="jina-embeddings-v4",
        hub_id="jinaai/jina-embeddings-v4",
        kind="sentence-transformers",
        family="tuned",
        hidden_size=2048,
        dtype="bfloat16",
        parameters=3.8,
        prompts="none",
        revision="4a58ca57710c49f51896e4bc820e202fbf64904b",
        task="retrieval",
        special=f"{TUNED} on Qwen2.5-VL-3B with an adapter per task; needs --trust-remote-code "
        "jinaai/jina-embeddings-v4 and pip install peft; its single vectors (mean over tokens, then L2) only; "
        "pictures only if its module tells sentence-transformers 6 that it takes them; its code was neither seen nor "
        "run here",
    ),
    KnownModel(
        name="siglip2-b16-384",
        hub_id="google/siglip2-base-patch16-384",
        kind="dual",
        family="contrastive",
        hidden_size=768,
        dtype="float32",
        parameters=0.376,
        prompts="none",
        special=f"texts padded to 64 tokens; {TWO_TOWERS}",
    ),
    KnownModel(
        name="siglip2-l16-384",
        hub_id="google/siglip2-large-patch16-384",
        kind="dual",
        family="contrastive",
        hidden_size=1024,
        dtype="float32",
        parameters=0.882,
        prompts="none",
        special="as siglip2-b16-384; its files were not seen",
    ),
    KnownModel(
        name="siglip2-so400m-384",
        hub_id="google/siglip2-so400m-patch14-384",
        kind="dual",
        family="contrastive",
        hidden_size=1152,
        dtype="float32",
        parameters=1.136,
        prompts="none",
        special="as siglip2-b16-384; its files were not seen",
    ),
    KnownModel(
        name="siglip2-so400m-naflex",
        hub_id="google/siglip2-so400m-patch16-naflex",
        kind="dual",
        family="contrastive",
        hidden_size=1152,
        dtype="float32",
        parameters=1.136,
        prompts="none",
        special="as siglip2-b16-384, pictures of any shape; its files, and the number of its parameters, were not seen",
    ),
    KnownModel(
        name="siglip2-giant-384",
        hub_id="google/siglip2-giant-opt-patch16-384",
        kind="dual",
        family="contrastive",
        hidden_size=1536,
        dtype="float32",
        parameters=1.872,
        prompts="none",
        special="as siglip2-b16-384; its files and its width were not seen: a run reads the width from its config",
    ),
    KnownModel(
        name="openclip-b32-laion2b",
        hub_id="laion/CLIP-ViT-B-32-laion2B-s34B-b79K",
        kind="dual",
        family="contrastive",
        hidden_size=512,
        dtype="float32",
        parameters=0.151,
        prompts="none",
        revision="08f73555f1b2fb7c82058aebbd492887a94968ef",
        special=f"OpenCLIP, by the transformers files of its repository (CLIP class); texts end at 77 tokens; "
        f"{TWO_TOWERS}; the files of that commit were not seen",
    ),
    KnownModel(
        name="openclip-l14-laion2b",
        hub_id="laion/CLIP-ViT-L-14-laion2B-s32B-b82K",
        kind="dual",
        family="contrastive",
        hidden_size=768,
        dtype="float32",
        parameters=0.428,
        prompts="none",
        revision="1627032197142fbe2a7cfec626f4ced3ae60d07a",
        special="OpenCLIP: as openclip-b32-laion2b",
    ),
    KnownModel(
        name="openclip-h14-laion2b",
        hub_id="laion/CLIP-ViT-H-14-laion2B-s32B-b79K",
        kind="dual",
        family="contrastive",
        hidden_size=1024,
        dtype="float32",
        parameters=0.986,
        prompts="none",
        revision="de081ac0a0ca8dc9d1533eed1ae884bb8ae1404b",
        special="OpenCLIP: as openclip-b32-laion2b",
    ),
)
"""In the order they are listed."""
