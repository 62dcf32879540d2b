"""Metrics of a set of generated clips: from a classifier's features [N, D] and posteriors [N, K].

Definitions of the DiffWave paper (2009.09761), App. D. All depend on the classifier: values of
two classifiers do not compare, and FID, NDB and IS move with the number of clips.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from wg.errors import InputError

BINS = 50
SIGNIFICANCE = 1.959964  # two-sided 5 %, in standard deviations; the paper does not state its own
_TINY = 1e-12
_ROUNDOFF = 1e-12  # of a distance, as a share of the two traces that it is the difference of


def gaussian_distance(
    mean_a: np.ndarray, cov_a: np.ndarray, mean_b: np.ndarray, cov_b: np.ndarray
) -> float:
    """Squared Fréchet distance of two Gaussians: |m_a - m_b|^2 + tr(A + B - 2 (A B)^0.5).

    Means [D], covariances [D, D].
    """
    # The eigenvalues of A B are the squared singular values of A^0.5 B^0.5, whose roundoff stays
    # small where few clips leave the covariances singular.
    cross = np.linalg.svd(_root(cov_a) @ _root(cov_b), compute_uv=False).sum()
    spread = np.trace(cov_a) + np.trace(cov_b)
    distance = ((mean_a - mean_b) ** 2).sum() + spread - 2 * cross
    return float(distance) if distance > _ROUNDOFF * spread else 0.0


def _root(cov: np.ndarray) -> np.ndarray:
    """Symmetric square root of a covariance."""
    values, vectors = np.linalg.eigh(cov)
    return (vectors * np.sqrt(np.maximum(values, 0))) @ vectors.T


def frechet_distance(reference: np.ndarray, generated: np.ndarray) -> float:
    """FID: Fréchet distance of Gaussians fitted to two sets of features, [N, D] and [M, D].

    Raises `InputError` for fewer than two clips in either.
    """
    for name, features in (("reference", reference), ("generated", generated)):
        if features.ndim != 2 or len(features) < 2:
            raise InputError(f"{name} features of shape {features.shape}: FID needs two clips")
    moments = [
        (features.mean(0), np.atleast_2d(np.cov(features, rowvar=False)))
        for features in (reference.astype(np.float64), generated.astype(np.float64))
    ]
    return gaussian_distance(*moments[0], *moments[1])


def inception_score(posteriors: np.ndarray) -> float:
    """IS: exp of the mean over clips of KL(p(x) || mean p); 1 to K."""
    p = _checked(posteriors)
    return float(np.exp(_kl(p, p.mean(0)).mean()))


def modified_inception_score(posteriors: np.ndarray) -> float:
    """Modified IS: exp of the mean over all pairs of clips of KL(p(x) || p(x')).

    Pairs of a clip with itself, whose divergence is 0, are among them.
    """
    p = _checked(posteriors)
    log_p = np.log(p)
    # The mean over pairs of sum p (log p - log p') needs no pairs.
    return float(np.exp((p * log_p).sum(1).mean() - (p.mean(0) * log_p.mean(0)).sum()))


def am_score(reference: np.ndarray, generated: np.ndarray) -> float:
    """AM: KL(mean p of the data || mean p generated) + mean entropy of the generated, in nats.

    Of posteriors [N, K] and [M, K].
    """
    data, made = _checked(reference), _checked(generated)
    entropy = -(made * np.log(made)).sum(1).mean()
    return float(_kl(data.mean(0), made.mean(0)) + entropy)


def different_bins(reference: np.ndarray, generated: np.ndarray, bins: int = BINS) -> float:
    """NDB / K: share of k-means bins of the reference features [N, D] whose proportion differs.

    Two proportions differ by a two-sided z-test at 5 % with pooled variance. Fewer reference
    clips than bins leave as many bins as there are clips.
    """
    from scipy.cluster.vq import kmeans2, vq

    points = reference.astype(np.float64)
    count = min(bins, len(np.unique(points, axis=0)))
    centres, _ = kmeans2(points, _spread_centres(points, count), iter=50, minit="matrix")
    shares, sizes = [], (len(points), len(generated))
    for features in (points, generated.astype(np.float64)):
        shares.append(np.bincount(vq(features, centres)[0], minlength=count) / len(features))
    pooled = (shares[0] * sizes[0] + shares[1] * sizes[1]) / sum(sizes)
    spread = np.sqrt(pooled * (1 - pooled) * (1 / sizes[0] + 1 / sizes[1]))
    difference = np.abs(shares[0] - shares[1])
    return float((difference > SIGNIFICANCE * spread).mean())


def accuracy(posteriors: np.ndarray, labels: Sequence[int] | np.ndarray) -> float:
    """Share of clips whose most probable class [N, K] is their label [N]."""
    if len(posteriors) != len(labels):
        raise InputError(f"{len(labels)} labels for {len(posteriors)} clips; give one each")
    return float((posteriors.argmax(1) == np.asarray(labels)).mean())


def class_distances(
    reference: tuple[np.ndarray, np.ndarray], generated: tuple[np.ndarray, np.ndarray]
) -> dict[int, float]:
    """FID of each class, from (features [N, D], labels [N]) of both sets.

    NaN for a class that has fewer than two clips in either.
    """
    distances = {}
    for label in np.unique(reference[1]):
        data, made = (features[labels == label] for features, labels in (reference, generated))
        enough = min(len(data), len(made)) > 1
        distances[int(label)] = frechet_distance(data, made) if enough else float("nan")
    return distances


def _spread_centres(points: np.ndarray, count: int) -> np.ndarray:
    """Starting centres by k-means++: each drawn with its squared distance from those before."""
    generator = np.random.default_rng(0)
    centres = points[generator.integers(len(points))][None]
    distance = ((points - centres) ** 2).sum(1)
    while len(centres) < count:
        chosen = points[generator.choice(len(points), p=distance / distance.sum())]
        centres = np.concatenate([centres, chosen[None]])
        distance = np.minimum(distance, ((points - chosen) ** 2).sum(1))
    return centres


def _checked(posteriors: np.ndarray) -> np.ndarray:
    """Posteriors in float64, bounded away from 0; InputError if their rows do not sum to 1."""
    p = posteriors.astype(np.float64)
    if p.ndim != 2 or not len(p) or (p < 0).any() or np.abs(p.sum(1) - 1).max() > 1e-3:
        raise InputError(f"posteriors of shape {p.shape}: give [N, K] whose rows sum to 1")
    return np.maximum(p, _TINY)


def _kl(p: np.ndarray, q: np.ndarray) -> np.ndarray:
    """KL(p || q) over the last axis, in nats."""
    return (p * (np.log(p) - np.log(q))).sum(-1)
