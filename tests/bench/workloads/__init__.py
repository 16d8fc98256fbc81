"""The workloads, one module a group; importing a module registers its workloads."""
