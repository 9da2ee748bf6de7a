"""The graph as text, one line per asset: ``predictions/rfm_segments <- models/rfm_segments features/rfm``.

Kept in a file that a test compares, so that every new edge is seen in review; ``make graph`` writes it anew.
"""

import dagster as dg


def graph_text(defs: dg.Definitions) -> str:
    """Every asset with what it is made of, and every check, sorted."""
    graph = defs.resolve_asset_graph()
    lines = []
    for key in sorted(graph.get_all_asset_keys()):
        parents = " ".join(sorted(parent.to_user_string() for parent in graph.get(key).parent_keys))
        lines.append(f"{key.to_user_string()} <- {parents}".rstrip())
    for check in sorted(graph.asset_check_keys, key=lambda check: (check.asset_key.to_user_string(), check.name)):
        lines.append(f"check {check.asset_key.to_user_string()}: {check.name}")
    return "\n".join(lines) + "\n"
