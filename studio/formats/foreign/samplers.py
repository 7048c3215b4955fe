"""What our samplers are called elsewhere, and which of ours a foreign name means, if any.

Names and noise schedules are written in many ways: `DPM++ 2M Karras`, `dpmpp_2m` with `karras`,
`dpmpp_2m_k`, `k_dpmpp_2m`. Pure: which of ours a model takes is on its card.
"""

import re

# As A1111 and its kind write them: sampler and schedule.
WRITTEN = {
    "euler": ("Euler", None),
    "euler a": ("Euler a", None),
    "dpm++ 2m": ("DPM++ 2M", None),
    "dpm++ 2m karras": ("DPM++ 2M", "Karras"),
    "dpm++ sde": ("DPM++ 2M SDE", None),  # what `engine.samplers` really runs under this name
    "dpm++ sde karras": ("DPM++ 2M SDE", "Karras"),
    "ddim": ("DDIM", None),
    "unipc": ("UniPC", None),
    "ddpm": ("DDPM", None),
    "lcm": ("LCM", None),
}
# By all letters and digits of a name that are left without its schedule.
_MEANT = {
    "euler": "euler",
    "eulera": "euler a",
    "eulerancestral": "euler a",
    "dpmpp2m": "dpm++ 2m",
    "dpmpp2msde": "dpm++ sde",
    "dpmpp2msdegpu": "dpm++ sde",
    "ddim": "ddim",
    "ddimv3": "ddim",
    "unipc": "unipc",
    "unipcbh2": "unipc",
    "ddpm": "ddpm",
    "lcm": "lcm",
    # Diffusers' own classes, as SD.Next and others name them.
    "eulerdiscretescheduler": "euler",
    "eulerancestraldiscretescheduler": "euler a",
    "dpmsolvermultistepscheduler": "dpm++ 2m",
    "ddimscheduler": "ddim",
    "lcmscheduler": "lcm",
    "unipcmultistepscheduler": "unipc",
    "flowmatcheulerdiscretescheduler": "euler",
}
# What is no schedule of its own but the sampler's usual one.
_USUAL = {"", "automatic", "normal", "simple", "uniform", "default", "native", "none", "discrete"}
_ENDS = ("karras", "exponential", "polyexponential", "sgmuniform", "trailing", "ays", "k")


def meant(name: str, schedule: str) -> tuple[str | None, str]:
    """Our name, and the schedule that it does not do, if there is one."""
    plain, own = _plain(name), _plain(schedule)
    if plain not in _MEANT:
        plain = plain.removeprefix("k") if plain.removeprefix("k") in _MEANT else plain
        end = next((e for e in _ENDS if plain.endswith(e) and plain.removesuffix(e) in _MEANT), "")
        if end:
            plain, own = plain.removesuffix(end), "karras" if end == "k" else end
    ours = _MEANT.get(plain)
    if ours and own == "karras" and f"{ours} karras" in WRITTEN:
        return f"{ours} karras", ""
    return ours, "" if own in _USUAL else own


def _plain(name: str) -> str:
    return re.sub(r"[^a-z0-9]", "", name[:80].lower().replace("++", "pp"))
