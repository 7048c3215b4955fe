"""Which verbs the command line has, and what each is told. It imports no room."""

import argparse
from pathlib import Path
from typing import get_args

from studio.request import Expand
from studio.settings import Settings


def parser() -> argparse.ArgumentParser:
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
    root = argparse.ArgumentParser(
        prog="app.py", description="Darkroom, an image studio.", parents=[common]
    )
    root.set_defaults(
        verb="serve", host=None, port=None, gpus=None, data=None, share=False, insecure=False
    )
    verbs = root.add_subparsers()
    verbs.add_parser("serve", parents=[common], help="serve (the default)")
    paints = verbs.add_parser("paint", parents=[common], help="paint without a server")
    paints.add_argument("--out", default="picture.png", help="png, jpg or webp by its ending")
    paints.add_argument("--start-image", type=Path, metavar="FILE", help="to begin from")
    paints.add_argument("--mask", type=Path, metavar="FILE", help="white where it may change")
    paints.add_argument("--reference", type=Path, metavar="FILE", action="append", default=[])
    paints.add_argument("--fit", choices=("cover", "contain"))
    paints.add_argument("--strength", type=float)
    paints.set_defaults(verb="paint")
    many = verbs.add_parser("bulk", parents=[common], help="check or paint a file of many pictures")
    many.add_argument("file", type=Path, help="as docs/bulk.md says")
    many.add_argument("--dry-run", action="store_true", help="check it and say what it would cost")
    many.add_argument("--again", action="store_true", help="also what is painted or waits already")
    many.add_argument("--form", help="markdown, csv, jsonl or lines, where its name says another")
    many.add_argument("--json", action="store_true", help="a line for each picture, for programs")
    many.set_defaults(verb="bulk")
    tells = verbs.add_parser("truth", parents=[common], help="what a model makes of a prompt")
    tells.set_defaults(verb="truth")
    for verb in (paints, tells):
        _wish_arguments(verb)
    larger = verbs.add_parser("upscale", parents=[common], help="enlarge a picture")
    larger.add_argument("file")
    larger.add_argument("--times", type=int, choices=(2, 4), default=4)
    larger.add_argument("--upscaler", help="of those here: `models list` names them")
    larger.add_argument("--out", "-o", help="png, jpg or webp by its ending")
    larger.set_defaults(verb="upscale")
    once_more = verbs.add_parser("rerun", parents=[common], help="paint a picture again exactly")
    once_more.add_argument("file", type=Path, help="a PNG, JPEG or WebP, also of another tool")
    once_more.add_argument("--model", default="", help="to paint it, where its own is not here")
    once_more.add_argument("--out", type=Path, help="where to put the new one too")
    once_more.set_defaults(verb="rerun")
    says = verbs.add_parser("read", parents=[common], help="what pictures of any tool say")
    says.add_argument("files", type=Path, nargs="+", metavar="FILE")
    says.add_argument("--json", action="store_true", help="for programs, a line each")
    says.add_argument("--hashes", action="store_true", help="read large models for theirs, too")
    says.set_defaults(verb="read")
    check = verbs.add_parser("doctor", parents=[common], help="check this machine")
    check.add_argument("--json", action="store_true", help="for programs")
    check.set_defaults(verb="doctor")
    again = verbs.add_parser("recover", parents=[common], help="find the history in the pictures")
    again.set_defaults(verb="recover")
    _file_verbs(verbs, common)
    finds = verbs.add_parser("search", parents=[common], help="the history, while it runs")
    finds.add_argument("q", nargs="?", default="", help="words and fields: docs/search.md")
    finds.add_argument(
        "--sort", default="newest", help="newest, oldest, rating, relevance or collection"
    )
    finds.add_argument("--limit", type=int, default=20, help="at most so many, up to 200")
    finds.add_argument("--after", help="where the last answer said that the next begin")
    finds.add_argument("--json", action="store_true", help="for programs")
    finds.set_defaults(verb="search")
    those = verbs.add_parser("models", parents=[common], help="list, add, pull, check, remove")
    those.add_argument("what", choices=("list", "add", "pull", "check", "remove"))
    those.add_argument("names", nargs="*", help="of models; check: all here; add: OWNER/REPO")
    those.add_argument("--name", default="", help="how the model that is added is called")
    those.set_defaults(verb="models")
    worn = verbs.add_parser("loras", parents=[common], help="list, pull or remove LoRAs")
    worn.add_argument("what", choices=("list", "pull", "remove"))
    worn.add_argument("names", nargs="*", help="OWNER/REPO[/FILE][@REVISION], or one that is here")
    worn.add_argument("--name", default="", help="how what is pulled is called here")
    worn.set_defaults(verb="loras")
    dressed = verbs.add_parser("looks", parents=[common], help="list, import, export, remove looks")
    dressed.add_argument("what", choices=("list", "import", "export", "remove"))
    dressed.add_argument("names", nargs="*", help="a styles.csv, or a look to remove")
    dressed.add_argument("--replace", action="store_true", help="looks of the same names, too")
    dressed.set_defaults(verb="looks")
    return root


