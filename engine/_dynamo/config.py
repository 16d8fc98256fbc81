"""Flags of torch._dynamo.config that programs set. They choose nothing here."""

suppress_errors = False
cache_size_limit = 8
recompile_limit = 8
accumulated_cache_size_limit = 256
automatic_dynamic_shapes = True
assume_static_by_default = True
capture_scalar_outputs = False
optimize_ddp = True
verbose = False
disable = False
