"""The words of a ComfyUI graph: conditioning followed back to its texts, and texts to their pieces.

Combined conditioning becomes our AND, joined one our BREAK; each text is written in our marks.
"""

import re

from studio.formats.foreign.graph import Graph, Link, Node, link_of
from studio.formats.foreign.notes import LONGEST_SHOWN, Notes, number_of, text_of, told, whole_of
from studio.formats.foreign.weighting import comfy, translated
from studio.request import MAX_PROMPT

DEEPEST = 40
LONGEST = 2 * MAX_PROMPT  # letters of a text that was put together
MOST_WRITTEN = 8 * MAX_PROMPT  # letters whose marks are looked at, of one graph
MOST_KEPT = 100
WRITTEN = "ComfyUI's marks in the {} are written in ours, so that they weigh the same."
# Nodes of texts: which input is the text, and which may hold another one beside it.
TEXTS = (
    ("t5xxl", ("clip_l", "clip_g")),
    ("text_g", ("text_l",)),
    ("mt5xl", ("bert",)),
    ("text", ()),
    ("prompt", ()),
    ("user_prompt", ("system_prompt",)),
    ("string", ()),
)
# Inputs that a node of one value keeps it in.
PLAIN = (
    *("value", "text", "string", "int", "float", "seed", "number", "Text", "String", "STRING"),
    *("prompt", "text_0", "Value", "val", "a", "boolean", "input", "any"),
)
JOINED = re.compile(r"(?:string|text|str|prompt)_?(?:[a-z]|\d{1,2})?", re.I)
EMBEDDING = re.compile(r"embedding:[\w./\\-]+")
PASSED = ("conditioning", "conditioning_1", "conditioning_to", "cond", "base_conditioning")


