"""The quasi-recurrent cell over all the steps of a window, and back through them.

It restates `quasi` as `unrolled` does the other cells. Only its state goes step by step:
everything else is done for as many steps at once as stay in cache.
"""

import torch

from charrnn.window import Arriving, Leaving, Window, slope, steps_at_once

# ---- qrnn:  u, f, o = x;  c' = σ(f) c + (1 - σ(f)) tanh(u);  h' = σ(o) c'


def qrnn_forward(w: Window) -> None:
    """Leaves tanh(u), σ(f), σ(o) in x."""
    hs, cs = w.states[0], w.states[1]
    size, steps = hs.size(2), w.x.size(0)
    at_once = steps_at_once(cs[0])
    for first in range(0, steps, at_once):
        end = min(first + at_once, steps)
        u, f, o = torch.split(w.x[first:end], size, 2)
        u.tanh_()
        w.x[first:end, :, size:].sigmoid_()
        for t in range(first, end):
            torch.lerp(u[t - first], cs[t], f[t - first], out=cs[t + 1])
        torch.mul(o, cs[first + 1 : end + 1], out=hs[first + 1 : end + 1])


def qrnn_backward(w: Window, back: Arriving) -> Leaving:
    """In the gates' values u, f, o:

    h' = o c':            do = dh' c' o (1-o) = dh' o (c' - h'),  dc' gets dh' o
    c' = f c + (1-f) u:   du = dc' (1-f) (1 - u²),  df = dc' (1-f) f (c - u),  dc = dc' f
    """
    hs, cs, dcs = w.states[0], w.states[1], back.scratch[0][1:]
    size, end = hs.size(2), w.x.size(0)
    dh, dc = back.d_last[0], back.d_last[1]
    at_once = steps_at_once(dh)
    while end > 0:
        first = max(0, end - at_once)
        u, f, o = torch.split(w.x[first:end], size, 2)
        du, df, do = torch.split(back.d_x[first:end], size, 2)
        arriving = dcs[first:end]
        torch.mul(back.dy[first:end], o, out=arriving)
        if end == w.x.size(0):
            arriving[end - first - 1].addcmul_(dh, o[end - first - 1])
        torch.sub(cs[first + 1 : end + 1], hs[first + 1 : end + 1], out=do)
        do.mul_(arriving)
        for t in range(end - first - 1, -1, -1):
            arriving[t].add_(dc)
            dc = arriving[t] * f[t]
        torch.addcmul(arriving, arriving, f, value=-1.0, out=arriving)  # dc' (1 - f)
        slope(u, "tanh", du)
        du.mul_(arriving)
        torch.sub(cs[first:end], u, out=df)
        df.mul_(f).mul_(arriving)
        end = first
    none = hs.new_zeros([0, size])
    return Leaving([torch.zeros_like(dh), dc], none, torch.zeros_like(w.b))
