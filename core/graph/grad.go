package graph

import "slices"

// Backward adds the reverse pass of loss and returns, for each parameter of
// wrt, its gradient, which lies in Grads. A parameter that the loss does not
// depend on has no gradient: zero.
func (b *Builder) Backward(loss Value, wrt []Value) []Value {
	b.g.Split = len(b.g.Nodes)
	d := map[Value]Value{loss: One}
	for _, n := range slices.Backward(b.g.Nodes[:b.g.Split]) {
		dout := make([]Value, len(n.Out))
		live := false
		for i, v := range n.Out {
			dout[i] = d[v]
			live = live || d[v] != 0
		}
		if !live || !slices.ContainsFunc(n.In, b.g.needsGrad) {
			continue
		}
		for i, g := range n.Op.Grad(b, n, dout) {
			v := n.In[i]
			if g == 0 || v == 0 {
				continue
			}
			if d[v] != 0 {
				g = b.Apply("grad."+b.Name(v)+".sum", Add{}, d[v], g)[0]
			}
			d[v] = g
		}
	}
	grads := make([]Value, len(wrt))
	for i, w := range wrt {
		g := d[w]
		if g == 0 {
			continue
		}
		info := b.g.Info(g)
		if info.Region == Grads {
			b.Fail("backward: %s and %s have one gradient between them: do not add parameters to each other", b.Name(info.Of), b.Name(w))
		}
		info.Name, info.Region, info.Of = "grad."+b.Name(w), Grads, w
		grads[i] = g
	}
	return grads
}

// noGrad is embedded in ops that stand outside of differentiation.
type noGrad struct{}

// Grad adds the ops of the gradient of noGrad.
func (noGrad) Grad(b *Builder, n Node, _ []Value) []Value {
	b.Fail("%s: %s has no gradient", n.Name, OpName(n.Op))
	return nil
}
