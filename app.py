"""The front door: opens the studio and serves it, paints from it, or checks the machine.

python app.py                                            serve the page and the APIs
python app.py paint "a red car" --seed 7 --out car.png   paint without a server
python app.py upscale FILE | rerun FILE                  enlarge it; paint it again: the same?
python app.py truth "a (red:1.3) car" --model sdxl       what the model will read, weigh and lose
python app.py doctor | recover | backup FOLDER           what is wrong; the history again; a copy
python app.py models list | pull NAME | add OWNER/REPO   those here, from the hub; also loras
"""

import argparse
import json
import logging
import shutil
import signal
import sys
import threading
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from studio.catalog import Catalog
from studio.errors import DarkroomError, Refused, Unavailable
from studio.loras import use_of
from studio.safety import CheckerCard, checker_folder, load_checkers
from studio.settings import Settings, load_settings

if TYPE_CHECKING:
    from studio.jobs.studio import Studio
    from studio.request import ImageRequest


def main(arguments: list[str] | None = None) -> int:
    asked = _parser().parse_args(arguments)
    try:
        settings = load_settings(
            **{name: getattr(asked, name) for name in ("host", "port", "gpus", "data")},
            share=asked.share or None,
            insecure=asked.insecure or None,
        )
        logging.basicConfig(format="%(levelname)s %(name)s: %(message)s")
        logging.getLogger("darkroom").setLevel(settings.log_level.upper())
        return int(asked.act(settings, asked))
    except DarkroomError as error:
        print(f"darkroom: {error}", file=sys.stderr)
        return 1


def serve(settings: Settings, asked: argparse.Namespace) -> int:
    from studio.jobs.studio import Studio
    from studio.web.quiet import prepare

    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    prepare(settings)
    studio = Studio.open(settings)  # its workers import torch while this process imports gradio
    try:
        from studio.web.site import serve as open_site

        site = open_site(studio, block=False)
        print(f"Darkroom is open at {site.url}", flush=True)
        stop.wait()
        print("Closing; running pictures may finish.", flush=True)
        site.close()
    finally:
        studio.close()
    return 0


def paint(settings: Settings, asked: argparse.Namespace) -> int:
    from studio.request import read_request

    out = Path(asked.out)
    fields = _wished(asked) | {"output_format": _kind(out)}
    fields |= {name: getattr(asked, name) for name in ("strength", "fit")}  # None is none given
    read_request(fields | {"prompt": asked.prompt or "of a picture"})  # refused before it opens
    return _paint(settings, lambda studio: read_request(fields | _handed_in(studio, asked)), out)


def upscale(settings: Settings, asked: argparse.Namespace) -> int:
    from studio.enlarging import NAME
    from studio.request import read_request

    file = Path(asked.file)
    out = Path(asked.out or file.with_name(f"{file.stem}-{asked.times}x.png"))
    if not file.is_file():
        raise Refused(f"file: there is no {file}.", field="file")

    def wish(studio: "Studio") -> "ImageRequest":
        kept = _taken(studio, file, "file")
        fields = {"model": NAME, "prompt": "", "start_image": kept, "upscale": asked.times}
        return read_request(
            fields | {"upscaler": asked.upscaler or "", "output_format": _kind(out)}
        )

    return _paint(settings, wish, out)


def _paint(settings: Settings, wish_of: Callable[["Studio"], "ImageRequest"], out: Path) -> int:
    """One wish, in a studio of its own."""
    from studio.jobs.studio import Studio

    out.parent.mkdir(parents=True, exist_ok=True)
    studio = Studio.open(settings)
    try:
        wish = wish_of(studio)
        if studio.store.paused:
            raise Unavailable(PAUSED)
        view = _painted(studio.line, studio.line.submit([wish])[0])
        for picture in view.pictures:
            file = out if len(view.pictures) == 1 else out.with_stem(f"{out.stem}-{picture.index}")
            shutil.copyfile(studio.store.file(picture), file)
            about = f"{picture.width} x {picture.height}, seed {picture.seed}"
            print(f"{file}  {about}  {view.words}")
    finally:
        studio.close()
    return 0


