"""Which ops autocast runs in which precision: PyTorch's "Autocast Op Reference" for CPU and CUDA.

Names are those of PyTorch's functions (``linear``, ``conv2d``, ``cross_entropy``). Ops that are not listed run in the
dtype of their inputs, or promote them as always.
"""

from enum import Enum, auto


class Policy(Enum):
    """What happens to the floating-point arguments of an op."""

    LOWER = auto()
    """cast to the region's dtype"""
    FLOAT32 = auto()
    """cast to float32"""
    PROMOTE = auto()
    """cast to the widest dtype among them"""
    BANNED = auto()
    """refused: the result would overflow"""


def _names(text: str) -> frozenset[str]:
    return frozenset(text.split())


_CONVOLUTIONS = _names(
    "conv1d conv2d conv3d conv_transpose1d conv_transpose2d conv_transpose3d conv_tbc convolution _convolution"
)

CPU_LOWER = _CONVOLUTIONS | _names(
    "mm matmul __matmul__ bmm addmm addbmm baddbmm linear prelu linalg_vecdot linalg_matmul chain_matmul "
    "linalg_multi_dot scaled_dot_product_attention "
    # PyTorch composes these of the ops above.
    "einsum tensordot inner matrix_power lstm gru rnn_tanh rnn_relu"
)
CPU_FLOAT32 = _names(
    "avg_pool3d adaptive_avg_pool3d adaptive_max_pool3d max_pool3d max_unpool2d max_unpool3d fractional_max_pool2d "
    "fractional_max_pool3d grid_sample grid_sampler grid_sampler_2d grid_sampler_3d reflection_pad1d reflection_pad2d "
    "replication_pad1d replication_pad2d replication_pad3d "
    "binary_cross_entropy binary_cross_entropy_with_logits mse_loss cosine_embedding_loss nll_loss nll_loss2d "
    "hinge_embedding_loss poisson_nll_loss smooth_l1_loss cross_entropy cross_entropy_loss l1_loss huber_loss "
    "margin_ranking_loss soft_margin_loss triplet_margin_loss multi_margin_loss multilabel_margin_loss ctc_loss kl_div "
    "polar prod quantile nanquantile stft cdist trace view_as_complex "
    "cholesky cholesky_inverse cholesky_solve inverse lu_solve orgqr ormqr pinverse geqrf qr svd "
    "triangular_solve "
    "fft_fft fft_ifft fft_fft2 fft_ifft2 fft_fftn fft_ifftn fft_rfft fft_irfft fft_rfft2 fft_irfft2 fft_rfftn "
    "fft_irfftn fft_hfft fft_ihfft "
    "linalg_cond linalg_matrix_rank linalg_solve linalg_cholesky linalg_svdvals linalg_eigvals linalg_eigvalsh "
    "linalg_inv linalg_inv_ex linalg_householder_product linalg_tensorinv linalg_tensorsolve linalg_qr "
    "linalg_cholesky_ex linalg_svd linalg_eig linalg_eigh linalg_lstsq linalg_pinv"
)
CPU_PROMOTE = _names("stack cat index_copy")

CUDA_LOWER = _CONVOLUTIONS | _names(
    "mm matmul __matmul__ bmm mv addmm addmv addr addbmm baddbmm chain_matmul linalg_multi_dot linalg_vecdot "
    "linalg_matmul linear prelu gru_cell lstm_cell rnn_tanh_cell rnn_relu_cell scaled_dot_product_attention "
    # PyTorch composes these of the ops above.
    "einsum inner matrix_power lstm gru rnn_tanh rnn_relu"
)
CUDA_FLOAT32 = _names(
    "__pow__ __rdiv__ __rpow__ __rtruediv__ acos asin cosh erfinv exp expm1 log log10 log1p log2 pow reciprocal rsqrt "
    "sinh tan cumprod cumsum prod sum norm frobenius_norm nuclear_norm linalg_vector_norm linalg_matrix_norm renorm "
    "dist "
    "cdist pdist logsumexp softmax log_softmax softmin softplus normalize layer_norm native_layer_norm group_norm "
    "binary_cross_entropy_with_logits cosine_embedding_loss cosine_similarity cross_entropy hinge_embedding_loss "
    "kl_div "
    "l1_loss huber_loss margin_ranking_loss mse_loss multilabel_margin_loss multi_margin_loss nll_loss nll_loss2d "
    "poisson_nll_loss smooth_l1_loss soft_margin_loss triplet_margin_loss"
)
CUDA_PROMOTE = _names(
    "addcdiv addcmul atan2 bilinear cross dot grid_sample grid_sampler index_put scatter_add tensordot"
)
CUDA_BANNED = _names("binary_cross_entropy")


def _table(**groups: frozenset[str]) -> dict[str, Policy]:
    return {name: Policy[group.upper()] for group, names in groups.items() for name in names}


# Kind of device (see state.autocast_kind) -> name of the op -> policy.
POLICIES: dict[str, dict[str, Policy]] = {
    "cpu": _table(lower=CPU_LOWER, float32=CPU_FLOAT32, promote=CPU_PROMOTE),
    "cuda": _table(lower=CUDA_LOWER, float32=CUDA_FLOAT32, promote=CUDA_PROMOTE, banned=CUDA_BANNED),
}
