"""Looks at one picture after another, in a process of its own with little memory: is it whole, how
large is it, what does it say of itself; and draws a small one of each.

`python -m studio.formats.glance` is that process; `store.glancing` is who asks it. Each question is
eight bytes of length and a file; each answer a line of JSON, which says how long the thumb behind
it is.
"""

import io
import json
import os
import sys
from dataclasses import asdict
from typing import Any

from PIL import Image

from studio.formats.picture import CPU_SECONDS, Unfit, limit, whole
from studio.formats.read import read_picture

THUMB_SIDE = 320
LENGTH = 8
READ = "--read"
GENTLE = "--gentle"
NICE = 10  # where somebody paints this process has what is left over, a tenth of a core


def glance(data: bytes, *, read: bool) -> tuple[dict[str, Any], bytes]:
    """What there is to say, and the thumb. `read` asks what it says of itself, too."""
    try:
        image, form = whole(data)
        thumb = draw_thumb(image)
    except Unfit as why:
        return {"unfit": str(why)}, b""
    except MemoryError:
        return {"unfit": "it takes too much memory to read; make it smaller."}, b""
    told = {"width": image.width, "height": image.height, "form": form.lower()}
    return told | ({"reading": asdict(read_picture(data))} if read else {}), thumb


def draw_thumb(image: Image.Image) -> bytes:
    small, file = image.convert("RGB"), io.BytesIO()
    small.thumbnail((THUMB_SIDE, THUMB_SIDE))
    small.save(file, "WEBP", quality=80)
    return file.getvalue()


def main() -> None:
    asked, answers, read = sys.stdin.buffer, sys.stdout.buffer, READ in sys.argv
    if GENTLE in sys.argv and sys.platform != "win32":
        os.nice(NICE)
    while length := asked.read(LENGTH):
        data = asked.read(int.from_bytes(length))
        limit(CPU_SECONDS)
        told, thumb = glance(data, read=read)
        answers.write(json.dumps(told | {"thumb": len(thumb)}).encode() + b"\n" + thumb)
        answers.flush()


if __name__ == "__main__":
    main()
