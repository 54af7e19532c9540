# SPDX-License-Identifier: Apache-2.0
"""Corpus: jax.scipy (special functions, distributions, signals) and jax.nn."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
from jax.scipy import fft, integrate, signal, special, stats

from tests.mpc.case import Case

__all__ = ["CASES"]

_random = np.random.default_rng(31)
X = _random.normal(size=9) * 1.5
SHARE = np.round(_random.random(9) * 0.9 + 0.05, 3)
POSITIVE = np.abs(X) + 0.3
COUNTS = _random.poisson(3.0, 9)
ROWS = _random.normal(size=(4, 6))
MEAN = np.array([0.2, -0.1, 0.4])
COVARIANCE = np.array([[1.0, 0.3, 0.1], [0.3, 0.8, 0.0], [0.1, 0.0, 1.2]])

CASES: dict[str, Case] = {
    "error functions": Case(lambda x: (special.erf(x), special.erfc(x), special.ndtr(x)), (X,), 5e-5),
    "inverse error function": Case(lambda p: (special.erfinv(2 * p - 1), special.ndtri(p)), (SHARE,), 2e-3),
    "gamma functions": Case(
        lambda p: (special.gammaln(p), special.digamma(p), special.betaln(p, 2.0), special.factorial(p)),
        (POSITIVE,),
        1e-3,
    ),
    "bessel functions": Case(lambda x: (special.i0e(x), special.i1e(x), special.i0(x), special.i1(x)), (X,), 2e-4),
    "logit and expit": Case(lambda p, x: (special.logit(p), special.expit(x)), (SHARE, X), 4e-4),
    "entropies": Case(
        lambda p: (special.entr(p), special.xlogy(p, p), special.xlog1py(p, p), special.rel_entr(p, p[::-1])),
        (SHARE,),
        1e-4,
    ),
    "log-sum-exp": Case(
        lambda r: (special.logsumexp(r, axis=1), special.logsumexp(r, axis=0, b=0.5), jnp.logaddexp(r[0], r[1])),
        (ROWS,),
        6e-4,
    ),
    "softmaxes": Case(
        lambda r: (special.softmax(r, axis=1), special.log_softmax(r, axis=1), jax.nn.softmax(r, axis=0)), (ROWS,), 1e-4
    ),
    "box-cox": Case(lambda p: (p**0.5 - 1) / 0.5, (POSITIVE,)),
    "normal distribution": Case(
        lambda x: (stats.norm.pdf(x), stats.norm.logpdf(x), stats.norm.cdf(x), stats.norm.sf(x)), (X,), 5e-5
    ),
    "normal quantiles": Case(stats.norm.ppf, (SHARE,), 2e-3),
    "multivariate normal": Case(stats.multivariate_normal.logpdf, (ROWS[:, :3].copy(), MEAN, COVARIANCE), 2e-3),
    "exponential and laplace": Case(
        lambda p: (stats.expon.logpdf(p), stats.laplace.logpdf(p), stats.laplace.cdf(p), stats.logistic.logpdf(p)),
        (POSITIVE,),
        6e-4,
    ),
    "gamma and beta": Case(
        lambda p, s: (stats.gamma.logpdf(p, 2.5), stats.beta.logpdf(s, 2.0, 3.0), stats.chi2.logpdf(p, 3.0)),
        (POSITIVE, SHARE),
        6e-4,
    ),
    "student and cauchy": Case(
        lambda x: (stats.t.logpdf(x, 4.0), stats.cauchy.pdf(x), stats.cauchy.cdf(x)), (X,), 3e-4
    ),
    "pareto and uniform": Case(
        lambda p: (stats.pareto.logpdf(1 + p, 2.0), stats.uniform.pdf(p, 0.0, 3.0)), (POSITIVE,), 3e-4
    ),
    "poisson": Case(lambda r: stats.poisson.logpmf(jnp.asarray(COUNTS), r), (POSITIVE,), 6e-4),
    "bernoulli": Case(lambda p: stats.bernoulli.logpmf(jnp.asarray(COUNTS > 2), p), (SHARE,), 3e-4),
    "geometric and binomial": Case(
        lambda p: (stats.geom.logpmf(jnp.asarray(COUNTS) + 1, p), stats.binom.logpmf(jnp.asarray(COUNTS % 5), 5, p)),
        (SHARE,),
        1e-3,
    ),
    "gaussian kernel density": Case(
        lambda data, x: jnp.mean(stats.norm.pdf((x[:, None] - data) / 0.5), axis=1) / 0.5, (X, X[:3].copy()), 1e-4
    ),
    "signals": Case(
        lambda x: (signal.fftconvolve(x, x[:4]), signal.convolve(x, x[:3]), signal.detrend(x, type="constant")),
        (X,),
        2e-4,
    ),
    "windowed spectrum": Case(lambda x: jnp.abs(jnp.fft.rfft(x * jnp.hanning(9))) ** 2, (X,), 1e-3),
    "cosine transform": Case(lambda x: (fft.dct(x), fft.idct(fft.dct(x))), (X,), 2e-4),
    "integral": Case(
        lambda x: integrate.trapezoid(jnp.exp(-(x[:, None] ** 2) * jnp.linspace(0, 1, 9)), dx=0.125), (X,)
    ),
    "activations": Case(
        lambda x: (
            jax.nn.relu(x),
            jax.nn.relu6(x),
            jax.nn.leaky_relu(x),
            jax.nn.elu(x),
            jax.nn.selu(x),
            jax.nn.celu(x),
            jax.nn.hard_tanh(x),
            jax.nn.hard_sigmoid(x),
            jax.nn.hard_swish(x),
        ),
        (X,),
    ),
    "smooth activations": Case(
        lambda x: (
            jax.nn.silu(x),
            jax.nn.gelu(x),
            jax.nn.gelu(x, approximate=False),
            jax.nn.mish(x),
            jax.nn.softplus(x),
            jax.nn.log_sigmoid(x),
            jax.nn.soft_sign(x),
            jax.nn.squareplus(x),
        ),
        (X,),
        2e-3,
    ),
    "glu and standardize": Case(lambda r: (jax.nn.glu(r), jax.nn.standardize(r, axis=1)), (ROWS,), 1e-3),
    "gradients of activations": Case(
        jax.grad(lambda x: jnp.sum(jax.nn.silu(x) + jax.nn.gelu(x, approximate=False) + jax.nn.elu(x))), (X,), 2e-3
    ),
    "attention of jax.nn": Case(
        lambda q: jax.nn.dot_product_attention(q, q * 0.5, q + 1, is_causal=True),
        (_random.normal(size=(1, 4, 2, 3)),),
        1e-3,
    ),
}
