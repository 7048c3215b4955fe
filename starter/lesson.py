"""How every network here learns: for so many minutes, its rate by the clock, its weights averaged.

A lesson writes a checkpoint each minute and goes on from it after an interruption. Several
processes may take it together: each has its own dice (`rank`), and all end with the same weights.
"""

import copy
import math
import time
from collections.abc import Callable
from pathlib import Path

import torch
from accelerate import Accelerator
from accelerate.utils import broadcast
from torch import nn

WARM_UP = 0.02  # of the time
FORGETS = 0.08  # the average reaches back over this share of the steps so far
CHECKPOINT_SECONDS = 60.0
Loss = Callable[[nn.Module, float], torch.Tensor]


def accelerator(device: str) -> Accelerator:
    """bf16 where the hardware has it; elsewhere it would be slower than fp32."""
    has = torch.cpu.get_capabilities()
    on_gpu = device != "cpu" and torch.cuda.is_available()
    if device.startswith("cuda") and not on_gpu:
        raise SystemExit("--device cuda: there is no CUDA card here.")
    fast = on_gpu or has.get("avx512_bf16") or has.get("amx_bf16")
    return Accelerator(cpu=not on_gpu, mixed_precision="bf16" if fast else "no")


class Lesson:
    def __init__(
        self, name: str, network: nn.Module, folder: Path, minutes: float, rate: float, device: str
    ) -> None:
        self.name = name
        self._seconds = minutes * 60
        self._rate = rate
        self._file = folder / f"{name}.pt"
        self._accelerator = accelerator(device)
        self.device = self._accelerator.device
        self.rank, self.crew = self._accelerator.process_index, self._accelerator.num_processes
        self._average = copy.deepcopy(network).to(self.device)
        wanted = [weight for weight in network.parameters() if weight.requires_grad]
        optimizer = torch.optim.AdamW(
            wanted, rate, betas=(0.9, 0.98), weight_decay=0.01, fused=True
        )
        self._network, self._optimizer = self._accelerator.prepare(network, optimizer)
        self.steps, self._spent = 0, 0.0
        folder.mkdir(parents=True, exist_ok=True)
        if self._file.exists():
            self._resume()

    def run(self, loss: Loss) -> nn.Module:
        """Learns until the time is up; `loss` is called with the share of it that has passed."""
        start = checked = time.monotonic() - self._spent
        recent: list[float] = []
        while self._spent < self._seconds:
            done = self._spent / self._seconds
            for group in self._optimizer.param_groups:
                group["lr"] = self._rate * _pace(done)
            with self._accelerator.autocast():
                value = loss(self._network, done)
            self._accelerator.backward(value)
            self._accelerator.clip_grad_norm_(self._network.parameters(), 1.0)
            self._optimizer.step()
            self._optimizer.zero_grad()
            self.steps += 1
            self._follow()
            recent.append(value.item())
            self._spent = self._agreed(time.monotonic() - start)
            if start + self._spent - checked > CHECKPOINT_SECONDS:
                checked = start + self._spent
                self._say(recent)
                self._save()
                recent.clear()
        self._say(recent)
        self._save()
        self._accelerator.wait_for_everyone()
        return self._average.eval()

    def _agreed(self, seconds: float) -> float:
        """The first process has the clock, or one would stop while another still waits for it."""
        return float(broadcast(torch.tensor(seconds, device=self.device)))

    @torch.no_grad()
    def _follow(self) -> None:
        own = self._accelerator.unwrap_model(self._network)
        share = 1 / (1 + FORGETS * self.steps)
        torch._foreach_lerp_(list(self._average.parameters()), list(own.parameters()), share)
        for kept, now in zip(self._average.buffers(), own.buffers(), strict=True):
            kept.copy_(now)

    def _say(self, recent: list[float]) -> None:
        if recent and self._accelerator.is_main_process:
            mean = math.fsum(recent) / len(recent)
            minutes = f"{self._spent / 60:.1f} of {self._seconds / 60:.1f} min"
            print(f"{self.name}: {minutes}, step {self.steps}, loss {mean:.4f}", flush=True)

    def _save(self) -> None:
        if not self._accelerator.is_main_process:
            return
        state = {
            "network": self._accelerator.unwrap_model(self._network).state_dict(),
            "average": self._average.state_dict(),
            "optimizer": self._optimizer.state_dict(),
            "steps": self.steps,
            "spent": self._spent,
        }
        unfinished = self._file.with_suffix(".part")
        torch.save(state, unfinished)
        unfinished.replace(self._file)

    def _resume(self) -> None:
        state = torch.load(self._file, map_location="cpu", weights_only=True)
        self._accelerator.unwrap_model(self._network).load_state_dict(state["network"])
        self._average.load_state_dict(state["average"])
        self._optimizer.load_state_dict(state["optimizer"])
        self.steps, self._spent = state["steps"], state["spent"]


def _pace(done: float) -> float:
    return min(1.0, (done + 1e-3) / WARM_UP) * (0.02 + 0.98 * math.cos(math.pi / 2 * done) ** 2)