def rerun(settings: Settings, asked: argparse.Namespace) -> int:
    from studio.jobs.studio import Studio

    data = _read(asked.file)
    studio = Studio.open(settings)
    try:
        if studio.store.paused:
            raise Unavailable(PAUSED)
        view = _painted(studio.line, studio.line.rerun_file(data))
        if asked.out:
            shutil.copyfile(studio.store.file(view.pictures[0]), asked.out)
        print(f"{asked.file}: {view.rerun.words}")
        return 0 if view.rerun.comparison.answer != "different" else 1
    finally:
        studio.close()


def truth(settings: Settings, asked: argparse.Namespace) -> int:
    from studio.jobs.reader import Reader
    from studio.jobs.truth import tell_truth
    from studio.loras import find_loras
    from studio.presets import load_catalog
    from studio.request import read_request

    catalog = load_catalog(settings.presets, settings.default_model)
    wish = read_request(_wished(asked))
    settled = catalog.settle(wish, find_loras(settings.model_folder))
    reader = Reader()
    try:
        told = tell_truth(settled, catalog.looks, settings, reader)
    finally:
        reader.close()
    print(json.dumps(told, indent=2, ensure_ascii=False))
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


def recover(settings: Settings, asked: argparse.Namespace) -> int:
    from studio.store.recover import recover as find_again

    recovery = find_again(settings)
    for path in recovery.aside:
        print(f"set aside: {path}")
    for name, why in recovery.left:
        print(f"left as it is: {name}: {why}")
    print(f"{recovery.pictures} pictures of {recovery.jobs} jobs are in the history again.")
    return 0


def backup(settings: Settings, asked: argparse.Namespace) -> int:
    from studio.store.backup import backup as copy

    done = copy(settings, asked.to)
    for name in done.missing:
        print(f"not there any more: {name}")
    print(f"{asked.to}: {done.copied} files copied, {done.there} were there.")
    return 0


def models(settings: Settings, asked: argparse.Namespace) -> int:
    from studio import disk, hub, upscalers
    from studio.presets import load_catalog
    from studio.weights import absent

    folder, token = settings.model_folder, settings.hf_token or None
    catalog = load_catalog(settings.presets, settings.default_model, folder)
    checkers = load_checkers(settings.presets)
    if asked.what == "list":
        return _list(catalog, checkers, asked.names, folder)
    if not asked.names and asked.what != "check":
        raise Refused(f"models {asked.what}: which? `models list` names them.", field="name")
    if asked.what == "add":
        for repo in asked.names:
            print(hub.add(repo, asked.name, catalog, folder, token))
        return 0
    enlarging, names = upscalers.split(asked.names, catalog.upscalers, folder)
    wrong = sum(upscalers.tend(asked.what, one, folder) for one in enlarging)
    if asked.what == "pull":
        for name in checkers.keys() & set(names):
            hub.pull_checker(checkers[name], folder, token)
            print(f"{checkers[name].title} is here.")
            names.remove(name)
    if asked.names and not names:
        return 1 if wrong else 0
    cards = [catalog.find(name) for name in names] or list(catalog.cards.values())
    if not asked.names:  # of all that are here
        cards = [card for card in cards if not absent(card, folder)]
    for card in cards:
        if asked.what == "pull":
            hub.pull(card, folder, token)
            print(f"{card.title} is here.")
        elif asked.what == "remove":
            print(disk.remove(card, list(catalog.cards.values()), folder))
        else:
            flaws = disk.check(card, folder)
            wrong += len(flaws)
            print("\n".join(f"{card.name}: {said}" for said in flaws or ["all of it is well."]))
    return 1 if wrong else 0


def loras(settings: Settings, asked: argparse.Namespace) -> int:
    from studio.lora_hub import act

    print(*act(asked.what, asked.names, settings, asked.name), sep="\n")
    return 0


