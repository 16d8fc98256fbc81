"""Whether memory that is allocated without content is filled (``torch.utils.deterministic``)."""

from __future__ import annotations

fill_uninitialized_memory = True  # noted only: new memory has no content that an op could read before it is written
