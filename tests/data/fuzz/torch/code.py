class M(Module):
  w : Tensor
  k : Final[Tuple[int, int]] = (1, 2)
  def forward(self: __torch__.M,
    x: Tensor,
    n: int=3) -> Tensor:
    ys = annotate(List[Tensor], [])
    for i in range(n):
      y = torch.add(torch.mul(x, i), self.w, alpha=2)
      _0 = torch.append(ys, torch.relu_(y))
    a, b, c, = ys
    if bool(torch.gt(torch.sum(x), 0)):
      z = torch.softmax(a, -1)
    else:
      z = (self).other(b, )
    s = torch.size(x)
    if torch.ne(torch.len(s), 2):
      ops.prim.RaiseException(torch.format("dim {}", s), "builtins.ValueError")
    else:
      pass
    v = torch.view(torch.cat([z, c], 1), [int(s[0]), -1])
    w = torch.transpose(torch.slice(v, 1, 0, 4, 2), 0, 1)
    return torch.matmul(torch.select(w, 0, 0), getattr(self, "w"))
  def other(self: __torch__.M,
    x: Tensor) -> Tensor:
    d = {"a": 1.5, "b": -inf}
    return torch.clamp(x, d["a"], None)
