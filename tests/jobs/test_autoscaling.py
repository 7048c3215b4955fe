"""deploy/ray/cluster.yaml: Ray's own words on it, and its autoscaler with pretended machines."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from bench.server import free_port
from studio.settings import ROOT, Settings
from tests.jobs.test_cluster import QUICKLY, open_studio
from tests.jobs.test_pool import until
from tests.jobs.test_seats import WIDE, House, two_models

FAKE = {"type": "fake_multinode", "use_node_id_as_ip": True, "disable_node_updaters": True}
FILE = ROOT / "deploy" / "ray" / "cluster.yaml"
READS = """
import json, sys, yaml
from ray.autoscaler._private.util import prepare_config, validate_config
from ray.util import get_node_ip_address
config = prepare_config(yaml.safe_load(open(sys.argv[1]))) | {"cluster_synced_files": []}
validate_config(config)
print(json.dumps([config, get_node_ip_address()]))
"""


def read_by_ray() -> tuple[dict[str, Any], str]:
    """The file with all that Ray adds to it; and where Ray thinks this machine is."""
    command = [sys.executable, "-c", READS, str(FILE)]
    read, here = json.loads(subprocess.run(command, check=True, capture_output=True).stdout)
    return read, here


def test_ray_understands_the_file_and_adds_no_commands_of_its_own() -> None:
    read, _ = read_by_ray()
    assert read["available_node_types"]["painter"]["resources"]["GPU"] == 2
    asked = yaml.safe_load(FILE.read_text())
    for kind in ("initialization", "setup", "head_setup", "worker_setup"):
        assert read[f"{kind}_commands"] == [], kind
    for kind in ("head_start_ray", "worker_start_ray"):
        commands = read[f"{kind}_commands"]
        assert commands == asked[f"{kind}_commands"]
        assert "RAY_AUTH_MODE=token" in commands[-1]


@pytest.fixture
def address(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """A head as the file describes it, and Ray's autoscaler, which pretends to rent machines."""
    config, here = read_by_ray()
    port = free_port()
    address = f"{here}:{port}"
    types = config["available_node_types"]
    types["ray.head.default"] = types.pop("head")
    for kind in types.values():
        kind["node_config"] = {}
        kind["resources"] |= {"CPU": 1, "object_store_memory": 100_000_000}
    config |= {"provider": FAKE | {"gcs_address": address}, "file_mounts": {}}
    config |= {"head_node_type": "ray.head.default", "idle_timeout_minutes": 0.05}
    file = tmp_path / "cluster.yaml"
    file.write_text(json.dumps(config))
    tokens = {
        "RAY_AUTH_MODE": "token",
        "RAY_AUTH_TOKEN": "a token of forty letters for these tests",
    }
    for name, value in (QUICKLY | tokens).items():
        monkeypatch.setenv(name, value)
    options = ["--block", "--num-cpus=1", "--num-gpus=0", "--object-store-memory=100000000"]
    options += ["--include-dashboard=false", "--disable-usage-stats"]
    head = subprocess.Popen(
        [sys.executable, "-m", "ray.scripts.scripts", "start", "--head", f"--port={port}"]
        + [*options, f"--autoscaling-config={file}"],
        env=os.environ | {"RAY_FAKE_CLUSTER": "1", "AUTOSCALER_UPDATE_INTERVAL_S": "1"},
        start_new_session=True,
        stdout=subprocess.DEVNULL,
    )
    yield address
    head.send_signal(signal.SIGTERM)
    head.wait(30)


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_a_machine_comes_for_a_picture_and_goes_when_nobody_asks_any_more(
    settings: Settings, tmp_path: Path, address: str
) -> None:
    settings = settings.model_copy(update={"lease_seconds": 1.0})
    studio = open_studio(settings, two_models(tmp_path / "presets"), address)
    until(lambda: studio.pool.fleet.cluster and studio.pool.fleet.cluster.ferry, 60)
    assert studio.pool.views() == []
    house = House(studio)
    (slot,) = house.end(house.submit(WIDE), 120)
    assert "+" in str(slot)
    until(lambda: not studio.pool.views(), 120)
    studio.close()
