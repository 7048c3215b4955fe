"""What the parts of the page do in the browser, in one file: each script once, whoever has it.

Gradio would send a part's script with every page, in the place of the part. Here each is given a
name, and the part calls it. The file is named by its content, so browsers keep it for good.
"""

import hashlib

import gradio as gr

GIVEN = "(element, trigger, props, server, upload, watch)"  # what Gradio gives to a part's script


def gather(page: gr.Blocks) -> str:
    """The file; from now on the parts of the page call what is in it."""
    bodies: dict[str, str] = {}
    for part in page.blocks.values():
        if isinstance(part, gr.HTML) and part.js_on_load:
            name = f"part_{_hash(part.js_on_load)[:12]}"
            bodies[name] = part.js_on_load
            part.js_on_load = f"darkroom.{name}{GIVEN}"
    parts = ",\n".join(f"{name}: function {GIVEN} {{\n{body}\n}}" for name, body in bodies.items())
    return f"window.darkroom = {{\n{parts}\n}};\n"


def address_of(script: str) -> str:
    return f"/scripts/{_hash(script)[:32]}.js"


def _hash(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()