def _file_verbs(
    verbs: "argparse._SubParsersAction[argparse.ArgumentParser]", common: argparse.ArgumentParser
) -> None:
    check = verbs.add_parser("fsck", parents=[common], help="whether history and files agree")
    check.add_argument("--deep", action="store_true", help="read every file, too")
    check.add_argument("--repair", action="store_true", help="mend what loses nothing")
    check.add_argument("--json", action="store_true", help="for programs")
    check.set_defaults(verb="fsck")
    copy = verbs.add_parser("backup", parents=[common], help="copy the data folder, while it runs")
    copy.add_argument("to", type=Path)
    copy.add_argument("--link", type=Path, metavar="EARLIER", help="a copy to share files with")
    copy.add_argument("--loras", action="store_true", help="copy the LoRAs, too")
    copy.add_argument("--verify", action="store_true", help="then read every file of the copy")
    copy.set_defaults(verb="backup")
    back = verbs.add_parser("restore", parents=[common], help="put a copy back; nothing is lost")
    back.add_argument("copy", type=Path)
    back.set_defaults(verb="restore")
    bring = verbs.add_parser("import", parents=[common], help="take a folder of pictures in")
    bring.add_argument("folder", type=Path, help="it is read; nothing in it is changed")
    bring.add_argument("--owner", default="local", help="whose pictures they are")
    bring.set_defaults(verb="import")
    tidy = verbs.add_parser("tidy", parents=[common], help="what is old goes to the trash")
    tidy.add_argument("--dry-run", action="store_true", help="only say what would; while it runs")
    tidy.set_defaults(verb="tidy")
    out = verbs.add_parser("export", parents=[common], help="pictures as one ZIP, while it runs")
    out.add_argument("--zip", type=Path, required=True, metavar="FILE")
    out.add_argument("--id", action="append", metavar="ID", help="of a picture; may be repeated")
    out.add_argument("--job", default="", help="all pictures of a job")
    out.add_argument("--batch", default="", help="all pictures of a batch")
    out.add_argument("--q", metavar="SEARCH", help="all that a search finds: docs/search.md")
    out.add_argument("--name", default="", help="template of the file names in it: docs/files.md")
    out.set_defaults(verb="export")


def _wish_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("prompt")
    for name in ("negative_prompt", "model", "aspect", "sampler", "look", "quality", "precision"):
        parser.add_argument(f"--{name.replace('_', '-')}")
    parser.add_argument("--expand", choices=get_args(Expand), help="choices such as {a|b}")
    for name in ("width", "height", "seed", "steps", "count", "nth"):
        parser.add_argument(f"--{name}", type=int)
    parser.add_argument("--guidance", type=float)
    parser.add_argument("--upscale", type=int, choices=(1, 2, 4))
    parser.add_argument("--upscaler", help="of those here: `models list` names them")
    parser.add_argument("--lora", action="append", default=[], metavar="NAME[:WEIGHT]")
