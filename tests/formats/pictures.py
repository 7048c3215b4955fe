"""Small pictures that say what pictures of other tools say, made here, in every place they use.

Nothing is taken from anybody's picture: forms are imitated, words are ours.
"""

import io
import json
import struct
import zlib
from collections.abc import Mapping

from PIL import Image
from PIL.PngImagePlugin import PngInfo

SIZE = (64, 48)
UNICODE, ASCII, JIS = b"UNICODE\0", b"ASCII\0\0\0", b"JIS\0\0\0\0\0"


def plain(kind: str, **more: object) -> bytes:
    file = io.BytesIO()
    Image.linear_gradient("L").resize(SIZE).convert("RGB").save(file, kind, **more)
    return file.getvalue()


def png(texts: Mapping[str, str], *, packed: bool = False, wide: bool = False) -> bytes:
    info = PngInfo()
    for name, text in texts.items():
        if wide:
            info.add_itxt(name, text, zip=packed)
        else:
            info.add_text(name, text, zip=packed)
    return plain("PNG", pnginfo=info)


def raw_png(*chunks: tuple[bytes, bytes]) -> bytes:
    """With chunks as they are, behind the first."""
    whole = plain("PNG")
    added = b"".join(
        len(data).to_bytes(4) + kind + data + zlib.crc32(kind + data).to_bytes(4)
        for kind, data in chunks
    )
    return whole[:33] + added + whole[33:]


def exif(tags: Mapping[int, bytes], *, order: str = ">", first: Mapping[int, bytes] = {}) -> bytes:  # noqa: B006
    """A TIFF with tags in the camera's directory, and others in the first."""
    entries = dict(first)
    mark = b"MM" if order == ">" else b"II"
    head = mark + struct.pack(order + "HI", 42, 8)
    count = len(entries) + bool(tags)
    place = 8 + 2 + 12 * count + 4
    rows, behind = b"", b""

    def row(tag: int, value: bytes, kind: int) -> bytes:
        nonlocal behind
        if len(value) <= 4:
            return struct.pack(order + "HHI", tag, kind, len(value)) + value.ljust(4, b"\0")
        at = place + len(behind)
        behind += value + b"\0" * (len(value) % 2)
        return struct.pack(order + "HHII", tag, kind, len(value), at)

    for tag, value in sorted(entries.items()):
        rows += row(tag, value, 2)
    camera = place + len(behind)
    if tags:
        rows += struct.pack(order + "HHII", 0x8769, 4, 1, camera)
        own = struct.pack(order + "H", len(tags))
        far = camera + 2 + 12 * len(tags) + 4
        stored = b""
        for tag, value in sorted(tags.items()):
            own += struct.pack(order + "HHII", tag, 7, len(value), far + len(stored))
            stored += value + b"\0" * (len(value) % 2)
        behind += own + b"\0\0\0\0" + stored
    return head + struct.pack(order + "H", count) + rows + b"\0\0\0\0" + behind


def comment(
    text: str, letters: str = "utf-16-be", head: bytes = UNICODE, order: str = ">"
) -> bytes:
    return exif({0x9286: head + text.encode(letters)}, order=order)


def jpeg(tiff: bytes = b"", *, said: bytes = b"") -> bytes:
    more = {"exif": b"Exif\0\0" + tiff} if tiff else {}
    return plain("JPEG", **more, **({"comment": said} if said else {}))


def webp(tiff: bytes = b"", *, xmp: bytes = b"") -> bytes:
    return plain("WEBP", exif=tiff, xmp=xmp)


def xmp(**inside: str) -> str:
    rows = "".join(
        f"<{name.replace('__', ':')}><rdf:Alt><rdf:li xml:lang='x-default'>{_escaped(text)}"
        f"</rdf:li></rdf:Alt></{name.replace('__', ':')}>"
        for name, text in inside.items()
    )
    return f"<x:xmpmeta><rdf:RDF><rdf:Description>{rows}</rdf:Description></rdf:RDF></x:xmpmeta>"


def graph(**changes: object) -> dict[str, dict[str, object]]:
    """ComfyUI's usual one: a checkpoint, two texts, empty latents, a sampler. A change is a node,
    or None to take one out."""
    nodes: dict[str, dict[str, object]] = {
        "3": node(
            "KSampler",
            seed=42,
            steps=20,
            cfg=7.5,
            sampler_name="euler",
            scheduler="normal",
            denoise=1.0,
            model=["4", 0],
            positive=["6", 0],
            negative=["7", 0],
            latent_image=["5", 0],
        ),
        "4": node("CheckpointLoaderSimple", ckpt_name="sd_xl_base_1.0.safetensors"),
        "5": node("EmptyLatentImage", width=832, height=1216, batch_size=1),
        "6": node("CLIPTextEncode", text="a red boat", clip=["4", 1]),
        "7": node("CLIPTextEncode", text="blurry", clip=["4", 1]),
        "8": node("VAEDecode", samples=["3", 0], vae=["4", 2]),
        "9": node("SaveImage", filename_prefix="x", images=["8", 0]),
    }
    for key, value in changes.items():
        name = key.removeprefix("n")
        if value is None:
            nodes.pop(name, None)
        else:
            nodes[name] = value  # type: ignore[assignment]
    return nodes


def node(kind: str, **inputs: object) -> dict[str, object]:
    return {"class_type": kind, "inputs": inputs, "_meta": {"title": kind}}


def changed(nodes: dict[str, dict[str, object]], key: str, **inputs: object) -> dict[str, object]:
    """One of its nodes with other inputs."""
    old = nodes[key]
    return {**old, "inputs": {**old["inputs"], **inputs}}  # type: ignore[dict-item]


def comfy(nodes: object, page: object = None) -> bytes:
    texts = {"prompt": json.dumps(nodes)} if nodes is not None else {}
    return png(texts | ({"workflow": json.dumps(page)} if page is not None else {}))


def _escaped(text: str) -> str:
    return text.replace("&", "&amp;").replace("<", "&lt;").replace('"', "&quot;")
