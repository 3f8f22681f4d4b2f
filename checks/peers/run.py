"""Compares `leasehold embed` with other ways to run the same model on the same passages.

    python3 checks/peers/run.py [--threads N] [--passages N] [--rounds N]

Prints tokens per second of processor time, the ratio of leasehold to each peer, and the worst cosine to
PyTorch. Everything is measured in one run, in turns, and the best round of each counts. The peers are timed
after loading and a warm-up; leasehold is charged for its whole process, loading and writing included.
"""

import argparse
import json
import os
import pathlib
import resource
import subprocess
import sys
import time

ROOT = pathlib.Path(__file__).resolve().parents[2]
TARGET = pathlib.Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target"))
WORK = TARGET / "peers"
BATCH = 32
LIMIT = 256
REQUIREMENTS = ["numpy", "torch", "transformers", "onnx", "onnxscript", "onnxruntime"]
PEERS = {
    "pytorch": "transformers + PyTorch f32, input order",
    "onnxruntime": "onnxruntime f32, input order",
    "onnxruntime-sorted": "onnxruntime f32, sorted by length",
}


def main():
    arguments = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    arguments.add_argument("--threads", type=int, default=1)
    arguments.add_argument("--passages", type=int, default=300)
    arguments.add_argument("--rounds", type=int, default=2)
    arguments.add_argument("--peer", help=argparse.SUPPRESS)
    chosen = arguments.parse_args()
    if chosen.peer:
        return measure_peer(chosen.peer, chosen.threads)
    WORK.mkdir(parents=True, exist_ok=True)
    python = environment()
    cargo = ["cargo", "build", "--quiet", "--release", "-p", "leasehold-cli", "-p", "check-peers"]
    subprocess.run(cargo, cwd=ROOT, check=True)
    cut_passages(chosen.passages)
    results = {}
    for _ in range(chosen.rounds):
        keep(results, "leasehold", measure_leasehold(chosen.threads))
        for peer in PEERS:
            command = [python, __file__, "--peer", peer, "--threads", str(chosen.threads)]
            said = subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout
            keep(results, peer, json.loads(said.splitlines()[-1]))
    report(results, chosen, python)


def environment():
    """A Python environment with the peers."""
    place = WORK / "venv"
    python = place / "bin" / "python"
    if not (place / "complete").exists():
        subprocess.run([sys.executable, "-m", "venv", place], check=True)
        subprocess.run([python, "-m", "pip", "install", "--quiet", *REQUIREMENTS], check=True)
        (place / "complete").touch()
    return str(python)


def cut_passages(count):
    """Passages from Python's own documentation, which every machine that runs this has."""
    from pydoc_data.topics import topics

    text = "\n".join(topics[name] for name in sorted(topics))
    cut = subprocess.run(
        [TARGET / "release" / "check-peers", str(count)], input=text.encode(), stdout=subprocess.PIPE, check=True
    )
    (WORK / "passages.txt").write_bytes(cut.stdout)


def measure_leasehold(threads):
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    started = time.monotonic()
    command = [TARGET / "release" / "leasehold", "embed", WORK / "passages.txt"]
    subprocess.run([*command, "--threads", str(threads), "--output", WORK / "leasehold.npy"], check=True)
    wall = time.monotonic() - started
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    processor = after.ru_utime - before.ru_utime + after.ru_stime - before.ru_stime
    return {"processor": processor, "wall": wall}


def keep(results, name, result):
    best = results.setdefault(name, result)
    if result["processor"] < best["processor"]:
        results[name] = result


def measure_peer(name, threads):
    """Runs in the environment: times one peer and stores its vectors."""
    for variable in ["OMP_NUM_THREADS", "MKL_NUM_THREADS", "RAYON_NUM_THREADS"]:
        os.environ[variable] = str(threads)
    os.environ["TOKENIZERS_PARALLELISM"] = "true" if threads > 1 else "false"
    os.environ["HF_HUB_OFFLINE"] = "1"
    import numpy

    texts = (WORK / "passages.txt").read_text().splitlines()
    embed = pytorch(threads) if name == "pytorch" else onnxruntime(threads, name.endswith("sorted"))
    embed(texts[:BATCH])
    started, processor = time.monotonic(), time.process_time()
    vectors = embed(texts)
    processor, wall = time.process_time() - processor, time.monotonic() - started
    numpy.save(WORK / f"{name}.npy", vectors)
    print(json.dumps({"processor": processor, "wall": wall, "tokens": count_tokens(texts)}))


