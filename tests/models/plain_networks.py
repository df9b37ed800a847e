"""The classic networks in plain numpy, float64, written from their articles and torchvision's docs.

Slow and independent of torch: weights are read by name from a state dict of arrays. One picture at
a time, [channels, height, width].
"""

import numpy as np


def convolution(x, weight, bias=None, stride=1, padding=0):
    """Cross-correlation by definition: the sum over the kernel's places of shifted products."""
    _, _, kh, kw = weight.shape
    x = np.pad(x, ((0, 0), (padding, padding), (padding, padding)))
    height = (x.shape[1] - kh) // stride + 1
    width = (x.shape[2] - kw) // stride + 1
    out = np.zeros((weight.shape[0], height, width))
    for dy in range(kh):
        for dx in range(kw):
            seen = x[
                :,
                dy : dy + stride * (height - 1) + 1 : stride,
                dx : dx + stride * (width - 1) + 1 : stride,
            ]
            out += np.tensordot(weight[:, :, dy, dx].astype(np.float64), seen, axes=1)
    return out if bias is None else out + bias[:, None, None]


def batch_norm(x, state, name):
    """Evaluation: the running moments, ε 1e-5."""
    mean, variance, gain, shift = (
        state[f"{name}.{part}"].astype(np.float64)[:, None, None]
        for part in ("running_mean", "running_var", "weight", "bias")
    )
    return (x - mean) / np.sqrt(variance + 1e-5) * gain + shift


def relu(x):
    return np.maximum(x, 0)


def max_pool(x, kernel, stride, padding=0):
    x = np.pad(x, ((0, 0), (padding, padding), (padding, padding)), constant_values=float("-inf"))
    height = (x.shape[1] - kernel) // stride + 1
    width = (x.shape[2] - kernel) // stride + 1
    return np.array(
        [
            [
                x[:, r * stride : r * stride + kernel, c * stride : c * stride + kernel].max((1, 2))
                for c in range(width)
            ]
            for r in range(height)
        ]
    ).transpose(2, 0, 1)


def adaptive_average(x, grid):
    """Cell i of `grid` is the mean of places floor(i n / grid) up to ceil((i + 1) n / grid)."""

    def spans(n):
        return [(i * n // grid, -(-(i + 1) * n // grid)) for i in range(grid)]

    rows, columns = spans(x.shape[1]), spans(x.shape[2])
    return np.array(
        [[x[:, top:end, left:right].mean((1, 2)) for left, right in columns] for top, end in rows]
    ).transpose(2, 0, 1)


def linear(x, state, name):
    return state[f"{name}.weight"] @ x + state[f"{name}.bias"]


def resnet_features(x, state, blocks):
    def conv_norm(x, conv, norm, **geometry):
        return batch_norm(convolution(x, state[f"{conv}.weight"], **geometry), state, norm)

    x = relu(conv_norm(x, "conv1", "bn1", stride=2, padding=3))
    x = max_pool(x, 3, 2, padding=1)
    for stage, count in enumerate(blocks, start=1):
        for block in range(count):
            at = f"layer{stage}.{block}"
            stride = 2 if stage > 1 and block == 0 else 1
            y = relu(conv_norm(x, f"{at}.conv1", f"{at}.bn1"))
            y = relu(conv_norm(y, f"{at}.conv2", f"{at}.bn2", stride=stride, padding=1))
            y = conv_norm(y, f"{at}.conv3", f"{at}.bn3")
            if block == 0:
                x = conv_norm(x, f"{at}.downsample.0", f"{at}.downsample.1", stride=stride)
            x = relu(x + y)
    return x


def alexnet_features(x, state):
    def conv(x, index, **geometry):
        name = f"features.{index}"
        return relu(convolution(x, state[f"{name}.weight"], state[f"{name}.bias"], **geometry))

    x = max_pool(conv(x, 0, stride=4, padding=2), 3, 2)
    x = max_pool(conv(x, 3, padding=2), 3, 2)
    x = conv(conv(conv(x, 6, padding=1), 8, padding=1), 10, padding=1)
    return max_pool(x, 3, 2)


def vgg16_features(x, state):
    # Places of the convolutions in torchvision's list, a pool after each row.
    for row in ((0, 2), (5, 7), (10, 12, 14), (17, 19, 21), (24, 26, 28)):
        for index in row:
            name = f"features.{index}"
            x = relu(convolution(x, state[f"{name}.weight"], state[f"{name}.bias"], padding=1))
        x = max_pool(x, 2, 2)
    return x


def classic_embedding(features, state, grid, layers):
    x = adaptive_average(features, grid).reshape(-1)
    for index in layers:
        x = relu(linear(x, state, f"classifier.{index}"))
    return x


def as_arrays(network):
    return {name: value.numpy() for name, value in network.state_dict().items()}
