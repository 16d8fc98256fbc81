"""The lazy graph: nodes, views, fusion, code generation, plans."""
