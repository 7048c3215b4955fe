"""Lessons on all cores: a process for each, learning as one, which beats one with many threads."""

import os
import socket
from argparse import Namespace
from collections.abc import Callable

import torch
from accelerate.utils import patch_environment
from torch.multiprocessing.spawn import start_processes

MOST = 8  # processes; beyond, each gets more threads


def together(work: Callable[[Namespace], None], wish: Namespace) -> None:
    """`work` in every process of the crew, or in this one where a GPU does the work."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else 1
    if cores == 1 or (wish.device != "cpu" and torch.cuda.is_available()):
        work(wish)
        return
    crew = min(cores, MOST)
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    with patch_environment(
        world_size=crew,
        master_addr="127.0.0.1",
        master_port=port,
        gloo_socket_ifname="lo",
        omp_num_threads=cores // crew,
        accelerate_use_cpu="yes",
    ):
        start_processes(_join, args=(work, wish), nprocs=crew, start_method="spawn")


def _join(rank: int, work: Callable[[Namespace], None], wish: Namespace) -> None:
    os.environ["RANK"] = os.environ["LOCAL_RANK"] = str(rank)
    torch.manual_seed(rank)
    work(wish)
    torch.distributed.destroy_process_group()
