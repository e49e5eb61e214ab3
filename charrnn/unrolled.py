"""Each cell over all the steps of a window, and back through them.

These restate the steps and derivatives of `cells` so that as little as possible is done
step by step. Forward, the gates are computed in place in x. Backward, the gradient of
every gate (before its σ or tanh) is

    d gate = factor ⊙ dh'      (the lstm's i, f, g: factor ⊙ dc')

and the factors depend on the forward's values alone, so that those of many steps are
computed at once. The walk back through time, from the last step to the first, only
multiplies them by what arrives, and sends it on:

    dh = dy + (what h' takes from h directly) + d gates · W_hh

dy being what reaches h from the layers above. The names d_… are gradients of the loss
with respect to …; a prime marks what a step computes.

It is written in the part of Python that TorchScript reads. TorchScript runs it without
Python's global lock, so that workers side by side each keep a processor busy.
"""

import torch

from charrnn.products import affine, product, weight_gradient
from charrnn.window import Arriving, Leaving, Window, flat, slope, steps_at_once

# ---- rnn:  h' = φ(a),  a = x + W_hh h


def _rnn_forward(w: Window, nonlinearity: str) -> None:
    hs = w.states[0]
    for t in range(w.x.size(0)):
        a, after = w.x[t], hs[t + 1]
        affine(a, hs[t], w.weights[0], a)  # in place: to add it elsewhere would copy it first
        if nonlinearity == "tanh":
            torch.tanh(a, out=after)
        elif nonlinearity == "relu":
            torch.clamp(a, min=0.0, out=after)
        else:
            torch.sigmoid(a, out=after)


def _rnn_backward(w: Window, back: Arriving, nonlinearity: str) -> Leaving:
    """h' = φ(a):       da = φ'(a) ⊙ dh', where φ'(a) is known from h'
    a = x + W_hh h:     dx = da,  dh = dy + da W_hh
    """
    hs, last = w.states[0], w.x.size(0) - 1
    if nonlinearity == "relu":
        torch.sign(hs[1:], out=back.d_x)  # 1 where h' > 0
    else:
        slope(hs[1:], nonlinearity, back.d_x)
    dh = back.dy[last] + back.d_last[0]
    zero = torch.zeros_like(dh)
    for t in range(last, -1, -1):
        back.d_x[t].mul_(dh)
        affine(back.dy[t - 1] if t > 0 else zero, back.d_x[t], w.weights[0], dh)
    d_w_hh = weight_gradient(flat(back.d_x), flat(hs[:-1]), w.weights[0])
    return Leaving([dh], d_w_hh, torch.zeros_like(w.b))


def tanh_forward(w: Window) -> None:
    """φ = tanh."""
    _rnn_forward(w, "tanh")


def tanh_backward(w: Window, back: Arriving) -> Leaving:
    """φ' = 1 - h'²."""
    return _rnn_backward(w, back, "tanh")


def relu_forward(w: Window) -> None:
    """φ = max(0, ·)."""
    _rnn_forward(w, "relu")


def relu_backward(w: Window, back: Arriving) -> Leaving:
    """φ' = 1 where h' > 0, else 0."""
    return _rnn_backward(w, back, "relu")


def sigmoid_forward(w: Window) -> None:
    """φ = σ."""
    _rnn_forward(w, "sigmoid")


def sigmoid_backward(w: Window, back: Arriving) -> Leaving:
    """φ' = h' (1 - h')."""
    return _rnn_backward(w, back, "sigmoid")


# ---- lstm:  i, f, g, o = x + W_hh h;  c' = σ(f) c + σ(i) tanh(g);  h' = σ(o) tanh(c')


def lstm_forward(w: Window) -> None:
    """Leaves σ(i), σ(f), tanh(g), σ(o) in x."""
    hs, cs = w.states[0], w.states[1]
    size = hs.size(2)
    tanh_c = torch.empty_like(cs[0])
    for t in range(w.x.size(0)):
        a, c = w.x[t], cs[t + 1]
        affine(a, hs[t], w.weights[0], a)
        i, f, g, o = torch.split(a, size, 1)
        a[:, : 2 * size].sigmoid_()
        g.tanh_()
        o.sigmoid_()
        torch.mul(f, cs[t], out=c)
        c.addcmul_(i, g)
        torch.tanh(c, out=tanh_c)
        torch.mul(o, tanh_c, out=hs[t + 1])


