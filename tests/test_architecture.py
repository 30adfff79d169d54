"""The modules form no circle of imports, imports for type checkers included."""

from __future__ import annotations

from graphlib import CycleError, TopologicalSorter

import grimp


def test_no_module_imports_itself_through_others() -> None:
    graph = grimp.build_graph("autotl", exclude_type_checking_imports=False)
    imports = {
        module: {
            imported
            for imported in graph.find_modules_directly_imported_by(module)
            if imported.startswith("autotl.")  # `autotl` itself lists its public names for type checkers
        }
        for module in graph.modules
        if module != "autotl"
    }
    try:
        TopologicalSorter(imports).prepare()
    except CycleError as error:
        raise AssertionError(f"circle of imports: {' → '.join(error.args[1])}") from None
