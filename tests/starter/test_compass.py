"""Before it learns anything, the painter can tell left from right and top from bottom."""

import torch
from torch import nn

from starter import compass, denoiser
from starter.words import SUMMARY, WIDTHS


def test_two_channels_fall_from_left_to_right_and_from_top_to_bottom_whatever_is_painted() -> None:
    unet = compass.lay(denoiser.build()).eval()
    ramps: list[torch.Tensor] = []

    def keep(block: nn.Module, given: object, shown: torch.Tensor) -> None:
        ramps.append(shown[:, :2])

    for block in unet.up_blocks:
        block.register_forward_hook(keep)
    words = {"text_embeds": torch.randn(2, SUMMARY), "time_ids": torch.zeros(2, 6)}
    with torch.no_grad():
        said = torch.randn(2, 5, sum(WIDTHS))
        unet(torch.randn(2, 8, 32, 32), 500, said, added_cond_kwargs=words)
    assert [ramp.shape[-1] for ramp in ramps] == [8, 16, 32, 32]
    for ramp in ramps:
        assert torch.equal(ramp[0], ramp[1])
        along_x, along_y = ramp[0, 0], ramp[0, 1]
        assert torch.allclose(along_x, along_y.T, atol=1e-6)
        inside = along_x[2:-2, 1:-1]  # on the rim of all but the last it is rounded off
        assert (inside[:, :-1] >= inside[:, 1:] - 1e-6).all()
        assert (inside[:, 0] > 0.5).all()
        assert (inside[:, -1] < -0.5).all()


def test_training_leaves_the_ramps_as_they_are() -> None:
    torch.manual_seed(0)
    unet = compass.lay(denoiser.build())
    compass.hold(unet)
    words = {"text_embeds": torch.randn(2, SUMMARY), "time_ids": torch.zeros(2, 6)}
    given = (torch.randn(2, 8, 32, 32), 500, torch.randn(2, 5, sum(WIDTHS)))

    def shown() -> list[torch.Tensor]:
        ramps: list[torch.Tensor] = []
        hooks = [
            block.register_forward_hook(lambda _, __, out: ramps.append(out))
            for block in unet.up_blocks
        ]
        unet(*given, added_cond_kwargs=words).sample.square().mean().backward()
        for hook in hooks:
            hook.remove()
        return ramps

    pupil = torch.optim.AdamW(unet.parameters(), 1e-2, weight_decay=0)
    before = shown()
    pupil.step()
    for was, now in zip(before, shown(), strict=True):
        assert torch.equal(was[:, :2], now[:, :2])
        assert not torch.allclose(was[:, 2:], now[:, 2:])
