"""Draws results.json of a directory as bars: python plot.py DIRECTORY"""

import json
import pathlib
import sys


def main():
    try:
        import matplotlib
    except ImportError:
        return print("no plot: matplotlib is not there")
    matplotlib.use("Agg")
    import matplotlib.pyplot as pyplot

    place = pathlib.Path(sys.argv[1])
    results = json.loads((place / "results.json").read_text())["results"]
    tokens = json.loads((place / "tokens.json").read_text())["whole"]
    names = sorted(results, key=lambda name: tokens / results[name]["wall"])
    rates = [tokens / results[name]["wall"] for name in names]
    colours = ["tab:green" if name.startswith("leasehold") else "tab:gray" for name in names]
    figure, axes = pyplot.subplots(figsize=(9, 0.3 * len(names) + 1))
    axes.barh(names, rates, color=colours)
    axes.set_xlabel("tokens per second (name / threads)")
    figure.tight_layout()
    figure.savefig(place / "plot.png", dpi=120)


if __name__ == "__main__":
    main()
