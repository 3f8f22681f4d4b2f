"""Compares `leasehold embed` with other ways to run the same model on the same passages.

    python3 checks/peers/run.py [--threads 1 2] [--passages N [--even]] [--rounds N] [--only NAME ..] [--again]

The passages are paragraphs, most of them short and some long, in the order of their text; with --even their lengths are evenly
spread. One run measures everything in turns and keeps the best round of each: tokens per second, peak memory, and the worst
cosine to PyTorch in f32. Every peer runs in a process of its own and is timed after loading and a warm-up; leasehold
is charged for its whole process, loading and writing included, over the passages five times in a row. A table is printed, and written with a plot to
target/peers. --only measures some and keeps what the last run said of the others, so that a machine which others use can be
measured in pieces; --again keeps better old rounds.
"""

import argparse
import json
import os
import pathlib
import subprocess
import sys
import time

import peers

ROOT = pathlib.Path(__file__).resolve().parents[2]
TARGET = pathlib.Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target"))
WORK = TARGET / "peers"
REQUIREMENTS = [
    "numpy", "torch", "transformers", "sentence-transformers", "onnx", "onnxscript", "onnxruntime", "fastembed",
    "matplotlib",
]
REPEATS = 5
OURS = {f"leasehold {precision}": precision for precision in ["f32", "bf16", "int16", "int8"]}


def main():
    arguments = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    arguments.add_argument("--threads", type=int, nargs="+", default=[1, 2])
    arguments.add_argument("--passages", type=int, default=360)
    arguments.add_argument("--even", action="store_true", help="passages whose lengths are evenly spread from 5 to 250 tokens")
    arguments.add_argument("--rounds", type=int, default=2)
    arguments.add_argument("--only", nargs="+", help="measure only what has one of these words in its name")
    arguments.add_argument("--again", action="store_true", help="keep the last run's figures where they are better")
    chosen = arguments.parse_args()
    WORK.mkdir(parents=True, exist_ok=True)
    python = environment()
    names = [name for name in [*OURS, *peers.PEERS] if wanted(name, chosen.only)]
    build(any(name.startswith("candle") for name in names))
    passages = [str(chosen.passages), *(["even"] if chosen.even else [])]
    cut_passages(passages)
    subprocess.run([python, peers.__file__, "prepare", WORK], check=True, env=peers.environment(1))
    results = stored(chosen, passages)
    failed = {}
    for _ in range(chosen.rounds):
        for threads in chosen.threads:
            for name in names:
                measure(python, name, threads, results, failed)
                (WORK / "results.json").write_text(json.dumps({"passages": passages, "results": results}))
    table = report(results, failed, passages)
    (WORK / "table.md").write_text(table)
    print(table)
    subprocess.run([python, pathlib.Path(__file__).with_name("plot.py"), WORK], check=False)


def wanted(name, only):
    return not only or any(word in name for word in only)


def environment():
    """A Python environment with the peers."""
    place = WORK / "venv"
    python = place / "bin" / "python"
    marker = place / "complete"
    if not marker.exists() or marker.read_text() != "\n".join(REQUIREMENTS):
        if not python.exists():
            subprocess.run([sys.executable, "-m", "venv", place], check=True)
        subprocess.run([python, "-m", "pip", "install", "--quiet", *REQUIREMENTS], check=True)
        marker.write_text("\n".join(REQUIREMENTS))
    return str(python)


def build(with_candle):
    cargo = ["cargo", "build", "--quiet", "--release", "-p", "leasehold-cli", "-p", "check-peers"]
    subprocess.run(cargo, cwd=ROOT, check=True)
    if with_candle:
        manifest = ROOT / "checks" / "peers" / "candle" / "Cargo.toml"
        cargo = ["cargo", "build", "--quiet", "--release", "--manifest-path", manifest]
        subprocess.run([*cargo, "--target-dir", WORK / "candle"], check=True)