def _painted(line: Any, job: Any) -> Any:
    """The view of the job once it is done. What is known of it before is said before."""
    for warning in job.warnings:
        print(f"note: {warning}", file=sys.stderr)
    view = line.wait(job.id, timeout=float("inf"))
    for warning in view.job.warnings[len(job.warnings) :]:
        print(f"note: {warning}", file=sys.stderr)
    if view.job.state != "done":
        raise DarkroomError(view.words)
    return view


def _read(file: Path) -> bytes:
    try:
        return file.read_bytes()
    except OSError as error:
        raise Refused(f"{file}: {error.strerror}.") from None


def _list(
    catalog: Catalog, checkers: Mapping[str, CheckerCard], names: list[str], folder: Path
) -> int:
    """Those that are named, or all, and then what lies in the model folder and is none."""
    from studio import disk, upscalers

    enlarging = upscalers.find_upscalers(catalog.upscalers, folder)
    cards, checking = list(catalog.cards.values()), list(checkers.values())
    if names:
        enlarging, others = upscalers.split(names, catalog.upscalers, folder)
        checking = [checkers[name] for name in others if name in checkers]
        cards = [catalog.find(name) for name in others if name not in checkers]
    for there in disk.survey(cards, folder):
        size = f"{there.gb:6.1f} GB" if there.gb else " " * 9
        print(f"{there.card.name:<18} {size}  {there.place:<20} {there.card.title}")
    for one in enlarging:
        print(f"{one.card.name:<29} {one.place:<20} {one.card.title}, enlarges")
    for checker in checking:
        place = "here" if checker_folder(checker, folder) else "not here"
        print(f"{checker.name:<29} {place:<20} {checker.title}, checks pictures")
    for found in () if names else catalog.brought():
        if found.refused:
            print(f"{found.name:<29} {'cannot be used':<20} {found.path.name}: {found.refused}")
    return 0


PAUSED = (
    "The line of this data folder is paused. Start the server and POST to /api/queue/resume, or "
    "delete the file `paused` there."
)
FORMATS = {".png": "png", ".jpg": "jpeg", ".jpeg": "jpeg", ".webp": "webp"}


def _wished(asked: argparse.Namespace) -> dict[str, object]:
    names = ("negative_prompt", "model", "aspect", "width", "height", "seed", "steps", "guidance")
    names += ("sampler", "count", "look", "quality", "precision", "upscale", "upscaler")
    given = {name: getattr(asked, name) for name in names if getattr(asked, name) is not None}
    return {"prompt": asked.prompt, "loras": [use_of(text) for text in asked.lora], **given}


def _kind(out: Path) -> str:
    """An ending we do not know is passed on as it is: the request names the three that exist."""
    return FORMATS.get(out.suffix.lower(), out.suffix.lstrip(".").lower())


def _handed_in(studio: "Studio", asked: argparse.Namespace) -> dict[str, object]:
    """The files to paint from, as fields of a wish."""
    files = {name: getattr(asked, name) for name in ("start_image", "mask")}
    named: dict[str, object] = {
        name: _taken(studio, file, name) for name, file in files.items() if file
    }
    references = [{"id": _taken(studio, file, "references")} for file in asked.reference]
    return named | {"references": references}


def _taken(studio: "Studio", file: Path, field: str) -> str:
    kept, notes = studio.store.take(_read(file), field)
    for note in notes:
        print(f"note: {field}: {note}", file=sys.stderr)
    return kept.id


