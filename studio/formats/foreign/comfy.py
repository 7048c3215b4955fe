"""ComfyUI: the graph walked from what was saved back to the sampler, and from there to the words.

What the walk meets and this studio does not do is said, node by node; what it cannot make out is
left with its text. Further passes after the first are said, not done.
"""

from collections.abc import Sequence

from studio.formats.foreign.comfy_words import Words
from studio.formats.foreign.graph import Graph, Link, Node, link_of, page_graph, sent_graph
from studio.formats.foreign.notes import (
    Named,
    Notes,
    Reading,
    Values,
    list_of,
    mapping_of,
    number_of,
    read_json,
    stem_of,
    text_of,
    told,
    whole_of,
)

LOADERS = ("ckpt_name", "unet_name", "base_ckpt_name", "model_path", "gguf_name", "model_name")
BACK = (
    *("samples", "latent_image", "latent", "latents", "pixels", "images", "image", "IMAGE"),
    *("upscaled_image", "samples_to"),
)
# What changes nothing that could be told from the picture.
QUIET = {
    *("VAEDecode", "VAEDecodeTiled", "VAEEncode", "PreviewImage", "TorchCompileModel", "ModelPass"),
    *("PathchSageAttentionKJ", "ModelPatchTorchSettings", "VAEEncodeTiled", "Image Save"),
}
MOST_NODES = 400  # of one walk


def read_comfy(sent: str, page: str) -> Reading | None:
    """The form that was sent to paint says more, so the page's is read where that is missing."""
    found = read_json(sent)
    graph = sent_graph(found)
    if graph is None:
        graph = page_graph(read_json(page))
    if graph is None:
        return None
    walk = _Walk(graph)
    walk.read()
    if isinstance(more := mapping_of(found).get("extraMetadata"), str | dict):
        _civitai(mapping_of(more), walk.notes)
        return walk.notes.reading("Civitai")
    return walk.notes.reading("ComfyUI")