def count_tokens(texts):
    return sum(map(len, tokenizer()(texts, truncation=True, max_length=LIMIT)["input_ids"]))


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
        tokenizer_file=os.path.join(directory(), "tokenizer.json"),
        pad_token="[PAD]", unk_token="[UNK]", cls_token="[CLS]", sep_token="[SEP]", mask_token="[MASK]",
    )


def encode(tokens, texts, tensors):
    return tokens(texts, truncation=True, max_length=LIMIT, padding="longest", return_tensors=tensors)


def pytorch(threads):
    import torch
    from transformers import AutoModel

    torch.set_num_threads(threads)
    tokens, model = tokenizer(), AutoModel.from_pretrained(directory(), dtype=torch.float32).eval()

    def embed(texts):
        rows = []
        with torch.inference_mode():
            for start in range(0, len(texts), BATCH):
                batch = encode(tokens, texts[start : start + BATCH], "pt")
                hidden = model(input_ids=batch["input_ids"], attention_mask=batch["attention_mask"])[0]
                mask = batch["attention_mask"].unsqueeze(-1).float()
                mean = (hidden * mask).sum(1) / mask.sum(1)
                rows.append(torch.nn.functional.normalize(mean))
        return torch.cat(rows).numpy()

    return embed


def onnxruntime(threads, by_length):
    import numpy
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    session = onnxruntime.InferenceSession(exported(), options, providers=["CPUExecutionProvider"])
    tokens = tokenizer()

    def embed(texts):
        order = sorted(range(len(texts)), key=lambda i: len(texts[i])) if by_length else range(len(texts))
        order = list(order)
        rows = numpy.empty((len(texts), 384), numpy.float32)
        for start in range(0, len(texts), BATCH):
            chosen = order[start : start + BATCH]
            batch = encode(tokens, [texts[i] for i in chosen], "np")
            given = {name: batch[name].astype(numpy.int64) for name in ["input_ids", "attention_mask"]}
            hidden = session.run(None, given)[0]
            mask = given["attention_mask"][:, :, None].astype(numpy.float32)
            mean = (hidden * mask).sum(1) / mask.sum(1)
            rows[chosen] = mean / numpy.linalg.norm(mean, axis=1, keepdims=True)
        return rows

    return embed


def exported():
    """The model as ONNX, exported once through PyTorch."""
    import torch
    from transformers import AutoModel

    path = WORK / "model.onnx"
    if path.exists():
        return str(path)

    class Encoder(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.model = AutoModel.from_pretrained(directory(), dtype=torch.float32).eval()

        def forward(self, input_ids, attention_mask):
            return self.model(input_ids=input_ids, attention_mask=attention_mask)[0]

    ids = torch.ones((2, 17), dtype=torch.int64)
    sizes = {0: torch.export.Dim("rows", min=1), 1: torch.export.Dim("tokens", min=2, max=512)}
    torch.onnx.export(
        Encoder().eval(), (ids, ids.clone()), str(path),
        input_names=["input_ids", "attention_mask"], output_names=["hidden"],
        dynamic_shapes={"input_ids": sizes, "attention_mask": sizes}, dynamo=True,
    )
    return str(path)


def report(results, chosen, python):
    tokens = next(result["tokens"] for result in results.values() if "tokens" in result)
    names = json.dumps(list(results))
    cosines = (
        "import json, numpy, sys; load = lambda n: numpy.load(f'{sys.argv[1]}/{n}.npy').astype('f8');"
        "reference = load('pytorch');"
        f"print(json.dumps({{n: (reference * load(n)).sum(1).min() for n in {names}}}))"
    )
    cosines = json.loads(subprocess.run([python, "-c", cosines, WORK], check=True, stdout=subprocess.PIPE).stdout)
    ours = tokens / results["leasehold"]["processor"]
    print(f"{chosen.passages} passages, {tokens} tokens, {chosen.threads} thread(s), best of {chosen.rounds} rounds\n")
    print("| what | tokens per processor second | tokens per second | leasehold is faster by | worst cosine |")
    print("| --- | --- | --- | --- | --- |")
    for name, result in results.items():
        rate = tokens / result["processor"]
        label = PEERS.get(name, "leasehold embed, input order, whole process")
        print(f"| {label} | {rate:.0f} | {tokens / result['wall']:.0f} | {ours / rate:.2f} | {cosines[name]:.7f} |")


if __name__ == "__main__":
    main()
