"""The front door: opens the studio and serves it, paints from it, or checks the machine.

python app.py | paint "a red car" | bulk FILE            serve page and APIs; paint one, or many
python app.py upscale FILE | rerun FILE | read FILE      enlarge it; paint it again; what it says
python app.py truth "a (red:1.3) car" --model sdxl       what the model will read, weigh and lose
python app.py search "cat star:yes" | export --zip F     what was painted: found, and as one ZIP
python app.py doctor | fsck | recover | backup | restore  what is wrong; again; a copy, and back
python app.py models list | pull NAME | add OWNER/REPO   those here, from the hub; also loras
"""

import argparse
import io
import json
import logging
import os
import signal
import sys
import threading
from contextlib import ExitStack

from studio.errors import DarkroomError
from studio.formats.spoken import counted
from studio.garbage import uncollected
from studio.models.hashes import keep_hashes_in
from studio.settings import Settings, load_settings
from studio.terminal.arguments import parser


def main(arguments: list[str] | None = None) -> int:
    asked = parser().parse_args(arguments)
    if isinstance(sys.stdout, io.TextIOWrapper):  # names and prompts may hold what it cannot show
        sys.stdout.reconfigure(errors="replace")
    try:
        settings = load_settings(
            **{name: getattr(asked, name) for name in ("host", "port", "gpus", "data")},
            share=asked.share or None,
            insecure=asked.insecure or None,
        )
        logging.basicConfig(format="%(levelname)s %(name)s: %(message)s")
        logging.getLogger("darkroom").setLevel(settings.log_level.upper())
        keep_hashes_in(settings.model_folder)
        code = _act(settings, asked)
        sys.stdout.flush()
        return code
    except DarkroomError as error:
        print(f"darkroom: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("darkroom: stopped.", file=sys.stderr)
        return 130
    except BrokenPipeError:  # whoever reads along, such as head, has had enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1


def _act(settings: Settings, asked: argparse.Namespace) -> int:
    match asked.verb:
        case "paint" | "upscale" | "rerun" | "truth":
            from studio.terminal import painting

            return int(getattr(painting, asked.verb)(settings, asked))
        case "bulk":
            from studio.terminal import bulk

            return bulk.bulk(settings, asked)
        case "models" | "loras":
            from studio.terminal import models

            return int(getattr(models, asked.verb)(settings, asked))
        case "search":
            from studio.terminal import searching

            return searching.search(settings, asked)
        case "read":
            from studio.terminal import reading

            return reading.read(settings, asked)
        case "looks":
            from studio.terminal.looks import looks

            return looks(settings, asked)
        case "doctor":
            return doctor(settings, asked)
        case "recover":
            return recover(settings)
        case "backup" | "restore" | "import" | "export" | "fsck" | "tidy":
            from studio.terminal import files

            return int(files.VERBS[asked.verb](settings, asked))
    return serve(settings)


def serve(settings: Settings) -> int:
    from studio.jobs.studio import Studio
    from studio.web.quiet import prepare

    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    prepare(settings)
    with ExitStack() as ends:
        with uncollected(to_stay=True):  # a quarter of the start went into looking for garbage
            studio = Studio.open(settings)  # its workers import torch, this process gradio
            ends.callback(studio.close)
            from studio.web.site import serve as open_site

            site = open_site(studio, block=False)
        print(f"Darkroom is open at {site.url}", flush=True)
        if said := studio.store.reading:
            print(said, flush=True)
        stop.wait()
        print("Closing; running pictures may finish.", flush=True)
        site.close()
    return 0


def doctor(settings: Settings, asked: argparse.Namespace) -> int:
    from studio.jobs.doctor import examine

    findings = examine(settings)
    if asked.json:
        print(json.dumps([finding.as_dict() for finding in findings], indent=2))
    else:
        for finding in findings:
            print(f"{finding.mark} {finding.what:<10} {finding.said}")
    return 0 if all(finding.good for finding in findings) else 1


def recover(settings: Settings) -> int:
    from studio.store.recover import recover as find_again

    recovery = find_again(settings)
    for path in recovery.aside:
        print(f"set aside: {path}")
    for name, why in recovery.left:
        print(f"left as it is: {name}: {why}")
    pictures, jobs = counted(recovery.pictures, "picture"), counted(recovery.jobs, "job")
    print(f"In the history again: {pictures} of {jobs}.")
    return 0


if __name__ == "__main__":
    sys.exit(main())
