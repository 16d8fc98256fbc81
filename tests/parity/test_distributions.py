"""Distributions against PyTorch: densities, moments, quantiles, divergences, shapes, messages."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

import engine

torch = pytest.importorskip("torch")

_RNG = np.random.default_rng(0)


def _positive(*shape: int) -> np.ndarray:
    return _RNG.uniform(0.3, 4.0, shape)


def _share(*shape: int) -> np.ndarray:
    return _RNG.uniform(0.05, 0.95, shape)


def _simplex(*shape: int) -> np.ndarray:
    w = _RNG.uniform(0.1, 1, shape)
    return w / w.sum(-1, keepdims=True)


def _spd(n: int, *batch: int) -> np.ndarray:
    a = _RNG.normal(size=(*batch, n, n))
    return a @ np.swapaxes(a, -1, -2) + n * np.eye(n)


_N = _RNG.normal(size=(3, 4))
# name -> keyword arguments (arrays become float64 tensors)
CASES: dict[str, list[dict[str, Any]]] = {
    "Bernoulli": [{"probs": _share(3)}, {"logits": _N}, {"probs": 0.3}],
    "Beta": [{"concentration1": _positive(3, 4), "concentration0": _positive(4)}],
    "Binomial": [{"total_count": 5, "probs": _share(3)}, {"total_count": np.array([3.0, 7.0]), "logits": _N[:2, :2]}],
    "Categorical": [{"probs": _simplex(3, 4)}, {"logits": _N}],
    "Cauchy": [{"loc": _N, "scale": _positive(4)}],
    "Chi2": [{"df": _positive(5)}],
    "ContinuousBernoulli": [{"probs": np.array([0.1, 0.4995, 0.5, 0.7])}, {"logits": _N}],
    "Dirichlet": [{"concentration": _positive(3, 4)}, {"concentration": np.array([0.5, 0.2, 0.9])}],
    "Exponential": [{"rate": _positive(3)}, {"rate": 2.0}],
    "FisherSnedecor": [{"df1": _positive(4) * 2, "df2": _positive(4) * 3}],
    "Gamma": [{"concentration": _positive(3, 4), "rate": _positive(4)}],
    "GeneralizedPareto": [
        {"loc": np.float32(_N[0]), "scale": np.float32(_positive(4)), "concentration": np.float32([0, 0.3, -0.4, 0.7])},
        {"loc": 0.0, "scale": 1.0, "concentration": 0.2},
    ],
    "Geometric": [{"probs": _share(4)}, {"logits": _N}],
    "Gumbel": [{"loc": _N, "scale": _positive(4)}],
    "HalfCauchy": [{"scale": _positive(4)}],
    "HalfNormal": [{"scale": _positive(4)}],
    "InverseGamma": [{"concentration": _positive(4), "rate": _positive(4)}],
    "Kumaraswamy": [{"concentration1": _positive(4), "concentration0": _positive(4)}],
    "Laplace": [{"loc": _N, "scale": _positive(4)}],
    "LKJCholesky": [{"dim": 3, "concentration": _positive(2)}, {"dim": 2, "concentration": 0.7}],
    "LogNormal": [{"loc": _N, "scale": _positive(4)}],
    "LogisticNormal": [{"loc": _N, "scale": _positive(3, 4)}],
    "LowRankMultivariateNormal": [
        {"loc": _N, "cov_factor": _RNG.normal(size=(4, 2)), "cov_diag": _positive(4)},
        {"loc": _N[0], "cov_factor": _RNG.normal(size=(2, 4, 1)), "cov_diag": _positive(2, 4)},
    ],
    "Multinomial": [{"total_count": 6, "probs": _simplex(2, 3)}, {"total_count": 3, "logits": _N}],
    "MultivariateNormal": [
        {"loc": _N, "covariance_matrix": _spd(4)},
        {"loc": _N[0], "precision_matrix": _spd(4, 2)},
        {"loc": _N[0], "scale_tril": np.linalg.cholesky(_spd(4, 3))},
    ],
    "NegativeBinomial": [{"total_count": 4.0, "probs": _share(4)}, {"total_count": _positive(4), "logits": _N}],
    "Normal": [{"loc": _N, "scale": _positive(4)}, {"loc": 0.0, "scale": 1.5}],
    "OneHotCategorical": [{"probs": _simplex(3, 4)}, {"logits": _N}],
    "OneHotCategoricalStraightThrough": [{"probs": _simplex(3, 4)}],
    "Pareto": [{"scale": _positive(4), "alpha": _positive(3, 4)}],
    "Poisson": [{"rate": _positive(4)}],
    "RelaxedBernoulli": [{"temperature": np.array([0.7]), "probs": _share(4)}],
    "RelaxedOneHotCategorical": [{"temperature": np.array([0.7]), "probs": _simplex(3, 4)}],
    "StudentT": [{"df": np.array([0.5, 1.5, 3.0, 9.0]), "loc": _N, "scale": _positive(4)}],
    "Uniform": [{"low": _N, "high": _N + _positive(4)}, {"low": -1.0, "high": 2.0}],
    "VonMises": [{"loc": _N, "concentration": _positive(4) * 3}],
    "Weibull": [{"scale": _positive(4), "concentration": _positive(4)}],
    "Wishart": [
        {"df": 5.0, "covariance_matrix": _spd(3)},
        {"df": np.array([4.0, 6.0]), "scale_tril": np.linalg.cholesky(_spd(3, 2))},
        {"df": 4.5, "precision_matrix": _spd(3)},
    ],
}
_FLAT = [(name, i) for name, cases in CASES.items() for i in range(len(cases))]


def _made(name: str, case: dict[str, Any]) -> tuple[Any, Any]:
    def arguments(module: Any) -> dict[str, Any]:
        return {k: module.tensor(v) if isinstance(v, np.ndarray) else v for k, v in case.items()}

    return getattr(engine.distributions, name)(**arguments(engine)), getattr(torch.distributions, name)(
        **arguments(torch)
    )


def _outcome(call: Any) -> Any:
    try:
        return call()
    except (NotImplementedError, ValueError, RuntimeError) as error:
        return error


def _same(ours: Any, theirs: Any, tolerance: float = 1e-6) -> None:
    if isinstance(theirs, Exception):
        assert isinstance(ours, type(theirs)), f"{ours!r} against {theirs!r}"
        return
    assert not isinstance(ours, Exception), ours
    assert tuple(ours.shape) == tuple(theirs.shape)
    assert str(ours.dtype) == str(theirs.dtype)
    np.testing.assert_allclose(ours.detach().numpy(), theirs.detach().numpy(), rtol=tolerance, atol=tolerance)


@pytest.mark.parametrize(("name", "number"), _FLAT)
def test_properties(name: str, number: int) -> None:
    ours, theirs = _made(name, CASES[name][number])
    assert (tuple(ours.batch_shape), tuple(ours.event_shape)) == (tuple(theirs.batch_shape), tuple(theirs.event_shape))
    assert (ours.has_rsample, ours.has_enumerate_support) == (theirs.has_rsample, theirs.has_enumerate_support)
    assert repr(ours) == repr(theirs)
    assert repr(ours.support) == repr(theirs.support)
    assert sorted(ours.arg_constraints) == sorted(theirs.arg_constraints)
    for attribute in ("mean", "variance", "stddev", "mode"):
        if (name, attribute) == ("Kumaraswamy", "mode"):
            continue  # PyTorch's is always NaN
        _same(_outcome(lambda: getattr(ours, attribute)), _outcome(lambda: getattr(theirs, attribute)), 1e-5)  # noqa: B023
    tolerance = 1e-4 if name == "VonMises" else 1e-6  # PyTorch's polynomials
    _same(_outcome(ours.entropy), _outcome(theirs.entropy), tolerance)
    if theirs.has_enumerate_support:
        for expand in (True, False):
            _same(_outcome(lambda: ours.enumerate_support(expand)), _outcome(lambda: theirs.enumerate_support(expand)))  # noqa: B023


@pytest.mark.parametrize(("name", "number"), _FLAT)
def test_densities_and_quantiles(name: str, number: int) -> None:
    ours, theirs = _made(name, CASES[name][number])
    torch.manual_seed(number)
    value = theirs.sample((3,))
    assert ours.sample((3,)).shape == value.shape
    assert ours.support.check(ours.sample((5,))).all()
    mirrored = engine.tensor(value.numpy())
    tolerance = 1e-6 if name != "VonMises" else 1e-5
    _same(ours.log_prob(mirrored), theirs.log_prob(value), tolerance)
    cdf = _outcome(lambda: theirs.cdf(value))
    _same(_outcome(lambda: ours.cdf(mirrored)), cdf)
    p = torch.as_tensor(_share(*(3, *theirs.batch_shape)))
    _same(_outcome(lambda: ours.icdf(engine.tensor(p.numpy()))), _outcome(lambda: theirs.icdf(p)), 1e-5)


@pytest.mark.parametrize(("name", "number"), _FLAT)
def test_expand(name: str, number: int) -> None:
    ours, theirs = _made(name, CASES[name][number])
    shape = (2, *theirs.batch_shape)
    ours, theirs = ours.expand(shape), theirs.expand(shape)
    assert tuple(ours.batch_shape) == tuple(theirs.batch_shape)
    value = theirs.sample()
    _same(ours.log_prob(engine.tensor(value.numpy())), theirs.log_prob(value), 1e-5)
    assert ours.sample((2,)).shape == (2, *value.shape)
    _same(_outcome(lambda: ours.mean), _outcome(lambda: theirs.mean), 1e-5)


@pytest.mark.parametrize("name", [n for n in CASES if n not in ("Cauchy", "HalfCauchy", "VonMises", "LKJCholesky")])
def test_sample_moments(name: str) -> None:
    case = CASES[name][0]
    if name == "StudentT":
        case = {"df": np.array([6.0, 9.0]), "loc": 1.0, "scale": 2.0}
    if name == "LogNormal":
        case = {"loc": np.array([0.5]), "scale": np.array([0.4])}
    if name in ("Pareto", "InverseGamma", "FisherSnedecor", "GeneralizedPareto"):
        case = {k: np.full(2, 0.1 if k == "concentration" and name == "GeneralizedPareto" else 9.0) for k in case}
    ours, _ = _made(name, case)
    engine.manual_seed(3)
    drawn = ours.sample((20000,)).to(engine.float64).numpy()
    try:
        mean, deviation = ours.mean.numpy(), ours.stddev.numpy()
    except NotImplementedError:
        return
    if not np.isfinite(mean).all():
        return
    np.testing.assert_array_less(np.abs(drawn.mean(0) - mean), 5 * deviation / math.sqrt(20000) + 1e-9)
    np.testing.assert_allclose(drawn.std(0), deviation, rtol=0.12, atol=1e-9)


@pytest.mark.parametrize(
    "name", ["Beta", "Gamma", "Dirichlet", "Chi2", "StudentT", "Normal", "Laplace", "Weibull", "Gumbel", "Kumaraswamy"]
)
def test_gradients_of_samples_estimate_gradients_of_means(name: str) -> None:
    """d E[f(x)] / d parameters by averages of pathwise gradients, against finite differences of E[x]."""
    case = {k: np.array(v).reshape(-1, *np.shape(v)[1:])[0] + (3 if name == "StudentT" else 0)
            for k, v in CASES[name][0].items()}  # fmt: skip
    if name == "Dirichlet":
        case = {"concentration": np.array([0.6, 1.5, 3.0])}
    engine.manual_seed(0)
    tensors = {k: engine.tensor(np.asarray(v, dtype=np.float64), requires_grad=True) for k, v in case.items()}
    weight = engine.tensor(np.array([1.0, -2.0, 0.5])) if name == "Dirichlet" else 1.0
    sample = getattr(engine.distributions, name)(**tensors).rsample((40000,))
    (sample * weight).sum().div(40000).backward()
    for key, t in tensors.items():
        again = {k: v.detach().clone().requires_grad_() for k, v in tensors.items()}
        (getattr(engine.distributions, name)(**again).mean * weight).sum().backward()
        exact = again[key].grad
        exact = np.zeros(t.shape) if exact is None else exact.numpy()
        np.testing.assert_allclose(t.grad.numpy(), exact, rtol=0.1, atol=0.05)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_gamma_and_beta_sample_gradients(dtype: str) -> None:
    """The implicit derivatives at given samples, as PyTorch computes them (to a relative 5e-3)."""
    shape = 10 ** _RNG.uniform(-1, 2.5, 300)
    x = _RNG.gamma(shape)
    theirs = torch._standard_gamma_grad(*(torch.tensor(v, dtype=getattr(torch, dtype)) for v in (shape, x)))
    ours = engine._standard_gamma_grad(*(engine.tensor(v, dtype=getattr(engine, dtype)) for v in (shape, x)))
    np.testing.assert_allclose(ours.numpy(), theirs.numpy(), rtol=5e-3, atol=1e-6)
    a, b = 10 ** _RNG.uniform(-0.5, 2, (2, 300))
    share = _RNG.beta(a, b)
    inside = (share > 1e-6) & (share < 1 - 1e-6)
    values = [v[inside] for v in (share, a, a + b)]
    theirs = torch._dirichlet_grad(*(torch.tensor(v, dtype=getattr(torch, dtype)) for v in values))
    ours = engine._dirichlet_grad(*(engine.tensor(v, dtype=getattr(engine, dtype)) for v in values))
    np.testing.assert_allclose(ours.numpy(), theirs.numpy(), rtol=2e-2, atol=1e-6)


def _kl_pairs() -> list[tuple[str, str]]:
    kinds = sorted(
        {(a.__name__, b.__name__) for a, b in torch.distributions.kl._KL_REGISTRY}
        - {("ExponentialFamily",) * 2, ("TransformedDistribution",) * 2, ("Independent",) * 2}
    )
    return [pair for pair in kinds if pair[0] in CASES and pair[1] in CASES]


@pytest.mark.parametrize(("p", "q"), _kl_pairs())
def test_kl(p: str, q: str) -> None:
    cases = {
        "Uniform": {"low": np.array([0.1, -0.5, 0.2, 1.5]), "high": np.array([0.7, 0.4, 1.4, 3.0])},
        "Pareto": {"scale": np.array([0.5, 1.0, 0.1, 0.3]), "alpha": np.array([0.8, 1.5, 2.5, 4.0])},
        "Binomial": {"total_count": 5, "probs": _share(4)},
        "Bernoulli": {"probs": _share(4)}, "Beta": {"concentration1": _positive(4), "concentration0": _positive(4)},
        "Exponential": {"rate": _positive(4)}, "Gamma": {"concentration": _positive(4), "rate": _positive(4)},
        "ContinuousBernoulli": {"probs": np.array([0.1, 0.4995, 0.5, 0.7])},
        "MultivariateNormal": {"loc": _N, "covariance_matrix": _spd(4)},
    }  # fmt: skip
    scalar = {name: {"loc": _N[0], "scale": _positive(4)} for name in ("Normal", "Laplace", "Gumbel", "Cauchy")}

    def case(name: str, number: int) -> dict[str, Any]:
        chosen = cases.get(name) or scalar.get(name) or CASES[name][0]
        if number == 0 or name in ("Uniform", "MultivariateNormal", "LowRankMultivariateNormal", "Categorical"):
            return chosen
        return {k: v[..., ::-1].copy() if isinstance(v, np.ndarray) else v for k, v in chosen.items()}

    (ours_p, theirs_p), (ours_q, theirs_q) = _made(p, case(p, 0)), _made(q, case(q, 1))
    ours = _outcome(lambda: engine.distributions.kl_divergence(ours_p, ours_q))
    _same(ours, torch.distributions.kl_divergence(theirs_p, theirs_q), 1e-5)


def test_kl_of_independent_transformed_and_exponential_family() -> None:
    def run(module: Any) -> list:
        d = module.distributions
        a, b = module.tensor([[0.5, 1.0]]), module.tensor([[1.5, 0.7]])
        p, q = d.Independent(d.Normal(a, b), 1), d.Independent(d.Normal(b, a), 1)
        out = [d.kl_divergence(p, q), d.kl_divergence(d.LogNormal(a, b), d.LogNormal(b, a))]
        general = d.kl._KL_REGISTRY[d.ExponentialFamily, d.ExponentialFamily]
        return [*out, general(d.Gamma(a, b), d.Gamma(b, a)), d.ExponentialFamily.entropy(d.Gamma(a, b))]

    for ours, theirs in zip(run(engine), run(torch)):
        _same(ours, theirs, 1e-5)
    with pytest.raises(NotImplementedError, match="No KL"):
        engine.distributions.kl_divergence(engine.distributions.Normal(0.0, 1.0), engine.distributions.StudentT(1.0))


def _transforms(module: Any) -> list:
    t, d = module.distributions.transforms, module.distributions
    weights = module.tensor([0.5, 2.0, 1.5])
    return [
        t.AbsTransform(), t.AffineTransform(1.0, -2.0), t.AffineTransform(weights, weights, event_dim=1),
        t.ExpTransform(), t.PowerTransform(module.tensor(2.0)), t.SigmoidTransform(), t.SoftplusTransform(),
        t.TanhTransform(), t.SoftmaxTransform(), t.StickBreakingTransform(), t.CorrCholeskyTransform(),
        t.CumulativeDistributionTransform(d.Normal(0.0, 1.0)), t.ReshapeTransform((3,), (3, 1)),
        t.IndependentTransform(t.ExpTransform(), 1),
        t.ComposeTransform([t.ExpTransform(), t.AffineTransform(0.0, 3.0)]),
        t.CatTransform([t.ExpTransform(), t.TanhTransform()], dim=-1, lengths=[2, 1]),
        t.StackTransform([t.ExpTransform(), t.TanhTransform(), t.identity_transform], dim=-1), t.ExpTransform().inv.inv,
    ]  # fmt: skip


@pytest.mark.parametrize("number", range(18))
def test_transforms(number: int) -> None:
    ours, theirs = _transforms(engine)[number], _transforms(torch)[number]
    x = np.abs(_RNG.normal(size=(4, 3))).astype(np.float32) + 0.1
    a, b = engine.tensor(x), torch.tensor(x)
    y, z = ours(a), theirs(b)
    _same(y, z, 1e-5)
    assert repr(ours) == repr(theirs)
    assert (repr(ours.domain), repr(ours.codomain)) == (repr(theirs.domain), repr(theirs.codomain))
    assert ours.bijective == theirs.bijective
    assert tuple(ours.forward_shape((4, 3))) == tuple(theirs.forward_shape((4, 3)))
    _same(ours.inv(y), theirs.inv(z), 1e-4)
    _same(_outcome(lambda: ours.log_abs_det_jacobian(a, y)), _outcome(lambda: theirs.log_abs_det_jacobian(b, z)), 1e-4)
    assert (ours == _transforms(engine)[number]) == (theirs == _transforms(torch)[number])


@pytest.mark.parametrize(
    "name",
    ["real", "positive", "nonnegative", "unit_interval", "simplex", "lower_cholesky", "positive_definite",
     "corr_cholesky", "real_vector"],
)  # fmt: skip
def test_constraint_registries(name: str) -> None:
    size = {"lower_cholesky": (3, 3), "positive_definite": (3, 3)}.get(name, (2, 6))
    x = _RNG.normal(size=size)
    for registry in ("biject_to", "transform_to"):
        if registry == "biject_to" and len(size) == 2 and size[0] == size[1]:
            continue  # these are not bijective in PyTorch

        def run(module: Any, registry: str = registry) -> Any:
            constraint = getattr(module.distributions.constraints, name)
            y = getattr(module.distributions, registry)(constraint)(module.tensor(x))
            assert constraint.check(y).all()
            return y

        _same(run(engine), run(torch), 1e-6)


_BAD = [
    ("Normal", (0.0, -1.0)), ("Bernoulli", (1.5,)), ("Uniform", (1.0, 0.0)), ("Gamma", (0.0, 1.0)),
    ("Geometric", (0.0,)), ("Poisson", (-1.0,)), ("Exponential", (-2.0,)), ("StudentT", (0.0,)),
]  # fmt: skip


@pytest.mark.parametrize(("name", "arguments"), _BAD)
def test_messages_for_bad_parameters(name: str, arguments: tuple) -> None:
    messages = []
    for module in (engine, torch):
        with pytest.raises(ValueError) as caught:
            getattr(module.distributions, name)(*arguments)
        messages.append(str(caught.value))
    assert messages[0] == messages[1]
    if name != "StudentT":  # whose Chi2 checks
        getattr(engine.distributions, name)(*arguments, validate_args=False)


_BAD_VALUES = [
    ("Bernoulli", (0.5,), [0.3]), ("Exponential", (1.0,), [-1.0]), ("Uniform", (0.0, 1.0), [2.0]),
    ("Poisson", (1.0,), [0.5]), ("Normal", (0.0, 1.0), [math.nan]), ("Beta", (1.0, 1.0), [1.5]),
]  # fmt: skip


@pytest.mark.parametrize(("name", "arguments", "value"), _BAD_VALUES)
def test_messages_for_bad_values(name: str, arguments: tuple, value: list) -> None:
    messages = []
    for module in (engine, torch):
        with pytest.raises(ValueError) as caught:
            getattr(module.distributions, name)(*arguments).log_prob(module.tensor(value))
        messages.append(str(caught.value))
    assert messages[0] == messages[1]


def test_mixture_and_transformed() -> None:
    def run(module: Any) -> list:
        d = module.distributions
        weights = d.Categorical(module.tensor([[0.2, 0.8], [0.5, 0.5]]))
        parts = d.Normal(module.tensor([[0.0, 1.0], [2.0, 3.0]]), module.tensor([[1.0, 2.0], [0.5, 1.0]]))
        mixture = d.MixtureSameFamily(weights, parts)
        x = module.tensor([0.3, 1.2])
        vector = d.MixtureSameFamily(
            d.Categorical(module.ones(2)), d.Independent(d.Normal(module.zeros(2, 3), module.ones(2, 3)), 1)
        )
        flow = d.TransformedDistribution(d.Normal(module.zeros(2), 1.0), [d.SigmoidTransform(), d.ExpTransform()])
        assert mixture.sample((5,)).shape == (5, 2)
        assert vector.sample((5,)).shape == (5, 3)
        y = module.tensor([1.2, 2.0])
        return [
            mixture.log_prob(x), mixture.cdf(x), mixture.mean, mixture.variance, vector.mean, vector.variance,
            vector.log_prob(module.tensor([1.0, 2.0, 3.0])), flow.log_prob(y), flow.cdf(y), flow.icdf(x / 2),
            mixture.expand((3, 2)).log_prob(x),
        ]  # fmt: skip

    for ours, theirs in zip(run(engine), run(torch)):
        _same(ours, theirs, 1e-5)