def lstm_backward(w: Window, back: Arriving) -> Leaving:
    """In the gates' values i, f, g, o:

    h' = o tanh(c'):    do = dh' tanh(c') o (1 - o),  dc' gets dh' o (1 - tanh²(c'))
    c' = f c + i g:     di = dc' g i (1 - i),  df = dc' c f (1 - f),  dg = dc' i (1 - g²),
                        dc = dc' f
    """
    hs, cs = w.states[0], w.states[1]
    size, end = hs.size(2), w.x.size(0)
    by_gate = back.d_x.view([end, hs.size(1), 4, size])
    fs = w.x[:, :, size : 2 * size]
    dh, dc = back.dy[end - 1] + back.d_last[0], back.d_last[1].clone()
    zero, many = torch.zeros_like(dh), steps_at_once(dh)
    while end > 0:
        first = max(0, end - many)
        i, f, g, o = torch.split(w.x[first:end], size, 2)
        to_i, to_f, to_g, to_o = torch.split(back.d_x[first:end], size, 2)
        tanh_c = torch.tanh(cs[first + 1 : end + 1])
        slope(i, "sigmoid", to_i)
        to_i.mul_(g)
        slope(f, "sigmoid", to_f)
        to_f.mul_(cs[first:end])
        slope(g, "tanh", to_g)
        to_g.mul_(i)
        slope(o, "sigmoid", to_o)
        to_o.mul_(tanh_c)
        slope(tanh_c, "tanh", tanh_c)
        to_c = tanh_c.mul_(o)
        for t in range(end - 1, first - 1, -1):
            dc.addcmul_(dh, to_c[t - first])
            by_gate[t, :, :3].mul_(dc.unsqueeze(1))
            by_gate[t, :, 3].mul_(dh)
            dc.mul_(fs[t])
            affine(back.dy[t - 1] if t > 0 else zero, back.d_x[t], w.weights[0], dh)
        end = first
    d_w_hh = weight_gradient(flat(back.d_x), flat(hs[:-1]), w.weights[0])
    return Leaving([dh, dc], d_w_hh, torch.zeros_like(w.b))


# ---- gru:  r, z = σ(x_rz + W_rz h);  n = tanh(x_n + r q), q = W_n h + b;  h' = (1-z) n + z h


def gru_forward(w: Window) -> None:
    """Leaves r, z, n in x, and keeps q."""
    hs, qs = w.states[0], w.kept[0]
    size = hs.size(2)
    for t in range(w.x.size(0)):
        h, q = hs[t], qs[t]
        r, z, n = torch.split(w.x[t], size, 1)
        rz = w.x[t, :, : 2 * size]
        if len(w.weights) == 1:  # packed: one product costs less than two
            through_h = product(h, w.weights[0])
            rz.add_(through_h[:, : 2 * size])
            torch.add(w.b, through_h[:, 2 * size :], out=q)
        else:
            affine(rz, h, w.weights[0], rz)
            affine(w.b, h, w.weights[1], q)
        rz.sigmoid_()
        n.addcmul_(r, q).tanh_()
        torch.lerp(n, h, z, out=hs[t + 1])


def gru_backward(w: Window, back: Arriving) -> Leaving:
    """In the gates' values r, z, n, with a for what n is the tanh of:

    h' = (1-z) n + z h:   da = dh' u, u = (1-z)(1 - n²),  dz = dh' (h - n) z (1-z),
                          dh gets dh' z
    a = x_n + r q:        dx_n = da,  dr = da q r (1-r),  dq = da r
    q = W_n h + b:        db = dq

    The walk leaves dr, dz, dq in d_x, which is what goes through W_hh; then da takes the
    place of dq.
    """
    hs, qs, dhs, us = w.states[0], w.kept[0], back.scratch[0], back.scratch[1]
    size, end = hs.size(2), w.x.size(0)
    by_gate = back.d_x.view([w.x.size(0), hs.size(1), 3, size])
    zs = w.x[:, :, size : 2 * size]
    torch.add(back.dy[end - 1], back.d_last[0], out=dhs[end])
    zero, many = torch.zeros_like(dhs[0]), steps_at_once(dhs[0])
    while end > 0:
        first = max(0, end - many)
        r, z, n = torch.split(w.x[first:end], size, 2)
        to_r, to_z, to_q = torch.split(back.d_x[first:end], size, 2)
        u = us[first + 1 : end + 1]
        slope(n, "tanh", u)
        u.addcmul_(u, z, value=-1.0)
        slope(z, "sigmoid", to_z)
        to_z.mul_(hs[first:end] - n)
        slope(r, "sigmoid", to_r)
        to_r.mul_(qs[first:end]).mul_(u)
        torch.mul(u, r, out=to_q)
        for t in range(end - 1, first - 1, -1):
            dh, before = dhs[t + 1], dhs[t]
            by_gate[t].mul_(dh.unsqueeze(1))
            torch.addcmul(back.dy[t - 1] if t > 0 else zero, dh, zs[t], out=before)
            affine(before, back.d_x[t], w.weights[0], before)
        end = first
    d_w_hh = weight_gradient(flat(back.d_x), flat(hs[:-1]), w.weights[0])
    d_q = back.d_x[:, :, 2 * size :]
    d_b = d_q.sum([0, 1])
    torch.mul(dhs[1:], us[1:], out=d_q)
    return Leaving([dhs[0].clone()], d_w_hh, d_b)