def _parser() -> argparse.ArgumentParser:
    common = argparse.ArgumentParser(add_help=False)
    fields = Settings.model_fields
    for name, kind in (("host", str), ("port", int), ("gpus", str), ("data", Path)):
        common.add_argument(
            f"--{name}", type=kind, default=argparse.SUPPRESS, help=fields[name].description
        )
    for name in ("share", "insecure"):
        common.add_argument(
            f"--{name}",
            action="store_true",
            default=argparse.SUPPRESS,
            help=fields[name].description,
        )
    parser = argparse.ArgumentParser(
        prog="app.py", description="Darkroom, an image studio.", parents=[common]
    )
    parser.set_defaults(
        act=serve, host=None, port=None, gpus=None, data=None, share=False, insecure=False
    )
    verbs = parser.add_subparsers(
        metavar="{serve,paint,truth,upscale,rerun,doctor,recover,backup,models,loras}"
    )
    verbs.add_parser("serve", parents=[common], help="serve (the default)")
    paints = verbs.add_parser("paint", parents=[common], help="paint without a server")
    paints.add_argument("--out", default="picture.png", help="png, jpg or webp by its ending")
    paints.add_argument("--start-image", type=Path, metavar="FILE", help="to begin from")
    paints.add_argument("--mask", type=Path, metavar="FILE", help="white where it may change")
    paints.add_argument("--reference", type=Path, metavar="FILE", action="append", default=[])
    paints.add_argument("--fit", choices=("cover", "contain"))
    paints.add_argument("--strength", type=float)
    paints.set_defaults(act=paint)
    tells = verbs.add_parser("truth", parents=[common], help="what a model makes of a prompt")
    tells.set_defaults(act=truth)
    for verb in (paints, tells):
        _wish_arguments(verb)
    larger = verbs.add_parser("upscale", parents=[common], help="enlarge a picture")
    larger.add_argument("file")
    larger.add_argument("--times", type=int, choices=(2, 4), default=4)
    larger.add_argument("--upscaler", help="of those here: `models list` names them")
    larger.add_argument("--out", "-o", help="png, jpg or webp by its ending")
    larger.set_defaults(act=upscale)
    once_more = verbs.add_parser("rerun", parents=[common], help="paint a picture again exactly")
    once_more.add_argument("file", type=Path, help="a PNG, JPEG or WebP of this studio")
    once_more.add_argument("--out", type=Path, help="where to put the new one too")
    once_more.set_defaults(act=rerun)
    check = verbs.add_parser("doctor", parents=[common], help="check this machine")
    check.add_argument("--json", action="store_true", help="for programs")
    check.set_defaults(act=doctor)
    again = verbs.add_parser("recover", parents=[common], help="find the history in the pictures")
    again.set_defaults(act=recover)
    copy = verbs.add_parser("backup", parents=[common], help="copy the data folder, while it runs")
    copy.add_argument("to", type=Path)
    copy.set_defaults(act=backup)
    those = verbs.add_parser("models", parents=[common], help="list, add, pull, check, remove")
    those.add_argument("what", choices=("list", "add", "pull", "check", "remove"))
    those.add_argument("names", nargs="*", help="of models; check: all here; add: OWNER/REPO")
    those.add_argument("--name", default="", help="how the model that is added is called")
    those.set_defaults(act=models)
    worn = verbs.add_parser("loras", parents=[common], help="list, pull or remove LoRAs")
    worn.add_argument("what", choices=("list", "pull", "remove"))
    worn.add_argument("names", nargs="*", help="OWNER/REPO[/FILE][@REVISION], or one that is here")
    worn.add_argument("--name", default="", help="how what is pulled is called here")
    worn.set_defaults(act=loras)
    return parser


def _wish_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("prompt")
    for name in ("negative_prompt", "model", "aspect", "sampler", "look", "quality", "precision"):
        parser.add_argument(f"--{name.replace('_', '-')}")
    for name in ("width", "height", "seed", "steps", "count"):
        parser.add_argument(f"--{name}", type=int)
    parser.add_argument("--guidance", type=float)
    parser.add_argument("--upscale", type=int, choices=(1, 2, 4))
    parser.add_argument("--upscaler", help="of those here: `models list` names them")
    parser.add_argument("--lora", action="append", default=[], metavar="NAME[:WEIGHT]")


if __name__ == "__main__":
    sys.exit(main())
