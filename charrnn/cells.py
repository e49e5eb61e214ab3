"""The equations of the recurrent cells: the one place where each cell is defined, but for the
quasi-recurrent one, which is in `quasi` and named here.

A cell's step is told the part of its input that depends on no earlier step,

    x = W_ih · input + b_ih        (B, G·H)

and its state, and gives the next state. The rows of x, W_hh and b_hh are the cell's
gates, one block of H rows after the other, in torch.nn's order; a cell that torch.nn
lacks has no b_ih. Everything here runs on NumPy arrays and on torch tensors alike, for
one stream (H,) or many (B, H).

Beside each step is its derivative: from the gradient with respect to the next state (of
a loss, say), the gradient with respect to everything that the step reads, by the chain
rule, from the step's last equation to its first. There da stands for the gradient with
respect to a, += for a second way in which a thing is read, and beside each line stands
the equation that it is the derivative of. All rest on

    tanh'(a) = 1 - tanh²(a)        σ'(a) = σ(a) (1 - σ(a))
"""

from charrnn.arrays import (
    Array,
    Derivative,
    State,
    Step,
    StepDerivative,
    affine_gradient,
    blocks,
    joined,
    over_streams,
    relu,
    sigmoid,
    tanh,
)
from charrnn.quasi import qrnn_derivative, qrnn_step


def rnn_step(x: Array, state: State, w_hh: Array, b_hh: Array) -> State:
    """h' = tanh(x + W_hh h + b_hh)   (Elman 1990)

    x (B, H), state (h,), w_hh (H, H), b_hh (H,).
    """
    (h,) = state
    return (tanh(x + h @ w_hh.T + b_hh),)


def rnn_derivative(x: Array, state: State, w_hh: Array, b_hh: Array, d_next: State) -> Derivative:
    """da = dh' ⊙ (1 - h'²)                  of h' = tanh(a)
    dx = da
    dh, dW_hh, db_hh by `affine_gradient`    of a = x + W_hh h + b_hh
    """
    (h,), (dh,) = state, d_next
    (after,) = rnn_step(x, state, w_hh, b_hh)
    da = dh * (1 - after * after)
    dh, dw, db = affine_gradient(da, h, w_hh)
    return Derivative(da, (dh,), dw, db)


def relu_rnn_step(x: Array, state: State, w_hh: Array, b_hh: Array) -> State:
    """h' = max(0, x + W_hh h + b_hh)   (Le, Jaitly and Hinton 2015)

    x (B, H), state (h,), w_hh (H, H), b_hh (H,).
    """
    (h,) = state
    return (relu(x + h @ w_hh.T + b_hh),)


def relu_rnn_derivative(
    x: Array, state: State, w_hh: Array, b_hh: Array, d_next: State
) -> Derivative:
    """da = dh' where h' > 0, else 0         of h' = max(0, a), taken as flat at its kink
    dx = da
    dh, dW_hh, db_hh by `affine_gradient`    of a = x + W_hh h + b_hh
    """
    (h,), (dh,) = state, d_next
    (after,) = relu_rnn_step(x, state, w_hh, b_hh)
    da = dh * (after > 0)
    dh, dw, db = affine_gradient(da, h, w_hh)
    return Derivative(da, (dh,), dw, db)


def sigmoid_rnn_step(x: Array, state: State, w_hh: Array, b_hh: Array) -> State:
    """h' = σ(x + W_hh h + b_hh)   (Elman 1990, whose units were logistic)

    x (B, H), state (h,), w_hh (H, H), b_hh (H,).
    """
    (h,) = state
    return (sigmoid(x + h @ w_hh.T + b_hh),)


def sigmoid_rnn_derivative(
    x: Array, state: State, w_hh: Array, b_hh: Array, d_next: State
) -> Derivative:
    """da = dh' ⊙ h' ⊙ (1 - h')              of h' = σ(a)
    dx = da
    dh, dW_hh, db_hh by `affine_gradient`    of a = x + W_hh h + b_hh
    """
    (h,), (dh,) = state, d_next
    (after,) = sigmoid_rnn_step(x, state, w_hh, b_hh)
    da = dh * after * (1 - after)
    dh, dw, db = affine_gradient(da, h, w_hh)
    return Derivative(da, (dh,), dw, db)


def lstm_step(x: Array, state: State, w_hh: Array, b_hh: Array) -> State:
    """i, f, g, o = x + W_hh h + b_hh
    c' = σ(f) ⊙ c + σ(i) ⊙ tanh(g)
    h' = σ(o) ⊙ tanh(c')   (Hochreiter and Schmidhuber 1997; Gers et al. 2000)

    x (B, 4H), state (h, c), w_hh (4H, H), b_hh (4H,).
    """
    h, c = state
    i, f, g, o = blocks(x + h @ w_hh.T + b_hh, 4)
    c = sigmoid(f) * c + sigmoid(i) * tanh(g)
    return (sigmoid(o) * tanh(c), c)