# ---- gru-reset-before:  r, z = σ(x_rz + W_rz h);  n = tanh(x_n + W_n (r h));  h' = (1-z) h + z n


def reset_before_forward(w: Window) -> None:
    """Leaves r, z, n in x, and keeps r h."""
    hs, rhs = w.states[0], w.kept[0]
    size = hs.size(2)
    for t in range(w.x.size(0)):
        h, rh = hs[t], rhs[t]
        r, z, n = torch.split(w.x[t], size, 1)
        rz = w.x[t, :, : 2 * size]
        affine(rz, h, w.weights[0], rz)
        rz.sigmoid_()
        torch.mul(r, h, out=rh)
        affine(n, rh, w.weights[1], n)
        n.tanh_()
        torch.lerp(h, n, z, out=hs[t + 1])


def reset_before_backward(w: Window, back: Arriving) -> Leaving:
    """In the gates' values r, z, n, with a for what n is the tanh of and p for r h:

    h' = (1-z) h + z n:   da = dh' z (1 - n²),  dz = dh' (n - h) z (1-z),
                          dh gets dh' (1-z)
    a = x_n + W_n p:      dp = da W_n
    p = r h:              dr = dp h r (1-r),  dh gets dp r
    """
    hs, ps = w.states[0], w.kept[0]
    size, steps = hs.size(2), w.x.size(0)
    d_rz, d_n = back.d_x[:, :, : 2 * size], back.d_x[:, :, 2 * size :]
    r, z, n = torch.split(w.x, size, 2)
    slope(r, "sigmoid", d_rz[:, :, :size])
    d_rz[:, :, :size].mul_(hs[:-1])
    slope(z, "sigmoid", d_rz[:, :, size:])
    d_rz[:, :, size:].mul_(n - hs[:-1])
    slope(n, "tanh", d_n)
    d_n.mul_(z)
    dh = back.dy[steps - 1] + back.d_last[0]
    zero, dp = torch.zeros_like(dh), torch.empty_like(dh)
    for t in range(steps - 1, -1, -1):
        dr, dz = torch.split(d_rz[t], size, 1)
        d_n[t].mul_(dh)
        dz.mul_(dh)
        affine(zero, d_n[t], w.weights[1], dp)
        dr.mul_(dp)
        dh.addcmul_(dh, z[t], value=-1.0).addcmul_(dp, r[t])
        if t > 0:
            dh.add_(back.dy[t - 1])
        affine(dh, d_rz[t], w.weights[0], dh)
    d_rz_rows = weight_gradient(flat(d_rz), flat(hs[:-1]), w.weights[0])
    d_n_rows = weight_gradient(flat(d_n), flat(ps), w.weights[1])
    return Leaving([dh], torch.cat([d_rz_rows, d_n_rows]), torch.zeros_like(w.b))


# ---- product:  a, c = σ(x + W_hh h);  h' = tanh(a c + b)


def product_forward(w: Window) -> None:
    """Leaves a, c in x."""
    hs = w.states[0]
    size = hs.size(2)
    for t in range(w.x.size(0)):
        gates, after = w.x[t], hs[t + 1]
        affine(gates, hs[t], w.weights[0], gates)
        gates.sigmoid_()
        torch.addcmul(w.b, gates[:, :size], gates[:, size:], out=after)
        after.tanh_()


def product_backward(w: Window, back: Arriving) -> Leaving:
    """In the gates' values a, c:

    h' = tanh(a c + b):   db = dh' s, s = 1 - h'²,  da = dh' s c a (1-a),
                          dc = dh' s a c (1-c)
    """
    hs, dhs, ss = w.states[0], back.scratch[0], back.scratch[1][1:]
    size, steps = hs.size(2), w.x.size(0)
    a, c = torch.split(w.x, size, 2)
    to_a, to_c = torch.split(back.d_x, size, 2)
    by_gate = back.d_x.view([steps, hs.size(1), 2, size])
    slope(hs[1:], "tanh", ss)
    slope(a, "sigmoid", to_a)
    to_a.mul_(c).mul_(ss)
    slope(c, "sigmoid", to_c)
    to_c.mul_(a).mul_(ss)
    torch.add(back.dy[steps - 1], back.d_last[0], out=dhs[steps])
    zero = torch.zeros_like(dhs[0])
    for t in range(steps - 1, -1, -1):
        by_gate[t].mul_(dhs[t + 1].unsqueeze(1))
        affine(back.dy[t - 1] if t > 0 else zero, back.d_x[t], w.weights[0], dhs[t])
    d_w_hh = weight_gradient(flat(back.d_x), flat(hs[:-1]), w.weights[0])
    return Leaving([dhs[0].clone()], d_w_hh, ss.mul_(dhs[1:]).sum([0, 1]))