class _Walk:
    def __init__(self, graph: Graph) -> None:
        self.graph, self.notes = graph, Notes()
        self.words = Words(graph, self.notes)

    def read(self) -> None:
        passes = self._passes()
        for kind in sorted(self.graph.unknown)[:20]:
            self.notes.leave(f"node {kind}", "its values have no names here")
        if not passes:
            kinds = sorted({node.kind for node in self.graph.nodes.values()})
            self.notes.leave("graph", f"no sampler was found among: {', '.join(kinds)}")
            return
        *later, first = passes
        for node in later:
            names = ("steps", "denoise", "start_at_step", "cfg", "sampler_name", "scheduler")
            held = [(name, value) for name in names if (value := self._value(node, name))]
            self.notes.lack(f"A further pass ({node.kind}) is not done here ({told(held)}).")
        self._sampler(first)
        if self.graph.left == 0:
            self.notes.leave("graph", "it leads on and on; it was not followed to its end")

    def _passes(self) -> list[Node]:
        """The samplers behind what was saved, the last one first."""
        ends = [node for node in self.graph.nodes.values() if _saves(node)]
        ends.sort(key=lambda node: (node.kind.startswith("Preview"), _order(node.id)))
        saved = sum("Save" in end.kind for end in ends)
        if saved > 1:
            self.notes.lack(
                f"Its graph saves {saved} pictures, and the file does not say which of them this "
                "is; the first is read."
            )
        for end in ends:
            if passes := self._back(end.link(*BACK)):
                return passes
        return [node for node in self.graph.nodes.values() if _samples(node)][:1]

    def _back(self, link: Link | None) -> list[Node]:
        passes: list[Node] = []
        met: set[str] = set()
        while (found := self.graph.at(link)) and found[0].id not in met and len(met) < MOST_NODES:
            node = found[0]
            met.add(node.id)
            if _samples(node):
                passes.append(node)
            link = node.link(*BACK)
            if link is None:
                self._begins(node)
            elif not _samples(node) and node.kind not in QUIET:
                self._lack(node)
        return passes

    def _begins(self, node: Node) -> None:
        """Where the walk ends: nothing but noise of some size, or a picture."""
        size = [self._value(node, name) for name in ("width", "height")]
        if size == [None, None]:
            sides = ("empty_latent_width", "empty_latent_height")
            size = [self._value(node, name) for name in sides]
        if isinstance(name := node.inputs.get("image"), str):
            self.notes.lack(
                f"It was painted from a picture that its file does not hold ({name[:80]})."
            )
        elif None not in size:
            self.notes.size(*size)
            several = whole_of(self._value(node, "batch_size"))
            if several and several > 1:
                self.notes.lack(
                    f"It is one of {several} that were painted at once, and its file does not say "
                    "which; here the first of them is painted."
                )
        elif not _samples(node):
            self.notes.leave(f"node {node.kind}", dict(node.inputs))

    def _sampler(self, node: Node) -> None:
        notes = self.notes
        guider = self._node(node.link("guider")) or node
        noise = self._node(node.link("noise")) or node
        sigmas = self._node(node.link("sigmas")) or node
        chosen = self._node(node.link("sampler"))
        seed = self._value(noise, "noise_seed")
        notes.whole("seed", self._value(noise, "seed") if seed is None else seed)
        notes.whole("steps", self._value(sigmas, "steps"))
        notes.schedule = text_of(self._value(sigmas, "scheduler"))
        if sigmas is not node and not notes.schedule:
            notes.schedule = sigmas.kind.removesuffix("Scheduler")
        notes.sampler = text_of(self._value(chosen or node, "sampler_name"))
        if chosen and not notes.sampler:
            notes.sampler = chosen.kind.removeprefix("Sampler")
        cfg = self._value(guider, "cfg")
        self.words.read(guider)
        if self.words.guidance is not None and number_of(cfg) in (None, 1.0):
            cfg = self.words.guidance
        elif self.words.guidance is not None:
            notes.lack(
                f"A guidance of its own (FluxGuidance {self.words.guidance:g}) beside cfg "
                "is not done here."
            )
        notes.number("guidance", cfg)
        self._denoise(sigmas)
        self._model(guider.link("model") or node.link("model"))

    def _denoise(self, node: Node) -> None:
        part = number_of(self._value(node, "denoise"))
        if part is not None and part < 1:
            self.notes.lack(
                f"Denoising by a part (denoise: {part:g}) needs the picture it began "
                "from, which its file does not hold."
            )
        steps, ends = whole_of(self._value(node, "steps")), self._value(node, "end_at_step")
        if steps and (last := whole_of(ends)) is not None and last < steps:
            self.notes.lack(f"It ended after {last} of {steps} steps; here it takes all of them.")

    def _model(self, link: Link | None) -> None:
        """Along the model to where it was loaded; LoRAs were put on in the other order."""
        worn: list[Named] = []
        met: set[str] = set()
        while (found := self.graph.at(link)) and found[0].id not in met and len(met) < MOST_NODES:
            node = found[0]
            met.add(node.id)
            own = list(self._loras(node))
            worn = [*own, *worn]
            name = next((stem for key in LOADERS if (stem := stem_of(self._value(node, key)))), "")
            if name:
                self.notes.model = Named(name)
                skip = whole_of(self._value(node, "clip_skip"))
                if skip is not None and skip < -1:
                    self.words.skipped(-skip)
                break
            if not own and node.kind not in QUIET:
                self._lack(node)
            link = node.link("model", "MODEL", "base_model")
        for lora in worn:
            self.notes.wear(lora)

    def _loras(self, node: Node) -> Sequence[Named]:
        found = []
        if name := stem_of(self._value(node, "lora_name")):
            weight = self._number(node, "strength_model", "strength", "lora_model_strength")
            reading = self._number(node, "strength_clip", "lora_clip_strength")
            if node.kind.endswith("ModelOnly"):
                reading = 0.0
            found.append(_lora(name, weight, reading))
        for key, value in node.inputs.items():
            one = mapping_of(value)
            if isinstance(one.get("lora"), str) and one.get("on", True) is True:
                weight, two = number_of(one.get("strength")), number_of(one.get("strengthTwo"))
                found.append(_lora(stem_of(one["lora"]), weight, two))
            elif key.startswith("lora_") and key[5:].isdigit() and isinstance(value, str):
                weight = number_of(node.inputs.get(f"strength_{key[5:]}"))
                found.append(_lora(stem_of(value), weight, None))
        return [lora for lora in found if lora.name not in ("", "None") and lora.weight != 0]

    def _lack(self, node: Node) -> None:
        held = [(k, v) for k, v in node.inputs.items() if not link_of(v) and v not in ("", None)]
        self.notes.lack(f"{node.kind} is not done here ({told(held[:8])}).")

    def _node(self, link: Link | None) -> Node | None:
        found = self.graph.at(link)
        return found[0] if found else None

    def _value(self, node: Node, name: str) -> object:
        return self.words.value(node, name)

    def _number(self, node: Node, *names: str) -> float | None:
        found = (number_of(self._value(node, name)) for name in names)
        return next((number for number in found if number is not None), None)


def _lora(name: str, weight: float | None, reading: float | None) -> Named:
    weight = 1.0 if weight is None else weight
    return Named(name, "", weight, None if reading == weight else reading)


def _samples(node: Node) -> bool:
    """By what goes in, for samplers have many names."""
    inputs = node.inputs
    words = link_of(inputs.get("positive")) or link_of(inputs.get("guider"))
    return bool(words) and any(name in inputs for name in ("seed", "noise_seed", "noise"))


def _saves(node: Node) -> bool:
    names = ("Save", "Preview", "Output")
    return node.link(*BACK) is not None and any(name in node.kind for name in names)


def _order(key: str) -> tuple[int, str]:
    return (int(key) if key.isdigit() and len(key) < 18 else 2**62, key)


def _civitai(more: Values, notes: Notes) -> None:
    """What Civitai's own page was asked for, which its graph only carries out."""
    notes.text("prompt", more.get("prompt"))
    notes.text("negative_prompt", more.get("negativePrompt"))
    notes.whole("steps", more.get("steps"))
    notes.whole("seed", more.get("seed"))
    notes.number("guidance", more.get("cfgScale"))
    if more.get("width") is not None:
        notes.size(more.get("width"), more.get("height"))
    notes.sampler = text_of(more.get("sampler")) or notes.sampler
    if number_of(more.get("clipSkip")) not in (None, 1.0, 2.0):
        notes.lack(f"Clip skip {text_of(more['clipSkip'])} is not done here.")
    if (workflow := text_of(more.get("workflowId"))) not in ("", "txt2img"):
        notes.lack(f"Civitai's workflow {workflow[:60]} is not done here.")
    for one in map(mapping_of, list_of(more.get("resources"))):
        if not notes.loras and notes.model is None:
            notes.leave("resources", dict(one))
