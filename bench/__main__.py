"""`python -m bench NAME`: every published figure has one command, and this lists them."""

import argparse
import importlib
import sys

BENCHES = {
    "overhead": "what the studio adds to a direct call of the pipeline, in milliseconds",
    "startup": "from the command to the page, over the imports that cannot be avoided",
    "schedule": "the schedule against first come first served and a fixed split, on traces",
    "line": "submitting, claiming and finishing jobs while very many wait",
    "bulk": "a file of 10,000 prompts checked and written down; importers killed in the middle",
    "estimate": "forecasts of when a picture ends, against when it did",
    "throughput": "the server with a full line against bare workers; waits at 70 % of that",
    "encode": "PNG, thumbnail and a large save against Pillow's own ways: speed, size, pixels",
    "handover": "how long a slot waits between two jobs, on a card that is played",
    "half": "one step in bf16 against fp32 on this CPU",
    "gpu": "full-size models with random weights on a card: seconds, memory, arithmetic",
    "eye": "how far pictures are apart that look the same, and those that do not",
    "memory": "how each model would be placed on cards of 8 to 141 GB; nothing is loaded",
    "zip": "a ZIP of 10,000 pictures from the server: speed, memory, and when nobody takes it",
    "read": "pictures of other tools: how soon each is read, and 100,000 of them mutated",
    "history": "searches, pages and facets among up to a million pictures, with a plot",
    "importing": "10,000 pictures from a folder into the history, and fsck over them",
    "kill": "kill -9 of server and workers at random instants; what was lost or doubled",
}


def main() -> int:
    listed = "\n".join(f"  {name:<10} {words}" for name, words in BENCHES.items())
    parser = argparse.ArgumentParser(
        prog="python -m bench",
        epilog=listed,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("name", choices=BENCHES, metavar="NAME")
    named = parser.parse_args(sys.argv[1:2])
    bench = importlib.import_module(f"bench.{named.name}")  # one may need torch, another must not
    options = argparse.ArgumentParser(prog=f"python -m bench {named.name}")
    options.add_argument("--save", action="store_true", help="keep the figures in bench/results")
    bench.arguments(options)
    return int(bench.main(options.parse_args(sys.argv[2:])))


if __name__ == "__main__":
    sys.exit(main())
