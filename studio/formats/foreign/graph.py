"""ComfyUI's graphs as nodes with inputs: the form that is sent to paint, or that of its page.

The page's form has values by their place alone; the places of common nodes are in a table. Links
lead to a node and one of its outputs. What only passes something on is passed through here.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

from studio.formats.foreign.notes import Values, list_of, mapping_of, text_of, whole_of

MOST_NODES = 5000
MOST_STEPS = 5000  # along links, for all of one graph: it may run in circles
MUTED, BYPASSED = 2, 4  # of the page's form
PASSING = ("Reroute", "Reroute (rgthree)", "ReroutePrimitive|pysssss", "JWReroute", "easy getNode")
SEED = ("seed", "", "steps", "cfg", "sampler_name", "scheduler", "denoise")  # "": what comes next
# Inputs in the order in which the page keeps their values.
WIDGETS: Mapping[str, tuple[str, ...]] = {
    "KSampler": SEED,
    "KSampler (Efficient)": SEED,
    "KSamplerAdvanced": (
        *("add_noise", "noise_seed", "", "steps", "cfg", "sampler_name", "scheduler"),
        *("start_at_step", "end_at_step", "return_with_leftover_noise"),
    ),
    "SamplerCustom": ("add_noise", "noise_seed", "", "cfg"),
    "RandomNoise": ("noise_seed", ""),
    "KSamplerSelect": ("sampler_name",),
    "BasicScheduler": ("scheduler", "steps", "denoise"),
    "CFGGuider": ("cfg",),
    "FluxGuidance": ("guidance",),
    "CLIPTextEncode": ("text",),
    "CLIPTextEncodeSDXL": (
        *("width", "height", "crop_w", "crop_h", "target_width", "target_height"),
        *("text_g", "text_l"),
    ),
    "CLIPTextEncodeFlux": ("clip_l", "t5xxl", "guidance"),
    "CLIPTextEncodeSD3": ("clip_l", "clip_g", "t5xxl", "empty_padding"),
    "CLIPSetLastLayer": ("stop_at_clip_layer",),
    "ConditioningAverage": ("conditioning_to_strength",),
    "CheckpointLoaderSimple": ("ckpt_name",),
    "CheckpointLoader": ("config_name", "ckpt_name"),
    "UNETLoader": ("unet_name", "weight_dtype"),
    "UnetLoaderGGUF": ("unet_name",),
    "LoraLoader": ("lora_name", "strength_model", "strength_clip"),
    "LoraLoaderModelOnly": ("lora_name", "strength_model"),
    "EmptyLatentImage": ("width", "height", "batch_size"),
    "EmptySD3LatentImage": ("width", "height", "batch_size"),
    "EmptyFlux2LatentImage": ("width", "height", "batch_size"),
    "LatentUpscale": ("upscale_method", "width", "height", "crop"),
    "LatentUpscaleBy": ("upscale_method", "scale_by"),
    "ModelSamplingAuraFlow": ("shift",),
    "ModelSamplingSD3": ("shift",),
    "LoadImage": ("image", "upload"),
    "PrimitiveNode": ("value", ""),
    "PrimitiveInt": ("value", ""),
    "PrimitiveFloat": ("value",),
    "PrimitiveString": ("value",),
    "PrimitiveStringMultiline": ("value",),
    "StringConcatenate": ("string_a", "string_b", "delimiter"),
    "SaveImage": ("filename_prefix",),
}


class Link(NamedTuple):
    node: str
    slot: int


@dataclass(frozen=True, slots=True)
class Node:
    id: str
    kind: str
    inputs: Values

    def link(self, *names: str) -> Link | None:
        """The first of these inputs that is one."""
        return next((found for name in names if (found := link_of(self.inputs.get(name)))), None)


@dataclass(slots=True)
class Graph:
    nodes: dict[str, Node]
    left: int = MOST_STEPS
    unknown: set[str] = field(default_factory=set)  # kinds whose values have no names

    def at(self, link: Link | None) -> tuple[Node, int] | None:
        """The node that really gives what comes along this link; None when there is none, or after
        too many steps."""
        while link is not None and self.left > 0:
            self.left -= 1
            node = self.nodes.get(link.node)
            if node is None:
                return None
            if node.kind not in PASSING:
                return node, link.slot
            link = next((found for one in node.inputs.values() if (found := link_of(one))), None)
        return None


def link_of(value: object) -> Link | None:
    match value:
        case [str() | int() as node, int(slot)] if not isinstance(node, bool):
            return Link(str(node), slot)
    return None


def sent_graph(value: object) -> Graph | None:
    """The form that is sent to paint. It holds only what was painted."""
    nodes = {}
    for key, node in list(mapping_of(value).items())[:MOST_NODES]:
        if isinstance(node, dict) and isinstance(kind := node.get("class_type"), str):
            nodes[str(key)] = Node(str(key), kind[:200], mapping_of(node.get("inputs")))
    return Graph(nodes) if nodes else None


def page_graph(value: object) -> Graph | None:
    """The page's form, in the other one."""
    whole = mapping_of(value)
    links: dict[int, Link] = {}
    for line in list_of(whole.get("links")):
        match line:
            case [int(number), int() | str() as node, int(slot), *_]:
                links[number] = Link(str(node), slot)
            case {"id": int(number), "origin_id": int() | str() as node, "origin_slot": int(slot)}:
                links[number] = Link(str(node), slot)
    graph = Graph({})
    for entry in list_of(whole.get("nodes"))[:MOST_NODES]:
        one = mapping_of(entry)
        kind, key = text_of(one.get("type")), text_of(one.get("id"))
        if not kind or not key or one.get("mode") == MUTED:
            continue
        inputs = _values(kind, one.get("widgets_values"), graph.unknown)
        for socket in map(mapping_of, list_of(one.get("inputs"))):
            found = whole_of(socket.get("link"))
            if found is not None and found in links:
                inputs[text_of(socket.get("name"))] = list(links[found])
        kind = PASSING[0] if one.get("mode") == BYPASSED else kind
        graph.nodes[key] = Node(key, kind[:200], inputs)
    return graph if graph.nodes else None


def _values(kind: str, given: object, unknown: set[str]) -> dict[str, object]:
    if isinstance(given, dict):
        return dict(given)
    values = list_of(given)
    if kind not in WIDGETS:
        if any(isinstance(value, str | int | float) for value in values):
            unknown.add(kind)
        return {}
    pairs = zip(WIDGETS[kind], values, strict=False)
    return {name: value for name, value in pairs if name}
