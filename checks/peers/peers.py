"""One peer, in a process of its own: loads, warms up, embeds all passages once, says how long it took.

    python peers.py NAME THREADS WORK SAID
    python peers.py prepare WORK

The second form makes, once, what peers load, so that no measured process does more than its peer has to.
"""

import json
import os
import pathlib
import resource
import subprocess
import sys
import time

BATCH = 32
# candle is slow: it gets one passage in so many.
CANDLE_PART = 4
LIMIT = 256
REFERENCE = "pytorch f32"
SORTED = ", sorted"
PEERS = [
    *[f"pytorch {precision}{order}" for precision in ["f32", "bf16"] for order in ["", SORTED]],
    "sentence-transformers f32, sorts inside",
    *[f"onnxruntime {precision}{order}" for precision in ["f32", "int8", "int8 per channel"] for order in ["", SORTED]],
    "fastembed f32",
    "candle f32",
]


def precision(name):
    return next(precision for precision in ["bf16", "int8", "int16", "f32"] if precision in name)


def environment(threads):
    """The environment of a peer: no more threads than it may have, and no other settings of its matrix products."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("OPENBLAS_")}
    limits = {name: str(threads) for name in ["OMP_NUM_THREADS", "MKL_NUM_THREADS", "RAYON_NUM_THREADS"]}
    return {**kept, **limits, "TOKENIZERS_PARALLELISM": "true" if threads > 1 else "false", "HF_HUB_OFFLINE": "1"}


def main():
    if sys.argv[1] == "prepare":
        return prepare(pathlib.Path(sys.argv[2]))
    name, threads, work, said = sys.argv[1], int(sys.argv[2]), pathlib.Path(sys.argv[3]), sys.argv[4]
    texts = (work / "passages.txt").read_text().splitlines()
    if name.startswith("candle"):
        return pathlib.Path(said).write_text(json.dumps(candle(threads, work)))
    embed = loaded(name, threads, work)
    embed(texts[:BATCH])
    started, processor = time.monotonic(), time.process_time()
    vectors = embed(texts)
    wall, processor = time.monotonic() - started, time.process_time() - processor
    import numpy

    numpy.save(work / f"{name}.npy", vectors)
    pathlib.Path(said).write_text(json.dumps({"wall": wall, "processor": processor}))


def prepare(work):
    """Makes the ONNX files and fastembed's directory, and counts the tokens of the passages and of candle's part."""
    for name in PEERS:
        if name.startswith("onnxruntime"):
            onnx_model(work, name)
    fastembed_model(work)
    lines = (work / "passages.txt").read_text().splitlines()
    part = lines[: max(len(lines) // CANDLE_PART, 1)]
    (work / "part.txt").write_text("\n".join(part))
    counted = [sum(row.attention_mask) for row in plain_tokenizer().encode_batch(lines)]
    counts = {"whole": sum(counted), "part": sum(counted[: len(part)])}
    (work / "tokens.json").write_text(json.dumps(counts))


def loaded(name, threads, work):
    """The peer of that name, as a function from texts to vectors."""
    if name.startswith("sentence-transformers"):
        return sentence_transformers(threads)
    if name.startswith("fastembed"):
        return fastembed(threads, work)
    if name.startswith("pytorch"):
        step = pytorch(threads, precision(name))
    else:
        step = onnxruntime(threads, onnx_model(work, name))
    return batches(step, name.endswith(SORTED))


def batches(step, by_length):
    """Takes texts in batches, in their order or by length, and puts the vectors back into place."""

    def embed(texts):
        import numpy

        order = list(range(len(texts)))
        if by_length:
            order.sort(key=lambda place: len(texts[place]))
        rows = numpy.empty((len(texts), 384), numpy.float32)
        for start in range(0, len(texts), BATCH):
            chosen = order[start : start + BATCH]
            rows[chosen] = step([texts[place] for place in chosen])
        return rows

    return embed


def directory():
    places = [
        os.environ.get("LEASEHOLD_CACHE"),
        os.environ.get("XDG_CACHE_HOME") and os.path.join(os.environ["XDG_CACHE_HOME"], "leasehold"),
        os.path.join(os.path.expanduser("~"), ".cache", "leasehold"),
    ]
    return os.path.join(next(place for place in places if place), "all-MiniLM-L6-v2")


def tokenizer():
    from transformers import PreTrainedTokenizerFast

    return PreTrainedTokenizerFast(
        tokenizer_file=os.path.join(directory(), "tokenizer.json"), model_max_length=LIMIT,
        pad_token="[PAD]", unk_token="[UNK]", cls_token="[CLS]", sep_token="[SEP]", mask_token="[MASK]",
    )


def plain_tokenizer():
    """The same one without transformers, which would bring PyTorch into the memory of those who need neither."""
    from tokenizers import Tokenizer

    tokens = Tokenizer.from_file(os.path.join(directory(), "tokenizer.json"))
    tokens.enable_truncation(LIMIT)
    tokens.enable_padding()
    return tokens


def encode(tokens, texts, tensors):
    return tokens(texts, truncation=True, max_length=LIMIT, padding="longest", return_tensors=tensors)


def model(dtype, **more):
    from transformers import AutoModel

    return AutoModel.from_pretrained(directory(), dtype=dtype, **more).eval()


def pytorch(threads, precision):
    import torch

    torch.set_num_threads(threads)
    tokens, encoder = tokenizer(), model(torch.bfloat16 if precision == "bf16" else torch.float32)

    def step(texts):
        batch = encode(tokens, texts, "pt")
        with torch.inference_mode():
            hidden = encoder(input_ids=batch["input_ids"], attention_mask=batch["attention_mask"])[0].float()
            mask = batch["attention_mask"].unsqueeze(-1).float()
            return torch.nn.functional.normalize((hidden * mask).sum(1) / mask.sum(1)).numpy()

    return step


def sentence_transformers(threads):
    import tempfile

    import torch
    from sentence_transformers import SentenceTransformer, models

    torch.set_num_threads(threads)
    # It wants a directory with the tokenizer's own files.
    place = tempfile.mkdtemp()
    tokenizer().save_pretrained(place)
    model(torch.float32).save_pretrained(place)
    words = models.Transformer(place, max_seq_length=LIMIT)
    whole = SentenceTransformer(modules=[words, models.Pooling(384), models.Normalize()], device="cpu")
    return lambda texts: whole.encode(texts, batch_size=BATCH, show_progress_bar=False)


def onnxruntime(threads, path):
    import numpy
    import onnxruntime as runtime

    options = runtime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    session = runtime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    tokens = plain_tokenizer()

    def step(texts):
        rows = tokens.encode_batch(texts)
        ids = numpy.array([row.ids for row in rows], numpy.int64)
        mask = numpy.array([row.attention_mask for row in rows], numpy.int64)
        hidden = session.run(None, {"input_ids": ids, "attention_mask": mask})[0]
        mask = mask[:, :, None].astype(numpy.float32)
        mean = (hidden * mask).sum(1) / mask.sum(1)
        return mean / numpy.linalg.norm(mean, axis=1, keepdims=True)

    return step


def onnx_model(work, name):
    """The model as ONNX, exported once, and its bytes where these are asked for."""
    plain = work / "encoder.onnx"
    if not plain.exists():
        export(plain)
    if "int8" not in name:
        return plain
    per_channel = "per channel" in name
    path = work / ("encoder-int8-per-channel.onnx" if per_channel else "encoder-int8.onnx")
    if not path.exists():
        from onnxruntime.quantization import QuantType, quantize_dynamic

        quantize_dynamic(plain, path, weight_type=QuantType.QInt8, per_channel=per_channel)
    return path


def export(path):
    """Exports by tracing: the graph that comes of it runs faster than the one of the newer exporter."""
    import torch

    encoder = model(torch.float32, attn_implementation="eager")

    class Encoder(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.encoder = encoder

        def forward(self, input_ids, attention_mask):
            return self.encoder(input_ids=input_ids, attention_mask=attention_mask)[0]

    ids = torch.ones((2, 17), dtype=torch.int64)
    sizes = {0: "rows", 1: "tokens"}
    names = ["input_ids", "attention_mask"]
    torch.onnx.export(
        Encoder().eval(), (ids, ids.clone()), str(path), input_names=names, output_names=["last_hidden_state"],
        dynamic_axes={name: sizes for name in [*names, "last_hidden_state"]}, opset_version=17, dynamo=False,
    )


def fastembed_model(work):
    """The directory that fastembed loads instead of one from its hub."""
    place = work / "fastembed"
    if not (place / "model.onnx").exists():
        place.mkdir(exist_ok=True)
        tokenizer().save_pretrained(place)
        # It takes the smaller of two limits, and the tokenizer's own is half of what all others get.
        settings = json.loads((place / "tokenizer_config.json").read_text())
        (place / "tokenizer_config.json").write_text(json.dumps({**settings, "max_length": LIMIT}))
        (place / "config.json").write_bytes(pathlib.Path(directory(), "config.json").read_bytes())
        (place / "model.onnx").write_bytes(onnx_model(work, "f32").read_bytes())
    return place


def fastembed(threads, work):
    import numpy
    from fastembed import TextEmbedding
    from fastembed.common.model_description import ModelSource, PoolingType

    place = fastembed_model(work)
    TextEmbedding.add_custom_model(
        model="local", pooling=PoolingType.MEAN, normalization=True, sources=ModelSource(hf="local/local"), dim=384,
        model_file="model.onnx",
    )
    whole = TextEmbedding("local", specific_model_path=str(place), threads=threads)
    return lambda texts: numpy.array(list(whole.embed(texts, batch_size=BATCH)))


def candle(threads, work):
    """candle's example, on a part of the passages. Charged for its tokenizer and forward passes, and for its own memory."""
    vectors = work / "candle f32.f32"
    command = [work / "candle" / "release" / "peer-candle", directory(), work / "part.txt", str(BATCH), vectors]
    said = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout
    memory = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024
    counts = json.loads((work / "tokens.json").read_text())
    if int(said.split()[0]) != counts["part"]:
        raise ValueError(f"candle counts other tokens: {said}")
    wall = float(said.split(" in ")[1].split()[0]) * counts["whole"] / counts["part"]
    import numpy

    numpy.save(work / "candle f32.npy", numpy.fromfile(vectors, "<f4").reshape(-1, 384))
    return {"wall": wall, "processor": wall * threads, "memory": memory}


if __name__ == "__main__":
    main()
