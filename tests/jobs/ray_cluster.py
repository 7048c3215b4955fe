"""A Ray of several machines in one: a head at the first argument's port, with a door for those
outside at the next, and for each further argument a machine with so many pretended GPUs.

Standard input names machines to kill, by the beginning of their number, or the head. It ends with
its input. A process of its own, because Ray reads its token when it is imported.
"""

import os
import sys

from ray.cluster_utils import Cluster


def main() -> None:
    port = int(sys.argv[1])
    cluster = Cluster(
        initialize_head=True,
        head_node_args={
            "num_cpus": 1,
            "include_dashboard": False,
            "gcs_server_port": port,
            "ray_client_server_port": port + 1,
        },
    )
    nodes = {}
    for gpus in sys.argv[2:]:
        node = cluster.add_node(num_cpus=1, num_gpus=int(gpus))
        nodes[node.node_id[:4]] = node
    print(cluster.address, flush=True)
    for line in sys.stdin:
        node = nodes.get(line.strip(), cluster.head_node)
        node.kill_all_processes(check_alive=False, allow_graceful=False, wait=True)
        print("lost", flush=True)
    for node in (*nodes.values(), cluster.head_node):
        node.kill_all_processes(check_alive=False, allow_graceful=False, wait=True)
    os._exit(0)


if __name__ == "__main__":
    main()