def lstm_derivative(x: Array, state: State, w_hh: Array, b_hh: Array, d_next: State) -> Derivative:
    """do = dh' ⊙ tanh(c') ⊙ σ'(o)
    dc' += dh' ⊙ σ(o) ⊙ (1 - tanh²(c'))      of h' = σ(o) ⊙ tanh(c')
    di = dc' ⊙ tanh(g) ⊙ σ'(i)
    df = dc' ⊙ c ⊙ σ'(f)
    dg = dc' ⊙ σ(i) ⊙ (1 - tanh²(g))
    dc = dc' ⊙ σ(f)                          of c' = σ(f) ⊙ c + σ(i) ⊙ tanh(g)
    dx = (di, df, dg, do)
    dh, dW_hh, db_hh by `affine_gradient`    of i, f, g, o = x + W_hh h + b_hh
    """
    (h, c), (dh, dc) = state, d_next
    i, f, g, o = blocks(x + h @ w_hh.T + b_hh, 4)
    i, f, g, o = sigmoid(i), sigmoid(f), tanh(g), sigmoid(o)  # below, i is σ(i), and so on
    bent = tanh(f * c + i * g)  # tanh(c')
    do = dh * bent * o * (1 - o)
    dc = dc + dh * o * (1 - bent * bent)
    di = dc * g * i * (1 - i)
    df = dc * c * f * (1 - f)
    dg = dc * i * (1 - g * g)
    dx = joined([di, df, dg, do], -1)
    dh, dw, db = affine_gradient(dx, h, w_hh)
    return Derivative(dx, (dh, dc * f), dw, db)


def gru_step(x: Array, state: State, w_hh: Array, b_hh: Array) -> State:
    """r = σ(x_r + W_hr h + b_hr)
    z = σ(x_z + W_hz h + b_hz)
    n = tanh(x_n + r ⊙ (W_hn h + b_hn))
    h' = (1 - z) ⊙ n + z ⊙ h   (Cho et al. 2014, with the reset after the product, as cuDNN)

    x (B, 3H), state (h,), w_hh (3H, H), b_hh (3H,).
    """
    (h,) = state
    x_r, x_z, x_n = blocks(x, 3)
    a_r, a_z, a_n = blocks(h @ w_hh.T + b_hh, 3)
    r, z = sigmoid(x_r + a_r), sigmoid(x_z + a_z)
    n = tanh(x_n + r * a_n)
    return (n + z * (h - n),)


def gru_derivative(x: Array, state: State, w_hh: Array, b_hh: Array, d_next: State) -> Derivative:
    """dz = dh' ⊙ (h - n)
    dn = dh' ⊙ (1 - z)
    dh = dh' ⊙ z                             of h' = (1 - z) ⊙ n + z ⊙ h
    dx_n = dn ⊙ (1 - n²)
    dr = dx_n ⊙ a_n
    da_n = dx_n ⊙ r                          of n = tanh(x_n + r ⊙ a_n)
    dx_z = da_z = dz ⊙ z ⊙ (1 - z)           of z = σ(x_z + a_z)
    dx_r = da_r = dr ⊙ r ⊙ (1 - r)           of r = σ(x_r + a_r)
    dh +=, dW_hh, db_hh by `affine_gradient` of a = W_hh h + b_hh
    """
    (h,), (dh,) = state, d_next
    x_r, x_z, x_n = blocks(x, 3)
    a_r, a_z, a_n = blocks(h @ w_hh.T + b_hh, 3)
    r, z = sigmoid(x_r + a_r), sigmoid(x_z + a_z)
    n = tanh(x_n + r * a_n)
    dx_n = dh * (1 - z) * (1 - n * n)
    dx_z = dh * (h - n) * z * (1 - z)
    dx_r = dx_n * a_n * r * (1 - r)
    da = joined([dx_r, dx_z, dx_n * r], -1)
    through_a, dw, db = affine_gradient(da, h, w_hh)
    return Derivative(joined([dx_r, dx_z, dx_n], -1), (dh * z + through_a,), dw, db)


def gru_reset_before_step(x: Array, state: State, w_hh: Array, b_hh: Array) -> State:
    """r = σ(x_r + W_hr h + b_r)
    z = σ(x_z + W_hz h + b_z)
    n = tanh(x_n + W_hn (r ⊙ h) + b_n)
    h' = (1 - z) ⊙ h + z ⊙ n   (Chung et al. 2014: the reset before the product, z the new's share)

    x (B, 3H), state (h,), w_hh (3H, H), b_hh (3H,).
    """
    (h,) = state
    gates = 2 * h.shape[-1]
    r, z = blocks(sigmoid(x[..., :gates] + h @ w_hh[:gates].T + b_hh[:gates]), 2)
    n = tanh(x[..., gates:] + (r * h) @ w_hh[gates:].T + b_hh[gates:])
    return (h + z * (n - h),)


