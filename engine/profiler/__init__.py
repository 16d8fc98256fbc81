"""torch.profiler's interface over the real device times of kernels.

A kernel usually holds several fused ops; its entry is named after them ("linear+gelu"). As work is lazy, a kernel
belongs to the ``record_function`` ranges in which its ops were called, not to the one in which it happened to be
started.
"""

from .averages import EventList, FunctionEventAvg
from .export import tensorboard_trace_handler
from .profile import ProfilerAction, ProfilerActivity, profile, schedule, supported_activities
from .ranges import record_function

__all__ = [
    "EventList",
    "FunctionEventAvg",
    "ProfilerAction",
    "ProfilerActivity",
    "profile",
    "record_function",
    "schedule",
    "supported_activities",
    "tensorboard_trace_handler",
]