def cut_passages(passages):
    """Passages from Python's own documentation, which every machine that runs this has."""
    from pydoc_data.topics import topics

    text = "\n".join(topics[name] for name in sorted(topics))
    cut = subprocess.run(
        [TARGET / "release" / "check-peers", *passages], input=text.encode(), stdout=subprocess.PIPE, check=True
    )
    (WORK / "passages.txt").write_bytes(cut.stdout)


def stored(chosen, passages):
    """What the last run said, where it is wanted and about the same passages."""
    path = WORK / "results.json"
    last = json.loads(path.read_text()) if path.exists() else {"passages": None}
    if last["passages"] != passages:
        # Vectors are compared with the reference's, which may not be made again in this run.
        for vectors in WORK.glob("*.npy"):
            vectors.unlink()
        return {}
    return last["results"] if chosen.only or chosen.again else {}


def measure(python, name, threads, results, failed):
    key = f"{name} / {threads}"
    try:
        found = measure_ours(name, threads) if name in OURS else measure_peer(python, name, threads)
    except (subprocess.CalledProcessError, OSError, ValueError) as error:
        failed[key] = str(error)
        return
    before = results.get(key, found)
    best = min(before, found, key=lambda result: result["wall"])
    results[key] = {**best, "rounds": before.get("rounds", 0) + 1}
    print(f"{key}: {found['wall']:.2f} s", file=sys.stderr)


def measure_ours(name, threads):
    output = WORK / f"{name}.npy"
    command = [TARGET / "release" / "leasehold", "embed", *[WORK / "passages.txt"] * REPEATS, "--output", output]
    started = time.monotonic()
    usage = wait([*command, "--precision", OURS[name], "--threads", str(threads)])
    wall, processor = time.monotonic() - started, usage["processor"]
    return {**usage, "wall": wall / REPEATS, "processor": processor / REPEATS}


def wait(command, **more):
    """Runs a command; its processor time and its own peak memory."""
    process = subprocess.Popen(command, **more)
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise subprocess.CalledProcessError(process.returncode, command)
    return {"processor": usage.ru_utime + usage.ru_stime, "memory": usage.ru_maxrss / 1024}


def measure_peer(python, name, threads):
    said = WORK / "said.json"
    with open(WORK / "peers.log", "ab") as log:
        command = [python, peers.__file__, name, str(threads), WORK, said]
        usage = wait(command, env=peers.environment(threads), stdout=log, stderr=log)
    return {**usage, **json.loads(said.read_text())}


def report(results, failed, passages):
    tokens = json.loads((WORK / "tokens.json").read_text())["whole"]
    rounds = min(result["rounds"] for result in results.values())
    lines = [
        f"{' '.join(passages)} passages, {tokens} tokens, best of at least {rounds} rounds.",
        "",
        "| what | threads | tokens per second | per processor second | of leasehold's | peak memory, MB | worst cosine |",
        "| --- | --- | --- | --- | --- | --- | --- |",
    ]
    for key, result in results.items():
        name, threads = key.rsplit(" / ", 1)
        ours = results.get(f"leasehold {peers.precision(name)} / {threads}")
        share = f"{ours['processor'] / result['processor']:.2f}" if ours else "-"
        cosine = worst_cosine(name)
        rates = f"{tokens / result['wall']:.0f} | {tokens / result['processor']:.0f}"
        lines.append(f"| {name} | {threads} | {rates} | {share} | {result['memory']:.0f} | {cosine} |")
    lines += [f"\nNot measured: {key}: {reason}" for key, reason in failed.items()]
    return "\n".join(lines) + "\n"


def worst_cosine(name):
    """Worst cosine to PyTorch f32 over all passages, by the environment's numpy."""
    script = (
        "import numpy, sys; a, b = (numpy.load(path).astype('f8') for path in sys.argv[1:]);"
        "n = min(len(a), len(b)); print(f'{(a[:n] * b[:n]).sum(1).min():.5f}')"
    )
    command = [WORK / "venv" / "bin" / "python", "-c", script, WORK / f"{peers.REFERENCE}.npy", WORK / f"{name}.npy"]
    said = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    return said.stdout.strip() or "-"


if __name__ == "__main__":
    main()