class Words:
    def __init__(self, graph: Graph, notes: Notes) -> None:
        self.graph, self.notes = graph, notes
        self.guidance: float | None = None
        self.skip = 0
        self.field = "prompt"
        self._left = MOST_WRITTEN
        self._known: dict[tuple[str, str], str] = {}  # texts are met again and again

    def read(self, node: Node) -> None:
        """Both texts of a sampler or a guider."""
        for field, names in (
            ("prompt", ("positive", "conditioning", "cond1")),
            ("negative_prompt", ("negative", "cond2")),
        ):
            self.field = field
            link = node.link(*names)
            text = self._conditioning(link, 0) if link else None
            if text is not None and (text or field == "prompt"):
                self.notes.fields[field] = text

    def skipped(self, layers: int) -> None:
        if layers > 1 and layers != self.skip:
            self.skip = layers
            self.notes.lack(
                f"Clip skip {layers} is not done here; a model reads its text encoders "
                "as it was taught."
            )

    def value(self, node: Node, name: str, depth: int = 0) -> object:
        """What stands in an input, or comes to it along a link."""
        value = node.inputs.get(name)
        link = link_of(value)
        return self._plain(link, depth) if link else value

    def _plain(self, link: Link, depth: int) -> object:
        found = self.graph.at(link)
        if found is None or depth > DEEPEST:
            return None
        node = found[0]
        if "concat" in node.kind.lower() or "join" in node.kind.lower():
            return self._joined(node, depth)
        name = next((name for name in PLAIN if name in node.inputs), None)
        if name is None:
            self.notes.leave(f"node {node.kind}", dict(node.inputs))
            return None
        return self.value(node, name, depth + 1)

    def _joined(self, node: Node, depth: int) -> str:
        between = text_of(self.value(node, "delimiter", depth + 1))
        if "separator" in node.inputs:
            between = text_of(self.value(node, "separator", depth + 1))
        names = [name for name in node.inputs if JOINED.fullmatch(name)][:MOST_KEPT]
        parts = [text_of(self.value(node, name, depth + 1)) for name in names]
        return between.replace("\\n", "\n").join(part for part in parts if part)[:LONGEST]

    def _conditioning(self, link: Link | None, depth: int) -> str | None:
        """The text that led to it, in our marks."""
        found = self.graph.at(link)
        if found is None or depth > DEEPEST:
            self.notes.leave(f"{self.field}: link", "it leads nowhere")
            return None
        node, slot = found
        inputs = node.inputs
        if "guidance" in inputs and (number := number_of(self.value(node, "guidance"))) is not None:
            self.guidance = number if self.field == "prompt" else self.guidance
        match node.kind:
            case "ConditioningZeroOut":
                return ""
            case "ConditioningCombine" | "ConditioningAverage":
                return self._mixed(node, depth)
            case "ConditioningConcat":
                return self._several(node, depth, "conditioning_to", "conditioning_from", " BREAK ")
        if inputs.keys() >= {"positive", "negative"}:
            return self._both(node, slot, depth)
        for name, beside in TEXTS:
            if name in inputs:
                return self._text(node, name, beside)
        if further := node.link(*PASSED):
            if node.kind != "FluxGuidance":
                held = [(k, v) for k, v in inputs.items() if not link_of(v)]
                self.notes.lack(f"{node.kind} is not done here ({told(held[:8])}).")
            return self._conditioning(further, depth + 1)
        self.notes.leave(f"{self.field}: node {node.kind}", dict(inputs))
        return None

    def _both(self, node: Node, slot: int, depth: int) -> str | None:
        """A node that both go through, or one that holds both as texts."""
        if link_of(node.inputs["positive"]) and link_of(node.inputs["negative"]):
            held = [(k, v) for k, v in node.inputs.items() if not link_of(v)]
            self.notes.lack(f"{node.kind} is not done here ({told(held[:8])}).")
            return self._conditioning(node.link("negative" if slot == 1 else "positive"), depth + 1)
        return self._text(node, "negative" if self.field != "prompt" else "positive", ())

    def _several(self, node: Node, depth: int, one: str, other: str, between: str) -> str | None:
        parts = [self._conditioning(node.link(name), depth + 1) for name in (one, other)]
        return between.join(part for part in parts if part)[:LONGEST]

    def _mixed(self, node: Node, depth: int) -> str | None:
        if node.kind == "ConditioningCombine":
            return self._several(node, depth, "conditioning_1", "conditioning_2", " AND ")
        share = number_of(self.value(node, "conditioning_to_strength"))
        to, other = (
            self._conditioning(node.link(name), depth + 1)
            for name in ("conditioning_to", "conditioning_from")
        )
        if share is None or not 0 <= share <= 1 or to is None or other is None:
            return to
        return f"{to} :{share:.4g} AND {other} :{1 - share:.4g}"[:LONGEST]

    def _text(self, node: Node, name: str, beside: tuple[str, ...]) -> str:
        known = self._known.get((node.id, name))
        if known is None:
            known = self._known[node.id, name] = self._ours(node, name, beside)
        return known

    def _ours(self, node: Node, name: str, beside: tuple[str, ...]) -> str:
        text = text_of(self.value(node, name))
        for more in beside:
            other = text_of(self.value(node, more))
            if other and not text:
                text = other
            elif other and other != text:
                cut = other[:LONGEST_SHOWN]
                self.notes.lack(
                    f"A text of its own for one encoder is not done here ({more}: {cut})."
                )
        self._clip(node.link("clip", "CLIP"))
        for embedding in dict.fromkeys(EMBEDDING.findall(text)):
            self.notes.lack(f"Textual inversion is not done here ({embedding[:80]}).")
        if node.kind.startswith("smZ"):  # which reads A1111's marks
            return text[:LONGEST]
        if len(text) > self._left:
            self.notes.lack("So much text is not read mark by mark; brackets may weigh otherwise.")
            return text[:LONGEST]
        self._left -= len(text)
        ours = translated(text, comfy)
        said = WRITTEN.format(self.field.replace("_", " "))
        if ours != text and said not in self.notes.translated:
            self.notes.translated.append(said)
        return ours

    def _clip(self, link: Link | None) -> None:
        for _ in range(DEEPEST):
            found = self.graph.at(link)
            if found is None:
                return
            layer = whole_of(self.value(found[0], "stop_at_clip_layer"))
            if layer is not None:
                self.skipped(-layer)
            link = found[0].link("clip", "CLIP")
