"""torch.autograd.anomaly_mode: finding where a NaN gradient comes from."""

from .mode import detect_anomaly, set_detect_anomaly

__all__ = ["detect_anomaly", "set_detect_anomaly"]
