"""The quasi-recurrent cell, whose gates depend on no earlier step (Bradbury et al. 2017).

Only its state is carried from step to step, number by number: there is no product with W_hh,
and all products of a window can be done at once. It is QRNN's fo-pooling over a convolution
one character wide. How steps and derivatives are written down is said in `cells`.
"""

from charrnn.arrays import Array, Derivative, State, blocks, joined, over_streams, sigmoid, tanh


def qrnn_step(x: Array, state: State, w_hh: Array, b_hh: Array) -> State:  # noqa: ARG001
    """u, f, o = x + b_hh
    c' = σ(f) ⊙ c + (1 - σ(f)) ⊙ tanh(u)
    h' = σ(o) ⊙ c'

    x (B, 3H), state (h, c), of which h is not read, w_hh (0, H), b_hh (3H,).
    """
    _, c = state
    u, f, o = blocks(x + b_hh, 3)
    f = sigmoid(f)
    c = f * c + (1 - f) * tanh(u)
    return (sigmoid(o) * c, c)


def qrnn_derivative(x: Array, state: State, w_hh: Array, b_hh: Array, d_next: State) -> Derivative:
    """do = dh' ⊙ c' ⊙ σ'(o)
    dc' += dh' ⊙ σ(o)                        of h' = σ(o) ⊙ c'
    du = dc' ⊙ (1 - σ(f)) ⊙ (1 - tanh²(u))
    df = dc' ⊙ (c - tanh(u)) ⊙ σ'(f)
    dc = dc' ⊙ σ(f)                          of c' = σ(f) ⊙ c + (1 - σ(f)) ⊙ tanh(u)
    dx = (du, df, do)
    db_hh = Σ dx, dh = 0                     of u, f, o = x + b_hh
    """
    (_, c), (dh, dc) = state, d_next
    u, f, o = blocks(x + b_hh, 3)
    u, f, o = tanh(u), sigmoid(f), sigmoid(o)  # below, u is tanh(u), and so on
    dc = dc + dh * o
    do = dh * (f * c + (1 - f) * u) * o * (1 - o)
    du = dc * (1 - f) * (1 - u * u)
    df = dc * (c - u) * f * (1 - f)
    dx = joined([du, df, do], -1)
    return Derivative(dx, (0 * dh, dc * f), 0 * w_hh, over_streams(dx))
