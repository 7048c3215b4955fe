"""bf16 on a CPU is measured, where others work too."""

from bench.half import measure
from studio.engine.device import find_hardware


def test_in_small_it_measures_both_kinds_of_network() -> None:
    figures = measure(1, tiny=True)
    assert figures["hardware_bf16"] == int(bool(find_hardware("cpu").cpu_bf16))
    for name in ("transformer", "unet"):
        assert figures[f"{name}_fp32_s"] > 0
        assert figures[f"{name}_bf16_speedup"] > 0