def gru_reset_before_derivative(
    x: Array, state: State, w_hh: Array, b_hh: Array, d_next: State
) -> Derivative:
    """dz = dh' ⊙ (n - h)
    dn = dh' ⊙ z
    dh = dh' ⊙ (1 - z)                       of h' = (1 - z) ⊙ h + z ⊙ n
    dx_n = dn ⊙ (1 - n²)
    d(r ⊙ h), dW_hn, db_n by `affine_gradient`   of n = tanh(x_n + W_hn (r ⊙ h) + b_n)
    dr = d(r ⊙ h) ⊙ h
    dh += d(r ⊙ h) ⊙ r                       of r ⊙ h
    dx_z = dz ⊙ z ⊙ (1 - z)                  of z = σ(...)
    dx_r = dr ⊙ r ⊙ (1 - r)                  of r = σ(...)
    dh +=, dW_hr, dW_hz, db_r, db_z by `affine_gradient`   of what r and z are the σ of
    """
    (h,), (dh,) = state, d_next
    gates = 2 * h.shape[-1]
    r, z = blocks(sigmoid(x[..., :gates] + h @ w_hh[:gates].T + b_hh[:gates]), 2)
    n = tanh(x[..., gates:] + (r * h) @ w_hh[gates:].T + b_hh[gates:])
    dx_n = dh * z * (1 - n * n)
    d_reset, dw_n, db_n = affine_gradient(dx_n, r * h, w_hh[gates:])
    dx_rz = joined([d_reset * h * r * (1 - r), dh * (n - h) * z * (1 - z)], -1)
    through_rz, dw_rz, db_rz = affine_gradient(dx_rz, h, w_hh[:gates])
    return Derivative(
        joined([dx_rz, dx_n], -1),
        (dh * (1 - z) + d_reset * r + through_rz,),
        joined([dw_rz, dw_n], 0),
        joined([db_rz, db_n], 0),
    )


def product_step(x: Array, state: State, w_hh: Array, b_hh: Array) -> State:
    """a = σ(x_a + U_a h + b_a)
    c = σ(x_c + U_c h + b_c)
    h' = tanh(a ⊙ c + b_a)   (b_a is read twice)

    x (B, 2H), state (h,), w_hh (2H, H) is U_a over U_c, b_hh (2H,) is b_a and b_c.
    """
    (h,) = state
    a, c = blocks(sigmoid(x + h @ w_hh.T + b_hh), 2)
    return (tanh(a * c + b_hh[: h.shape[-1]]),)


def product_derivative(
    x: Array, state: State, w_hh: Array, b_hh: Array, d_next: State
) -> Derivative:
    """ds = dh' ⊙ (1 - h'²)                  of h' = tanh(s)
    da = ds ⊙ c
    dc = ds ⊙ a
    db_a = Σ ds                              of s = a ⊙ c + b_a
    dx_a = da ⊙ a ⊙ (1 - a)                  of a = σ(x_a + U_a h + b_a)
    dx_c = dc ⊙ c ⊙ (1 - c)                  of c = σ(x_c + U_c h + b_c)
    dh, dU_a, dU_c, db_a +=, db_c by `affine_gradient`   of what a and c are the σ of
    """
    (h,), (dh,) = state, d_next
    size = h.shape[-1]
    a, c = blocks(sigmoid(x + h @ w_hh.T + b_hh), 2)
    after = tanh(a * c + b_hh[:size])
    ds = dh * (1 - after * after)
    dx = joined([ds * c * a * (1 - a), ds * a * c * (1 - c)], -1)
    dh, dw, db = affine_gradient(dx, h, w_hh)
    return Derivative(dx, (dh,), dw, joined([db[:size] + over_streams(ds), db[size:]], 0))


def step_of(cell: str, nonlinearity: str) -> Step:
    """The step of a cell, by its name in GATES; the rnn's with a `nonlinearity`."""
    return _cell(cell, nonlinearity)[0]


def derivative_of(cell: str, nonlinearity: str) -> StepDerivative:
    """The derivative of a cell's step, named as in `step_of`."""
    return _cell(cell, nonlinearity)[1]


def _cell(cell: str, nonlinearity: str) -> tuple[Step, StepDerivative]:
    rnns = {
        "tanh": (rnn_step, rnn_derivative),
        "relu": (relu_rnn_step, relu_rnn_derivative),
        "sigmoid": (sigmoid_rnn_step, sigmoid_rnn_derivative),
    }
    cells = {
        "rnn": rnns[nonlinearity],
        "lstm": (lstm_step, lstm_derivative),
        "gru": (gru_step, gru_derivative),
        "gru-reset-before": (gru_reset_before_step, gru_reset_before_derivative),
        "product": (product_step, product_derivative),
        "qrnn": (qrnn_step, qrnn_derivative),
    }
    return cells[cell]


def states(cell: str) -> int:
    """How many arrays a cell's state holds."""
    return 2 if cell in ("lstm", "qrnn") else 1
