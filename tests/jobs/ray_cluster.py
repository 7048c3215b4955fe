"""A Ray of several machines in one: a head, and one for each argument, with so many pretended GPUs.

Standard input names machines to kill, by the beginning of their number. It ends with
its input. A process of its own, because Ray reads its token when it is imported.
"""

import sys

from ray.cluster_utils import Cluster


def main() -> None:
    cluster = Cluster(
        initialize_head=True,
        head_node_args={"num_cpus": 1, "include_dashboard": False},
    )
    nodes = {}
    for gpus in sys.argv[1:]:
        node = cluster.add_node(num_cpus=1, num_gpus=int(gpus))
        nodes[node.node_id[:4]] = node
    print(cluster.address, flush=True)
    for line in sys.stdin:
        cluster.remove_node(nodes[line.strip()], allow_graceful=False)
        print("lost", flush=True)
    cluster.shutdown()


if __name__ == "__main__":
    main()
